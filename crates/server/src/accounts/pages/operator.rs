//! `/setup/<token>`: makes the operator's account, once.

use super::{AccountError, Browser, Failed, begun, fail, frame_signed_out, refuse, token, without_referrer};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::password::Password;
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bramble_model::Secret;
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/setup/{token}", get(show).post(send))
}

#[derive(Template)]
#[template(path = "accounts/setup.html")]
struct Page {
    frame: Frame,
    failed: Failed,
    action: String,
    typed_name: String,
    email: String,
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: Password,
}

async fn show(State(app): State<Ctx>, Path(text): Path<String>) -> Response {
    let open = async {
        let token = token(&text)?;
        if !accounts::set_up_is_open(&app, &token).await? {
            return Err(AccountError::DeadLink);
        }
        Ok(render(&app, StatusCode::OK, Failed::default(), &token, Typed::default()))
    };
    without_referrer(&app, open.await.unwrap_or_else(|error| refuse(&app, error)))
}

async fn send(
    State(app): State<Ctx>,
    browser: Browser,
    Path(text): Path<String>,
    Form(typed): Form<Typed>,
) -> Response {
    let token = match token(&text) {
        Ok(token) => token,
        Err(error) => return refuse(&app, error),
    };
    match accounts::set_up(&app, &token, &typed.name, &typed.email, &typed.password, &browser).await {
        Ok((_, session)) => begun(&app, &session, "/"),
        Err(error) => without_referrer(
            &app,
            match fail(&app, error, "") {
                Ok((status, failed)) => render(&app, status, failed, &token, typed),
                Err(response) => *response,
            },
        ),
    }
}

fn render(app: &App, status: StatusCode, failed: Failed, token: &Secret, typed: Typed) -> Response {
    let action = format!("/setup/{}", token.expose());
    let Typed { name, email, .. } = typed;
    page(status, &Page { frame: frame_signed_out(app), failed, action, typed_name: name, email })
}
