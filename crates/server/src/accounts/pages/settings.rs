//! `/settings/account`: name, password, and the browsers that are signed in.

use super::{AccountError, Failed, fail, frame, providers, refuse};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::cookies::{Cookie, SESSION_IDLE};
use crate::auth::password::Password;
use crate::auth::{Fresh, SignedIn};
use crate::web::layout::{Frame, Tone};
use crate::web::page;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_wire::WebSessionId;
use serde::Deserialize;

const PAGE: &str = "/settings/account";

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route(PAGE, get(show))
        .route("/settings/account/name", post(rename))
        .route("/settings/account/export", post(export))
        .route("/settings/account/password", get(password_form).post(change_password))
        .route("/settings/account/sessions/end-others", post(end_others))
        .route("/settings/account/sessions/{id}/end", post(end))
}

#[derive(Template)]
#[template(path = "accounts/settings.html")]
struct Page {
    frame: Frame,
    failed: Failed,
    typed_name: String,
    email: String,
    browsers: Vec<Row>,
    others: bool,
    has_password: bool,
    two_factor: bool,
    passkeys: usize,
    linked: Vec<Linked>,
    linkable: Vec<providers::Button>,
}

/// A provider that the person is linked to.
struct Linked {
    name: String,
    email: String,
    issuer: String,
    subject: String,
    since: Moment,
}

/// A browser that is signed in.
struct Row {
    what: String,
    end: String,
    signed_in: Moment,
    seen: Moment,
    this: bool,
}

#[derive(Template)]
#[template(path = "accounts/password.html")]
struct PasswordPage {
    frame: Frame,
    failed: Failed,
    email: String,
    has_password: bool,
}

/// What the last action did.
#[derive(Debug, Default, Deserialize)]
struct After {
    #[serde(default)]
    done: String,
}

impl After {
    fn words(&self) -> Option<&'static str> {
        match self.done.as_str() {
            "name" => Some("Your name was changed."),
            "email-asked" => Some("A link was sent to the new address. Open it to confirm the change."),
            "email" => Some("Your email address was changed."),
            "password-set" => Some("Your password was set. Your other browsers were signed out."),
            "password" => Some("Your password was changed. Your other browsers were signed out."),
            "two-factor-off" => Some("Two-factor authentication was turned off."),
            "linked" => Some("The provider signs you in from now on."),
            "unlinked" => Some("The provider was unlinked."),
            "session" => Some("The browser was signed out."),
            "others" => Some("Your other browsers were signed out."),
            _ => None,
        }
    }
}

async fn show(State(app): State<Ctx>, caller: SignedIn, Query(after): Query<After>) -> Response {
    let name = caller.name.clone();
    render(&app, &caller, StatusCode::OK, Failed::default(), name, &after).await
}

fn linked_row(app: &App, it: bramble_store::identities::Identity) -> Linked {
    let provider = app.config.providers.iter().find(|provider| provider.issuer == it.issuer);
    Linked {
        name: provider.map_or_else(|| it.issuer.clone(), |provider| provider.name.clone()),
        email: it.email,
        issuer: it.issuer,
        subject: it.subject,
        since: Moment::new(it.created_at, app.clock.now()),
    }
}

async fn render(
    app: &App,
    caller: &SignedIn,
    status: StatusCode,
    failed: Failed,
    typed_name: String,
    after: &After,
) -> Response {
    let now = app.clock.now();
    let sessions = match app.store.web_sessions(caller.user, now, now - SESSION_IDLE).await {
        Ok(sessions) => sessions,
        Err(error) => return refuse(app, AccountError::Store(error)),
    };
    let browsers: Vec<Row> = sessions
        .into_iter()
        .map(|session| Row {
            what: accounts::describe_browser(&session.user_agent),
            end: format!("{PAGE}/sessions/{}/end", session.id),
            signed_in: Moment::new(session.created_at, now),
            seen: Moment::new(session.last_seen_at, now),
            this: session.id == caller.session,
        })
        .collect();
    let mut frame = frame(app, caller);
    if let Some(words) = after.words() {
        frame = frame.flash(Tone::Good, words);
    }
    let has_password = match has_password(app, caller).await {
        Ok(has) => has,
        Err(error) => return refuse(app, error),
    };
    let two_factor = match accounts::two_factor_status(app, caller.user).await {
        Ok(status) => status.is_some(),
        Err(error) => return refuse(app, AccountError::Store(error)),
    };
    let passkeys = match accounts::passkeys::list(app, caller.user).await {
        Ok(passkeys) => passkeys.len(),
        Err(error) => return refuse(app, AccountError::Store(error)),
    };
    let linked = match accounts::providers::linked(app, caller.user).await {
        Ok(linked) => linked,
        Err(error) => return refuse(app, AccountError::Store(error)),
    };
    let mut linkable = providers::buttons(app);
    linkable.retain(|button| {
        let issuer = accounts::providers::find(app, &button.id).map(|provider| provider.issuer.as_str());
        !linked.iter().any(|it| Some(it.issuer.as_str()) == issuer)
    });
    let linked = linked.into_iter().map(|it| linked_row(app, it)).collect();
    let others = browsers.len() > 1;
    let email = caller.email.clone();
    page(
        status,
        &Page {
            frame,
            failed,
            typed_name,
            email,
            browsers,
            others,
            has_password,
            two_factor,
            passkeys,
            linked,
            linkable,
        },
    )
}

#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

async fn rename(State(app): State<Ctx>, caller: SignedIn, Form(typed): Form<Named>) -> Response {
    match accounts::rename(&app, caller.user, &typed.name).await {
        Ok(()) => done("name"),
        Err(error) => match fail(&app, error, "") {
            Ok((status, failed)) => {
                render(&app, &caller, status, failed, typed.name, &After::default()).await
            }
            Err(response) => *response,
        },
    }
}

async fn password_form(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    password_page(&app, &caller, StatusCode::OK, Failed::default()).await
}

async fn password_page(app: &App, caller: &SignedIn, status: StatusCode, failed: Failed) -> Response {
    match has_password(app, caller).await {
        Ok(has_password) => {
            let (frame, email) = (frame(app, caller), caller.email.clone());
            page(status, &PasswordPage { frame, failed, email, has_password })
        }
        Err(error) => refuse(app, error),
    }
}

/// Whoever came with a provider has none until they choose one.
async fn has_password(app: &App, caller: &SignedIn) -> Result<bool, AccountError> {
    let person = app.store.user(caller.user).await?;
    Ok(person.is_some_and(|person| person.password_hash.is_some()))
}

#[derive(Debug, Default, Deserialize)]
struct Chosen {
    #[serde(default)]
    password: Password,
}

async fn change_password(
    State(app): State<Ctx>,
    Fresh(caller): Fresh,
    Form(chosen): Form<Chosen>,
) -> Response {
    let had_one = match has_password(&app, &caller).await {
        Ok(had_one) => had_one,
        Err(error) => return refuse(&app, error),
    };
    match accounts::change_password(&app, &caller, &chosen.password).await {
        Ok(cookie) => {
            let mut response = done(if had_one { "password" } else { "password-set" });
            response.headers_mut().append(header::SET_COOKIE, Cookie::Session.set(&app, &cookie));
            response
        }
        Err(error) => match fail(&app, error, "Sign in again, then change the password.") {
            Ok((status, failed)) => password_page(&app, &caller, status, failed).await,
            Err(response) => *response,
        },
    }
}

async fn end(State(app): State<Ctx>, caller: SignedIn, Path(id): Path<WebSessionId>) -> Response {
    match accounts::end_session(&app, &caller, id).await {
        Ok(_) if id == caller.session => super::ended(&app),
        // Gone already: what was wanted is so.
        Ok(_) => done("session"),
        Err(error) => refuse(&app, AccountError::Store(error)),
    }
}

async fn end_others(State(app): State<Ctx>, caller: SignedIn) -> Response {
    match accounts::end_other_sessions(&app, &caller).await {
        Ok(_) => done("others"),
        Err(error) => refuse(&app, AccountError::Store(error)),
    }
}

async fn export(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    let own = match accounts::personal_account(&app, caller.user).await {
        Ok(Some(own)) => own,
        Ok(None) => return refuse(&app, AccountError::DeadLink),
        Err(error) => return refuse(&app, error.into()),
    };
    tracing::info!(user.id = %caller.user, "a person exported their data");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"bramble-account.json\""),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(accounts::export(app, caller, own))).into_response()
}

fn done(what: &str) -> Response {
    Redirect::to(&format!("{PAGE}?done={what}")).into_response()
}
