//! STUN and TURN, embedded: how a browser and a device reach each other when no direct path exists.
//!
//! What it is: a server for STUN (RFC 8489) and TURN (RFC 8656) over UDP, TCP and TLS, for clients that hold a
//! time-limited [credential](credentials) of a session. It relays UDP only, to the other side's relayed address, to the
//! public internet, and to what the operator allows; never to the server's own or a private network. It sees ciphertext.
//!
//! What it is not: it knows no user, device or session beyond the id in a username, keeps nothing on disk, and imports
//! no other room of Bramble. An external coturn with the same secret can take its place.
//!
//! The parts, from the wire inwards: [`stun`] (formats, pure), `requests` (questions and answers), `forward` (the data
//! path), `allocation` and `table` (state), [`address`] (whom a peer may be), `quota` and `throttle` (how much),
//! `udp` and `stream` (sockets).
//!
//! To add a request: a method in [`stun::method`], a handler beside the others in `requests`, and a test in
//! `tests/it` that talks to a running relay.

pub mod address;
mod allocation;
mod client_path;
mod config;
pub mod credentials;
mod delayed;
mod forward;
pub mod nonce;
mod quota;
mod relay;
mod requests;
mod shared;
mod stream;
pub mod stun;
mod table;
mod throttle;
mod udp;

use std::sync::Arc;

pub use config::{Config, Limits, LocalAddresses, StartError, Stats};
pub use relay::Relay;

/// Unix seconds. Only expiry and nonces look at it; lifetimes run on monotonic time.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
