//! Leaving an organisation by oneself.

use super::refused;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::organisations::left_behind::{self, LeftBehind};
use crate::organisations::{self, OrganisationError, members};
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::account::Standing;

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/organisations/{organisation}/leave", get(ask).post(leave))
}

#[derive(Template)]
#[template(path = "organisations/leave.html")]
struct Leave {
    frame: Frame,
    root: String,
    /// Where whoever stays goes.
    back: String,
    /// What stays with the organisation, in words.
    stays: Option<String>,
}

async fn ask(State(app): State<Ctx>, who: SignedIn, Path(id): Path<String>) -> Response {
    match look(&app, &who, &id).await {
        Ok((standing, left)) => {
            let root = frames::root(standing.kind, standing.account);
            let stays = left.map(LeftBehind::words);
            // Whoever is kept out sees none of its tabs.
            let (frame, back) = if standing.blocked {
                (frames::personal(&app, &who, ""), format!("{root}/devices"))
            } else {
                (frames::of_account(&app, &who, standing.account, "Users"), format!("{root}/users"))
            };
            page(StatusCode::OK, &Leave { frame, root, back, stays })
        }
        Err(error) => refused(&app, &who, error),
    }
}

async fn look(
    app: &App,
    who: &SignedIn,
    id: &str,
) -> Result<(Standing, Option<LeftBehind>), OrganisationError> {
    let standing = organisations::belonging(app, who, id).await?;
    let left = left_behind::in_organisation(app, who, standing.account).await?;
    Ok((standing, left))
}

async fn leave(State(app): State<Ctx>, Fresh(who): Fresh, Path(id): Path<String>) -> Response {
    let left = async {
        let account = id.parse().map_err(|_| OrganisationError::NotFound)?;
        members::leave(&app, &who, account).await
    };
    match left.await {
        Ok(()) => Redirect::to("/devices").into_response(),
        Err(error) => refused(&app, &who, error),
    }
}
