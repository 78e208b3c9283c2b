//! One line per request, and the request's id in it and in the answer. Paths and queries may carry
//! secrets (links from mails), so only the route's pattern is written.

use crate::app::Ctx;
use crate::front_door::ClientAddress;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use bramble_model::Random;
use std::time::Instant;
use tracing::Instrument;

/// Where the answer says its id.
const ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) async fn line(State(app): State<Ctx>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let random: &dyn Random = &*app.random;
    let id = hex::encode(random.bytes::<8>());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let ClientAddress(client) = request
        .extensions()
        .get()
        .copied()
        .unwrap_or(ClientAddress(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)));
    let span = tracing::info_span!("request", request.id = %id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let (took, status) = (started.elapsed(), response.status());
    let route = route.as_deref().unwrap_or("(no route)");
    app.metrics.answered(route, status.as_u16(), took);
    let milliseconds = took.as_millis();
    span.in_scope(|| {
        // Reading is what devices and pages do all day; changes are worth a line.
        if method == Method::GET && !status.is_server_error() {
            tracing::debug!(%method, route, status = status.as_u16(), milliseconds, %client, "answered");
        } else {
            tracing::info!(%method, route, status = status.as_u16(), milliseconds, %client, "answered");
        }
    });
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(ID, value);
    }
    response
}
