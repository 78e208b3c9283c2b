//! What a device does with its deployments: asks, starts, tells how far it got and how it went.

use super::{DeploymentError, Moved, advance, commit, keys, tell, tell_ended};
use crate::app::App;
use crate::audit::Actor;
use crate::auth::Device;
use bramble_model::deployment::{INTERRUPTED, State, UNEXPLAINED, Word};
use bramble_model::text;
use bramble_store::StoreError;
use bramble_wire::DeploymentId;
use bramble_wire::deployments::{
    Completed, Failed, MAX_OUTPUT, PendingDeployment, Progress, Started, StartedArtefact, signed_text,
};
use bramble_wire::device_api::MAX_STRING;

/// What waits for the device.
pub async fn pending(app: &App, device: &Device) -> Result<Option<PendingDeployment>, StoreError> {
    let id = app.store.pending_deployment(device.id).await?;
    Ok(id.map(|id| PendingDeployment { id }))
}

/// The device begins one, or goes on with the one that it began. Another that it had begun is
/// interrupted by that.
pub async fn start(app: &App, device: &Device, id: DeploymentId) -> Result<Started, DeploymentError> {
    let actor = Actor::device(device.id, &device.name).from(device.country);
    let moved = advance(app, device.account, Some(device.id), id, &actor, State::start).await?;
    let interrupted = if moved.first {
        let now = app.clock.now();
        let ids = [device.id];
        let ended = moved.tx.fail_deployments(&ids, Word::InProgress, Some(id), INTERRUPTED, now).await?;
        super::record_ended(app, &moved.tx, &actor, &ended).await?;
        ended
    } else {
        Vec::new()
    };
    let artefact = moved.tx.artefact(device.account, moved.deployment.artefact).await?;
    let artefact = artefact.ok_or(DeploymentError::NotFound)?.description;
    commit(app, moved).await?;
    tell_ended(app, &interrupted);
    let timestamp = app.clock.unix();
    let text = signed_text(id, device.id, &artefact.uri, &artefact.checksum, timestamp);
    Ok(Started {
        signature: keys::sign(app, &text).await?,
        artefact: StartedArtefact { uri: artefact.uri, checksum: artefact.checksum },
        timestamp,
    })
}

/// The device succeeded.
pub async fn complete(
    app: &App,
    device: &Device,
    id: DeploymentId,
    report: Completed,
) -> Result<(), DeploymentError> {
    let actor = Actor::device(device.id, &device.name).from(device.country);
    let moved = advance(app, device.account, Some(device.id), id, &actor, State::complete).await?;
    finish(app, moved, report.output).await
}

/// The device failed.
pub async fn fail(
    app: &App,
    device: &Device,
    id: DeploymentId,
    report: Failed,
) -> Result<(), DeploymentError> {
    let actor = Actor::device(device.id, &device.name).from(device.country);
    let said = text::clip(report.reason.as_deref().unwrap_or_default(), MAX_STRING);
    let reason = if said.is_empty() { UNEXPLAINED.to_owned() } else { said };
    let go = |state: State, now| state.fail(reason.clone(), now);
    let moved = advance(app, device.account, Some(device.id), id, &actor, go).await?;
    finish(app, moved, report.output).await
}

/// Keeps the output with the first report; a repeated one changes nothing.
async fn finish(app: &App, moved: Moved, output: Option<String>) -> Result<(), DeploymentError> {
    if let (true, Some(output)) = (moved.first, output) {
        let deployment = &moved.deployment;
        moved.tx.set_deployment_output(deployment.id, tail(&output), deployment.updated_at).await?;
    }
    commit(app, moved).await?;
    Ok(())
}

/// The device tells how far it got.
pub async fn progress(
    app: &App,
    device: &Device,
    id: DeploymentId,
    report: Progress,
) -> Result<(), DeploymentError> {
    if report.percent.is_some_and(|percent| percent > 100) {
        return Err(DeploymentError::Invalid("Percent must be between 0 and 100"));
    }
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    let found = tx.deployment(device.account, id).await?.filter(|d| d.device == device.id);
    let found = found.ok_or(DeploymentError::NotFound)?;
    found.state.may_report_progress()?;
    if !tx.note_progress(id, report.percent, now).await? {
        // It ended between the look and the note.
        let ended = tx.deployment(device.account, id).await?.ok_or(DeploymentError::NotFound)?;
        return Ok(ended.state.may_report_progress()?);
    }
    if let Some(output) = report.output {
        tx.set_deployment_output(id, tail(&output), now).await?;
    }
    tx.commit().await?;
    tell(app, &found);
    Ok(())
}

/// The end of a text that is kept.
fn tail(output: &str) -> &str {
    let mut from = output.len().saturating_sub(MAX_OUTPUT);
    while !output.is_char_boundary(from) {
        from += 1;
    }
    &output[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_output_is_kept_in_whole_characters() {
        assert_eq!(tail("ab"), "ab");
        let long = "é".repeat(MAX_OUTPUT);
        assert_eq!(tail(&long).len(), MAX_OUTPUT);
        let odd = format!("{long}x");
        assert_eq!(tail(&odd).len(), MAX_OUTPUT - 1);
    }
}
