//! The outbox's job: hands due messages to the mail server, later again if it does not take them.
//!
//! Several nodes share the outbox: each claims what it sends, so no message leaves twice, and a claim
//! ends by itself, so none is lost with its node. Without a mail server messages stay for the operator.

use super::Smtp;
use super::smtp::SendError;
use crate::app::{App, Ctx};
use bramble_model::Timestamp;
use bramble_store::StoreError;
use bramble_store::mails::Mail;
use time::Duration;

/// Messages that one node holds at once.
const BATCH: u64 = 10;
/// How long a node may hold them: longer than all of them take at worst.
const HOLD: Duration = Duration::minutes(10);
/// The first delay after a failure; each further one doubles it.
const FIRST_DELAY: Duration = Duration::seconds(15);
/// Longest delay between two attempts.
const MAX_DELAY: Duration = Duration::hours(1);
/// Then delivery is given up.
const GIVE_UP: Duration = Duration::days(3);
/// Messages are removed after that, whatever became of them.
const KEEP: Duration = Duration::days(7);
/// Longest time between two looks at the outbox: other nodes write to it as well.
const LOOK: std::time::Duration = std::time::Duration::from_secs(15);
/// Longest error of a mail server that is kept, in characters.
const MAX_ERROR: usize = 300;

/// Runs until the server stops.
pub async fn run(app: Ctx, smtp: Option<Smtp>) {
    loop {
        match round(&app, smtp.as_ref()).await {
            // A full batch: there may be more.
            Ok(handled) if handled >= BATCH => continue,
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the outbox cannot be read"),
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = app.outbox.written.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Handles the messages that are due. Tells how many it held.
pub async fn round(app: &App, smtp: Option<&Smtp>) -> Result<u64, StoreError> {
    let now = app.clock.now();
    let claimed = app.store.claim_mails(now, HOLD, BATCH).await?;
    let count = claimed.len() as u64;
    for mail in claimed {
        if app.stopping.is_cancelled() {
            // Others take it over when the claim ends; a mail is never cut off in its middle.
            break;
        }
        match smtp {
            Some(smtp) => {
                let sent = smtp.send(&mail).await;
                settle(app, &mail, sent).await?;
            }
            None => hold(app, &mail).await?,
        }
    }
    Ok(count)
}

async fn settle(app: &App, mail: &Mail, sent: Result<(), SendError>) -> Result<(), StoreError> {
    let now = app.clock.now();
    let Err(error) = sent else {
        app.store.mail_sent(mail.id, now).await?;
        tracing::info!(mail.id = %mail.id, mail.kind, "a mail was delivered");
        return Ok(());
    };
    let text = bramble_model::text::clip(&error.to_string(), MAX_ERROR);
    let next = now + delay(mail.attempts, app);
    if now - mail.created_at >= GIVE_UP || matches!(error, SendError::Message) {
        tracing::error!(mail.id = %mail.id, mail.kind, error = text, "a mail could not be delivered and was given up");
        return app.store.mail_failed(mail.id, &text, None, now).await;
    }
    tracing::warn!(mail.id = %mail.id, mail.kind, error = text, "a mail could not be delivered and is tried again");
    app.store.mail_failed(mail.id, &text, Some(next), now).await
}

/// Leaves a message for the operator.
async fn hold(app: &App, mail: &Mail) -> Result<(), StoreError> {
    app.store.hold_mail(mail.id, mail.created_at + KEEP).await?;
    tracing::warn!(
        mail.id = %mail.id,
        mail.kind,
        "no mail server is configured: read this mail with `bramble mail show {}` within 7 days",
        mail.id
    );
    Ok(())
}

/// Doubles with each attempt, and spreads: half of it is chance.
fn delay(attempts: i64, app: &App) -> Duration {
    let doubled = FIRST_DELAY * 2i32.pow(u32::try_from(attempts).unwrap_or(0).min(10));
    let half = doubled.min(MAX_DELAY) / 2;
    half + half * f64::from(app.random.below(1001)) / 1000.0
}

/// Removes old messages. For the nightly job.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let before: Timestamp = app.clock.now() - KEEP;
    let tx = app.store.begin().await?;
    let removed = tx.sweep_mails(before).await?;
    tx.commit().await?;
    if removed > 0 {
        tracing::info!(removed, "removed mails older than 7 days from the outbox");
    }
    Ok(())
}
