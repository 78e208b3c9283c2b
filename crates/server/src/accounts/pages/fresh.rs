//! `/fresh`: asks for the password again before something dangerous. What was asked goes on by itself:
//! a page is opened, a form that was sent is kept, sealed, inside the page that asks, and sent again.

use super::{Failed, fail, frame, providers, refuse};
use crate::accounts::passkeys::{self, Answer};
use crate::accounts::{self, Code, Proof};
use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::auth::cookies::Cookie;
use crate::auth::fresh::Asked;
use crate::auth::password::Password;
use crate::auth::return_to::ReturnTo;
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Form, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bramble_model::Secret;
use bramble_wire::WebSessionId;
use serde::{Deserialize, Serialize};
use time::Duration;

/// Largest form that is kept, in bytes.
const MAX_FORM: usize = 64 * 1024;
/// Largest body of this page's own form: a kept form, sealed and encoded, and a password.
const MAX_BODY: usize = 2 * MAX_FORM + 8 * 1024;
/// The same for both factors: which one was wrong is nobody's business.
const WRONG: &str =
    "That was wrong. Check what you typed; a code from the app works once, so wait for the next one.";
/// How long a form is kept.
const KEEP: Duration = Duration::minutes(15);

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/fresh", get(show).post(prove)).layer(DefaultBodyLimit::max(MAX_BODY))
}

#[derive(Template)]
#[template(path = "accounts/fresh.html")]
struct Page {
    frame: Frame,
    failed: Failed,
    email: String,
    return_to: ReturnTo,
    kept: String,
    second: bool,
    passkey: bool,
    /// Whether the person has a password.
    password: bool,
    providers: Vec<providers::Button>,
    /// What a provider vouched for: only a code is missing.
    vouch: String,
}

#[derive(Template)]
#[template(path = "accounts/continue.html")]
struct Continue {
    frame: Frame,
    action: ReturnTo,
    fields: Vec<(String, String)>,
}

/// A form that waits for the proof.
#[derive(Serialize, Deserialize)]
struct Kept {
    action: String,
    fields: Vec<(String, String)>,
    until: i64,
}

impl Kept {
    /// Sealed for this session alone: nobody can have another browser send it.
    fn seal(&self, app: &App, session: WebSessionId) -> Option<String> {
        let plain = serde_json::to_vec(self).ok()?;
        Some(URL_SAFE_NO_PAD.encode(app.master_key.seal(&purpose(session), &plain, &*app.random)))
    }

    fn open(app: &App, session: WebSessionId, text: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain = app.master_key.open(&purpose(session), &sealed).ok()?;
        let kept: Self = serde_json::from_slice(&plain).ok()?;
        (app.clock.unix() < kept.until).then_some(kept)
    }
}

fn purpose(session: WebSessionId) -> String {
    format!("kept-form {session}")
}

/// Around all pages: keeps a form whose handler asked for a proof.
pub async fn keep_form(State(app): State<Ctx>, request: Request, next: Next) -> Response {
    if !is_form(&request) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let action = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let Ok(body) = to_bytes(body, MAX_FORM).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let htmx = parts.headers.contains_key("hx-request");
    let response = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
    match response.extensions().get::<Asked>() {
        // htmx follows its header to the page that asks; a part of a page cannot ask.
        Some(Asked(caller)) if !htmx => ask(&app, caller, &action, &body).await.unwrap_or(response),
        _ => response,
    }
}

/// Whether this is a form that a page sent and that is small enough to be kept.
fn is_form(request: &Request) -> bool {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    request.method() == Method::POST
        && request.uri().path() != "/fresh"
        && text(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
        && text(header::COOKIE).is_some()
        && length.is_some_and(|length| length <= MAX_FORM)
}

async fn ask(app: &App, caller: &SignedIn, action: &str, body: &Bytes) -> Option<Response> {
    let fields = url::form_urlencoded::parse(body).into_owned().collect();
    let until = (app.clock.now() + KEEP).unix_timestamp();
    let kept = Kept { action: action.to_owned(), fields, until }.seal(app, caller.session)?;
    Some(
        render(app, caller, StatusCode::OK, Failed::default(), ReturnTo::default(), kept, String::new())
            .await,
    )
}

#[derive(Debug, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    return_to: ReturnTo,
}

async fn show(State(app): State<Ctx>, caller: SignedIn, Query(wish): Query<Wish>) -> Response {
    if caller.is_fresh(&app) {
        return Redirect::to(wish.return_to.as_str()).into_response();
    }
    render(&app, &caller, StatusCode::OK, Failed::default(), wish.return_to, String::new(), String::new())
        .await
}

/// What somebody can prove with who they are.
struct Ways {
    password: bool,
    second: bool,
    passkey: bool,
    providers: Vec<providers::Button>,
}

async fn ways(app: &App, caller: &SignedIn) -> Result<Ways, bramble_store::StoreError> {
    let person = app.store.user(caller.user).await?;
    let linked = accounts::providers::linked(app, caller.user).await?;
    let of = |issuer: &str| linked.iter().any(|it| it.issuer == issuer);
    let providers = app.config.providers.iter().filter(|it| of(&it.issuer));
    let has_passkey = !passkeys::list(app, caller.user).await?.is_empty();
    Ok(Ways {
        password: person.is_some_and(|person| person.password_hash.is_some()),
        second: app.store.has_second_factor(caller.user).await?,
        passkey: has_passkey && passkeys::unavailable(app).is_none(),
        providers: providers
            .map(|it| providers::Button { id: it.id.clone(), name: it.name.clone() })
            .collect(),
    })
}

async fn render(
    app: &App,
    caller: &SignedIn,
    status: StatusCode,
    failed: Failed,
    return_to: ReturnTo,
    kept: String,
    vouch: String,
) -> Response {
    let has = match ways(app, caller).await {
        Ok(has) => has,
        Err(error) => return refuse(app, error.into()),
    };
    let (frame, email) = (frame(app, caller), caller.email.clone());
    page(
        status,
        &Page {
            frame,
            failed,
            email,
            return_to,
            kept,
            second: has.second,
            passkey: has.passkey,
            password: has.password,
            providers: has.providers,
            vouch,
        },
    )
}

#[derive(Default, Deserialize)]
struct Typed {
    #[serde(default)]
    password: Password,
    #[serde(default)]
    code: Code,
    #[serde(default)]
    return_to: ReturnTo,
    #[serde(default)]
    kept: String,
    #[serde(default)]
    ceremony: String,
    #[serde(default)]
    passkey: String,
    #[serde(default)]
    vouch: String,
}

async fn prove(State(app): State<Ctx>, caller: SignedIn, Form(typed): Form<Typed>) -> Response {
    let answer = Answer { ceremony: typed.ceremony, passkey: typed.passkey };
    let proof = if !answer.passkey.is_empty() {
        Proof::Passkey(&answer)
    } else if !typed.vouch.is_empty() {
        Proof::Vouched(&typed.vouch, &typed.code)
    } else {
        Proof::Password(&typed.password, &typed.code)
    };
    match accounts::prove(&app, &caller, proof).await {
        Ok(cookie) => go_on(&app, &caller, &cookie, &typed.return_to, &typed.kept),
        Err(error) => match fail(&app, error, WRONG) {
            Ok((status, failed)) => {
                render(&app, &caller, status, failed, typed.return_to, typed.kept, typed.vouch).await
            }
            Err(response) => *response,
        },
    }
}

/// A provider vouched for the caller: what was asked goes on, after a code if one is needed.
pub(super) async fn vouched(
    app: &App,
    caller: &SignedIn,
    return_to: ReturnTo,
    kept: String,
    vouch: String,
) -> Response {
    match accounts::providers::needs_code(app, caller, &vouch).await {
        Ok(true) => render(app, caller, StatusCode::OK, Failed::default(), return_to, kept, vouch).await,
        Ok(false) => match accounts::prove(app, caller, Proof::Vouched(&vouch, &Code::default())).await {
            Ok(cookie) => go_on(app, caller, &cookie, &return_to, &kept),
            Err(error) => refuse(app, error),
        },
        Err(error) => refuse(app, error),
    }
}

/// What was asked goes on by itself, under a new cookie.
fn go_on(app: &App, caller: &SignedIn, cookie: &Secret, return_to: &ReturnTo, kept: &str) -> Response {
    let mut response = match Kept::open(app, caller.session, kept) {
        Some(kept) => {
            let action = ReturnTo::new(&kept.action);
            page(StatusCode::OK, &Continue { frame: frame(app, caller), action, fields: kept.fields })
        }
        None => Redirect::to(return_to.as_str()).into_response(),
    };
    response.headers_mut().append(header::SET_COOKIE, Cookie::Session.set(app, cookie));
    response
}
