//! What time does to sessions.

use super::signalling::ANSWER_TIME;
use super::{SIGNED_OUT, UNATTENDED, end};
use crate::app::{App, Ctx};
use crate::organisations;
use bramble_store::StoreError;
use bramble_store::sessions::Which;
use std::time::Duration as Pause;
use time::Duration;

/// How often devices that do not answer are looked for.
const TICK: Pause = Pause::from_secs(1);
/// Every so many ticks the store is asked as well.
const STORE_EVERY: u32 = 30;
/// Every so many ticks those are looked for who are kept out of their organisation from a moment on.
const KEPT_OUT_EVERY: u32 = 4;
/// How long a session may stay without a word from its device: the answer, then finding a way.
const CONNECT_TIME: Duration = Duration::seconds(120);
/// How long ended sessions are kept.
const KEPT: Duration = Duration::days(90);

/// Sweeps until the server stops.
pub async fn run(app: Ctx) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0u32;
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(KEPT_OUT_EVERY)
            && let Err(error) = organisations::members::end_kept_out(&app).await
        {
            tracing::error!(%error, "sessions of people without a second factor could not be looked for");
        }
        let done = if count.is_multiple_of(STORE_EVERY) { sweep(&app).await } else { quick(&app).await };
        if let Err(error) = done {
            tracing::error!(%error, "sessions could not be tidied up");
        }
    }
}

/// Ends sessions that nobody answers, forgets what was on its way for too long.
async fn quick(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    for id in app.signalling.unanswered(now) {
        let seconds = ANSWER_TIME.whole_seconds();
        let why =
            format!("The device did not answer within {seconds} seconds. Check its network, then try again.");
        end(app, Which::One(id), &why, true).await?;
    }
    app.signalling.sweep(now);
    Ok(())
}

/// All of it: also sessions that never began, whose browser is no longer signed in, or whose device
/// was not heard of for longer than a session may live without the server.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    quick(app).await?;
    let now = app.clock.now();
    end(app, Which::WaitingSince(now - CONNECT_TIME), "The session did not begin in time.", true).await?;
    end(app, Which::Orphaned, SIGNED_OUT, false).await?;
    for (session, _) in app.store.live_sessions(Which::OpenedBefore(now - UNATTENDED)).await? {
        let device = app.store.device(session.account, session.device).await?;
        let seen = device.and_then(|d| d.last_seen_at).unwrap_or(session.opened_at);
        if !app.link.is_online(session.device) && seen < now - UNATTENDED {
            end(app, Which::One(session.id), "The device was offline for too long.", false).await?;
        }
    }
    let tx = app.store.begin().await?;
    tx.delete_ended_sessions(now - KEPT).await?;
    tx.commit().await
}
