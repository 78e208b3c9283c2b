//! `GET /events` through axum: HTTP/2, and HTTP/1.1 connections that asked something else before.

use super::DeviceStream;
use crate::app::{App, Ctx};
use crate::auth::device;
use crate::error::ApiFailure;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bramble_model::Random;
use bramble_wire::events::CHANNEL;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Whether the query asks for the one channel there is.
pub fn asks_for_channel(query: Option<&str>) -> bool {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.into_iter().any(|(key, value)| key == "channel" && value == CHANNEL)
}

/// Proves the device and opens its stream.
///
/// The proof is repeated once the stream is registered: a token that was revoked in between had no
/// stream yet that the revocation could close.
pub async fn open(app: &App, parts: &Parts) -> Result<DeviceStream, ApiFailure> {
    let known = device::authenticate(app, parts, None).await?;
    let random: &dyn Random = &*app.random;
    let sid = hex::encode(random.bytes::<16>());
    let stream = app.link.open(known.id, known.account, sid);
    device::authenticate(app, parts, None).await?;
    tracing::debug!(device.id = %known.id, "device connected");
    Ok(stream)
}

/// The handler.
pub async fn events(State(app): State<Ctx>, request: Request) -> Result<Response, ApiFailure> {
    let (parts, _) = request.into_parts();
    if !asks_for_channel(parts.uri.query()) {
        let text = "The query must be ?channel=DeviceChannel.";
        return Err(ApiFailure::new(StatusCode::BAD_REQUEST, "invalid_request", text));
    }
    let stream = open(&app, &parts).await?;
    let body = Body::new(EventBody { stream, flush: false }.map_err(|never| match never {}));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

/// One frame for each event, and a flush after each, so that naive parsers see one event at a time.
#[derive(Debug)]
struct EventBody {
    stream: DeviceStream,
    flush: bool,
}

impl HttpBody for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::take(&mut self.flush) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.stream.poll_next(cx).map(|event| {
            self.flush = true;
            event.map(|bytes| Ok(Frame::data(bytes)))
        })
    }
}
