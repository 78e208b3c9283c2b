//! What pages show of deployments.

use crate::app::App;
use crate::web::times::Moment;
use bramble_model::Timestamp;
use bramble_model::account::{Deed, Standing};
use bramble_model::deployment::{State, Word};
use bramble_store::StoreError;
use bramble_store::artefacts::Artefact;
use bramble_store::deployments::{Deployment, Filter};
use bramble_store::devices::Device;
use bramble_wire::{ArtefactId, DeploymentId, DeviceId};
use std::collections::HashMap;

/// A state as a pill: word, tone, icon, and whether the icon turns.
#[derive(Debug, Clone, Copy)]
pub struct Pill {
    /// The word.
    pub label: &'static str,
    /// The colour, never alone.
    pub tone: &'static str,
    /// The icon.
    pub icon: &'static str,
    /// Something is going on.
    pub busy: bool,
}

/// A state's pill.
pub fn pill(word: Word) -> Pill {
    let (label, tone, icon) = match word {
        Word::Pending => ("Pending", "quiet", "clock"),
        Word::InProgress => ("In progress", "info", "loader-circle"),
        Word::Succeeded => ("Succeeded", "good", "circle-check"),
        Word::Failed => ("Failed", "bad", "circle-x"),
        Word::Cancelled => ("Cancelled", "quiet", "circle-dashed"),
    };
    Pill { label, tone, icon, busy: word == Word::InProgress }
}

/// A deployment as a table shows it.
#[derive(Debug)]
pub struct DeploymentRow {
    /// Id.
    pub id: DeploymentId,
    /// Its device.
    pub device: DeviceId,
    /// The device's name, as it is now or, of one that left, as it was.
    pub device_name: String,
    /// The device is still in the account.
    pub device_there: bool,
    /// The artefact's name.
    pub artefact: String,
    /// Where it stands.
    pub word: Word,
    /// The same for people.
    pub pill: Pill,
    /// How far the download got, while it is in progress and if the device told.
    pub percent: Option<u8>,
    /// Why it failed.
    pub reason: String,
    /// When it was made.
    pub made: Moment,
    /// Who made it.
    pub made_by: String,
    /// The reader may call it off now.
    pub may_cancel: bool,
    /// The reader may mark it as failed now.
    pub may_give_up: bool,
}

impl DeploymentRow {
    /// How far the download got, while it lasts.
    pub fn downloading(&self) -> Option<u8> {
        self.percent.filter(|percent| *percent < 100)
    }

    /// The download is over and the device applies it.
    pub fn is_applying(&self) -> bool {
        self.percent == Some(100)
    }

    /// It is not over.
    pub fn is_open(&self) -> bool {
        matches!(self.word, Word::Pending | Word::InProgress)
    }
}

/// Makes rows, with one look at the artefacts and one at the devices of all of them.
pub async fn rows(
    app: &App,
    standing: &Standing,
    deployments: Vec<Deployment>,
) -> Result<Vec<DeploymentRow>, StoreError> {
    let artefacts: Vec<ArtefactId> = deployments.iter().map(|it| it.artefact).collect();
    let devices: Vec<DeviceId> = deployments.iter().map(|it| it.device).collect();
    let artefacts = app.store.artefacts_by_id(standing.account, &artefacts).await?;
    let devices = app.store.devices_by_id(standing.account, &devices).await?;
    let artefacts: HashMap<_, _> = artefacts.iter().map(|it| (it.id, it)).collect();
    let devices: HashMap<_, _> = devices.iter().map(|it| (it.id, it)).collect();
    let (now, manages) = (app.clock.now(), standing.may(Deed::ManageUpdates));
    let row = |it: Deployment| {
        let (artefact, device) = (artefacts.get(&it.artefact).copied(), devices.get(&it.device).copied());
        row(it, artefact, device, manages, now)
    };
    Ok(deployments.into_iter().map(row).collect())
}

fn row(
    it: Deployment,
    artefact: Option<&Artefact>,
    device: Option<&Device>,
    manages: bool,
    now: Timestamp,
) -> DeploymentRow {
    let word = it.state.word();
    DeploymentRow {
        id: it.id,
        device: it.device,
        device_there: device.is_some(),
        device_name: device.map_or(it.device_name, |device| device.name.clone()),
        artefact: artefact.map(|it| it.description.name.clone()).unwrap_or_default(),
        word,
        pill: pill(word),
        percent: it.percent.filter(|_| word == Word::InProgress),
        reason: it.state.reason().unwrap_or_default().to_owned(),
        made: Moment::new(it.created_at, now),
        made_by: it.created_by_name,
        may_cancel: manages && it.state == State::Pending,
        may_give_up: manages && it.state.may_be_given_up(now),
    }
}

/// The newest deployments of a device, and how many there are.
pub async fn newest_of_device(
    app: &App,
    standing: &Standing,
    device: DeviceId,
    limit: u64,
) -> Result<(Vec<DeploymentRow>, u64), StoreError> {
    let filter = Filter { device: Some(device), ..Filter::default() };
    let (found, total) = app.store.deployments(standing.account, filter, 0, limit).await?;
    Ok((rows(app, standing, found).await?, total))
}
