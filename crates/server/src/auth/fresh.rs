//! A proof within the past hour, asked for before dangerous things. What was asked goes on by itself
//! afterwards.

use super::signed_in::{SignedIn, is_fetch, is_htmx, lead_to, page_of};
use crate::app::Ctx;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Somebody who proved within the past hour who they are.
#[derive(Debug, Clone)]
pub struct Fresh(pub SignedIn);

/// On an answer: the caller has to prove who they are. The layer that keeps forms turns it into the page that asks.
#[derive(Debug, Clone)]
pub(crate) struct Asked(pub(crate) SignedIn);

impl FromRequestParts<Ctx> for Fresh {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Ctx) -> Result<Self, Response> {
        let caller = <SignedIn as FromRequestParts<Ctx>>::from_request_parts(parts, app).await?;
        if caller.is_fresh(app) {
            return Ok(Self(caller));
        }
        let location = page_of(parts).on("/fresh");
        if is_fetch(&parts.headers) && !is_htmx(&parts.headers) {
            let body = json!({ "error": "fresh_sign_in_required", "location": location });
            return Err((StatusCode::FORBIDDEN, axum::Json(body)).into_response());
        }
        let mut response = lead_to(&parts.headers, &location);
        response.extensions_mut().insert(Asked(caller));
        Err(response)
    }
}
