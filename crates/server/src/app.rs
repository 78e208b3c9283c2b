//! The running server: what every operation needs, built once.

use crate::config::Config;
use crate::link::Link;
use crate::live::Live;
use bramble_model::seal::MasterKey;
use bramble_model::{SharedClock, SharedRandom};
use bramble_store::Store;
use std::sync::Arc;

/// What operations work with. Handed to every handler as axum state: `State(app): State<Ctx>`.
#[derive(Debug)]
pub struct App {
    /// The validated configuration.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// Chance.
    pub random: SharedRandom,
    /// Opens what is sealed in the store.
    pub master_key: MasterKey,
    /// The device streams of this node.
    pub link: Link,
    /// The open dashboards of this node.
    pub live: Live,
    /// Offers, answers and candidates on their way.
    pub signalling: crate::sessions::Signalling,
    /// Slows down guessing.
    pub throttle: crate::auth::Throttle,
    /// Hashes and checks passwords, a few at a time.
    pub passwords: crate::auth::Passwords,
    /// Wakes the delivery of mail.
    pub outbox: crate::mail::Outbox,
}

/// The shared state of every handler.
pub type Ctx = Arc<App>;
