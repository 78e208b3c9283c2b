//! `/settings/account/passkeys`, and what the pages' script asks before it turns to the authenticator. The
//! answers come back in forms, so that what follows is the same as after a password.

use super::{AccountError, Browser, Failed, begun, fail, frame, refuse, sign_in, two_factor};
use crate::accounts::passkeys::{Added, Answer, Occasion, Question};
use crate::accounts::{self, passkeys};
use crate::app::{App, Ctx};
use crate::auth::cookies::Cookie;
use crate::auth::return_to::ReturnTo;
use crate::auth::{Fresh, SignedIn};
use crate::error::ApiFailure;
use crate::web::errors;
use crate::web::layout::{Frame, Tone};
use crate::web::page;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_wire::PasskeyId;
use serde::Deserialize;

pub(super) const PAGE: &str = "/settings/account/passkeys";
const WRONG_NEW: &str = "The passkey could not be added. Try again, with another browser or authenticator if it \
                         happens twice.";
const TAKEN: &str = "This passkey is known here already.";

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/sign-in/passkey/question", post(ask_sign_in))
        .route("/sign-in/passkey", post(finish_sign_in))
        .route("/sign-in/second-step/question", post(ask_second_step))
        .route("/fresh/question", post(ask_proof))
        .route(PAGE, get(show).post(add))
        .route("/settings/account/passkeys/question", post(ask_new))
        .route("/settings/account/passkeys/{id}/name", post(rename))
        .route("/settings/account/passkeys/{id}/remove", get(confirm_remove).post(remove))
}

#[derive(Template)]
#[template(path = "accounts/passkeys.html")]
struct Page {
    frame: Frame,
    failed: Failed,
    unavailable: String,
    passkeys: Vec<Row>,
    typed_name: String,
    /// With any second factor.
    codes_left: Option<u64>,
}

struct Row {
    name: String,
    path: String,
    added: Moment,
    used: Option<Moment>,
}

#[derive(Template)]
#[template(path = "accounts/passkey_remove.html")]
struct Remove {
    frame: Frame,
    name: String,
    action: String,
    /// No other second factor is left.
    last: bool,
    /// Organisations that require one.
    requirements: Vec<two_factor::Requirement>,
}

/// A question as JSON, or why there is none.
fn question(made: Result<Question, AccountError>) -> Response {
    match made {
        Ok(question) => axum::Json(question).into_response(),
        Err(error) => failure(error).into_response(),
    }
}

fn failure(error: AccountError) -> ApiFailure {
    match error {
        AccountError::Store(error) => error.into(),
        AccountError::Throttled(wait) => {
            let text = format!("There were too many tries. Wait {}, then try again.", wait.words());
            ApiFailure::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", text)
        }
        AccountError::NoPasskeys => {
            ApiFailure::new(StatusCode::CONFLICT, "no_passkeys", "This server cannot use passkeys.")
        }
        _ => ApiFailure::new(StatusCode::GONE, "over", "This page is too old. Load it again."),
    }
}

async fn ask_sign_in(State(app): State<Ctx>) -> Response {
    question(passkeys::ask(&app, Occasion::SignIn).await)
}

async fn ask_second_step(State(app): State<Ctx>, headers: HeaderMap) -> Response {
    let asked = async {
        let token = Cookie::PendingSignIn.read(&app, &headers).ok_or(AccountError::DeadLink)?;
        let waiting = app.store.pending_sign_in(&token.hash(), app.clock.now()).await?;
        let user = waiting.ok_or(AccountError::DeadLink)?;
        passkeys::ask(&app, Occasion::SecondStep(&token, user)).await
    };
    question(asked.await)
}

async fn ask_proof(State(app): State<Ctx>, caller: SignedIn) -> Response {
    question(passkeys::ask(&app, Occasion::Proof(&caller)).await)
}

async fn ask_new(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    question(passkeys::ask_new(&app, &caller).await)
}

#[derive(Debug, Deserialize)]
struct SignIn {
    #[serde(default)]
    return_to: ReturnTo,
    #[serde(default)]
    ceremony: String,
    #[serde(default)]
    passkey: String,
}

async fn finish_sign_in(State(app): State<Ctx>, browser: Browser, Form(typed): Form<SignIn>) -> Response {
    let answer = Answer { ceremony: typed.ceremony, passkey: typed.passkey };
    match passkeys::sign_in(&app, &answer, &browser).await {
        Ok(session) => begun(&app, &session, typed.return_to.as_str()),
        Err(error) => sign_in::passkey_failed(&app, error, typed.return_to).await,
    }
}

#[derive(Debug, Default, Deserialize)]
struct After {
    #[serde(default)]
    done: String,
}

async fn show(State(app): State<Ctx>, Fresh(caller): Fresh, Query(after): Query<After>) -> Response {
    let done = match after.done.as_str() {
        "added" => "The passkey was added.",
        "name" => "The passkey was renamed.",
        "removed" => "The passkey was removed.",
        _ => "",
    };
    render(&app, &caller, StatusCode::OK, Failed::default(), String::new(), done).await
}

async fn render(
    app: &App,
    caller: &SignedIn,
    status: StatusCode,
    failed: Failed,
    typed_name: String,
    done: &str,
) -> Response {
    let now = app.clock.now();
    let found = async {
        let rows = passkeys::list(app, caller.user).await?;
        let codes_left = accounts::recovery_codes_left(app, caller.user).await?;
        Ok::<_, bramble_store::StoreError>((rows, codes_left))
    };
    let (rows, codes_left) = match found.await {
        Ok(found) => found,
        Err(error) => return refuse(app, error.into()),
    };
    let row = |row: bramble_store::passkeys::Passkey| Row {
        path: format!("{PAGE}/{}", row.id),
        name: row.name,
        added: Moment::new(row.created_at, now),
        used: row.last_used_at.map(|at| Moment::new(at, now)),
    };
    let mut frame = frame(app, caller);
    if !done.is_empty() {
        frame = frame.flash(Tone::Good, done);
    }
    let shown = Page {
        frame,
        failed,
        unavailable: passkeys::unavailable(app).unwrap_or_default(),
        passkeys: rows.into_iter().map(row).collect(),
        typed_name,
        codes_left,
    };
    page(status, &shown)
}

#[derive(Debug, Default, Deserialize)]
struct New {
    #[serde(default)]
    name: String,
    #[serde(default)]
    ceremony: String,
    #[serde(default)]
    passkey: String,
}

async fn add(State(app): State<Ctx>, Fresh(caller): Fresh, Form(typed): Form<New>) -> Response {
    let answer = Answer { ceremony: typed.ceremony, passkey: typed.passkey };
    let error = match passkeys::add(&app, &caller, &answer, &typed.name).await {
        Ok(Added::Another) => return Redirect::to(&format!("{PAGE}?done=added")).into_response(),
        Ok(Added::First(codes)) => return two_factor::shown_once(&app, &caller, &codes, true, PAGE),
        Err(AccountError::Taken) => {
            let failed = Failed { form: TAKEN.to_owned(), ..Failed::default() };
            return render(&app, &caller, StatusCode::CONFLICT, failed, typed.name, "").await;
        }
        Err(error) => error,
    };
    match fail(&app, error, WRONG_NEW) {
        Ok((status, failed)) => render(&app, &caller, status, failed, typed.name, "").await,
        Err(response) => *response,
    }
}

#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

async fn rename(
    State(app): State<Ctx>,
    caller: SignedIn,
    Path(id): Path<PasskeyId>,
    Form(typed): Form<Named>,
) -> Response {
    match passkeys::rename(&app, &caller, id, &typed.name).await {
        Ok(true) => Redirect::to(&format!("{PAGE}?done=name")).into_response(),
        Ok(false) => errors::not_found().await,
        Err(error) => match fail(&app, error, "") {
            Ok((status, failed)) => render(&app, &caller, status, failed, typed.name, "").await,
            Err(response) => *response,
        },
    }
}

async fn confirm_remove(State(app): State<Ctx>, Fresh(caller): Fresh, Path(id): Path<PasskeyId>) -> Response {
    let found = async {
        let row = passkeys::find(&app, &caller, id).await?;
        let others = passkeys::list(&app, caller.user).await?.len() > 1;
        let app_too = accounts::two_factor_status(&app, caller.user).await?.is_some();
        Ok::<_, bramble_store::StoreError>((row, !others && !app_too))
    };
    let (row, last) = match found.await {
        Ok((Some(row), last)) => (row, last),
        Ok((None, _)) => return errors::not_found().await,
        Err(error) => return refuse(&app, error.into()),
    };
    let requirements = two_factor::requirements(&app, &caller);
    let action = format!("{PAGE}/{id}/remove");
    page(StatusCode::OK, &Remove { frame: frame(&app, &caller), name: row.name, action, last, requirements })
}

async fn remove(State(app): State<Ctx>, Fresh(caller): Fresh, Path(id): Path<PasskeyId>) -> Response {
    match passkeys::remove(&app, &caller, id).await {
        Ok(true) => Redirect::to(&format!("{PAGE}?done=removed")).into_response(),
        Ok(false) => errors::not_found().await,
        Err(error) => refuse(&app, error),
    }
}
