//! The running server: what every operation needs, built once, served, stopped.
//!
//! `App::build` opens everything and listens nowhere, [`Server::start`] serves on listeners that are
//! bound already, [`Server::shutdown`] stops. `main` does no more than that; the tests do the same.

use crate::config::Config;
use crate::countries::Countries;
use crate::front_door::{FrontDoor, Listeners};
use crate::jobs;
use crate::lifecycle::spawn_essential;
use crate::link::{self, Link};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::relaying::Relaying;
use crate::start::{self, DataLock, StartError};
use bramble_model::seal::MasterKey;
use bramble_model::{SharedClock, SharedRandom};
use bramble_relay::credentials::Side;
use bramble_store::Store;
use bramble_wire::SessionId;
use bramble_wire::signalling::IceServer;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long running requests may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(6);

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
    /// Which country an address is in.
    pub countries: Countries,
    /// The device streams of this node.
    pub link: Link,
    /// The open dashboards of this node.
    pub live: Live,
    /// Offers, answers and candidates on their way.
    pub signalling: crate::sessions::Signalling,
    /// Which codes were polled when.
    pub linking: crate::linking::Linking,
    /// Slows down guessing.
    pub throttle: crate::auth::Throttle,
    /// Counts the requests of programs.
    pub api_limit: crate::management::RateLimit,
    /// What OpenID Connect providers said of themselves.
    pub providers: crate::accounts::providers::Providers,
    /// Hashes and checks passwords, a few at a time.
    pub passwords: crate::auth::Passwords,
    /// Wakes the delivery of mail.
    pub outbox: crate::mail::Outbox,
    /// STUN and TURN; `None` when it is off.
    pub relay: Option<Relaying>,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// Cancelled when the server stops: long answers end themselves.
    pub stopping: CancellationToken,
    /// Cancelled when an essential part ended: the process stops with a failing exit code.
    pub crashed: CancellationToken,
    /// Work that goes on after its request was answered; waited for at the stop.
    pub tasks: TaskTracker,
    /// No other process works on the data folder.
    _lock: DataLock,
}

/// The shared state of every handler.
pub type Ctx = Arc<App>;

impl App {
    /// Opens the data folder and everything in it. Only the relay listens already.
    pub async fn build(config: Config, clock: SharedClock, random: SharedRandom) -> Result<Ctx, StartError> {
        let lock = DataLock::take(&config.data)?;
        let (store, master_key) = start::open(&config, &*random).await?;
        let relay = match &config.relay {
            Some(relay) => {
                let clock = Arc::clone(&clock);
                Some(Relaying::start(&config, relay, &store, &master_key, clock, &*random).await?)
            }
            None => None,
        };
        let countries = Countries::of(config.country_database.as_deref());
        let live = Live::default();
        let link = Link::new(config.ping_interval, config.online_grace, live.clone());
        Ok(Arc::new(Self {
            config,
            store,
            clock,
            random,
            master_key,
            countries,
            link,
            live,
            signalling: crate::sessions::Signalling::default(),
            linking: crate::linking::Linking::default(),
            throttle: crate::auth::Throttle::default(),
            api_limit: crate::management::RateLimit::default(),
            providers: crate::accounts::providers::Providers::default(),
            passwords: crate::auth::Passwords::default(),
            outbox: crate::mail::Outbox::default(),
            relay,
            metrics: Metrics::default(),
            stopping: CancellationToken::new(),
            crashed: CancellationToken::new(),
            tasks: TaskTracker::new(),
            _lock: lock,
        }))
    }
}

impl App {
    /// The STUN and TURN servers of one side of a session, with credentials of its own.
    pub fn relay_ice_servers(&self, session: SessionId, side: Side) -> Vec<IceServer> {
        self.relay.as_ref().map(|relay| relay.ice_servers(session, side)).unwrap_or_default()
    }

    /// Ends what the relay carries for a session.
    pub fn relay_end_session(&self, session: SessionId) {
        if let Some(relay) = &self.relay {
            relay.end_session(session);
        }
    }
}

/// A server that takes connections.
#[derive(Debug)]
pub struct Server {
    /// What it serves.
    pub app: Ctx,
    /// Where it listens.
    pub front_door: FrontDoor,
}

impl Server {
    /// Binds what the configuration says and serves.
    pub async fn listen(app: Ctx) -> Result<Self, StartError> {
        let listeners = Listeners::bind(&app.config).await?;
        Self::start(app, listeners)
    }

    /// Serves on bound listeners, and does the work that goes on between requests.
    pub fn start(app: Ctx, listeners: Listeners) -> Result<Self, StartError> {
        crate::mail::start(&app)?;
        let front_door = FrontDoor::open(Arc::clone(&app), listeners)?;
        spawn_essential(&app, "live link", link::keep::run(Arc::clone(&app)));
        spawn_essential(&app, "sessions", crate::sessions::run(Arc::clone(&app)));
        jobs::start(&app, jobs::all());
        Ok(Self { app, front_door })
    }

    /// Stops: takes no more connections, ends device and browser streams, lets running requests
    /// finish, closes the database.
    pub async fn shutdown(self) {
        self.app.stopping.cancel();
        self.app.link.close_all();
        self.app.tasks.close();
        let drained = async {
            if let Some(relay) = &self.app.relay {
                relay.shutdown().await;
            }
            self.front_door.closed().await;
            self.app.tasks.wait().await;
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("some requests did not finish in time and were cut off");
        }
        if let Err(error) = self.app.store.clone().close().await {
            tracing::error!(%error, "the database did not close cleanly");
        }
    }
}
