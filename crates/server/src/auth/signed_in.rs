//! Who is signed in, from the session cookie.

use super::cookies::{Cookie, SESSION_IDLE};
use super::return_to::ReturnTo;
use crate::app::{App, Ctx};
use crate::countries::Country;
use crate::error::ApiFailure;
use crate::front_door::ClientAddress;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bramble_model::account::{Role, two_factor_deadline};
use bramble_model::session::FRESH;
use bramble_model::{SecretHash, Timestamp};
use bramble_store::StoreError;
use bramble_store::memberships::Belonging;
use bramble_store::users::User;
use bramble_store::web_sessions::WebSession;
use bramble_wire::{UserId, WebSessionId};
use std::convert::Infallible;
use std::sync::Arc;
use time::Duration;

/// How often at most the use of a session is written down.
const TOUCH_EVERY: Duration = Duration::minutes(1);

/// A verified person with a live session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The browser's session.
    pub session: WebSessionId,
    /// Who.
    pub user: UserId,
    /// Display name.
    pub name: String,
    /// Address.
    pub email: String,
    /// Whether the address is proved. Always, but in [`Account`].
    pub verified: bool,
    /// The operator of this server.
    pub is_operator: bool,
    /// The personal account and the organisations, as they stood when the request came. For menus: what
    /// somebody may do is looked up again where it is done.
    pub belongings: Arc<[Belonging]>,
    /// One of the organisations requires a second factor and the person has none.
    pub owes_second_factor: bool,
    /// Where the request came from, if that is known.
    pub country: Option<Country>,
    /// Until then dangerous things need no new proof.
    pub fresh_until: Timestamp,
    /// The session's cookie, hashed: rotating it is conditional on it.
    pub(crate) token: SecretHash,
}

/// Like [`SignedIn`], but the address may not be proved yet: for the pages that prove it, and for
/// signing out.
#[derive(Debug, Clone)]
pub struct Account(pub SignedIn);

impl SignedIn {
    fn new(
        session: &WebSession,
        user: User,
        (belongings, owes_second_factor): (Vec<Belonging>, bool),
        token: SecretHash,
    ) -> Self {
        Self {
            session: session.id,
            user: user.id,
            name: user.name,
            email: user.email,
            verified: user.verified_at.is_some(),
            is_operator: user.is_operator,
            belongings: belongings.into(),
            owes_second_factor,
            country: None,
            fresh_until: session.fresh_at + FRESH,
            token,
        }
    }

    /// Whether the last proof is recent enough for dangerous things.
    pub fn is_fresh(&self, app: &App) -> bool {
        app.clock.now() < self.fresh_until
    }
}

/// Finds the live session of a request, and where it came from.
pub async fn find(app: &App, parts: &Parts) -> Result<Option<SignedIn>, StoreError> {
    let found = look_up(app, &parts.headers).await?;
    let country = app.countries.of_address(ClientAddress::of(parts).0);
    Ok(found.map(|who| SignedIn { country, ..who }))
}

/// Finds the live session that a cookie names.
pub async fn look_up(app: &App, headers: &HeaderMap) -> Result<Option<SignedIn>, StoreError> {
    let Some(cookie) = Cookie::Session.read(app, headers) else { return Ok(None) };
    let token = cookie.hash();
    let Some((session, user)) = app.store.web_session(&token).await? else { return Ok(None) };
    let now = app.clock.now();
    let over = session.expires_at <= now || session.last_seen_at + SESSION_IDLE <= now;
    if over || user.disabled_at.is_some() {
        return Ok(None);
    }
    let unless_since = now - TOUCH_EVERY;
    if session.last_seen_at <= unless_since
        && let Err(error) = app.store.touch_web_session(session.id, now, unless_since).await
    {
        // Reading works; that a session was seen is not worth failing the request for.
        tracing::warn!(%error, "the use of a session could not be noted");
    }
    let belongings = app.store.accounts_of(user.id).await?;
    let required = belongings.iter().any(|entry| entry.account.two_factor_required_at.is_some());
    let owes = required && !app.store.has_second_factor(user.id).await?;
    Ok(Some(SignedIn::new(&session, user, (belongings, owes), token)))
}

impl SignedIn {
    /// What they administer and are not kept out of: where a menu offers something to do.
    pub fn administered(&self, now: Timestamp) -> impl Iterator<Item = &Belonging> {
        self.belongings.iter().filter(move |entry| {
            let deadline = two_factor_deadline(entry.account.two_factor_required_at);
            let kept_out = self.owes_second_factor && deadline.is_some_and(|deadline| deadline <= now);
            entry.role == Role::Administrator && !kept_out
        })
    }
}

/// Whether a script asks and not a person who follows a link or sends a form.
pub fn is_fetch(headers: &HeaderMap) -> bool {
    let has = |name: header::HeaderName, words: &[&str]| {
        let value = headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        words.iter().any(|word| value.contains(word))
    };
    has(header::ACCEPT, &["application/json", "text/event-stream"])
        || has(header::CONTENT_TYPE, &["application/json"])
        || headers.get("sec-fetch-mode").is_some_and(|mode| mode != "navigate")
        || is_htmx(headers)
}

/// Whether htmx asks: it follows `HX-Redirect` where a person would follow `Location`.
pub fn is_htmx(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

/// The page on which a request happened: its own address for GET, else the page that sent it.
pub fn page_of(parts: &Parts) -> ReturnTo {
    if parts.method == Method::GET && !is_fetch(&parts.headers) {
        let original = parts.extensions.get::<axum::extract::OriginalUri>().map(|uri| &uri.0);
        let uri = original.unwrap_or(&parts.uri);
        return ReturnTo::new(uri.path_and_query().map_or("/", |path| path.as_str()));
    }
    let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let page = text("hx-current-url").or_else(|| text("referer"));
    let page = page.and_then(|page| url::Url::parse(page).ok());
    // Of an address elsewhere nothing is taken but a path, and that stays on this server.
    page.map_or_else(ReturnTo::default, |url| match url.query() {
        Some(query) => ReturnTo::new(&format!("{}?{query}", url.path())),
        None => ReturnTo::new(url.path()),
    })
}

/// Sends a browser to another page, in the way that the asker follows.
pub fn lead_to(headers: &HeaderMap, location: &str) -> Response {
    if is_htmx(headers) {
        let location = HeaderValue::try_from(location).unwrap_or_else(|_| HeaderValue::from_static("/"));
        return (StatusCode::OK, [("hx-redirect", location)]).into_response();
    }
    Redirect::to(location).into_response()
}

fn sign_in_first(parts: &Parts) -> Response {
    let location = page_of(parts).on("/sign-in");
    if is_fetch(&parts.headers) && !is_htmx(&parts.headers) {
        return ApiFailure::new(StatusCode::UNAUTHORIZED, "sign_in_required", "Sign in, then try again.")
            .into_response();
    }
    lead_to(&parts.headers, &location)
}

fn verify_first(parts: &Parts) -> Response {
    if is_fetch(&parts.headers) && !is_htmx(&parts.headers) {
        let text = "Open the link in the mail that was sent to you, then try again.";
        return ApiFailure::new(StatusCode::FORBIDDEN, "email_not_verified", text).into_response();
    }
    lead_to(&parts.headers, &page_of(parts).on("/verify-email"))
}

impl FromRequestParts<Ctx> for Account {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Ctx) -> Result<Self, Response> {
        match find(app, parts).await {
            Ok(Some(account)) => Ok(Self(account)),
            Ok(None) => Err(sign_in_first(parts)),
            Err(error) => Err(ApiFailure::from(error).into_response()),
        }
    }
}

impl FromRequestParts<Ctx> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Ctx) -> Result<Self, Response> {
        let Account(account) = Account::from_request_parts(parts, app).await?;
        if account.verified { Ok(account) } else { Err(verify_first(parts)) }
    }
}

/// `Option<SignedIn>`: for pages that look different to somebody who is signed in.
impl OptionalFromRequestParts<Ctx> for SignedIn {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Ctx) -> Result<Option<Self>, Infallible> {
        Ok(find(app, parts).await.ok().flatten().filter(|account| account.verified))
    }
}
