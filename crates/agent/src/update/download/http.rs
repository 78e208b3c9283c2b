//! `http:` and `https:`, resumed with `Range`.

use super::{Opened, Origin, Trouble};
use crate::http::{HttpError, client};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyDataStream, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

const MAX_REDIRECTS: u32 = 5;
/// The largest piece that is read at once.
const READ_AT_ONCE: usize = 256 * 1024;

pub(super) async fn open(origin: &Origin, offset: u64, signed_time: bool) -> Result<Opened, Trouble> {
    let mut url = origin.url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let answer = ask(origin, &url, offset, signed_time).await?;
        let status = answer.status();
        if status.is_redirection() {
            url = redirected(&url, answer.headers())?;
            continue;
        }
        return opened(answer, offset);
    }
    Err(Trouble::Final("Download refused: too many redirects".to_owned()))
}

/// Where to. Never to another scheme: not out of TLS, and not onto this device's own files.
fn redirected(from: &Url, headers: &HeaderMap) -> Result<Url, Trouble> {
    let to = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let to = to.and_then(|text| from.join(text).ok());
    let to = to.ok_or_else(|| Trouble::Final("Download refused: a redirect to nowhere".to_owned()))?;
    if to.scheme() != from.scheme() {
        return Err(Trouble::Final(format!(
            "Download refused: a redirect from {} to {}",
            from.scheme(),
            bramble_model::text::clip(to.scheme(), 20)
        )));
    }
    Ok(to)
}

fn opened(answer: http::Response<Incoming>, offset: u64) -> Result<Opened, Trouble> {
    let status = answer.status();
    let headers = answer.headers();
    let number = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let (starts_at, total) = match status {
        StatusCode::OK => (0, number(header::CONTENT_LENGTH).and_then(|text| text.parse().ok())),
        StatusCode::PARTIAL_CONTENT => {
            let range = number(header::CONTENT_RANGE).and_then(content_range);
            range.ok_or_else(|| Trouble::Final("Download refused: a part of an unknown place".to_owned()))?
        }
        // Everything is there already, and the server did not know that this is the end.
        StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
            return Ok(Opened {
                body: futures_util::stream::empty().boxed(),
                starts_at: offset,
                total: None,
            });
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            return Err(Trouble::Later(format!("the server answered {status}")));
        }
        _ if status.is_server_error() => {
            return Err(Trouble::Later(format!("the server answered {status}")));
        }
        _ => return Err(Trouble::Final(format!("Download refused by the server: {status}"))),
    };
    let body = BodyDataStream::new(answer.into_body()).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        io::Error::other(cause.unwrap_or_else(|| error.to_string()))
    });
    Ok(Opened { body: body.boxed(), starts_at, total })
}

/// `bytes 5-9/10`, where the size may be unknown.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

async fn ask(
    origin: &Origin,
    url: &Url,
    offset: u64,
    signed_time: bool,
) -> Result<http::Response<Incoming>, Trouble> {
    let host = url.host_str().ok_or_else(|| Trouble::Final("the address has no host".to_owned()))?;
    let host = host.trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let stream = client::dial(host, port).await.map_err(|error| Trouble::Later(error.to_string()))?;
    if url.scheme() == "https" {
        let stream = client::secure(stream, host, origin.tls(signed_time)?).await.map_err(not_secure)?;
        send(stream, url, offset).await
    } else {
        send(stream, url, offset).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that map_err takes it")]
pub(super) fn not_secure(error: HttpError) -> Trouble {
    match error {
        HttpError::CertificateTime { .. } => Trouble::CertificateTime(error.to_string()),
        HttpError::Handshake { .. } => Trouble::Final(error.to_string()),
        _ => Trouble::Later(error.to_string()),
    }
}

async fn send<S>(stream: S, url: &Url, offset: u64) -> Result<http::Response<Incoming>, Trouble>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let later = |error: hyper::Error| Trouble::Later(error.to_string());
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(READ_AT_ONCE)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(later)?;
    // Ends with the body, or when that is dropped.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = http::Request::get(if path.is_empty() { "/" } else { path })
        .header(header::HOST, authority)
        .header(header::USER_AGENT, concat!("rpi-ota-connector/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "*/*");
    if offset > 0 {
        request = request.header(header::RANGE, format!("bytes={offset}-"));
    }
    if !url.username().is_empty() {
        let pair = format!("{}:{}", url.username(), url.password().unwrap_or_default());
        request = request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| Trouble::Final(error.to_string()))?;
    sender.send_request(request).await.map_err(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_where_it_begins() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("lines 5-9/10"), None);
    }
}
