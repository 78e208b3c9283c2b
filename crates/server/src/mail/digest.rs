//! Mails about new devices: the first at once, those that follow within ten minutes together. A
//! fleet that is set up would otherwise fill its administrators' mailboxes.

use super::messages::{DeviceLinked, DevicesLinked, Frame, Group, NewDevice};
use super::{message, queue};
use crate::app::App;
use bramble_model::text;
use bramble_store::accounts::Account;
use bramble_store::device_notices::DeviceNotice;
use bramble_store::{StoreError, Tx};
use bramble_wire::AccountId;
use bramble_wire::device_api::AccountKind;
use std::collections::BTreeMap;
use time::Duration;

/// Time between two mails about new devices to the same person.
const EVERY: Duration = Duration::minutes(10);
/// People who get a digest in one round: the next round goes on.
const PEOPLE: u64 = 100;
/// The mails that this is about.
const KINDS: [&str; 2] = ["device_linked", "devices_linked"];

/// Tells the people of an account of a new device, in the transaction that brings it there: now, or in
/// their next digest.
pub async fn new_device(
    app: &App,
    tx: &Tx,
    account: AccountId,
    device: &NewDevice,
) -> Result<(), StoreError> {
    let Some(account) = tx.account(account).await? else { return Ok(()) };
    for recipient in tx.notice_recipients(account.id).await? {
        tell(app, tx, &account, &recipient, device).await?;
    }
    Ok(())
}

async fn tell(
    app: &App,
    tx: &Tx,
    account: &Account,
    recipient: &str,
    device: &NewDevice,
) -> Result<(), StoreError> {
    if tx.is_told_of_devices(recipient, &KINDS, device.at - EVERY).await? {
        return tx
            .insert_device_notice(DeviceNotice {
                id: app.random.id::<bramble_wire::MailId>().0,
                recipient: recipient.to_owned(),
                account: Some(account.id),
                transferred_by: device.transferred_by(),
                name: device.name.clone(),
                serial_number: device.serial_number.clone(),
                place: device.place(),
                at: device.at,
            })
            .await;
    }
    let body = DeviceLinked::new(app, account, device);
    let subject = match account.kind {
        AccountKind::Personal => "A device was linked to your account",
        AccountKind::Organisation => "Your organisation has a new device",
    };
    queue(app, tx, message(KINDS[0], recipient, subject, &body)).await
}

/// Writes the digests that are due. Its job calls it every minute.
pub async fn round(app: &App) -> Result<(), StoreError> {
    let since = app.clock.now() - EVERY;
    for recipient in app.store.digest_recipients(&KINDS, since, PEOPLE).await? {
        let tx = app.store.begin().await?;
        let devices = tx.take_device_notices(&recipient).await?;
        // Another node was first.
        if devices.is_empty() {
            continue;
        }
        let groups = by_account(app, &tx, &recipient, devices).await?;
        // Whoever was disabled meanwhile gets none.
        let person = match text::email(&recipient) {
            Some(folded) => tx.user_by_email(&folded).await?,
            None => None,
        };
        if person.is_some_and(|person| person.disabled_at.is_some()) {
            tx.commit().await?;
            continue;
        }
        // Of accounts that were deleted meanwhile there is nothing left to tell.
        if !groups.is_empty() {
            let body = DevicesLinked { frame: Frame::of(app), groups };
            queue(app, &tx, message(KINDS[1], &recipient, "There are new devices", &body)).await?;
        }
        tx.commit().await?;
        app.outbox.wake();
    }
    Ok(())
}

/// The reader's own account first.
async fn by_account(
    app: &App,
    tx: &Tx,
    recipient: &str,
    devices: Vec<DeviceNotice>,
) -> Result<Vec<Group>, StoreError> {
    let mut accounts: BTreeMap<Option<AccountId>, Vec<DeviceNotice>> = BTreeMap::new();
    for device in devices {
        accounts.entry(device.account).or_default().push(device);
    }
    let mut groups = Vec::new();
    for (id, devices) in accounts {
        let account = match id {
            Some(id) => tx.account(id).await?,
            None => None,
        };
        // Whoever may not know of them any more, or has another address now, is not told.
        let told = match id {
            Some(id) => tx.notice_recipients(id).await?.iter().any(|one| one == recipient),
            None => true,
        };
        if told && (id.is_none() || account.is_some()) {
            groups.push(Group::new(app, account.as_ref(), &devices));
        }
    }
    groups.sort_by_key(|group| group.organisation.is_some());
    Ok(groups)
}
