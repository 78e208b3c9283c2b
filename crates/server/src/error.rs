//! How failures leave the server. Each slice has one error enum and one function that maps it; what
//! went wrong inside is logged once, here, and never sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bramble_store::StoreError;
use bramble_wire::AccountId;
use bramble_wire::device_api::ApiError;

/// Seconds after which a client may try again when the store did not answer.
const RETRY_AFTER_SECONDS: u16 = 5;

/// A refusal on the device API and on the session API, which speak JSON.
#[derive(Debug)]
pub struct ApiFailure {
    status: StatusCode,
    body: ApiError,
    retry_after: Option<u16>,
    kept_out_of: Option<AccountId>,
}

impl ApiFailure {
    /// `{error, error_description}`.
    pub fn new(status: StatusCode, error: &str, description: impl Into<String>) -> Self {
        let body =
            ApiError { error: error.to_owned(), error_description: Some(description.into()), message: None };
        Self { status, body, retry_after: None, kept_out_of: None }
    }

    /// `{error, message}`: the shape of part A's exchange of an identity.
    pub fn described(status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        let body =
            ApiError { error: error.to_owned(), error_description: None, message: Some(message.into()) };
        Self { status, body, retry_after: None, kept_out_of: None }
    }

    /// `{message}`: the shape of part A's deployment endpoints.
    pub fn message(status: StatusCode, message: impl Into<String>) -> Self {
        let body = ApiError { error: String::new(), error_description: None, message: Some(message.into()) };
        Self { status, body, retry_after: None, kept_out_of: None }
    }

    /// 403: the caller is in an organisation that requires a second factor, and has none.
    pub fn second_factor_required(organisation: AccountId) -> Self {
        let text = "The organisation requires two-factor authentication. Set it up under Account settings, then \
                    try again.";
        let refused = Self::new(StatusCode::FORBIDDEN, "two_factor_required", text);
        Self { kept_out_of: Some(organisation), ..refused }
    }

    /// The organisation that keeps the caller out until they have a second factor.
    pub fn kept_out_of(&self) -> Option<AccountId> {
        self.kept_out_of
    }

    /// 404: there is none, or none of the caller's.
    pub fn not_found() -> Self {
        Self::message(StatusCode::NOT_FOUND, "Not found")
    }

    /// The status that it answers with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// With a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<StoreError> for ApiFailure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the database failed while answering a request");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "The server cannot reach its database. Try again soon.",
        )
        .retry_after(RETRY_AFTER_SECONDS)
    }
}

impl IntoResponse for ApiFailure {
    fn into_response(self) -> Response {
        let mut body = serde_json::to_value(&self.body).unwrap_or_default();
        if let Some(map) = body.as_object_mut()
            && self.body.error.is_empty()
        {
            map.remove("error");
        }
        let mut response = (self.status, axum::Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
