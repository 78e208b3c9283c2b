//! From the first byte to the outcome or the restart.

use super::{Accepted, Engine, Kept, Point, PowerCut};
use crate::update::{
    artefact::{
        Failure, Workspace, receive,
        script::{self, Ended, Tail},
    },
    download::{self, Ssh},
    record::{OWN_FOLDER, Outcome, Phase, Record},
    slot_images::SlotImages,
};
use bramble_model::artefact::without_secrets;
use std::{
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Where updates unpack, below [`OWN_FOLDER`].
const WORK: &str = "work";
/// Settings of `ssh` for `sftp:` addresses, below the root.
const SSH_CONFIG: &str = "etc/rpi-connect/ssh_config";
const OUTPUT: &str = "ota_output";

/// Why it does not go on.
enum Stop {
    Cut(PowerCut),
    Failed(String),
}

impl From<PowerCut> for Stop {
    fn from(cut: PowerCut) -> Self {
        Self::Cut(cut)
    }
}

impl From<Kept> for Stop {
    fn from(why: Kept) -> Self {
        match why {
            Kept::Cut(cut) => Self::Cut(cut),
            Kept::Device(error) => Self::Failed(format!("The device could not keep its state: {error}")),
        }
    }
}

/// What was done.
struct Done {
    /// The other slot was written.
    target: Option<u32>,
    /// A script asked for a restart.
    restart: bool,
}

impl Engine {
    /// Applies what was accepted, to its outcome or to the restart into the other slot.
    pub async fn work(&self, accepted: Accepted) -> Result<(), PowerCut> {
        let id = accepted.order.deployment;
        let uri = without_secrets(&accepted.order.uri);
        tracing::info!(deployment.id = %id, uri, "applying an update");
        let result = self.perform(accepted).await;
        let mut inner = self.lock();
        let ended = match result {
            Err(Stop::Cut(cut)) => Err(Kept::Cut(cut)),
            Err(Stop::Failed(why)) => self.finish(&mut inner, Outcome::Failed(why)),
            Ok(Done { target: Some(target), .. }) => {
                let next = Record { phase: Phase::Ready, target: Some(target), ..inner.record.clone() };
                match self.keep(&mut inner, next) {
                    Err(Kept::Device(error)) => {
                        let why = format!("The device could not keep its state: {error}");
                        self.finish(&mut inner, Outcome::Failed(why))
                    }
                    kept => kept,
                }
            }
            Ok(Done { target: None, restart }) => {
                // In the same write as the outcome: a restart that was asked for is not forgotten.
                inner.record.restart = restart;
                inner.record.boot = self.slots.boot_id();
                self.finish(&mut inner, Outcome::Succeeded)
            }
        };
        inner.running = false;
        match ended {
            Err(Kept::Cut(cut)) => Err(cut),
            Ok(()) | Err(Kept::Device(_)) => Ok(()),
        }
    }

    async fn perform(&self, accepted: Accepted) -> Result<Done, Stop> {
        let parent = self.work_folder().map_err(|error| device("its work folder", error))?;
        let workspace = Workspace::new(&parent).map_err(|error| device("its work folder", error))?;
        let images = SlotImages::new(self.slots.clone());
        let progress = Arc::clone(&self.lock().progress);
        let source = download::start(accepted.origin, Arc::clone(&self.options.random.0), progress);
        let (checksum, limits, mut slot) = (accepted.checksum, self.options.limits, images.clone());
        let received =
            tokio::task::spawn_blocking(move || receive(source, checksum, workspace, &mut slot, &limits));
        let received = received.await.map_err(|error| Stop::Failed(error.to_string()))?;
        let received = received.map_err(|failure| Stop::Failed(reason(&failure)))?;
        self.options.steps.at(Point::Received)?;

        let mut target = None;
        if !received.images.is_empty() {
            target = Some(self.slots.target().map_err(|error| Stop::Failed(error.to_string()))?);
            let compared = tokio::task::spawn_blocking(move || images.compare());
            let bytes = compared
                .await
                .map_err(|error| Stop::Failed(error.to_string()))?
                .map_err(|error| device("the other slot", error))?;
            tracing::info!(bytes, "the other slot was read back");
            self.options.steps.at(Point::ReadBack)?;
        }
        let restart = if received.scripts.is_empty() {
            false
        } else {
            {
                let mut inner = self.lock();
                let next =
                    Record { phase: Phase::Scripts, boot: self.slots.boot_id(), ..inner.record.clone() };
                self.keep(&mut inner, next)?;
            }
            self.scripts(&received.scripts, received.workspace.path()).await?
        };
        Ok(Done { target, restart })
    }

    async fn scripts(&self, scripts: &[PathBuf], folder: &std::path::Path) -> Result<bool, Stop> {
        let limit = self.settings().script_limit;
        let mut journal = Journal { tail: Arc::clone(&self.tail), echo: self.options.journal };
        let mut tail = Tail::default();
        let mut restart = false;
        for script in scripts {
            let ended = script::run(script, folder, limit, &mut journal, &mut tail).await;
            restart |= ended.map_err(|failure| Stop::Failed(failure.to_string()))? == Ended::SucceededReboot;
            self.options.steps.at(Point::ScriptEnded)?;
        }
        Ok(restart)
    }

    /// The folder in which updates unpack: on the disk, not in memory, and nobody else's.
    fn work_folder(&self) -> io::Result<PathBuf> {
        let folder = self.options.root.join(OWN_FOLDER).join(WORK);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        Workspace::sweep(&folder)?;
        Ok(folder)
    }

    /// What `sftp:` addresses are fetched with.
    pub(super) fn ssh(&self) -> Ssh {
        let root = &self.options.root;
        Ssh { config: root.join(SSH_CONFIG), scratch: root.join(OWN_FOLDER).join(WORK) }
    }

    /// What killed processes left behind.
    pub(super) fn sweep(&self) {
        if let Err(error) = self.work_folder() {
            tracing::warn!(%error, "the work folder cannot be cleared");
        }
    }

    fn output_path(&self) -> PathBuf {
        self.record_path.with_file_name(OUTPUT)
    }

    /// The output survives a restart, but nothing depends on it.
    pub(super) fn store_output(&self) {
        let text = self.tail.lock().unwrap_or_else(PoisonError::into_inner).text();
        let path = self.output_path();
        let stored = if text.is_empty() {
            crate::update::files::remove(&path)
        } else {
            crate::update::files::replace(&path, text.as_bytes(), 0o600)
        };
        if let Err(error) = stored {
            tracing::warn!(%error, "the scripts' output could not be kept");
        }
    }

    pub(super) fn load_output(&self) {
        let most = 4 * script::KEPT as u64;
        if let Ok(Some((text, _))) = crate::update::files::read_small(&self.output_path(), most) {
            self.tail.lock().unwrap_or_else(PoisonError::into_inner).push(text.as_bytes());
        }
    }
}

/// Takes what scripts say: to standard error, which the journal reads, and to the deployment.
struct Journal {
    tail: Arc<Mutex<Tail>>,
    echo: bool,
}

impl Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        if self.echo {
            // A journal that went away must not fail an update.
            let _ = io::stderr().write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn device(what: &str, error: io::Error) -> Stop {
    Stop::Failed(Failure::writing(what, error).to_string())
}

/// In the words that reach the dashboard.
fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Source(error) if error.to_string().starts_with("Download ") => error.to_string(),
        failure => failure.to_string(),
    }
}
