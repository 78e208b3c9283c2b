//! Answers of the management API: refusals are `{"message": …}`, whatever is refused.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bramble_store::StoreError;
use bramble_wire::management::{Failure as Body, Meta};
use serde::Serialize;

/// Seconds after which a client may try again when the store did not answer.
const RETRY_AFTER_SECONDS: u16 = 5;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const REPRESENTATION: &str = "return=representation";

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    /// With these words.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// 401: no token, or none that is known.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    /// 404: there is none, or none of the organisation's.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found")
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 422 with words of its own.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 422: what is wrong with the fields, in their order.
    pub fn validation(problems: &[impl AsRef<str>]) -> Self {
        let problems: Vec<&str> = problems.iter().map(AsRef::as_ref).collect();
        Self::unprocessable(format!("Validation failed: {}", problems.join(", ")))
    }

    /// The status that it answers with.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the database failed while answering the management API");
        let text = "The server cannot reach its database. Try again soon.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(Body { message: self.message })).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response
    }
}

/// 201 with what was made.
pub fn created(made: impl Serialize) -> Response {
    (StatusCode::CREATED, Json(made)).into_response()
}

/// A list whose entries are JSON already.
pub fn written(name: &str, entries: &str, meta: Meta) -> Response {
    let meta = serde_json::to_string(&meta).unwrap_or_default();
    let body = format!("{{\"{name}\":{entries},\"meta\":{meta}}}");
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Whether the client wants to see what it deletes.
pub fn wants_representation(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    preferences.any(|preference| preference.eq_ignore_ascii_case(REPRESENTATION))
}

/// 204, or 200 with what was deleted if the client asked for it.
pub fn deleted(headers: &HeaderMap, was: impl Serialize) -> Response {
    if !wants_representation(headers) {
        return StatusCode::NO_CONTENT.into_response();
    }
    ([(PREFERENCE_APPLIED, HeaderValue::from_static(REPRESENTATION))], Json(was)).into_response()
}
