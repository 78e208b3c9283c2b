//! Keeps the event stream while there is a sign-in, and does what it orders.

use super::{
    api::CallError,
    shared::{Credential, LinkState, Shared},
};
use crate::http::{HttpError, backoff::Backoff, network::NetworkWatch, sse::SseParser};
use bramble_model::{Clock, SystemClock};
use bramble_wire::{
    device_api::Capability,
    events::{Command, ServerEvent},
    signalling::SessionKind,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// The least time between two attempts that the network's changes cause: a flapping cable or a starting
/// container makes dozens of them.
const NETWORK_PAUSE: Duration = Duration::from_secs(2);
/// A wait that a person would notice.
const WORTH_SAYING: Duration = Duration::from_secs(5);
/// A clock that is this wrong deserves a word in the log.
const CLOCK_TOLERANCE: i64 = 300;
/// By how much it may change, in seconds, before the server hears of it again.
const CLOCK_JITTER: i64 = 60;

/// Why a stream ended.
enum Ended {
    /// The sign-in is void; why, for people.
    SignedOut(&'static str),
    /// Try again.
    Lost { why: String, retry_after: Option<Duration>, stood: Duration },
}

/// Runs until the daemon ends.
pub async fn run(shared: Arc<Shared>) {
    let mut credential = shared.credential.subscribe();
    let network = NetworkWatch::open();
    loop {
        let current = credential.borrow_and_update().clone();
        let Some(current) = current else {
            shared.link.send_replace(LinkState::SignedOut);
            if credential.changed().await.is_err() {
                return;
            }
            continue;
        };
        shared.link.send_replace(LinkState::Connecting { why: None });
        tokio::select! {
            reason = stay_linked(&shared, &current, &network) => {
                tracing::warn!("signed out: {reason}");
                if let Err(error) = shared.forget(&current, reason) {
                    tracing::error!(%error, "the void sign-in could not be deleted");
                }
                shared.set_problem(Some(reason.to_owned()));
            }
            _ = credential.changed() => {}
        }
    }
}

/// Connects again and again; returns why the sign-in is void.
async fn stay_linked(
    shared: &Arc<Shared>,
    credential: &Arc<Credential>,
    network: &NetworkWatch,
) -> &'static str {
    let timing = shared.timing;
    let mut backoff = Backoff::new(Arc::clone(&shared.random), timing.first_wait, timing.longest_wait);
    loop {
        // What changes during the attempt counts: it may fail for what has mended since.
        network.drain();
        match connect(shared, credential, network).await {
            Ended::SignedOut(reason) => return reason,
            Ended::Lost { why, retry_after, stood } => {
                if stood >= timing.stable {
                    backoff.reset();
                } else if stood > Duration::ZERO {
                    backoff.ease(1);
                }
                let wait = backoff.next(retry_after);
                tracing::info!(wait.seconds = wait.as_secs_f32(), "no link to the server: {why}");
                let why = if wait >= WORTH_SAYING { format!("{why}; {}", next_attempt(wait)) } else { why };
                shared.link.send_replace(LinkState::Connecting { why: Some(why) });
                if stood > Duration::ZERO {
                    shared.sessions.server_contact(false);
                }
                pause(wait, retry_after.is_some(), network).await;
            }
        }
    }
}

/// In words, for a person who wonders whether anything happens.
fn next_attempt(wait: Duration) -> String {
    let seconds = wait.as_secs();
    if seconds < 120 {
        format!("the next attempt is in {seconds} seconds")
    } else {
        format!("the next attempt is in {} minutes", seconds / 60)
    }
}

/// Waits; a network that came back ends the wait, unless the server itself asked for it.
async fn pause(wait: Duration, asked_for: bool, network: &NetworkWatch) {
    let until = Instant::now() + wait;
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = network.changed(), if !asked_for => {
            tracing::debug!("the network changed");
            tokio::time::sleep_until(until.min(Instant::now() + NETWORK_PAUSE)).await;
        }
    }
}

async fn connect(shared: &Arc<Shared>, credential: &Arc<Credential>, network: &NetworkWatch) -> Ended {
    let mut stream = match credential.api.events().await {
        Ok(stream) => stream,
        Err(error) => return not_connected(credential, error).await,
    };
    let mut parser = SseParser::default();
    let mut since: Option<Instant> = None;
    let mut events = Vec::new();
    let mut heard = Instant::now();
    // Dropped, and with it stopped, at every return.
    let report = report(shared, credential);
    tokio::pin!(report);
    loop {
        let next = tokio::select! {
            next = timeout_at(heard + shared.timing.silence, stream.next()) => Some(next),
            () = network.changed() => None,
            reason = &mut report, if since.is_some() => return Ended::SignedOut(reason),
        };
        let stood = since.map_or(Duration::ZERO, |since| since.elapsed());
        let lost = |why: String| Ended::Lost { why, retry_after: None, stood };
        let bytes = match next {
            None if stream.is_stranded() => return lost("this device has another address".to_owned()),
            None => continue,
            Some(Err(_)) => return lost("the server fell silent".to_owned()),
            Some(Ok(None)) => return lost("the server closed the event stream".to_owned()),
            Some(Ok(Some(Err(error)))) => return lost(format!("the event stream broke: {error}")),
            Some(Ok(Some(Ok(bytes)))) => bytes,
        };
        heard = Instant::now();
        if let Err(error) = parser.push(&bytes, |event| events.push(event)) {
            return lost(error.to_string());
        }
        for raw in events.drain(..) {
            match ServerEvent::parse(raw.name.as_deref(), &raw.data) {
                Some(ServerEvent::Welcome { .. }) => {}
                Some(ServerEvent::ConfirmSubscription) => {
                    since.get_or_insert_with(Instant::now);
                    shared.link.send_replace(LinkState::Subscribed);
                    shared.sessions.server_contact(true);
                    tracing::info!(server = %credential.stored.server, "linked to the server");
                }
                Some(ServerEvent::Ping { now }) => heard_ping(shared, now),
                Some(ServerEvent::Command(command)) => {
                    if let Some(reason) = obey(shared, credential, command) {
                        return Ended::SignedOut(reason);
                    }
                }
                None => tracing::debug!(event = raw.name, "an event that this version does not know"),
            }
        }
    }
}

async fn not_connected(credential: &Credential, error: CallError) -> Ended {
    match error {
        CallError::InvalidToken => Ended::SignedOut(TOKEN_REFUSED),
        CallError::Http(HttpError::CertificateTime { .. }) if credential.api.client().learn_time().await => {
            tracing::info!("this device's clock was never set; the server told the time");
            Ended::Lost { why: "the clock was not set".into(), retry_after: None, stood: Duration::ZERO }
        }
        error => {
            Ended::Lost { why: error.to_string(), retry_after: error.retry_after(), stood: Duration::ZERO }
        }
    }
}

const TOKEN_REFUSED: &str = "The server no longer knows this device. Sign in again with rpi-connect signin.";
const ORDERED: &str = "This device was signed out on the server. Sign in again with rpi-connect signin.";

fn heard_ping(shared: &Shared, now: i64) {
    let ahead = SystemClock.unix().saturating_sub(now);
    if ahead.saturating_abs() > CLOCK_TOLERANCE {
        tracing::warn!(seconds = ahead, "this device's clock is ahead of the server's");
    }
    let told = shared.clock_off.load(Ordering::Relaxed);
    shared.clock_off.store(clock_off(told, ahead), Ordering::Relaxed);
    // The host name or the system may have changed since.
    shared.touch();
}

/// What the server is told of the clock, after it was told `before`: a second more or less is no news.
fn clock_off(before: i64, ahead: i64) -> i64 {
    if ahead.saturating_abs() <= CLOCK_TOLERANCE {
        0
    } else if before != 0 && ahead.saturating_sub(before).saturating_abs() <= CLOCK_JITTER {
        before
    } else {
        ahead
    }
}

/// Longest reason that is passed on, in characters.
const MOST_REASON: usize = 300;

/// Does what the server orders. Returns a reason if that is to forget the sign-in.
fn obey(shared: &Arc<Shared>, credential: &Arc<Credential>, command: Command) -> Option<&'static str> {
    match command {
        Command::Session { id } => {
            let shared_too = Arc::clone(shared);
            let allowed = move |kind| allowed(&shared_too, kind);
            shared.sessions.announced(id, Arc::clone(credential), allowed);
        }
        Command::Candidate { id, candidate } => shared.sessions.candidate(id, candidate),
        Command::EndSession { id, reason } => {
            let reason = bramble_model::text::clip(&reason, MOST_REASON);
            let known = if reason.is_empty() { "The session was ended." } else { &reason };
            shared.sessions.end(id, known);
        }
        Command::SignOut {} => return Some(ORDERED),
        Command::Deploy { id } => {
            tracing::info!(deployment.id = %id, "the server ordered an update");
            shared.deploy.notify_one();
        }
    }
    None
}

fn allowed(shared: &Shared, kind: SessionKind) -> Result<(), String> {
    match kind {
        SessionKind::Shell if shared.settings().shell => Ok(()),
        SessionKind::Shell => Err("Remote shell is switched off on the device.".to_owned()),
        SessionKind::Vnc => match shared.vnc() {
            (Capability::Enabled, _) => Ok(()),
            (Capability::Available, _) => Err("Screen sharing is switched off on the device.".to_owned()),
            (Capability::Unavailable, why) => {
                // The server may not know yet.
                shared.touch();
                Err(why.unwrap_or_default())
            }
        },
        SessionKind::Files => match shared.files() {
            Capability::Enabled => Ok(()),
            Capability::Available => Err("File transfer is switched off on the device.".to_owned()),
            Capability::Unavailable => Err("The device's kernel is too old for file transfer.".to_owned()),
        },
    }
}

/// Describes the device whenever that changes and once syncs the sessions. Returns only when the server
/// says that the token is void.
async fn report(shared: &Shared, credential: &Credential) -> &'static str {
    let timing = shared.timing;
    let mut backoff = Backoff::new(Arc::clone(&shared.random), timing.first_wait, timing.longest_wait);
    let mut described = None;
    let mut synced = false;
    loop {
        let round = async {
            let me = shared.describe();
            if described.as_ref() != Some(&me) {
                refusal_is_final(credential.api.describe(&me).await)?;
                described = Some(me);
            }
            if !synced {
                let before = shared.sessions.ids();
                let restarted = !shared.synced.load(Ordering::Relaxed);
                if let Some(known) = refusal_is_final(credential.api.sync(before.clone(), restarted).await)? {
                    shared.sessions.keep_only(&before, &known);
                }
                shared.synced.store(true, Ordering::Relaxed);
                synced = true;
            }
            Ok::<(), CallError>(())
        };
        match round.await {
            Ok(()) => {
                backoff.reset();
                shared.changed.notified().await;
            }
            Err(CallError::InvalidToken) => return TOKEN_REFUSED,
            Err(error) => {
                let wait = backoff.next(error.retry_after());
                tracing::info!(wait.seconds = wait.as_secs_f32(), %error, "a report did not reach the server");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// A report that the server refuses would be refused again.
fn refusal_is_final<T>(result: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ (CallError::Refused { .. } | CallError::Nonsense(_))) => {
            tracing::warn!(%error, "the server does not take a report");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_hears_of_a_clock_that_is_wrong_and_of_what_changes_much() {
        for (before, ahead, told) in [
            (0, 300, 0),
            (0, -300, 0),
            (0, 301, 301),
            (301, 303, 301),
            (301, 361, 301),
            (301, 362, 362),
            (-7200, -7210, -7200),
            (-7200, 400, 400),
            (301, 2, 0),
            (0, i64::MIN, i64::MIN),
            (400, i64::MAX, i64::MAX),
        ] {
            assert_eq!(clock_off(before, ahead), told, "{before} {ahead}");
        }
    }
}
