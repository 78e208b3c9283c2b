//! Giving devices to another account. Id, token and stream stay; running sessions end, because other
//! people decide about the device from now on.

use super::DeviceError;
use crate::accounts;
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::SignedIn;
use crate::deployments::{self, Leaving};
use crate::linking::identities;
use crate::live::Change;
use crate::mail;
use crate::sessions;
use bramble_model::account::Deed;
use bramble_model::audit::Action;
use bramble_store::deployments::Deployment;
use bramble_store::devices::Device;
use bramble_store::sessions::Session;
use bramble_store::{StoreError, Tx};
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, DeviceId};

/// What somebody reads whose session ends with it.
const WHY: &str = "The device was transferred to another account.";

/// What ended with a transfer.
struct Ended {
    sessions: Vec<Session>,
    deployments: Vec<Deployment>,
}

/// Gives a device to another account in which the caller is an administrator, too.
pub async fn transfer(app: &App, by: &SignedIn, id: DeviceId, to: AccountId) -> Result<(), DeviceError> {
    let (device, _) = super::manageable(app, by, id).await?;
    let tx = begin(app, by, device.account, to).await?;
    let ended = move_one(app, &tx, by, &device, to).await?;
    tx.commit().await?;
    tell(app, &device, to, &ended);
    Ok(())
}

/// Gives every personal device to an organisation. Those whose serial number it has already stay, and
/// are returned.
pub async fn transfer_all(app: &App, by: &SignedIn, to: AccountId) -> Result<Vec<Device>, DeviceError> {
    let from = accounts::personal_account(app, by.user).await?.ok_or(DeviceError::NotFound)?;
    let tx = begin(app, by, from, to).await?;
    let (mut moved, mut stayed) = (Vec::new(), Vec::new());
    for device in tx.all_devices(from).await? {
        match move_one(app, &tx, by, &device, to).await {
            Ok(ended) => moved.push((device, ended)),
            Err(DeviceError::Invalid(_)) => stayed.push(device),
            Err(error) => return Err(error),
        }
    }
    tx.commit().await?;
    for (device, ended) in &moved {
        tell(app, device, to, ended);
    }
    Ok(stayed)
}

/// Locks both accounts, the smaller id first, so that two transfers never wait for each other, and looks
/// at the caller's standing in both under the locks.
async fn begin(app: &App, by: &SignedIn, from: AccountId, to: AccountId) -> Result<Tx, DeviceError> {
    if from == to {
        return Err(DeviceError::Invalid("The device is in this account already.".to_owned()));
    }
    let tx = app.store.begin().await?;
    for account in [from.min(to), from.max(to)] {
        let there = tx.lock_account(account).await?;
        let standing = tx.standing(by.user, account, app.clock.now()).await?;
        if !there || !standing.is_some_and(|s| s.may(Deed::ManageDevices)) {
            return Err(DeviceError::NotFound);
        }
    }
    Ok(tx)
}

async fn move_one(
    app: &App,
    tx: &Tx,
    by: &SignedIn,
    device: &Device,
    to: AccountId,
) -> Result<Ended, DeviceError> {
    if let Some(same) = tx.devices_with_serial(to, &device.serial_number).await?.first() {
        let why = format!(
            "That account has a device with the serial number {} already: {}. Delete or transfer that one first.",
            device.serial_number, same.name
        );
        return Err(DeviceError::Invalid(why));
    }
    let names = [tx.account(device.account).await?, tx.account(to).await?];
    let [Some(old), Some(new)] = names else { return Err(DeviceError::NotFound) };
    let keeps_tags = new.kind == AccountKind::Organisation;
    if !tx.transfer_device(device.account, to, device.id, keeps_tags).await? {
        return Err(DeviceError::NotFound);
    }
    let organisation = (new.kind == AccountKind::Organisation).then_some(to);
    identities::transfer_in(app, tx, device, organisation, &Actor::person(by)).await?;
    // A code or key that linked it belongs to the account that it leaves.
    tx.forget_link_requests_of(device.id).await?;
    let sessions = sessions::end_in(tx, device.id, WHY, app.clock.now()).await?;
    let actor = Actor::person(by);
    let deployments = deployments::leave_in(app, tx, device.id, Leaving::Transferred, &actor).await?;
    let words = |kind: AccountKind, name: &str| match kind {
        AccountKind::Personal => format!("the personal account of {name}"),
        AccountKind::Organisation => name.to_owned(),
    };
    let details = format!("From {} to {}", words(old.kind, &old.name), words(new.kind, &new.name));
    record(app, tx, by, device, [device.account, to], &details).await?;
    if new.kind == AccountKind::Organisation {
        tell_by_mail(app, tx, by, device, to).await?;
    }
    Ok(Ended { sessions, deployments })
}

/// Administrators hear of every device that is new in their organisation.
async fn tell_by_mail(
    app: &App,
    tx: &Tx,
    by: &SignedIn,
    device: &Device,
    to: AccountId,
) -> Result<(), StoreError> {
    let device = mail::NewDevice {
        id: device.id,
        name: device.name.clone(),
        serial_number: device.serial_number.clone(),
        came: mail::Came::Transferred(by.name.clone()),
        at: app.clock.now(),
    };
    mail::digest::new_device(app, tx, to, &device).await
}

async fn record(
    app: &App,
    tx: &Tx,
    by: &SignedIn,
    device: &Device,
    accounts: [AccountId; 2],
    details: &str,
) -> Result<(), StoreError> {
    for account in accounts {
        let subject = audit::device(device);
        audit::record(app, tx, account, &Actor::person(by), Action::DeviceTransferred, subject, details)
            .await?;
    }
    Ok(())
}

fn tell(app: &App, device: &Device, to: AccountId, ended: &Ended) {
    app.outbox.wake();
    sessions::tell_ended(app, &ended.sessions, WHY);
    deployments::tell_ended(app, &ended.deployments);
    app.link.moved(device.id, to);
    app.live.tell(Change { account: device.account, device: None });
    app.live.tell(Change { account: to, device: None });
    tracing::info!(device.id = %device.id, "device transferred");
}
