//! Requests that carry the session cookie and change something come from our own pages, or not at all.
//!
//! Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`), and no page can make them lie.
//! A request with neither is from no browser of this decade and has no business with a cookie. Routes
//! that take a token ignore cookies, so they are not looked at.

use crate::app::Ctx;
use crate::error::ApiFailure;
use crate::routes::{Credential, credential_of};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

pub(super) async fn guard(State(app): State<Ctx>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let takes_cookie = credential_of(request.uri().path()) == Credential::Cookie;
    if reads || !takes_cookie || is_our_own(&app.config.public_url, request.headers()) {
        return next.run(request).await;
    }
    tracing::info!("refused a request that did not come from a page of this server");
    let text = "This did not come from a page of this server. Go back, load the page again, and repeat it.";
    ApiFailure::new(StatusCode::FORBIDDEN, "cross_site_request", text).into_response()
}

/// Whether the browser says that a page of this server sent it.
pub fn is_our_own(public_url: &Url, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site");
    let origin = text("origin");
    match (site, origin) {
        // Pages that send no referrer send the origin "null", even to themselves; "none" was typed or
        // bookmarked by the person.
        (Some("same-origin"), None | Some("null")) | (Some("none"), None) => true,
        (Some("same-origin") | None, Some(origin)) => {
            origin == public_url.origin().ascii_serialization() || is_same_host(origin, headers)
        }
        _ => false,
    }
}

/// The server answers on every name that leads to it; a page elsewhere cannot choose our `Host`.
fn is_same_host(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let name = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    host.is_some() && host == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_what_browsers_send() {
        let url = Url::parse("https://pi.example").expect("a URL");
        let cases: &[(&str, &str, bool)] = &[
            ("", "", false),
            ("same-origin", "", true),
            ("same-origin", "https://pi.example", true),
            ("same-origin", "null", true),
            ("same-origin", "https://evil.example", false),
            ("none", "", true),
            ("none", "https://evil.example", false),
            ("same-site", "https://evil.pi.example", false),
            ("same-site", "https://pi.example", false),
            ("cross-site", "https://evil.example", false),
            ("cross-site", "https://pi.example", false),
            ("cross-site", "", false),
            ("", "https://pi.example", true),
            ("", "https://inside.example:8443", true),
            ("", "http://pi.example.evil.example", false),
            ("", "null", false),
            ("", "https://evil.example", false),
            ("same-origin, cross-site", "https://pi.example", false),
        ];
        for (site, origin, good) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "inside.example:8443".parse().expect("a header"));
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().expect("a header"));
                }
            }
            assert_eq!(is_our_own(&url, &headers), *good, "{site:?} {origin:?}");
        }
    }
}
