//! Proves a program: a token of the management API, which stands for an administrator of one
//! organisation. [`crate::management::guard`] looks it up once for each request.

use crate::app::App;
use crate::app::Ctx;
use crate::countries::Country;
use crate::management::Failure;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bramble_model::{Secret, SecretKind};
use bramble_store::StoreError;
use bramble_wire::{AccountId, ApiTokenId};

/// A program that proved itself.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// Id of its token.
    pub id: ApiTokenId,
    /// The organisation that it speaks for.
    pub account: AccountId,
    /// What the token's maker wrote.
    pub description: String,
    /// Where the request came from, if that is known.
    pub country: Option<Country>,
}

/// The token that a request carries, whatever it is.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whose token it is. The store is asked every time: a revoked token proves nothing from the moment of
/// its revocation, on every node.
pub(crate) async fn identify(app: &App, token: &str) -> Result<Option<(ApiToken, Used)>, StoreError> {
    let Some(token) = Secret::parse(SecretKind::ApiToken, token) else { return Ok(None) };
    let Some(found) = app.store.api_token_by_hash(token.hash()).await? else { return Ok(None) };
    let token =
        ApiToken { id: found.id, account: found.account, description: found.description, country: None };
    Ok(Some((token, found.last_used_at)))
}

/// When a token was used last.
pub(crate) type Used = Option<bramble_model::Timestamp>;

impl FromRequestParts<Ctx> for ApiToken {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Ctx) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::unauthorized)
    }
}
