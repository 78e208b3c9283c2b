//! `bramble mail list` and `bramble mail show`: the operator reads the outbox, above all where no mail
//! server is configured.

use crate::app::App;
use bramble_model::Timestamp;
use bramble_store::StoreError;
use bramble_store::mails::Mail;
use bramble_wire::MailId;
use serde::Serialize;
use std::fmt;
use time::format_description::well_known::Rfc3339;

/// Most messages of one list.
const LIST: u64 = 200;

/// A line of the list.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Which.
    pub id: MailId,
    /// Which message it is.
    pub kind: String,
    /// To whom.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// When it was written, RFC 3339.
    pub created_at: String,
    /// `waiting`, `sent` or `gave up`.
    pub state: &'static str,
    /// How often delivery failed.
    pub attempts: i64,
    /// What the mail server said last.
    pub last_error: Option<String>,
}

/// One message. `Debug` shows no body: it may hold a link that opens an account.
#[derive(Clone, Serialize)]
pub struct Shown {
    /// Its line in the list.
    #[serde(flatten)]
    pub listed: Listed,
    /// The plain form; empty after delivery.
    pub text: String,
    /// The same in HTML; empty after delivery.
    pub html: String,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("listed", &self.listed).finish_non_exhaustive()
    }
}

/// The newest messages.
pub async fn list(app: &App) -> Result<Vec<Listed>, StoreError> {
    Ok(app.store.mails(LIST).await?.iter().map(listed).collect())
}

/// One message with its bodies.
pub async fn show(app: &App, id: MailId) -> Result<Option<Shown>, StoreError> {
    let found = app.store.mail(id).await?;
    Ok(found.map(|mail| Shown { listed: listed(&mail), text: mail.text_body, html: mail.html_body }))
}

fn listed(mail: &Mail) -> Listed {
    let state = match (mail.sent_at, mail.gave_up_at) {
        (Some(_), _) => "sent",
        (None, Some(_)) => "gave up",
        (None, None) => "waiting",
    };
    let at = |at: Timestamp| at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default();
    Listed {
        id: mail.id,
        kind: mail.kind.clone(),
        recipient: mail.recipient.clone(),
        subject: mail.subject.clone(),
        created_at: at(mail.created_at),
        state,
        attempts: mail.attempts,
        last_error: mail.last_error.clone(),
    }
}
