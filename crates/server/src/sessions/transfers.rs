//! Files that went over a session. The server cannot see them: what the audit log says of them is the device's
//! word, and says so.

use super::{END_TOLD, SessionError};
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::Device;
use crate::auth::throttle::Scope;
use bramble_model::audit::Action;
use bramble_model::text;
use bramble_wire::SessionId;
use bramble_wire::device_api::MAX_STRING;
use bramble_wire::signalling::{Direction, SessionKind, TransferReport};

/// Takes a report, also for a moment after the session's end: a transfer that was broken off is told then.
pub async fn report(
    app: &App,
    device: &Device,
    id: SessionId,
    report: TransferReport,
) -> Result<(), SessionError> {
    let session = app.store.session(id).await?.ok_or(SessionError::NotFound)?;
    let now = app.clock.now();
    let recent = session.ended_at.is_none_or(|at| now < at + END_TOLD);
    if session.device != device.id || session.kind != SessionKind::Files || !recent {
        return Err(SessionError::NotFound);
    }
    if let Err(wait) = app.throttle.attempt(now, Scope::Transfers, &device.id.to_string()) {
        return Err(SessionError::Wait(wait));
    }
    let person = app.store.user(session.user).await?.map(|user| user.name).unwrap_or_default();
    let action = match report.direction {
        Direction::Upload => Action::FileUploaded,
        Direction::Download => Action::FileDownloaded,
    };
    let details = details(&report, &person);
    let tx = app.store.begin().await?;
    // Of the account in which the session was opened, as its other lines are.
    if !tx.lock_account(session.account).await? {
        return Err(SessionError::NotFound);
    }
    let actor = Actor::device(device.id, &device.name);
    let subject = audit::device_named(device.id, &device.name);
    audit::record(app, &tx, session.account, &actor, action, subject, details).await?;
    Ok(tx.commit().await?)
}

fn details(report: &TransferReport, person: &str) -> String {
    let name = text::clip(&report.name, MAX_STRING);
    let digest =
        report.sha256.as_deref().filter(|it| it.len() == 64 && it.bytes().all(|b| b.is_ascii_hexdigit()));
    let what = match digest {
        Some(digest) => format!("{} bytes, SHA-256 {}", report.size, digest.to_ascii_lowercase()),
        None => format!("broken off after {} of {} bytes", report.bytes, report.size),
    };
    format!("“{name}”, {what}, in a session of {person}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_is_shown_as_text_and_no_digest_is_made_up() {
        let mut report = TransferReport {
            direction: Direction::Upload,
            name: "a\n\u{202e}b".to_owned() + &"x".repeat(5000),
            size: 5,
            bytes: 3,
            sha256: Some("A".repeat(64)),
        };
        let shown = details(&report, "Ada");
        assert!(shown.contains(&format!("5 bytes, SHA-256 {}", "a".repeat(64))), "{shown}");
        assert!(shown.len() < 500 && !shown.contains(['\n', '\u{202e}']), "{shown}");
        report.sha256 = Some("<script>".to_owned());
        assert!(details(&report, "Ada").contains("broken off after 3 of 5 bytes"));
    }
}
