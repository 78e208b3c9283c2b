//! The one task behind all streams: pings, presence after the grace, and what the store is told.

use super::{Link, Presence, State};
use crate::app::{App, Ctx};
use crate::live::Change;
use bramble_wire::DeviceId;
use bramble_wire::events::ServerEvent;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often streams are looked at. A ping is late by no more.
const TICK: Duration = Duration::from_secs(1);
/// How often the store hears that a device is still there, so that after a crash "last seen" is not
/// the time of its connection days ago.
const SEEN_EVERY: Duration = Duration::from_mins(5);
/// Devices in one statement, well below the number of parameters that both engines take.
const BATCH: usize = 500;

/// What one look at all streams found.
#[derive(Debug, Default)]
struct Look {
    seen: Vec<DeviceId>,
    duplicates: Vec<DeviceId>,
    changes: Vec<Change>,
}

/// Runs until the server stops.
pub async fn run(app: Ctx) {
    let mut tick = tokio::time::interval(TICK.min(app.config.ping_interval).min(app.config.online_grace / 2));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut all_at = Instant::now() + SEEN_EVERY;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = app.stopping.cancelled() => break,
        }
        let now = Instant::now();
        let everybody = now >= all_at;
        if everybody {
            all_at = now + SEEN_EVERY;
        }
        let look = app.link.look(now, app.clock.unix(), everybody);
        tell_store(&app, &look).await;
        for change in look.changes {
            app.live.tell(change);
        }
    }
    // The last word before the stop: who is here now was seen now.
    let look = app.link.look(Instant::now(), app.clock.unix(), true);
    tell_store(&app, &look).await;
}

async fn tell_store(app: &App, look: &Look) {
    let at = app.clock.now();
    if look.seen.is_empty() && look.duplicates.is_empty() {
        return;
    }
    let told = async {
        let tx = app.store.begin().await?;
        for batch in look.seen.chunks(BATCH) {
            tx.mark_devices_seen(batch, at).await?;
        }
        for device in &look.duplicates {
            tx.mark_device_duplicate(*device, at).await?;
        }
        tx.commit().await
    };
    let told: Result<(), bramble_store::StoreError> = told.await;
    if let Err(error) = told {
        // Presence itself is in memory; only "last seen" is behind.
        tracing::warn!(%error, "the database could not be told which devices were seen");
    }
}

impl Link {
    /// Pings who is due, forgets who was lost for longer than the grace.
    fn look(&self, now: Instant, unix: i64, everybody: bool) -> Look {
        let shared = &self.shared;
        let ping = Bytes::from(ServerEvent::Ping { now: unix }.to_bytes());
        let mut look = Look::default();
        shared.lock().retain(|device, presence| {
            if std::mem::take(&mut presence.seen) || everybody {
                look.seen.push(*device);
            }
            let change = Change { account: presence.account, device: Some(*device) };
            if std::mem::take(&mut presence.duplicate) {
                look.duplicates.push(*device);
                look.changes.push(change);
            }
            let stays = presence.step(now, shared.ping_interval, shared.grace, &ping);
            if !stays {
                look.changes.push(change);
            }
            stays
        });
        look
    }
}

impl Presence {
    fn step(&mut self, now: Instant, ping_interval: Duration, grace: Duration, ping: &Bytes) -> bool {
        match &mut self.state {
            State::Open { outbox, next_ping } => {
                if now >= *next_ping {
                    *next_ping = now + ping_interval;
                    outbox.ping(ping.clone());
                }
                true
            }
            State::Lost { at } => now.duration_since(*at) < grace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use bramble_wire::AccountId;
    use uuid::Uuid;

    const PING: Duration = Duration::from_secs(25);

    fn device() -> (Link, DeviceId, AccountId, Live) {
        let live = Live::default();
        let link = Link::new(PING, Duration::from_secs(10), live.clone());
        (link, Uuid::from_u128(1).into(), Uuid::from_u128(2).into(), live)
    }

    #[tokio::test]
    async fn online_lasts_for_the_grace_and_no_longer() {
        let (link, device, account, live) = device();
        let mut changes = live.subscribe();
        let stream = link.open(device, account, String::new());
        assert_eq!(changes.try_recv().expect("told").device, Some(device));
        let now = Instant::now();
        assert_eq!(link.look(now, 0, false).seen, [device]);
        assert!(link.look(now, 0, false).seen.is_empty());
        drop(stream);
        let look = link.look(Instant::now() + Duration::from_secs(9), 0, false);
        assert!(link.is_online(device) && look.changes.is_empty() && look.seen == [device]);
        let again = link.open(device, account, String::new());
        assert!(changes.try_recv().is_err(), "a short interruption is no change");
        drop(again);
        let look = link.look(Instant::now() + Duration::from_secs(11), 0, false);
        assert!(!link.is_online(device) && look.changes.len() == 1);
    }

    #[tokio::test]
    async fn pings_come_in_time_and_whoever_takes_none_is_cut() {
        let (link, device, account, _) = device();
        let mut stream = link.open(device, account, String::new());
        let start = Instant::now();
        stream.next().await;
        stream.next().await;
        link.look(start + Duration::from_secs(24), 7, false);
        link.look(start + Duration::from_secs(26), 8, false);
        let ping = stream.next().await.expect("a ping");
        assert_eq!(&ping[..], b"event: ping\ndata: {\"type\":\"ping\",\"message\":8}\n\n");
        link.look(start + Duration::from_secs(52), 9, false);
        link.look(start + Duration::from_secs(78), 9, false);
        assert!(stream.next().await.is_none(), "gave the stream up");
        std::future::poll_fn(|cx| stream.poll_cut(cx)).await;
    }
}
