//! Refusals that no slice words: no such page, wrong method, too large, a panic. HTML for people,
//! JSON for programs.

use super::{layout::Frame, page};
use crate::error::ApiFailure;
use crate::management::Failure;
use crate::routes::{Credential, credential_of};
use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::any::Any;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    text: &'static str,
}

/// Marks an answer that has no words yet; [`word`] finds some.
#[derive(Debug, Clone, Copy)]
struct Wordless;

/// No route has this path.
pub async fn not_found() -> Response {
    wordless(StatusCode::NOT_FOUND)
}

/// The path exists, the method does not.
pub async fn method_not_allowed() -> Response {
    wordless(StatusCode::METHOD_NOT_ALLOWED)
}

/// A handler panicked: a fault of ours, logged here, never shown.
// The signature is tower-http's.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
pub fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("(no text)"), "a request failed by a fault in Bramble");
    wordless(StatusCode::INTERNAL_SERVER_ERROR)
}

fn wordless(status: StatusCode) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(Wordless);
    response
}

/// Gives words to answers that have none.
pub async fn word(request: Request, next: Next) -> Response {
    let html = wants_html(request.headers());
    let program = credential_of(request.uri().path()) == Credential::ApiToken;
    let response = next.run(request).await;
    let too_large = response.status() == StatusCode::PAYLOAD_TOO_LARGE && !is_json(&response);
    if response.extensions().get::<Wordless>().is_none() && !too_large {
        return response;
    }
    let status = response.status();
    let (error, title, text) = words(status);
    let mut worded = if program {
        Failure::new(status, for_programs(status)).into_response()
    } else if html {
        page(status, &ErrorPage { frame: Frame::default(), title, text })
    } else {
        ApiFailure::new(status, error, text).into_response()
    };
    // What was said besides the words stays: `Allow`, what is left of a program's requests.
    for (name, value) in response.headers() {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            worded.headers_mut().insert(name, value.clone());
        }
    }
    worded
}

fn words(status: StatusCode) -> (&'static str, &'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => (
            "not_found",
            "There is nothing here",
            "The address may be mistyped, or what it showed was deleted or is not yours to see.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "method_not_allowed",
            "That does not work here",
            "The address exists, but not for this kind of request.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("payload_too_large", "That is too much", "What was sent is larger than this server takes.")
        }
        _ => (
            "internal_error",
            "Something went wrong",
            "This is a fault of the server, and its log has the details. Try again; if it stays so, tell the \
             operator of this server.",
        ),
    }
}

/// The management API says it in a word.
fn for_programs(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::METHOD_NOT_ALLOWED => "Method not allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "The body is larger than 64 KiB",
        _ => "Internal server error",
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
