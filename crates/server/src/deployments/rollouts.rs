//! Deployments to every device that a search finds. The preview freezes which devices for ten minutes
//! and says which are left out and why; whoever starts it types the count that it showed. Then a job
//! takes the devices in order, [`BATCH`] in a transaction: killed at any moment it goes on where it
//! stopped, and no device gets two.

use super::{DeploymentError, Manager, may_deploy, record_ended};
use crate::app::{App, Ctx};
use crate::audit::{self, Actor};
use crate::devices;
use crate::live::Change;
use bramble_model::Timestamp;
use bramble_model::audit::{Action, Source};
use bramble_model::deployment::{SUPERSEDED, Word};
use bramble_model::query::Query;
use bramble_store::StoreError;
use bramble_store::deployments::NewDeployment;
use bramble_store::devices::Device;
use bramble_store::rollouts::{Member, Outcome, Rollout, State};
use bramble_wire::device_api::Capability;
use bramble_wire::events::Command;
use bramble_wire::{ArtefactId, DeploymentId, DeviceId, RolloutId};
use std::sync::Arc;
use time::Duration;

/// How long a preview can be started.
pub const PREVIEW: Duration = Duration::minutes(10);
/// Most devices of one rollout.
pub const MAX_DEVICES: u64 = 100_000;
/// Devices of one transaction.
const BATCH: u64 = 500;
/// Devices that are looked at together for a preview.
const LOOK: usize = 1000;
/// Previews that an account may have open: each holds rows for its devices.
const MAX_PREVIEWS: u64 = 20;
/// Rollouts that one look takes up.
const AT_ONCE: u64 = 100;

/// Why a device is left out that is gone when its turn comes.
const GONE: &str = "Deleted or transferred since the preview";

/// Why a rollout was not made or started.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// As for a single deployment.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The search finds none that can be deployed to.
    #[error("no device can be deployed to")]
    NoDevices,
    /// The search finds more than [`MAX_DEVICES`].
    #[error("too many devices")]
    TooMany,
    /// The account has as many previews open as it may.
    #[error("too many previews are open")]
    TooManyPreviews,
    /// The ten minutes are over.
    #[error("the preview has expired")]
    Expired,
    /// Another count was typed than the preview shows.
    #[error("the count does not match")]
    WrongCount,
}

impl From<StoreError> for RolloutError {
    fn from(error: StoreError) -> Self {
        Self::Deployment(error.into())
    }
}

/// Freezes which devices a search finds now.
pub async fn preview(
    app: &App,
    by: &Manager,
    artefact: ArtefactId,
    query: &str,
) -> Result<RolloutId, RolloutError> {
    let (account, now) = (by.account(), app.clock.now());
    // One that is too long finds nothing, and gets no further.
    let members = matching(app, by, query).await?;
    let skipped = members.iter().filter(|it| it.outcome == Outcome::Skipped).count() as u64;
    let total = members.len() as u64 - skipped;
    if total == 0 {
        return Err(RolloutError::NoDevices);
    }
    let tx = app.store.begin().await?;
    may_deploy(app, &tx, by, artefact).await?;
    tx.delete_previews(now).await?;
    if tx.count_previews(account).await? >= MAX_PREVIEWS {
        return Err(RolloutError::TooManyPreviews);
    }
    let new = Rollout {
        id: app.random.id(),
        account,
        artefact,
        query: query.to_owned(),
        state: State::Preview,
        total,
        skipped,
        done: 0,
        created_by: by.actor().id(),
        created_by_name: by.actor().name().to_owned(),
        source: by.actor().source().as_str().to_owned(),
        created_at: now,
        expires_at: now + PREVIEW,
        started_at: None,
        finished_at: None,
    };
    let id = new.id;
    tx.insert_rollout(new, &members).await?;
    tx.commit().await?;
    Ok(id)
}

async fn matching(app: &App, by: &Manager, query: &str) -> Result<Vec<Member>, RolloutError> {
    let query = Query::parse(query);
    let online = devices::online(app, by.account(), &query);
    // Read as a whole, so that none is missed or there twice because another was renamed meanwhile.
    let ids = app.store.matching_devices(by.account(), &query, &online, MAX_DEVICES + 1).await?;
    if ids.len() as u64 > MAX_DEVICES {
        return Err(RolloutError::TooMany);
    }
    let mut members = Vec::with_capacity(ids.len());
    for some in ids.chunks(LOOK) {
        for device in app.store.devices_by_id(by.account(), some).await? {
            members.push(member(device, members.len() as u64));
        }
    }
    Ok(members)
}

fn member(device: Device, position: u64) -> Member {
    let reason = why_not(&device);
    Member {
        position,
        device: device.id,
        name: device.name,
        outcome: if reason.is_some() { Outcome::Skipped } else { Outcome::Waiting },
        reason: reason.map(str::to_owned),
    }
}

/// Why a deployment to this device would not begin, as things stand.
pub fn why_not(device: &Device) -> Option<&'static str> {
    match device.capabilities.ota {
        _ if device.token.is_none() => Some("Signed out"),
        Some(Capability::Enabled) => None,
        Some(Capability::Available) => Some("Remote update is switched off on the device"),
        _ => Some("Remote update is not available on this device"),
    }
}

/// A rollout of the caller's account.
pub async fn find(app: &App, by: &Manager, id: RolloutId) -> Result<Rollout, RolloutError> {
    let found = app.store.rollout_anywhere(id).await?.filter(|it| it.account == by.account());
    Ok(found.ok_or(DeploymentError::NotFound)?)
}

/// Begins what a preview showed. Asked again it changes nothing.
pub async fn start(app: &Ctx, by: &Manager, id: RolloutId, typed: &str) -> Result<(), RolloutError> {
    let (account, now) = (by.account(), app.clock.now());
    let found = find(app, by, id).await?;
    let tx = app.store.begin().await?;
    let artefact = may_deploy(app, &tx, by, found.artefact).await?;
    let rollout = tx.rollout(account, id).await?.ok_or(DeploymentError::NotFound)?;
    if rollout.state != State::Preview {
        return Ok(());
    }
    if rollout.expires_at <= now {
        return Err(RolloutError::Expired);
    }
    if typed.trim().parse() != Ok(rollout.total) {
        return Err(RolloutError::WrongCount);
    }
    if !tx.start_rollout(id, now).await? {
        return Err(RolloutError::Expired);
    }
    let subject = audit::artefact(artefact.id, &artefact.description.name);
    let what = if rollout.query.trim().is_empty() {
        "all devices".to_owned()
    } else {
        format!("search “{}”", bramble_model::text::clean(&rollout.query))
    };
    let details = format!("{} devices, {what}", rollout.total);
    audit::record(app, &tx, account, by.actor(), Action::RolloutStarted, subject, details).await?;
    tx.commit().await?;
    tracing::info!(rollout.id = %id, devices = rollout.total, "rollout started");
    let own = Arc::clone(app);
    app.tasks.spawn(async move {
        if let Err(error) = run(&own, &rollout).await {
            tracing::warn!(%error, rollout.id = %rollout.id, "a rollout stopped and will go on");
        }
    });
    Ok(())
}

/// Goes on with every rollout that is not finished, and forgets previews. Called at the start and every
/// minute.
pub async fn resume(app: &App) -> Result<(), StoreError> {
    let tx = app.store.begin().await?;
    tx.delete_previews(app.clock.now()).await?;
    tx.commit().await?;
    for rollout in app.store.running_rollouts(AT_ONCE).await? {
        run(app, &rollout).await?;
    }
    Ok(())
}

/// Makes the deployments of a rollout, batch by batch. Two that run the same one take turns.
async fn run(app: &App, rollout: &Rollout) -> Result<(), StoreError> {
    let source = Source::parse(&rollout.source).unwrap_or(Source::System);
    let actor = Actor::noted(source, rollout.created_by, &rollout.created_by_name);
    let artefact = app.store.artefact(rollout.account, rollout.artefact).await?;
    let name = artefact.map(|artefact| artefact.description.name).unwrap_or_default();
    while !app.stopping.is_cancelled() {
        if !batch(app, rollout, &actor, &name).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// One transaction. `false` when nothing was left to do.
async fn batch(app: &App, rollout: &Rollout, actor: &Actor, artefact: &str) -> Result<bool, StoreError> {
    let (account, now) = (rollout.account, app.clock.now());
    let tx = app.store.begin().await?;
    if !tx.lock_account(account).await? {
        return Ok(false);
    }
    let members = tx.next_rollout_members(rollout.id, BATCH).await?;
    if members.is_empty() {
        let finished = tx.finish_rollout(rollout.id, now).await?;
        tx.commit().await?;
        if finished {
            app.live.tell(Change { account, device: None });
            tracing::info!(rollout.id = %rollout.id, "rollout finished");
        }
        return Ok(false);
    }
    let ids: Vec<DeviceId> = members.iter().map(|member| member.device).collect();
    let names = tx.device_names(account, &ids).await?;
    let (there, gone): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|member| names.contains_key(&member.device));
    let new: Vec<NewDeployment> = there
        .iter()
        .map(|member| deployment(app, rollout, actor, member.device, &names[&member.device], now))
        .collect();
    let sent: Vec<(DeviceId, DeploymentId)> = new.iter().map(|new| (new.device, new.id)).collect();
    let targets: Vec<DeviceId> = sent.iter().map(|(device, _)| *device).collect();
    let superseded = tx.fail_deployments(&targets, Word::Pending, None, SUPERSEDED, now).await?;
    record_ended(app, &tx, actor, &superseded).await?;
    let lines: Vec<_> = new
        .iter()
        .map(|new| (audit::device_named(new.device, &new.device_name), format!("Artefact {artefact}")))
        .collect();
    tx.insert_deployments(new).await?;
    audit::record_all(app, &tx, account, actor, Action::DeploymentCreated, lines).await?;
    let places = |some: &[Member]| some.iter().map(|member| member.position).collect::<Vec<_>>();
    tx.note_rollout_batch(rollout.id, &places(&there), &places(&gone), GONE).await?;
    tx.commit().await?;
    for (device, id) in sent {
        app.link.send(device, Command::Deploy { id: id.0 });
        app.live.tell(Change { account, device: Some(device) });
    }
    Ok(true)
}

fn deployment(
    app: &App,
    rollout: &Rollout,
    actor: &Actor,
    device: DeviceId,
    name: &str,
    at: Timestamp,
) -> NewDeployment {
    NewDeployment {
        id: app.random.id(),
        account: rollout.account,
        device,
        device_name: name.to_owned(),
        artefact: rollout.artefact,
        rollout: Some(rollout.id),
        created_by_name: actor.name().to_owned(),
        at,
    }
}
