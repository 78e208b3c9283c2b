//! What every page shares: the frame around it, the browser's files, the content security policy
//! and how a template becomes an answer.
//!
//! Not here: routes, forms and the data of a page; they live in the slice that the page is about.
//! To add a page: `templates/README.md`.

pub mod assets;
pub mod csp;
pub mod errors;
pub mod frames;
pub mod layout;
pub mod session_window;
#[cfg(debug_assertions)]
pub mod styleguide;
pub mod times;

use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// A page as an answer. Pages are for one person at one moment, so nobody caches them.
pub fn page(status: StatusCode, template: &impl Template) -> Response {
    with_policy(status, template, csp::PAGE)
}

/// A part of a page, for a request that replaces it in place.
pub fn fragment(template: &impl Template) -> Response {
    page(StatusCode::OK, template)
}

fn with_policy(status: StatusCode, template: &impl Template, policy: &'static str) -> Response {
    let body = match template.render() {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a page did not render");
            return (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The page could not be made. Try again; if it stays so, tell the operator of this server.\n",
            )
                .into_response();
        }
    };
    let headers: [(HeaderName, HeaderValue); 6] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    (status, headers, body).into_response()
}
