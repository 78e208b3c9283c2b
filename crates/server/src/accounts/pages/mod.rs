//! The forms of the accounts slice. Each keeps what was typed when it fails, works without
//! JavaScript, and says beside the field what to do. Passwords are never sent back.

mod deletion;
mod email_change;
pub mod fresh;
mod operator;
mod passkeys;
mod providers;
mod reset;
mod settings;
mod sign_in;
mod sign_up;
mod two_factor;

use super::{AccountError, Begun, Browser, Problems};
use crate::app::{App, Ctx};
use crate::auth::cookies::Cookie;
use crate::auth::{SignedIn, signed_in};
use crate::error::ApiFailure;
use crate::front_door::ClientAddress;
use crate::web::frames::{self, signed_out as frame_signed_out};
use crate::web::layout::{Frame, Link};
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bramble_model::{Secret, SecretKind};
use std::convert::Infallible;

/// Every URL of this slice.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .merge(sign_in::routes())
        .merge(sign_up::routes())
        .merge(reset::routes())
        .merge(fresh::routes())
        .merge(settings::routes())
        .merge(email_change::routes())
        .merge(deletion::routes())
        .merge(two_factor::routes())
        .merge(passkeys::routes())
        .merge(providers::routes())
        .merge(operator::routes())
}

/// The frame of the pages of a person's own account.
fn frame(app: &App, caller: &SignedIn) -> Frame {
    frames::personal(app, caller, "")
}

/// A sentence and the next step.
#[derive(Template)]
#[template(path = "accounts/message.html")]
struct Message {
    frame: Frame,
    title: &'static str,
    text: String,
    next: Option<Link>,
}

/// A page with a sentence and the next step.
fn message(
    app: &App,
    status: StatusCode,
    title: &'static str,
    text: impl Into<String>,
    next: Option<(&str, &str)>,
) -> Response {
    let next = next.map(|(label, href)| Link::new(label, href));
    page(status, &Message { frame: frame_signed_out(app), title, text: text.into(), next })
}

/// What went wrong, as a form shows it.
#[derive(Debug, Default)]
struct Failed {
    /// Above the form.
    form: String,
    /// Beside the fields.
    problems: Problems,
}

impl Failed {
    fn email(&self) -> &str {
        self.problems.email.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.problems.name.as_deref().unwrap_or_default()
    }

    fn password(&self) -> &str {
        self.problems.password.as_deref().unwrap_or_default()
    }
}

/// An error as the form's own, with its status, or as a page of its own.
fn fail(app: &App, error: AccountError, wrong: &str) -> Result<(StatusCode, Failed), Box<Response>> {
    match error {
        AccountError::Invalid(problems) => {
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Failed { form: String::new(), problems }))
        }
        AccountError::WrongCredentials => {
            let failed = Failed { form: wrong.to_owned(), problems: Problems::default() };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, failed))
        }
        other => Err(Box::new(refuse(app, other))),
    }
}

/// An error as a page of its own.
fn refuse(app: &App, error: AccountError) -> Response {
    match error {
        AccountError::Store(error) => unavailable(app, &error),
        AccountError::Busy(_) => {
            let text = "Many people sign in at the moment. Wait a few seconds, then try again.";
            with_retry(message(app, StatusCode::SERVICE_UNAVAILABLE, "Please wait", text, None), 5)
        }
        AccountError::Throttled(wait) => {
            let text = format!("There were too many tries. Wait {}, then try again.", wait.words());
            let status = StatusCode::TOO_MANY_REQUESTS;
            with_retry(message(app, status, "Too many tries", text, None), wait.seconds())
        }
        AccountError::DeadLink => {
            let text = "The link was used already, was replaced by a newer one, or is too old. Sign in, or ask for a new link.";
            let next = Some(("Go to sign-in", "/sign-in"));
            message(app, StatusCode::GONE, "This link does not work any more", text, next)
        }
        AccountError::RegistrationClosed => sign_up::closed(app),
        AccountError::LastAdministrator | AccountError::Changed => {
            let text = "Something changed at the same moment. Go back, look at it again, then try once more.";
            message(app, StatusCode::CONFLICT, "That has changed meanwhile", text, None)
        }
        AccountError::NoPasskeys => {
            let text = crate::accounts::passkeys::unavailable(app).unwrap_or_default();
            message(app, StatusCode::CONFLICT, "This server cannot use passkeys", text, None)
        }
        // Told to the operator only; here nobody learns who has an account.
        AccountError::Invalid(_)
        | AccountError::WrongCredentials
        | AccountError::Taken
        | AccountError::Provider(_)
        | AccountError::NoAddress(_)
        | AccountError::LastWayIn => message(
            app,
            StatusCode::UNPROCESSABLE_ENTITY,
            "That did not work",
            "Go back and try again.",
            None,
        ),
    }
}

fn unavailable(app: &App, error: &bramble_store::StoreError) -> Response {
    tracing::error!(%error, "the database failed while answering a request");
    let text = "The server cannot reach its database. Wait a few seconds, then try again.";
    with_retry(message(app, StatusCode::SERVICE_UNAVAILABLE, "Please wait", text, None), 5)
}

fn with_retry(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The token at the end of a link. Its page must not be told to others.
fn token(text: &str) -> Result<Secret, AccountError> {
    Secret::parse(SecretKind::MailLink, text).ok_or(AccountError::DeadLink)
}

/// A page whose address is a secret sends no referrer. Where the network is not safe, browsers say
/// only by the origin that a form is our own, and "no-referrer" would take that away as well.
pub(crate) fn without_referrer(app: &App, mut response: Response) -> Response {
    let policy = if app.config.insecure_http() { "strict-origin" } else { "no-referrer" };
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static(policy));
    response
}

/// A session began: its cookies, and where to go.
fn begun(app: &App, begun: &Begun, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, Cookie::Session.set(app, &begun.session));
    headers.append(header::SET_COOKIE, Cookie::KnownBrowser.set(app, &begun.browser));
    response
}

/// A session ended: its cookie goes. The browser stays known.
fn ended(app: &App) -> Response {
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().append(header::SET_COOKIE, Cookie::Session.remove(app));
    response
}

impl FromRequestParts<Ctx> for Browser {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Ctx) -> Result<Self, Response> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, app)
            .await
            .map_err(|never: Infallible| match never {})?;
        let session = signed_in::find(app, parts).await;
        let session = session.map_err(|error| ApiFailure::from(error).into_response())?;
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            address,
            user_agent: user_agent.unwrap_or_default().to_owned(),
            known: Cookie::KnownBrowser.read(app, &parts.headers),
            session,
        })
    }
}
