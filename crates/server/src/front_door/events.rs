//! `GET /events` as the first request of an HTTP/1.1 connection, which is what every device sends: the
//! live link takes the connection over. Whatever is unusual about the request is left to axum, which
//! has the answers to everything.

use super::{Ends, address};
use crate::app::App;
use crate::link::{DeviceStream, body};
use axum::extract::OriginalUri;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri, header};

/// Headers of a request that are looked at; more are axum's business.
const MAX_HEADERS: usize = 32;

/// Opens the stream of a device that proves itself; `None`: let axum answer.
pub(super) async fn open(app: &App, head: &[u8], ends: Ends) -> Option<DeviceStream> {
    let mut parts = Box::new(parse(head)?);
    let address = address::client_address(&app.config.trusted_proxies, ends.peer.ip(), &parts.headers);
    parts.extensions.insert(address);
    // A refusal is axum's to word: it gets the same request again.
    Box::pin(body::open(app, &parts)).await.ok()
}

fn parse(head: &[u8]) -> Option<Parts> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).ok()?.is_complete() || request.version != Some(1) || request.method != Some("GET")
    {
        return None;
    }
    let uri: Uri = request.path?.parse().ok()?;
    if uri.path() != "/events" || !body::asks_for_channel(uri.query()) {
        return None;
    }
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::GET;
    parts.extensions.insert(OriginalUri(uri.clone()));
    parts.uri = uri;
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        parts.headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    let unusual = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::EXPECT];
    let usual =
        parts.headers.contains_key(header::HOST) && !unusual.iter().any(|n| parts.headers.contains_key(n));
    usual.then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_request_is_taken_over() {
        let head = |line: &str, more: &str| format!("{line}\r\nHost: x\r\n{more}\r\n");
        let taken = |text: &str| parse(text.as_bytes()).is_some();
        let line = "GET /events?channel=DeviceChannel HTTP/1.1";
        assert!(taken(&head(line, "Accept: text/event-stream\r\n")));
        for (line, more) in [
            ("GET /events HTTP/1.1", ""),
            ("GET /events?channel=Other HTTP/1.1", ""),
            ("GET /events?channel=DeviceChannel HTTP/1.0", ""),
            (line, "Content-Length: 3\r\n"),
            (line, "Transfer-Encoding: chunked\r\n"),
            (line, "Bad Name: x\r\n"),
        ] {
            assert!(!taken(&head(line, more)), "{line} {more}");
        }
        assert!(!taken("GET /events?channel=DeviceChannel HTTP/1.1\r\n\r\n"), "no Host");
    }
}
