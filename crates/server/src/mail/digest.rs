//! Mails about linked devices: the first at once, those that follow within ten minutes together. A
//! fleet that is set up would otherwise fill its administrators' mailboxes.

use super::messages::{DeviceLinked, DevicesLinked, LinkedDevice};
use super::{message, queue};
use crate::app::App;
use bramble_store::device_notices::DeviceNotice;
use bramble_store::{StoreError, Tx};
use time::Duration;

/// Time between two mails about new devices to the same person.
const EVERY: Duration = Duration::minutes(10);
/// People who get a digest in one round: the next round goes on.
const PEOPLE: u64 = 100;
/// The mails that this is about.
const KINDS: [&str; 2] = ["device_linked", "devices_linked"];

/// Tells somebody of a linked device, in the transaction that links it: now, or in their next digest.
pub async fn device_linked(
    app: &App,
    tx: &Tx,
    recipient: &str,
    device: &LinkedDevice,
) -> Result<(), StoreError> {
    if tx.is_told_of_devices(recipient, &KINDS, device.at - EVERY).await? {
        return tx
            .insert_device_notice(DeviceNotice {
                id: app.random.id::<bramble_wire::MailId>().0,
                recipient: recipient.to_owned(),
                name: device.name.clone(),
                serial_number: device.serial_number.clone(),
                place: device.place(),
                at: device.at,
            })
            .await;
    }
    let body = DeviceLinked::new(app, device);
    queue(app, tx, message(KINDS[0], recipient, "A device was linked to your account", &body)).await
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
        let body = DevicesLinked::new(app, &devices);
        let subject = "Devices were linked to your account";
        queue(app, &tx, message(KINDS[1], &recipient, subject, &body)).await?;
        tx.commit().await?;
        app.outbox.wake();
    }
    Ok(())
}
