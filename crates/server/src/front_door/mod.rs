//! Takes connections and tells what speaks on them.
//!
//! [`listeners`] accepts; [`tls`] does handshakes; [`first_bytes`] decides who goes on with a
//! connection: the relay (STUN), the live link (`GET /events` on HTTP/1.1, [`events`]) or axum
//! ([`http`]). What is read to decide is replayed ([`replay`]). Limits on strangers are here:
//! connections at once ([`crowd`]: also of one place), time to finish a handshake, a head, a write.

pub mod address;
mod crowd;
mod events;
mod first_bytes;
mod http;
mod listeners;
mod plain;
mod replay;
mod stall;
pub mod tls;

pub use address::ClientAddress;
pub use listeners::{FrontDoor, Listeners};

use crate::app::Ctx;
use crowd::Guest;
use first_bytes::Speaks;
use replay::Replay;
use stall::Stall;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection whatever is below it.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for T {}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
}

/// What every connection of the main listener needs.
#[derive(Debug)]
struct Hall {
    app: Ctx,
    http: http::Http,
    tls: Option<tls::Certificates>,
    crowd: crowd::Crowd,
}

/// Counts one open connection until it is dropped.
#[derive(Debug)]
struct Counted(Ctx);

impl Counted {
    /// `None` when there are too many.
    fn take(app: &Ctx) -> Option<Self> {
        let open = app.metrics.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Self(Arc::clone(app));
        usize::try_from(open).is_ok_and(|open| open < app.config.limits.connections).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection of the main listener, from its first byte.
async fn receive(hall: Arc<Hall>, stream: TcpStream, ends: Ends, counted: Counted) {
    // Beyond the limit a connection is closed at once: what it may cost is a look at a map.
    let Some(guest) = hall.crowd.enter(ends.peer.ip()) else {
        hall.app.metrics.crowded.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let Some(tls) = &hall.tls else {
        return serve(hall, stream, ends, counted, guest).await;
    };
    // Boxed and dropped here: the handshake's state is many times that of an idle connection.
    let handshake = Box::pin(timeout(hall.app.config.limits.handshake, tls.accept(stream)));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = hall.app.stopping.cancelled() => return,
    };
    // Failed handshakes are the weather of the internet: counted, not logged.
    match shaken {
        Ok(Ok(stream)) => serve(hall, stream, ends, counted, guest).await,
        _ => {
            hall.app.metrics.failed_handshakes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn serve<W: Wire>(hall: Arc<Hall>, mut stream: W, ends: Ends, counted: Counted, guest: Guest) {
    let limits = &hall.app.config.limits;
    let deciding = first_bytes::read(&mut stream, limits.head_bytes);
    let decided = tokio::select! {
        decided = timeout(limits.head, Box::pin(deciding)) => decided,
        () = hall.app.stopping.cancelled() => return,
    };
    let Ok(Ok((speaks, read))) = decided else { return };
    match speaks {
        Speaks::Stun => {
            let Some(relay) = &hall.app.relay else { return };
            relay.serve_stream(Replay::new(read, stream), ends.peer, ends.local).await;
        }
        Speaks::Events => {
            if let Some(device) = events::open(&hall.app, &read, ends).await {
                drop(guest);
                // A task of its own: this one's frame is large, and would stay as long as the device. The
                // stream is boxed because each function it is handed to would keep room for it.
                let stream = Box::new(stream);
                hall.app.tasks.spawn(async move {
                    crate::link::raw::serve(stream, device).await;
                    drop(counted);
                });
            } else {
                hall.http.serve(Stall::new(Replay::new(read, stream), limits.write_stall), ends).await;
            }
        }
        Speaks::Http => {
            hall.http.serve(Stall::new(Replay::new(read, stream), limits.write_stall), ends).await;
        }
    }
}
