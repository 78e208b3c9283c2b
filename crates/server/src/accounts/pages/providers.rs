//! Going to another provider and coming back: to sign in, to link, to prove who one is.

use super::two_factor::SECOND_STEP;
use super::{
    AccountError, Browser, begun, frame, frame_signed_out, fresh, message, refuse, without_referrer,
};
use crate::accounts::providers::{self, Arrival, Arrived, Back, Purpose};
use crate::app::{App, Ctx};
use crate::auth::cookies::Cookie;
use crate::auth::return_to::ReturnTo;
use crate::auth::{Fresh, SignedIn};
use crate::front_door::ClientAddress;
use crate::web::layout::{Frame, Link};
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_model::Secret;
use serde::Deserialize;
use url::Url;

const SETTINGS: &str = "/settings/account";

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/sign-in/provider/{provider}", post(sign_in))
        .route("/sign-in/provider/{provider}/callback", get(callback))
        .route("/fresh/provider/{provider}", post(prove))
        .route("/settings/account/providers/{provider}/link", post(link))
        .route("/settings/account/providers/unlink", post(unlink))
        .route("/settings/account/link-provider/{token}", get(confirm_link).post(link_invited))
}

/// A provider as a button shows it.
pub(super) struct Button {
    pub(super) id: String,
    pub(super) name: String,
}

/// Every provider of this server.
pub(super) fn buttons(app: &App) -> Vec<Button> {
    let button =
        |it: &crate::config::providers::Provider| Button { id: it.id.clone(), name: it.name.clone() };
    app.config.providers.iter().map(button).collect()
}

#[derive(Template)]
#[template(path = "accounts/leave.html")]
struct Leave {
    frame: Frame,
    name: String,
    to: String,
}

#[derive(Template)]
#[template(path = "accounts/link_provider.html")]
struct ConfirmLink {
    frame: Frame,
    action: String,
    name: String,
    theirs: String,
    email: String,
    /// Where the person wanted to go.
    return_to: ReturnTo,
}

#[derive(Template)]
#[template(path = "accounts/message.html")]
struct Sorry {
    frame: Frame,
    title: &'static str,
    text: String,
    next: Option<Link>,
}

#[derive(Default, Deserialize)]
struct Wish {
    #[serde(default)]
    return_to: ReturnTo,
    #[serde(default)]
    kept: String,
}

/// The page between here and there. Not a redirect: a form must not lead to another site, which the pages'
/// policy forbids.
fn leave(app: &App, id: &str, cookie: &Secret, to: &Url) -> Response {
    let name = providers::find(app, id).map(|provider| provider.name.clone()).unwrap_or_default();
    let shown = Leave { frame: frame_signed_out(app), name, to: to.to_string() };
    let mut response = page(StatusCode::OK, &shown);
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, Cookie::ProviderFlow.set(app, cookie));
    if let Ok(value) = HeaderValue::try_from(format!("0; url={to}")) {
        headers.insert(header::REFRESH, value);
    }
    response
}

async fn sign_in(
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    Path(id): Path<String>,
    Form(wish): Form<Wish>,
) -> Response {
    let kept = (wish.return_to.as_str(), "");
    match providers::begin(&app, &id, Purpose::SignIn, kept, address).await {
        Ok((cookie, to)) => leave(&app, &id, &cookie, &to),
        Err(error) => failed(&app, None, error),
    }
}

async fn prove(
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    caller: SignedIn,
    Path(id): Path<String>,
    Form(wish): Form<Wish>,
) -> Response {
    let purpose = Purpose::Proof { user: caller.user, session: caller.session };
    let kept = (wish.return_to.as_str(), wish.kept.as_str());
    match providers::begin(&app, &id, purpose, kept, address).await {
        Ok((cookie, to)) => leave(&app, &id, &cookie, &to),
        Err(error) => failed(&app, Some(&caller), error),
    }
}

async fn link(
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    Fresh(caller): Fresh,
    Path(id): Path<String>,
) -> Response {
    let purpose = Purpose::Link { user: caller.user, session: caller.session };
    match providers::begin(&app, &id, purpose, (SETTINGS, ""), address).await {
        Ok((cookie, to)) => leave(&app, &id, &cookie, &to),
        Err(error) => failed(&app, Some(&caller), error),
    }
}

async fn callback(
    State(app): State<Ctx>,
    headers: HeaderMap,
    browser: Browser,
    Path(id): Path<String>,
    Query(back): Query<Back>,
) -> Response {
    let arrived = match Cookie::ProviderFlow.read(&app, &headers) {
        Some(cookie) => providers::finish(&app, &id, &cookie, back, &browser).await,
        None => Err(AccountError::DeadLink),
    };
    let mut response = match arrived {
        Ok(arrival) => arrive(&app, &browser, arrival).await,
        Err(error) => failed(&app, browser.session.as_ref(), error),
    };
    response.headers_mut().append(header::SET_COOKIE, Cookie::ProviderFlow.remove(&app));
    without_referrer(&app, response)
}

async fn arrive(app: &App, browser: &Browser, arrival: Arrival) -> Response {
    let return_to = ReturnTo::new(&arrival.return_to);
    match arrival.arrived {
        Arrived::Begun(session) => begun(app, &session, return_to.as_str()),
        Arrived::Pending(token) => {
            let mut response = Redirect::to(&return_to.on(SECOND_STEP)).into_response();
            response.headers_mut().append(header::SET_COOKIE, Cookie::PendingSignIn.set(app, &token));
            response
        }
        Arrived::SignInToLink(token) => {
            let on = link_page(&token, &return_to);
            Redirect::to(&format!("{}&after=provider", on.on("/sign-in"))).into_response()
        }
        Arrived::Linked => Redirect::to(&format!("{SETTINGS}?done=linked")).into_response(),
        Arrived::Vouched(vouch) => match &browser.session {
            Some(caller) => fresh::vouched(app, caller, return_to, arrival.kept, vouch).await,
            None => refuse(app, AccountError::DeadLink),
        },
    }
}

/// The page that links, and after it what was wanted, unless that is where everybody begins.
fn link_page(token: &str, wanted: &ReturnTo) -> ReturnTo {
    let page = format!("{SETTINGS}/link-provider/{token}");
    let plain = ReturnTo::new(&page);
    if wanted.as_str() == "/devices" {
        return plain;
    }
    // Together too long: the page that links matters more.
    let both = ReturnTo::new(&wanted.on(&page));
    if both == ReturnTo::default() { plain } else { both }
}

async fn confirm_link(
    State(app): State<Ctx>,
    caller: SignedIn,
    Path(token): Path<String>,
    Query(Wish { return_to, .. }): Query<Wish>,
) -> Response {
    let invited = providers::open_invitation(&app, &caller, &token);
    let found = invited.and_then(|invited| Some((providers::find(&app, &invited.provider)?, invited)));
    let response = match found {
        Some((provider, invited)) => {
            let shown = ConfirmLink {
                frame: frame(&app, &caller),
                action: return_to.on(&format!("{SETTINGS}/link-provider/{token}")),
                name: provider.name.clone(),
                theirs: invited.email,
                email: caller.email.clone(),
                return_to: after_linking(return_to, SETTINGS),
            };
            page(StatusCode::OK, &shown)
        }
        None => failed(&app, Some(&caller), AccountError::DeadLink),
    };
    without_referrer(&app, response)
}

/// Where to go from the page that links; `otherwise` without a wish.
fn after_linking(return_to: ReturnTo, otherwise: &str) -> ReturnTo {
    if return_to == ReturnTo::default() { ReturnTo::new(otherwise) } else { return_to }
}

async fn link_invited(
    State(app): State<Ctx>,
    Fresh(caller): Fresh,
    Path(token): Path<String>,
    Query(Wish { return_to, .. }): Query<Wish>,
) -> Response {
    match providers::link(&app, &caller, &token).await {
        Ok(()) => {
            let to = after_linking(return_to, &format!("{SETTINGS}?done=linked"));
            Redirect::to(to.as_str()).into_response()
        }
        Err(error) => without_referrer(&app, failed(&app, Some(&caller), error)),
    }
}

#[derive(Default, Deserialize)]
struct Which {
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    subject: String,
}

async fn unlink(State(app): State<Ctx>, Fresh(caller): Fresh, Form(which): Form<Which>) -> Response {
    match providers::unlink(&app, &caller, &which.issuer, &which.subject).await {
        // Gone already: what was wanted is so.
        Ok(_) => Redirect::to(&format!("{SETTINGS}?done=unlinked")).into_response(),
        Err(error) => failed(&app, Some(&caller), error),
    }
}

/// What went wrong, with the next step.
fn failed(app: &App, caller: Option<&SignedIn>, error: AccountError) -> Response {
    let (status, title, text) = match error {
        AccountError::Provider(name) => (
            StatusCode::BAD_GATEWAY,
            "That did not work",
            format!("{name} did not confirm who you are. Try again, or choose another way to sign in."),
        ),
        AccountError::NoAddress(name) => (
            StatusCode::FORBIDDEN,
            "You are not known here yet",
            format!(
                "{name} does not vouch for an email address that this server could know you by. If you have an \
                 account, sign in to it and link {name} in your settings."
            ),
        ),
        AccountError::LastWayIn => (
            StatusCode::CONFLICT,
            "Nothing else would let you in",
            "Choose a password or add a passkey first, then unlink the provider.".to_owned(),
        ),
        AccountError::Taken => (
            StatusCode::CONFLICT,
            "Linked to another account",
            "This sign-in belongs to another account on this server, or its address does. Nothing was changed."
                .to_owned(),
        ),
        AccountError::WrongCredentials => (
            StatusCode::FORBIDDEN,
            "That did not work",
            "The account is not linked to this sign-in, is disabled, or you were not asked to sign in again."
                .to_owned(),
        ),
        AccountError::DeadLink => (
            StatusCode::GONE,
            "That took too long",
            "This sign-in was used already, waited too long, or began in another browser. Begin again."
                .to_owned(),
        ),
        other => return refuse(app, other),
    };
    match caller {
        Some(caller) => {
            let next = Some(Link::new("Go to your account", SETTINGS));
            page(status, &Sorry { frame: frame(app, caller), title, text, next })
        }
        None => message(app, status, title, text, Some(("Go to sign-in", "/sign-in"))),
    }
}
