//! Applies one update at a time, and always knows what became of it.
//!
//! Each step is in the [`Record`] before it is made, so that whoever comes after a power cut knows what
//! may have happened: [`Engine::recover`] reads it at the start of the service.
//!
//! What it is not: it hears nobody. Whether a caller may give orders is `service`'s to ask.

mod recover;
mod work;

use super::{
    artefact::{Checksum, Limits, script::Tail},
    download::{Origin, Patience, Progress},
    record::{Outcome, Phase, Record},
    settings::Settings,
    slots::{Power, Slots, SystemPower},
    trust::{Order, Trust, TrustError},
};
use bramble_model::{OsRandom, SharedRandom};
use bramble_wire::DeploymentId;
use std::{
    fmt::Debug,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How often one deployment is begun before it counts as failed: one that makes the device restart must
/// not do so for ever.
pub const MAX_ATTEMPTS: u32 = 5;
/// How much older than the newest order one may be: servers of one installation have clocks of their own.
const MAX_AGE: i64 = 300;

/// The process ends here, as far as a test is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the power was cut")]
pub struct PowerCut;

/// Where a power cut would leave something else behind than a moment before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// This phase is about to be made durable.
    Before(Phase),
    /// It is.
    After(Phase),
    /// Everything was fetched, verified, and written to the other slot.
    Received,
    /// The other slot was compared.
    ReadBack,
    /// A script ended.
    ScriptEnded,
    /// The firmware is about to be asked for a restart.
    BeforeRestart,
    /// It was asked.
    AfterRestart,
    /// The other slot is the default.
    Committed,
}

impl Point {
    /// Every one there is: of the phases all that are ever made durable.
    pub fn all() -> Vec<Self> {
        let durable = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Idle);
        let others = [
            Self::Received,
            Self::ReadBack,
            Self::ScriptEnded,
            Self::BeforeRestart,
            Self::AfterRestart,
            Self::Committed,
        ];
        durable.flat_map(|phase| [Self::Before(phase), Self::After(phase)]).chain(others).collect()
    }
}

/// Is told of every point.
pub trait Steps: Send + Sync + Debug {
    fn at(&self, point: Point) -> Result<(), PowerCut>;
}

/// Nothing happens at any of them.
#[derive(Debug)]
pub struct Steady;

impl Steps for Steady {
    fn at(&self, _point: Point) -> Result<(), PowerCut> {
        Ok(())
    }
}

/// What an engine works with.
#[derive(Debug)]
pub struct Options {
    /// Everything it touches is below.
    pub root: PathBuf,
    pub limits: Limits,
    pub patience: Patience,
    pub random: Chance,
    pub power: Arc<dyn Power>,
    pub steps: Arc<dyn Steps>,
    /// Scripts' output goes to standard error as well, where the journal reads it.
    pub journal: bool,
}

/// Chance that can be shown.
#[derive(Clone)]
pub struct Chance(pub SharedRandom);

impl Debug for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

impl Options {
    /// The usual ones, for the device below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            limits: Limits::default(),
            patience: Patience::default(),
            random: Chance(Arc::new(OsRandom)),
            power: Arc::new(SystemPower),
            steps: Arc::new(Steady),
            journal: true,
        }
    }
}

/// Why an order is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the order is not signed by this device's server for this device")]
    Signature,
    #[error("this deployment is over already")]
    Finished,
    #[error("the order is older than the newest one that this device took")]
    Stale,
    #[error("another update is being applied")]
    Busy,
    #[error("waiting for commit")]
    WaitingForCommit,
    #[error("{0}")]
    Order(String),
    #[error("nothing waits for this")]
    NothingToDo,
    #[error("the device could not do it: {0}")]
    Device(io::Error),
    #[error(transparent)]
    Cut(#[from] PowerCut),
}

/// An order that was verified and taken.
#[derive(Debug)]
pub struct Accepted {
    order: Order,
    checksum: Checksum,
    origin: Origin,
}

/// How things stand, as the bus says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub phase: Phase,
    /// Something works on it in this process.
    pub running: bool,
    pub deployment: Option<DeploymentId>,
    pub percent: Option<u8>,
    pub outcome: Option<Outcome>,
    pub output: String,
    pub auto_commit: bool,
}

/// The device's updates.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    slots: Slots,
    record_path: PathBuf,
    inner: Mutex<Inner>,
    /// Of all scripts of the update that runs or ran last.
    tail: Arc<Mutex<Tail>>,
}

#[derive(Debug)]
struct Inner {
    record: Record,
    running: bool,
    progress: Arc<Progress>,
}

impl Engine {
    /// Reads what is remembered. Call [`Engine::recover`] before anything else.
    pub fn open(options: Options) -> io::Result<Self> {
        let record_path = Record::path(&options.root);
        let record = Record::load(&record_path)?;
        let inner = Mutex::new(Inner { record, running: false, progress: Arc::default() });
        let slots = Slots::below(&options.root);
        let engine = Self { options, slots, record_path, inner, tail: Arc::default() };
        engine.load_output();
        Ok(engine)
    }

    /// The owner's decisions, read anew each time.
    pub fn settings(&self) -> Settings {
        Settings::load(&self.options.root)
    }

    /// How things stand.
    pub fn standing(&self) -> Standing {
        let inner = self.lock();
        Standing {
            phase: inner.record.phase,
            running: inner.running,
            deployment: inner.record.deployment,
            percent: (inner.record.phase == Phase::Downloading).then(|| inner.progress.percent()).flatten(),
            outcome: inner.record.outcome.clone().filter(|_| inner.record.phase == Phase::Finished),
            output: self.tail.lock().unwrap_or_else(PoisonError::into_inner).text(),
            auto_commit: self.settings().auto_commit,
        }
    }

    /// Verifies an order and takes it. What comes back must be given to [`Engine::work`].
    pub fn accept(&self, trust: &Trust, order: Order, signature: &str) -> Result<Accepted, Refusal> {
        if !trust.has_signed(&order, signature) {
            return Err(Refusal::Signature);
        }
        let mut inner = self.lock();
        let record = &inner.record;
        if record.finished.contains(&order.deployment) {
            return Err(Refusal::Finished);
        }
        if inner.running {
            return Err(Refusal::Busy);
        }
        match record.phase {
            Phase::Idle | Phase::Downloading | Phase::Finished => {}
            Phase::Scripts => return Err(Refusal::Busy),
            Phase::Ready | Phase::Trying | Phase::Committing | Phase::RollingBack => {
                return Err(Refusal::WaitingForCommit);
            }
        }
        if record.restart {
            return Err(Refusal::Busy);
        }
        if order.timestamp < record.newest.saturating_sub(MAX_AGE) {
            return Err(Refusal::Stale);
        }
        let checksum = order
            .checksum
            .parse()
            .map_err(|error| Refusal::Order(format!("update file rejected: {error}")))?;
        let origin = Origin::new(&order.uri, trust, order.timestamp, self.options.patience, self.ssh())
            .map_err(|error| Refusal::Order(error.to_string()))?;
        let again = record.deployment == Some(order.deployment) && record.phase == Phase::Downloading;
        let next = Record {
            phase: Phase::Downloading,
            deployment: Some(order.deployment),
            timestamp: order.timestamp,
            attempts: if again { record.attempts + 1 } else { 1 },
            target: None,
            boot: self.slots.boot_id(),
            outcome: None,
            restart: false,
            newest: record.newest.max(order.timestamp),
            finished: record.finished.clone(),
        };
        *self.tail.lock().unwrap_or_else(PoisonError::into_inner) = Tail::default();
        if next.attempts > MAX_ATTEMPTS {
            let reason = format!("The device stopped {MAX_ATTEMPTS} times while it applied this update");
            self.finish(&mut inner, Outcome::Failed(reason)).map_err(kept)?;
            return Err(Refusal::Finished);
        }
        self.keep(&mut inner, next).map_err(kept)?;
        inner.running = true;
        inner.progress = Arc::default();
        Ok(Accepted { order, checksum, origin })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a step durable; only then it counts.
    fn keep(&self, inner: &mut Inner, next: Record) -> Result<(), Kept> {
        let phase = next.phase;
        self.options.steps.at(Point::Before(phase))?;
        next.store(&self.record_path).map_err(Kept::Device)?;
        inner.record = next;
        self.options.steps.at(Point::After(phase))?;
        Ok(())
    }

    /// It is over. If that cannot be kept, it still is, until the next start.
    fn finish(&self, inner: &mut Inner, outcome: Outcome) -> Result<(), Kept> {
        let mut next = inner.record.clone();
        next.finish(outcome);
        if let (Some(id), Some(outcome)) = (next.deployment, &next.outcome) {
            match outcome {
                Outcome::Succeeded => tracing::info!(deployment.id = %id, "the update succeeded"),
                Outcome::Failed(why) => tracing::warn!(deployment.id = %id, "the update failed: {why}"),
            }
        }
        self.store_output();
        match self.keep(inner, next.clone()) {
            Err(Kept::Device(error)) => {
                tracing::error!(%error, "the end of the update could not be kept");
                inner.record = next;
                Ok(())
            }
            kept => kept,
        }
    }
}

/// Why a step was not made durable.
#[derive(Debug)]
enum Kept {
    Cut(PowerCut),
    Device(io::Error),
}

impl From<PowerCut> for Kept {
    fn from(cut: PowerCut) -> Self {
        Self::Cut(cut)
    }
}

fn kept(why: Kept) -> Refusal {
    match why {
        Kept::Cut(cut) => Refusal::Cut(cut),
        Kept::Device(error) => Refusal::Device(error),
    }
}
