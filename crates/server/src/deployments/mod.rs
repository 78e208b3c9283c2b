//! Deployments: an artefact on its way to one device, and ([`rollouts`]) to many.
//!
//! People and API tokens make and cancel them ([`Manager`]); the device starts them and tells how they
//! went ([`of_device`]). The rules of the states are `bramble_model::deployment`'s. Whatever takes a
//! device away calls [`leave_in`] or [`interrupt_in`] in its own transaction.

mod api;
pub mod device_api;
pub mod keys;
mod manager;
pub mod of_device;
mod pages;
pub mod rollouts;
pub mod rows;

pub use manager::Manager;

use crate::accounts::NotAdmitted;
use crate::app::{App, Ctx};
use crate::audit::{self, Actor};
use crate::error::ApiFailure;
use crate::live::Change;
use axum::Router;
use axum::http::StatusCode;
use bramble_model::account::is_suspended;
use bramble_model::audit::Action;
use bramble_model::deployment::{
    DEVICE_DELETED, INTERRUPTED, Refused, SUPERSEDED, State, Step, TRANSFERRED, Word,
};
use bramble_model::{Timestamp, phrases};
use bramble_store::artefacts::Artefact;
use bramble_store::deployments::{Deployment, Filter, NewDeployment};
use bramble_store::{StoreError, Tx};
use bramble_wire::events::Command;
use bramble_wire::{AccountId, ArtefactId, DeploymentId, DeviceId};

/// Why something was not done to a deployment.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none, or it is not the caller's; or its device or artefact is not.
    #[error("not found")]
    NotFound,
    /// It is of this organisation, which requires a second factor, and the caller has none.
    #[error("two-factor authentication is required")]
    SecondFactorRequired(AccountId),
    /// Its state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The trial is over and nobody pays.
    #[error("{}", phrases::DEPLOYMENTS_BLOCKED)]
    Blocked,
    /// A field has no possible value.
    #[error("{0}")]
    Invalid(&'static str),
    /// The signing key cannot be used.
    #[error("the deployment key cannot be used: {0}")]
    Key(&'static str),
}

impl From<DeploymentError> for ApiFailure {
    fn from(error: DeploymentError) -> Self {
        match error {
            DeploymentError::Store(error) => error.into(),
            DeploymentError::NotFound => Self::not_found(),
            DeploymentError::SecondFactorRequired(account) => Self::second_factor_required(account),
            DeploymentError::Refused(refused) => {
                Self::message(StatusCode::UNPROCESSABLE_ENTITY, refused.to_string())
            }
            DeploymentError::Blocked => Self::message(StatusCode::FORBIDDEN, phrases::DEPLOYMENTS_BLOCKED),
            DeploymentError::Invalid(what) => Self::message(StatusCode::UNPROCESSABLE_ENTITY, what),
            DeploymentError::Key(why) => {
                tracing::error!(why, "a deployment could not be signed");
                Self::message(StatusCode::INTERNAL_SERVER_ERROR, "The deployment could not be signed.")
            }
        }
    }
}

impl From<NotAdmitted> for DeploymentError {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Store(error) => Self::Store(error),
            NotAdmitted::NotFound => Self::NotFound,
            NotAdmitted::SecondFactorRequired(account) => Self::SecondFactorRequired(account),
        }
    }
}

/// Every URL of this slice.
pub fn routes() -> Router<Ctx> {
    device_api::routes().merge(api::routes()).merge(pages::routes())
}

/// Has a device apply an artefact. What was pending for it is superseded; what it applies already is
/// not.
pub async fn create(
    app: &App,
    by: &Manager,
    device: DeviceId,
    artefact: ArtefactId,
) -> Result<Deployment, DeploymentError> {
    let tx = app.store.begin().await?;
    let artefact = may_deploy(app, &tx, by, artefact).await?;
    create_in(app, tx, by, device, artefact).await
}

/// The same for somebody who saw `newest` as the device's newest deployment. `None`, and nothing done,
/// if there is another one by now: of a form that is sent twice, or of two people, one succeeds.
pub async fn create_after(
    app: &App,
    by: &Manager,
    device: DeviceId,
    artefact: ArtefactId,
    newest: Option<DeploymentId>,
) -> Result<Option<Deployment>, DeploymentError> {
    let tx = app.store.begin().await?;
    let artefact = may_deploy(app, &tx, by, artefact).await?;
    if tx.newest_deployment(by.account(), device).await? != newest {
        return Ok(None);
    }
    create_in(app, tx, by, device, artefact).await.map(Some)
}

async fn create_in(
    app: &App,
    tx: Tx,
    by: &Manager,
    device: DeviceId,
    artefact: Artefact,
) -> Result<Deployment, DeploymentError> {
    let (account, now) = (by.account(), app.clock.now());
    let target = tx.device(account, device).await?.ok_or(DeploymentError::NotFound)?;
    let superseded = tx.fail_deployments(&[device], Word::Pending, None, SUPERSEDED, now).await?;
    let new = NewDeployment {
        id: app.random.id(),
        account,
        device,
        device_name: target.name.clone(),
        artefact: artefact.id,
        rollout: None,
        created_by_name: by.actor().name().to_owned(),
        at: now,
    };
    let id = new.id;
    tx.insert_deployment(new).await?;
    record_ended(app, &tx, by.actor(), &superseded).await?;
    let details = format!("Artefact {}", artefact.description.name);
    let subject = audit::device(&target);
    audit::record(app, &tx, account, by.actor(), Action::DeploymentCreated, subject, details).await?;
    let made = tx.deployment(account, id).await?.ok_or(DeploymentError::NotFound)?;
    tx.commit().await?;
    app.link.send(device, Command::Deploy { id: id.0 });
    app.live.tell(Change { account, device: Some(device) });
    tracing::info!(deployment.id = %id, device.id = %device, "deployment created");
    Ok(made)
}

/// Locks the account and finds the artefact, if the caller still manages updates and the account may
/// deploy at all.
async fn may_deploy(
    app: &App,
    tx: &Tx,
    by: &Manager,
    artefact: ArtefactId,
) -> Result<Artefact, DeploymentError> {
    let account = by.account();
    if !tx.lock_account(account).await? {
        return Err(DeploymentError::NotFound);
    }
    by.confirm(app, tx).await?;
    let payer = tx.account(account).await?.ok_or(DeploymentError::NotFound)?;
    let artefact = tx.artefact(account, artefact).await?.ok_or(DeploymentError::NotFound)?;
    if is_suspended(payer.billing, payer.trial_ends_at, app.clock.now()) {
        return Err(DeploymentError::Blocked);
    }
    Ok(artefact)
}

/// A deployment of the caller's account.
pub async fn find(app: &App, by: &Manager, id: DeploymentId) -> Result<Deployment, DeploymentError> {
    app.store.deployment(by.account(), id).await?.ok_or(DeploymentError::NotFound)
}

/// A page of deployments, the newest first, and how many there are.
pub async fn list(
    app: &App,
    by: &Manager,
    filter: Filter,
    offset: u64,
    limit: u64,
) -> Result<(Vec<Deployment>, u64), StoreError> {
    app.store.deployments(by.account(), filter, offset, limit).await
}

/// The end of what a deployment printed, if its device told.
pub async fn output(app: &App, by: &Manager, id: DeploymentId) -> Result<Option<String>, DeploymentError> {
    find(app, by, id).await?;
    Ok(app.store.deployment_output(id).await?)
}

/// Calls a pending one off.
pub async fn cancel(app: &App, by: &Manager, id: DeploymentId) -> Result<Deployment, DeploymentError> {
    let moved = advance(app, by.account(), None, id, by.actor(), State::cancel).await?;
    by.confirm(app, &moved.tx).await?;
    commit(app, moved).await
}

/// Marks one as failed that has been in progress for a day.
pub async fn give_up(app: &App, by: &Manager, id: DeploymentId) -> Result<Deployment, DeploymentError> {
    let moved = advance(app, by.account(), None, id, by.actor(), State::give_up).await?;
    by.confirm(app, &moved.tx).await?;
    commit(app, moved).await
}

/// A transition that is written and not yet committed.
struct Moved {
    tx: Tx,
    deployment: Deployment,
    /// Whether anything changed.
    first: bool,
}

/// Takes a deployment to its next state, with its line in the audit log. Of two that race, the later
/// one looks again at what the earlier one made of it; states never come back, so this ends.
async fn advance(
    app: &App,
    account: AccountId,
    device: Option<DeviceId>,
    id: DeploymentId,
    actor: &Actor,
    go: impl Fn(State, Timestamp) -> Result<Step, Refused>,
) -> Result<Moved, DeploymentError> {
    loop {
        let now = app.clock.now();
        let tx = app.store.begin().await?;
        let found = tx.deployment(account, id).await?;
        let mut deployment =
            found.filter(|d| device.is_none_or(|id| id == d.device)).ok_or(DeploymentError::NotFound)?;
        let from = deployment.state.word();
        match go(deployment.state.clone(), now)? {
            Step::Stands(_) => return Ok(Moved { tx, deployment, first: false }),
            Step::To(state) => {
                if tx.move_deployment(id, from, &state, now).await? {
                    deployment.state = state;
                    deployment.updated_at = now;
                    record(app, &tx, actor, &deployment).await?;
                    return Ok(Moved { tx, deployment, first: true });
                }
            }
        }
    }
}

async fn commit(app: &App, moved: Moved) -> Result<Deployment, DeploymentError> {
    let Moved { tx, deployment, first } = moved;
    tx.commit().await?;
    if first {
        tell(app, &deployment);
    }
    Ok(deployment)
}

/// Tells open pages, after the commit.
fn tell(app: &App, deployment: &Deployment) {
    let state = deployment.state.word().as_str();
    app.live.tell(Change { account: deployment.account, device: Some(deployment.device) });
    tracing::info!(deployment.id = %deployment.id, device.id = %deployment.device, state, "deployment moved");
}

async fn record(app: &App, tx: &Tx, actor: &Actor, deployment: &Deployment) -> Result<(), StoreError> {
    let action = match deployment.state {
        State::Pending => Action::DeploymentCreated,
        State::InProgress { .. } => Action::DeploymentStarted,
        State::Succeeded { .. } => Action::DeploymentSucceeded,
        State::Failed { .. } => Action::DeploymentFailed,
        State::Cancelled { .. } => Action::DeploymentCancelled,
    };
    let subject = audit::device_named(deployment.device, &deployment.device_name);
    let details = deployment.state.reason().unwrap_or_default();
    audit::record(app, tx, deployment.account, actor, action, subject, details).await
}

async fn record_ended(app: &App, tx: &Tx, actor: &Actor, ended: &[Deployment]) -> Result<(), StoreError> {
    for deployment in ended {
        record(app, tx, actor, deployment).await?;
    }
    Ok(())
}

/// How a device leaves an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Its entry is deleted.
    Deleted,
    /// It moves to another account.
    Transferred,
}

/// Ends what a device that leaves its account had to do there, in the transaction of what takes it
/// away. [`tell_ended`] after the commit.
pub async fn leave_in(
    app: &App,
    tx: &Tx,
    device: DeviceId,
    leaving: Leaving,
    actor: &Actor,
) -> Result<Vec<Deployment>, StoreError> {
    let now = app.clock.now();
    let reason = match leaving {
        Leaving::Deleted => DEVICE_DELETED,
        Leaving::Transferred => TRANSFERRED,
    };
    // What is pending comes before what is in progress, as in every transaction.
    let mut ended = tx.cancel_deployments(device, now).await?;
    ended.append(&mut tx.fail_deployments(&[device], Word::InProgress, None, reason, now).await?);
    record_ended(app, tx, actor, &ended).await?;
    Ok(ended)
}

/// Fails what a device that is linked again had begun, in the transaction that links it.
/// [`tell_ended`] after the commit.
pub async fn interrupt_in(
    app: &App,
    tx: &Tx,
    device: DeviceId,
    actor: &Actor,
) -> Result<Vec<Deployment>, StoreError> {
    let now = app.clock.now();
    let ended = tx.fail_deployments(&[device], Word::InProgress, None, INTERRUPTED, now).await?;
    record_ended(app, tx, actor, &ended).await?;
    Ok(ended)
}

/// Tells open pages of deployments that ended with something else, after the commit.
pub fn tell_ended(app: &App, ended: &[Deployment]) {
    for deployment in ended {
        tell(app, deployment);
    }
}
