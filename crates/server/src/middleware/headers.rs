//! Headers that every answer carries. What a handler set stays: pages have policies of their own.

use crate::app::Ctx;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// For whatever is not a page: it may load and do nothing.
const NOTHING: &str = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
/// A year, for this host alone: what else lives below the domain is not our decision.
const HSTS: &str = "max-age=31536000";

const DEFAULTS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, NOTHING),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

pub(super) async fn set(State(app): State<Ctx>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if app.config.https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    response
}
