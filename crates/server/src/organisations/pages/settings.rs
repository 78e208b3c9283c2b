//! The Settings tab of an organisation.

use super::refused;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::organisations::{self, OrganisationError, settings};
use crate::web::frames;
use crate::web::layout::{Frame, Tone};
use crate::web::page;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_model::account::{Deed, Standing, two_factor_deadline};
use bramble_store::accounts::Account;
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisations/{organisation}/settings", get(show).post(rename))
        .route("/organisations/{organisation}/settings/two-factor", post(two_factor))
        .route("/organisations/{organisation}/settings/files", post(files))
        .route("/organisations/{organisation}/delete", get(confirm).post(delete))
}

#[derive(Template)]
#[template(path = "organisations/settings.html")]
struct Page {
    frame: Frame,
    root: String,
    name: String,
    typed_name: String,
    error: String,
    /// Until when members may do without a second factor, if they must have one.
    deadline: Option<Moment>,
    deadline_over: bool,
    files_forbidden: bool,
}

#[derive(Template)]
#[template(path = "organisations/delete.html")]
struct Delete {
    frame: Frame,
    root: String,
    name: String,
    devices: u64,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
struct After {
    #[serde(default)]
    done: String,
}

async fn entered(app: &App, who: &SignedIn, id: &str) -> Result<(Standing, Account), OrganisationError> {
    let standing = organisations::enter(app, who, id, Deed::ManageSettings).await?;
    Ok((standing, settings::find(app, who, standing.account).await?))
}

fn root(standing: &Standing) -> String {
    frames::root(standing.kind, standing.account)
}

async fn show(
    State(app): State<Ctx>,
    who: SignedIn,
    Path(id): Path<String>,
    Query(after): Query<After>,
) -> Response {
    match entered(&app, &who, &id).await {
        Ok((standing, account)) => {
            let name = account.name.clone();
            render(&app, &who, &standing, account, name, "", &after)
        }
        Err(error) => refused(&app, &who, error),
    }
}

fn render(
    app: &App,
    who: &SignedIn,
    standing: &Standing,
    account: Account,
    typed_name: String,
    error: &str,
    after: &After,
) -> Response {
    let mut frame = frames::of_account(app, who, standing.account, "Settings");
    if after.done == "yes" {
        frame = frame.flash(Tone::Good, "Your organisation's settings were successfully updated.");
    }
    let now = app.clock.now();
    let deadline = two_factor_deadline(account.two_factor_required_at);
    let shown = Page {
        frame,
        root: root(standing),
        files_forbidden: account.files_forbidden,
        name: account.name,
        typed_name,
        error: error.to_owned(),
        deadline_over: deadline.is_some_and(|at| at <= now),
        deadline: deadline.map(|at| Moment::new(at, now)),
    };
    page(if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }, &shown)
}

fn updated(standing: &Standing) -> Response {
    Redirect::to(&format!("{}/settings?done=yes", root(standing))).into_response()
}

#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

async fn rename(
    State(app): State<Ctx>,
    who: SignedIn,
    Path(id): Path<String>,
    Form(typed): Form<Named>,
) -> Response {
    let (standing, account) = match entered(&app, &who, &id).await {
        Ok(entered) => entered,
        Err(error) => return refused(&app, &who, error),
    };
    match settings::rename(&app, &who, standing.account, &typed.name).await {
        Ok(()) => updated(&standing),
        Err(OrganisationError::Invalid(why)) => {
            render(&app, &who, &standing, account, typed.name, &why, &After::default())
        }
        Err(error) => refused(&app, &who, error),
    }
}

#[derive(Debug, Default, Deserialize)]
struct Rule {
    #[serde(default)]
    required: String,
}

async fn two_factor(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path(id): Path<String>,
    Form(rule): Form<Rule>,
) -> Response {
    let changed = async {
        let (standing, _) = entered(&app, &who, &id).await?;
        let required = match rule.required.as_str() {
            "yes" => true,
            "no" => false,
            // A form that says neither changes nothing.
            _ => return Err(OrganisationError::Changed),
        };
        settings::require_two_factor(&app, &who, standing.account, required).await?;
        Ok(standing)
    };
    match changed.await {
        Ok(standing) => updated(&standing),
        Err(error) => refused(&app, &who, error),
    }
}

#[derive(Debug, Default, Deserialize)]
struct Switch {
    #[serde(default)]
    allowed: String,
}

async fn files(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path(id): Path<String>,
    Form(switch): Form<Switch>,
) -> Response {
    let changed = async {
        let (standing, _) = entered(&app, &who, &id).await?;
        let allowed = match switch.allowed.as_str() {
            "yes" => true,
            "no" => false,
            // A form that says neither changes nothing.
            _ => return Err(OrganisationError::Changed),
        };
        settings::allow_files(&app, &who, standing.account, allowed).await?;
        Ok(standing)
    };
    match changed.await {
        Ok(standing) => updated(&standing),
        Err(error) => refused(&app, &who, error),
    }
}

async fn confirm(State(app): State<Ctx>, who: SignedIn, Path(id): Path<String>) -> Response {
    match entered(&app, &who, &id).await {
        Ok((standing, account)) => ask(&app, &who, &standing, account, ""),
        Err(error) => refused(&app, &who, error),
    }
}

fn ask(app: &App, who: &SignedIn, standing: &Standing, account: Account, error: &str) -> Response {
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shown = Delete {
        frame: frames::of_account(app, who, standing.account, "Settings"),
        root: root(standing),
        name: account.name,
        devices: account.device_count,
        error: error.to_owned(),
    };
    page(status, &shown)
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    confirm: String,
}

async fn delete(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path(id): Path<String>,
    Form(typed): Form<Typed>,
) -> Response {
    let (standing, account) = match entered(&app, &who, &id).await {
        Ok(entered) => entered,
        Err(error) => return refused(&app, &who, error),
    };
    if typed.confirm.trim() != account.name {
        let why = "That is not the name of this organisation. Type it exactly.";
        return ask(&app, &who, &standing, account, why);
    }
    match settings::delete(&app, &who, standing.account).await {
        Ok(()) => Redirect::to("/devices").into_response(),
        Err(error) => refused(&app, &who, error),
    }
}
