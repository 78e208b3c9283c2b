//! What `rpi-connect doctor` asks: can this device learn its outside address, and get one at a relay?
//! It goes the way that a session goes, without a browser.

use super::SessionSettings;
use super::net::Network;
use bramble_wire::signalling::IceServer;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::CandidateKind;

/// When to look again if nothing is due.
const IDLE: Duration = Duration::from_secs(1);

/// What was reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached {
    /// A STUN server told the outside address.
    pub stun: bool,
    /// A relay gave an address.
    pub turn: bool,
}

/// Tries the servers until both were reached or `patience` is over.
pub async fn probe(
    servers: &[IceServer],
    tls: Option<Arc<rustls::ClientConfig>>,
    patience: Duration,
) -> io::Result<Reached> {
    let settings = SessionSettings { turn_tls: tls, ..SessionSettings::new(None) };
    let mut network = Network::open(&settings, servers)?;
    let end = Instant::now() + patience;
    let mut reached = Reached::default();
    while Instant::now() < end && !(reached.stun && reached.turn) {
        let due = network.deadline().unwrap_or_else(|| Instant::now() + IDLE).min(end);
        tokio::select! {
            ready = poll_fn(|cx| network.poll_ready(cx, true)) => {
                network.handle(ready, Instant::now(), |_, _, _| {});
            }
            () = tokio::time::sleep_until(due.into()) => {}
        }
        network.tick(Instant::now());
        network.flush(Instant::now());
        reached.stun |= network.knows_outside();
        while let Some(candidate) = network.next_candidate() {
            reached.turn |= candidate.kind() == CandidateKind::Relayed;
        }
    }
    network.close(Instant::now());
    network.flush(Instant::now());
    Ok(reached)
}
