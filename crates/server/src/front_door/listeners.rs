//! Binds and accepts.

use super::crowd::Crowd;
use super::{Counted, Ends, Hall, http::Http, plain, receive, stall::Stall, tls::Certificates};
use crate::app::Ctx;
use crate::config::Config;
use crate::lifecycle::spawn_essential;
use crate::start::StartError;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::task::TaskTracker;

/// Connections the kernel keeps until they are accepted: a fleet that returns at once.
const BACKLOG: u32 = 4096;
/// Pause after the system refused a connection (out of files): it would refuse the next at once too.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// Data that nobody acknowledges for so long means that the other end is gone without a word.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Bound sockets that nobody serves yet.
#[derive(Debug)]
pub struct Listeners {
    main: TcpListener,
    redirect: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration says. Port 0 takes any free one.
    #[expect(clippy::unused_async, reason = "sockets are registered with the runtime")]
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let optional = |address: Option<SocketAddr>| address.map(bind).transpose();
        Ok(Self {
            main: bind(config.listen)?,
            redirect: optional(config.http_listen)?,
            metrics: optional(config.metrics_listen)?,
        })
    }

    /// Where the main listener is.
    pub fn address(&self) -> SocketAddr {
        local(&self.main)
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { address, source };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    // A restarted server takes its port back at once.
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)
}

fn local(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// The listeners, served.
#[derive(Debug)]
pub struct FrontDoor {
    address: SocketAddr,
    redirect: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    certificates: Option<Certificates>,
    connections: TaskTracker,
}

impl FrontDoor {
    /// Serves.
    #[expect(clippy::needless_pass_by_value, reason = "the front door keeps the server alive")]
    pub fn open(app: Ctx, listeners: Listeners) -> Result<Self, StartError> {
        let certificates = app.config.tls.as_ref().map(Certificates::load).transpose()?;
        let connections = TaskTracker::new();
        let http = Http::new(Arc::clone(&app), plain::main(&app));
        let crowd = Crowd::new(app.config.limits.connections_per_address, &app.config.trusted_proxies);
        let hall =
            Arc::new(Hall { app: Arc::clone(&app), http, tls: certificates.clone(), crowd: crowd.clone() });
        let address = listeners.address();
        let (redirect, metrics) =
            (listeners.redirect.as_ref().map(local), listeners.metrics.as_ref().map(local));
        accept(&app, &connections, listeners.main, move |stream, ends, counted| {
            receive(Arc::clone(&hall), stream, ends, counted)
        });
        let beside = [
            (listeners.redirect, plain::redirecting(Arc::clone(&app))),
            (listeners.metrics, plain::metrics(Arc::clone(&app))),
        ];
        for (listener, router) in beside {
            let Some(listener) = listener else { continue };
            let http = Arc::new(Http::new(Arc::clone(&app), router));
            let patience = app.config.limits.write_stall;
            let crowd = crowd.clone();
            accept(&app, &connections, listener, move |stream, ends, counted| {
                let (http, guest) = (Arc::clone(&http), crowd.enter(ends.peer.ip()));
                async move {
                    let Some(_guest) = guest else { return };
                    http.serve(Stall::new(stream, patience), ends).await;
                    drop(counted);
                }
            });
        }
        Ok(Self { address, redirect, metrics, certificates, connections })
    }

    /// Where the main listener is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the plain listener is.
    pub fn redirect_address(&self) -> Option<SocketAddr> {
        self.redirect
    }

    /// Where the metrics are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Reads certificate and key again.
    pub fn reload(&self) -> Result<(), StartError> {
        self.certificates.as_ref().map_or(Ok(()), Certificates::reload)
    }

    /// Waits until every connection is gone. The app's `stopping` must have been cancelled.
    pub async fn closed(&self) {
        self.connections.close();
        self.connections.wait().await;
    }
}

fn accept<F, S>(app: &Ctx, connections: &TaskTracker, listener: TcpListener, serve: S)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream, Ends, Counted) -> F + Send + 'static,
{
    let (app, tracker) = (Arc::clone(app), connections.clone());
    spawn_essential(&Arc::clone(&app), "front door", async move {
        loop {
            let taken = tokio::select! {
                () = app.stopping.cancelled() => break,
                taken = listener.accept() => taken,
            };
            let (stream, peer) = match taken {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    continue;
                }
            };
            // Beyond the limit a connection is closed at once: nobody else's waits for a stranger's.
            let Some(counted) = Counted::take(&app) else { continue };
            let Ok(local) = stream.local_addr() else { continue };
            prepare(&stream);
            tracker.spawn(serve(stream, Ends { peer, local }, counted));
        }
    });
}

/// Events leave at once, and a peer that vanished is noticed. Both are improvements only.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let patience = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, patience);
}
