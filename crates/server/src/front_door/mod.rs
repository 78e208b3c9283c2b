//! Takes connections and tells what speaks on them.

use crate::app::Ctx;
use crate::config::Config;
use crate::routes;
use crate::start::StartError;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Who asks, after trusted proxies were believed. An extractor for every handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())))
    }
}

/// Bound sockets that nobody serves yet.
#[derive(Debug)]
pub struct Listeners {
    main: TcpListener,
}

impl Listeners {
    /// Binds what the configuration says. Port 0 takes any free one.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let address = config.listen;
        let main =
            TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        Ok(Self { main })
    }

    /// Where the main listener is.
    pub fn address(&self) -> SocketAddr {
        self.main.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

/// The listeners, served.
#[derive(Debug)]
pub struct FrontDoor {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl FrontDoor {
    /// Serves.
    pub fn open(app: Ctx, listeners: Listeners) -> Result<Self, StartError> {
        let address = listeners.address();
        Ok(Self { address, accepting: tokio::spawn(accept(app, listeners.main)) })
    }

    /// Where the main listener is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until every connection is gone. The app's `stopping` must have been cancelled.
    pub async fn closed(self) {
        let _ = self.accepting.await;
    }
}

async fn accept(app: Ctx, listener: TcpListener) {
    let router = routes::router(std::sync::Arc::clone(&app));
    let connections = tokio_util::task::TaskTracker::new();
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(app.config.limits.head);
    loop {
        let taken: std::io::Result<(TcpStream, SocketAddr)> = tokio::select! {
            taken = listener.accept() => taken,
            () = app.stopping.cancelled() => break,
        };
        let Ok((stream, peer)) = taken else { continue };
        let router = router.clone();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            tower::ServiceExt::oneshot(router.clone(), request)
        });
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let stopping = app.stopping.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}
