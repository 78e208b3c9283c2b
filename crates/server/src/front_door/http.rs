//! HTTP/1.1 and HTTP/2 through hyper and axum.

use super::{Ends, Wire, address};
use crate::app::Ctx;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// Requests at once on one HTTP/2 connection.
const H2_STREAMS: u32 = 100;
/// Streams of one HTTP/2 connection that the client may reset while the server still works on them.
const H2_PENDING_RESETS: usize = 20;
/// How often an HTTP/2 connection must show that somebody is there.
const H2_KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Bytes that wait for an HTTP/2 client that reads slowly.
const H2_SEND_BUFFER: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Http {
    app: Ctx,
    router: Router,
    builder: auto::Builder<TokioExecutor>,
}

impl Http {
    pub(super) fn new(app: Ctx, router: Router) -> Self {
        let limits = &app.config.limits;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.head_bytes)
            .max_headers(64);
        let head_bytes = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(head_bytes)
            .max_concurrent_streams(H2_STREAMS)
            .max_pending_accept_reset_streams(H2_PENDING_RESETS)
            .keep_alive_interval(H2_KEEP_ALIVE)
            .keep_alive_timeout(limits.write_stall)
            .max_send_buf_size(H2_SEND_BUFFER);
        Self { app, router, builder }
    }

    /// Serves a connection until it ends, or until the server stops and its running requests are done.
    pub(super) async fn serve<W: Wire>(&self, stream: W, ends: Ends) {
        let (router, app) = (self.router.clone(), Arc::clone(&self.app));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let trusted = &app.config.trusted_proxies;
            let address = address::client_address(trusted, ends.peer.ip(), request.headers());
            request.extensions_mut().insert(address);
            request.extensions_mut().insert(ConnectInfo(ends.peer));
            router.clone().oneshot(request)
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.app.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended early");
        }
    }
}
