//! Open dashboards: tells every browser that looks at an account that something of it changed.
//!
//! A hint, not data: the page asks for the changed rows itself, with its own credentials.
//! `GET /live?account=ID` sends `event: devices` with the ids that changed, at most four times a
//! second; an empty list means that the list itself changed, or that changes were missed.

use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::error::ApiFailure;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bramble_model::account::Deed;
use bramble_wire::{AccountId, DeviceId, WebSessionId};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};

/// Changes that a slow browser may miss before it is told to reload everything.
const BACKLOG: usize = 256;
/// Changes within this time travel together: at most four events a second.
const COALESCE: Duration = Duration::from_millis(250);
/// More changed devices than this at once are told as "everything": an event stays small.
const MANY: usize = 100;
/// How often the right to listen is looked at again: access that was withdrawn ends within this time.
const RECHECK: Duration = Duration::from_secs(5);
/// A line that says nothing, so that no proxy thinks the stream dead. In rounds of [`RECHECK`].
const KEEP_ALIVE_ROUNDS: u8 = 5;

/// Something of an account changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub account: AccountId,
    /// Which device; `None` when the list itself changed (one was added or removed).
    pub device: Option<DeviceId>,
}

/// All dashboards of this node.
#[derive(Debug, Clone)]
pub struct Live {
    sender: broadcast::Sender<Change>,
    streams: Arc<Mutex<HashMap<WebSessionId, usize>>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0, streams: Arc::default() }
    }
}

impl Live {
    /// Tells. Never waits, never fails.
    pub fn tell(&self, change: Change) {
        // No receiver means that nobody looks.
        let _ = self.sender.send(change);
    }

    /// Listens.
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.sender.subscribe()
    }

    /// Open streams of all browsers.
    pub fn open_streams(&self) -> usize {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn place(&self, session: WebSessionId, most: usize) -> Option<Place> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(session).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(Place { session, live: self.clone() })
    }
}

/// One of the few streams that a browser session may have.
#[derive(Debug)]
struct Place {
    session: WebSessionId,
    live: Live,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.live.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.session) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.session);
            }
        }
    }
}

/// `?account=`.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    account: AccountId,
}

/// `GET /live?account=ID`.
pub async fn live(
    State(app): State<Ctx>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiFailure> {
    let account = wanted.account;
    let receiver = app.live.subscribe();
    if !may_listen(&app, &signed_in, account).await? {
        return Err(ApiFailure::not_found());
    }
    let Some(place) = app.live.place(signed_in.session, app.config.limits.live_streams) else {
        let text = "This browser has too many pages open. Close some of them.";
        return Err(ApiFailure::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", text));
    };
    let changes = Changes { account, receiver, noted: false };
    let recheck = Instant::now() + RECHECK;
    let listener = Listener { app, signed_in, changes, recheck, rounds: 0, greeted: false, _place: place };
    let events = futures_util::stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// Whether the browser's session still stands and its person still sees the account.
async fn may_listen(
    app: &App,
    who: &SignedIn,
    account: AccountId,
) -> Result<bool, bramble_store::StoreError> {
    let session = app.store.web_session(&who.token).await?;
    let stands = session
        .is_some_and(|(session, user)| session.expires_at > app.clock.now() && user.disabled_at.is_none());
    if !stands {
        return Ok(false);
    }
    let standing = crate::accounts::standing(app, who.user, account).await?;
    Ok(standing.is_some_and(|standing| standing.may(Deed::ViewDevices)))
}

struct Listener {
    app: Ctx,
    signed_in: SignedIn,
    changes: Changes,
    recheck: Instant,
    rounds: u8,
    greeted: bool,
    _place: Place,
}

/// The changes of one account.
struct Changes {
    account: AccountId,
    receiver: broadcast::Receiver<Change>,
    /// One was taken from `receiver` and not told yet.
    noted: bool,
}

impl Listener {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            // Something at once, so that the browser knows that it is connected.
            return Some(Bytes::from_static(b": connected\n\n"));
        }
        loop {
            let app = Arc::clone(&self.app);
            let waited = tokio::select! {
                () = app.stopping.cancelled() => return None,
                waited = timeout_at(self.recheck, self.changes.next()) => waited,
            };
            let Ok(changed) = waited else {
                self.recheck = Instant::now() + RECHECK;
                match may_listen(&app, &self.signed_in, self.changes.account).await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => {
                        tracing::warn!(%error, "an open page's right to listen could not be checked");
                        return None;
                    }
                }
                // The look at the clock came while changes were gathered, and they are gone: look at everything.
                if std::mem::take(&mut self.changes.noted) {
                    return Some(event(&BTreeSet::new()));
                }
                self.rounds += 1;
                if self.rounds >= KEEP_ALIVE_ROUNDS {
                    self.rounds = 0;
                    return Some(Bytes::from_static(b":\n\n"));
                }
                continue;
            };
            return changed.map(|devices| event(&devices));
        }
    }
}

impl Changes {
    /// Devices that changed; empty for "look at everything". `None` when the server stops.
    async fn next(&mut self) -> Option<BTreeSet<DeviceId>> {
        let mut devices = BTreeSet::new();
        let mut everything = loop {
            match self.receiver.recv().await {
                Ok(change) if change.account == self.account => break note(&mut devices, change),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break true,
                Err(RecvError::Closed) => return None,
            }
        };
        self.noted = true;
        let until = Instant::now() + COALESCE;
        while let Ok(received) = timeout_at(until, self.receiver.recv()).await {
            match received {
                Ok(change) if change.account == self.account => everything |= note(&mut devices, change),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => everything = true,
                Err(RecvError::Closed) => break,
            }
        }
        self.noted = false;
        if everything || devices.len() > MANY {
            devices.clear();
        }
        Some(devices)
    }
}

/// Notes a changed device; `true` when everything changed.
fn note(devices: &mut BTreeSet<DeviceId>, change: Change) -> bool {
    change.device.is_none_or(|device| {
        devices.insert(device);
        false
    })
}

fn event(devices: &BTreeSet<DeviceId>) -> Bytes {
    let ids = serde_json::to_string(devices).unwrap_or_else(|_| String::from("[]"));
    Bytes::from(format!("event: devices\ndata: {ids}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_change_that_is_gathered_when_the_right_is_looked_at_is_not_lost() {
        let live = Live::default();
        let (account, device) = (AccountId(Uuid::from_u128(1)), Some(DeviceId(Uuid::from_u128(2))));
        let mut changes = Changes { account, receiver: live.subscribe(), noted: false };
        live.tell(Change { account: AccountId(Uuid::nil()), device });
        assert!(timeout_at(Instant::now() + COALESCE / 10, changes.next()).await.is_err());
        assert!(!changes.noted, "somebody else's");
        live.tell(Change { account, device });
        assert!(timeout_at(Instant::now() + COALESCE / 10, changes.next()).await.is_err());
        assert!(changes.noted, "taken and not told");
        live.tell(Change { account, device });
        assert_eq!(changes.next().await.map(|devices| devices.len()), Some(1));
        assert!(!changes.noted);
    }
}
