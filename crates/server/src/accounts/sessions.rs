//! A person's browsers: ending their sessions, and the nightly sweep.

use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::cookies::{KNOWN_BROWSER_LIFETIME, SESSION_IDLE};
use crate::sessions;
use bramble_store::StoreError;
use bramble_wire::WebSessionId;
use time::Duration;

/// How long used and expired links stay, so that a second click finds a sentence and not a riddle.
const KEEP_LINKS: Duration = Duration::days(7);

/// Ends the caller's session.
pub async fn sign_out(app: &App, caller: &SignedIn) -> Result<(), StoreError> {
    end_session(app, caller, caller.session).await.map(|_| ())
}

/// Ends one session of the caller. `false` if the caller has no such session.
pub async fn end_session(app: &App, caller: &SignedIn, id: WebSessionId) -> Result<bool, StoreError> {
    let tx = app.store.begin().await?;
    let ended = tx.delete_web_session(caller.user, id).await?;
    tx.commit().await?;
    sessions::end_signed_out(app, caller.user).await?;
    Ok(ended)
}

/// Ends all sessions of the caller but this one. Tells how many.
pub async fn end_other_sessions(app: &App, caller: &SignedIn) -> Result<u64, StoreError> {
    let tx = app.store.begin().await?;
    let ended = tx.delete_web_sessions(caller.user, Some(caller.session)).await?;
    tx.commit().await?;
    sessions::end_signed_out(app, caller.user).await?;
    Ok(ended)
}

/// Ends all sessions of the caller, this one included.
pub async fn end_all_sessions(app: &App, caller: &SignedIn) -> Result<u64, StoreError> {
    let tx = app.store.begin().await?;
    let ended = tx.delete_web_sessions(caller.user, None).await?;
    tx.commit().await?;
    sessions::end_signed_out(app, caller.user).await?;
    Ok(ended)
}

/// Removes what is over: sessions, browsers, links. For the nightly job.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    let sessions = tx.sweep_web_sessions(now, now - SESSION_IDLE, now - KNOWN_BROWSER_LIFETIME).await?;
    let links = tx.sweep_mail_links(now - KEEP_LINKS).await?;
    tx.sweep_pending_sign_ins(now).await?;
    tx.sweep_spent_tokens(now).await?;
    tx.sweep_provider_flows(now).await?;
    tx.commit().await?;
    if sessions + links > 0 {
        tracing::info!(sessions, links, "removed sessions and links that were over");
    }
    Ok(())
}
