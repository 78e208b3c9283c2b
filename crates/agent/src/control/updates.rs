//! Remote updates as the daemon sees them: it asks the server what waits, passes orders on to the updater,
//! and reports what became of them.
//!
//! What it is not: it applies nothing and decides nothing. The updater is another program, root's, and
//! believes the server's signature alone. What this keeps is one small file, so that after its own death
//! it knows what it had begun.

use super::{
    api::CallError,
    shared::{Credential, LinkState, Shared},
};
use crate::{
    http::backoff::Backoff,
    state::FolderError,
    update::bus::{self, Status, UpdaterProxy},
};
use bramble_wire::{
    DeploymentId,
    deployments::{Completed, Failed, MAX_OUTPUT, Progress, Started},
    device_api::Capability,
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use zbus::Connection;

/// How often a running update is looked at. Asking again finds out as well that the updater died.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How often one is looked at that waits for a restart or for somebody's decision.
const LOOK_FOR_DECISION: Duration = Duration::from_secs(2);
/// The least time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// For one call on the bus; the updater may have to be started.
const BUS_TIME: Duration = Duration::from_secs(30);
const MAX_REASON: usize = 255;
/// Output in a report, as JSON; the server takes bodies of 160 KiB.
const MAX_REPORT: usize = 128 * 1024;

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the updater: {0}")]
    Bus(#[from] zbus::Error),
    #[error("the updater: {0}")]
    Updater(bus::Error),
    #[error("the updater did not answer in time")]
    Slow,
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("the sign-in changed")]
    SignedOut,
}

impl From<bus::Error> for Trouble {
    fn from(error: bus::Error) -> Self {
        Self::Updater(error)
    }
}

/// Runs until the daemon ends: after each connection, and when the server says that something waits.
pub async fn run(shared: Arc<Shared>) {
    let mut link = shared.link.subscribe();
    let timing = shared.timing;
    loop {
        if *link.borrow_and_update() != LinkState::Subscribed {
            if link.changed().await.is_err() {
                return;
            }
            continue;
        }
        let mut backoff = Backoff::new(Arc::clone(&shared.random), timing.first_wait, timing.longest_wait);
        let rounds = async {
            while shared.ota() == Capability::Enabled {
                match round(&shared).await {
                    Ok(()) => break,
                    Err(why) => {
                        let wait = backoff.next(None);
                        tracing::info!(wait.seconds = wait.as_secs_f32(), "remote updates: {why}");
                        sleep(wait).await;
                    }
                }
            }
            shared.deploy.notified().await;
        };
        tokio::select! {
            () = rounds => {}
            changed = link.changed() => if changed.is_err() { return },
        }
    }
}

/// Everything that there is to do at this moment.
async fn round(shared: &Shared) -> Result<(), Trouble> {
    let credential = shared.credential.borrow().clone().ok_or(Trouble::SignedOut)?;
    let connection = within(async { Ok(Connection::system().await?) }).await?;
    let updater = UpdaterProxy::new(&connection).await?;
    let work = Work { shared, credential: &credential, updater };
    let mut waits = false;
    loop {
        let status = work.until_quiet().await?;
        match status.state.as_str() {
            "finished" => work.settle(&status).await?,
            // The server was reached from the tried system: it is good.
            "waiting-for-commit" if status.auto_commit => match within(work.commit()).await {
                Ok(()) => continue,
                // It is about to restart into it.
                Err(Trouble::Updater(bus::Error::Invalid(_))) => {}
                Err(other) => return Err(other),
            },
            _ => {}
        }
        if matches!(
            status.state.as_str(),
            "waiting-for-commit" | "waiting-for-restart" | "committing" | "rolling-back"
        ) {
            if !waits {
                tracing::info!(
                    deployment.id = status.deployment,
                    "an update waits for the device's restart or for a decision on it"
                );
                waits = true;
            }
            // Nobody says so when it was made.
            sleep(LOOK_FOR_DECISION).await;
            if shared.ota() != Capability::Enabled {
                return Ok(());
            }
            continue;
        }
        let Some(id) = work.next(&status).await? else { return Ok(()) };
        if !work.begin(id).await? {
            return Ok(());
        }
    }
}

async fn within<T>(call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(BUS_TIME, call).await.unwrap_or(Err(Trouble::Slow))
}

struct Work<'a> {
    shared: &'a Shared,
    credential: &'a Arc<Credential>,
    updater: UpdaterProxy<'a>,
}

impl Work<'_> {
    async fn status(&self) -> Result<Status, Trouble> {
        within(async { Ok(self.updater.get_status().await?) }).await
    }

    async fn output(&self) -> Option<String> {
        let text = within(async { Ok(self.updater.get_output().await?) }).await.ok()?;
        (!text.is_empty()).then(|| reportable(&text))
    }

    async fn commit(&self) -> Result<(), Trouble> {
        Ok(self.updater.commit().await?)
    }

    /// Waits until the updater does nothing, and tells the server how far it is.
    async fn until_quiet(&self) -> Result<Status, Trouble> {
        let (mut told, mut since) = (Progress::default(), None::<Instant>);
        loop {
            let status = self.status().await?;
            if !status.running {
                return Ok(status);
            }
            if since.is_none_or(|since| since.elapsed() >= REPORT_EVERY) {
                let scripts = status.state == "running-scripts";
                let now = Progress {
                    percent: u8::try_from(status.percent).ok().or(scripts.then_some(100)),
                    output: if scripts { self.output().await } else { None },
                };
                if now != told
                    && now != Progress::default()
                    && let Ok(id) = status.deployment.parse()
                {
                    // Nothing depends on it.
                    let _ = self.credential.api.progress(id, &now).await;
                    told = now;
                }
                since = Some(Instant::now());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Tells the server how it ended, once.
    async fn settle(&self, status: &Status) -> Result<(), Trouble> {
        let Ok(id) = status.deployment.parse::<DeploymentId>() else { return Ok(()) };
        if self.shared.folder.deployments()?.reported == Some(id) {
            return Ok(());
        }
        let output = self.output().await;
        if status.outcome == "succeeded" {
            self.succeeded(id, output).await
        } else {
            self.failed(id, &status.reason, output).await
        }
    }

    async fn succeeded(&self, id: DeploymentId, output: Option<String>) -> Result<(), Trouble> {
        let report = Completed { output };
        refusal_is_final(self.credential.api.completed(id, &report).await)?;
        self.reported(id)
    }

    async fn failed(&self, id: DeploymentId, why: &str, output: Option<String>) -> Result<(), Trouble> {
        let reason = Some(bramble_model::text::clip(why, MAX_REASON));
        refusal_is_final(self.credential.api.failed(id, &Failed { reason, output }).await)?;
        self.reported(id)
    }

    fn reported(&self, id: DeploymentId) -> Result<(), Trouble> {
        let mut kept = self.shared.folder.deployments()?;
        kept.reported = Some(id);
        kept.begun = kept.begun.filter(|begun| *begun != id);
        Ok(self.shared.folder.store_deployments(&kept)?)
    }

    /// What to begin: what was begun and has no end yet, else what waits on the server.
    async fn next(&self, status: &Status) -> Result<Option<DeploymentId>, Trouble> {
        let kept = self.shared.folder.deployments()?;
        let interrupted = status.deployment.parse().ok().filter(|_| status.state == "downloading");
        if let Some(begun) = kept.begun.or(interrupted).filter(|id| kept.dropped != Some(*id)) {
            return Ok(Some(begun));
        }
        let pending = match self.credential.api.pending().await {
            // A server without deployments.
            Err(CallError::Refused { .. }) => None,
            other => other?,
        };
        let first = pending.and_then(|pending| pending.deployments.first().map(|first| first.id));
        Ok(first.filter(|id| kept.dropped != Some(*id)))
    }

    /// Starts it on the server and passes the order on. False if it has to wait.
    async fn begin(&self, id: DeploymentId) -> Result<bool, Trouble> {
        let mut kept = self.shared.folder.deployments()?;
        if kept.begun != Some(id) {
            kept.begun = Some(id);
            self.shared.folder.store_deployments(&kept)?;
        }
        let Some(started) = self.start(id).await? else { return Ok(true) };
        let mut applied = self.apply(id, &started).await;
        if let Err(Trouble::Updater(bus::Error::NotTrusted(_))) = applied
            && self.follow_keys().await?
            && let Some(again) = self.start(id).await?
        {
            applied = self.apply(id, &again).await;
        }
        match applied {
            Ok(()) => Ok(true),
            Err(Trouble::Updater(bus::Error::Busy(_) | bus::Error::WaitingForCommit(_))) => Ok(false),
            Err(Trouble::Updater(bus::Error::Finished(_))) => {
                let status = self.status().await?;
                if status.deployment == id.to_string() {
                    self.settle(&status).await?;
                } else {
                    self.failed(id, "This device applied this deployment before", None).await?;
                }
                Ok(true)
            }
            Err(Trouble::Updater(
                bus::Error::AccessDenied(why) | bus::Error::NotTrusted(why) | bus::Error::Invalid(why),
            )) => {
                self.failed(id, &why, None).await?;
                Ok(true)
            }
            Err(other) => Err(other),
        }
    }

    /// `None` if the server wants it no more.
    async fn start(&self, id: DeploymentId) -> Result<Option<Started>, Trouble> {
        match self.credential.api.start(id).await {
            Ok(started) => Ok(Some(started)),
            Err(CallError::Refused {
                status: StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY,
                ..
            }) => {
                tracing::info!(deployment.id = %id, "the server wants this deployment no more");
                let mut kept = self.shared.folder.deployments()?;
                kept.begun = None;
                // Even if the updater was interrupted in it.
                kept.dropped = Some(id);
                self.shared.folder.store_deployments(&kept)?;
                Ok(None)
            }
            Err(other) => Err(other.into()),
        }
    }

    async fn apply(&self, id: DeploymentId, started: &Started) -> Result<(), Trouble> {
        let artefact = &started.artefact;
        let id = id.to_string();
        within(async {
            self.updater
                .apply(&id, &artefact.uri, &artefact.checksum, started.timestamp, &started.signature)
                .await?;
            Ok(())
        })
        .await
    }

    async fn follow_keys(&self) -> Result<bool, Trouble> {
        let keys = self.credential.api.deployment_keys().await?;
        let text = serde_json::to_string(&keys).unwrap_or_default();
        within(async { Ok(self.updater.follow_keys(&text).await?) }).await
    }
}

/// The end of an output that fits into a report: what a terminal would hide takes six bytes in JSON, and a
/// report that is too large would be refused together with the outcome in it.
fn reportable(text: &str) -> String {
    let mut most = MAX_OUTPUT;
    loop {
        let end = last(text, most);
        if serde_json::to_string(&end).is_ok_and(|json| json.len() <= MAX_REPORT) {
            return end;
        }
        most /= 2;
    }
}

/// The end of a text, at most so many bytes and whole characters.
fn last(text: &str, most: usize) -> String {
    let start = text.len().saturating_sub(most);
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text[start..].to_owned()
}

/// A report that the server refuses would be refused again.
fn refusal_is_final(result: Result<(), CallError>) -> Result<(), Trouble> {
    match result {
        Err(error @ (CallError::Refused { .. } | CallError::Nonsense(_))) => {
            tracing::warn!(%error, "the server does not take a report about an update");
            Ok(())
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_never_makes_a_report_too_large() {
        let escapes = "\u{1}".repeat(MAX_OUTPUT);
        let json = serde_json::to_string(&reportable(&escapes)).expect("serialises");
        assert!(json.len() <= MAX_REPORT && json.len() > MAX_REPORT / 4, "{}", json.len());
        assert_eq!(reportable(&"a".repeat(MAX_OUTPUT + 9)).len(), MAX_OUTPUT);
    }

    #[test]
    fn the_end_of_a_text_is_cut_between_characters() {
        assert_eq!(last("aäb", 2), "b");
        assert_eq!(last("aäb", 3), "äb");
        assert_eq!(last("ab", 9), "ab");
    }
}
