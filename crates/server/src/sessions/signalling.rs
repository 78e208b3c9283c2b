//! Offers, answers and candidates on their way: in memory only, for a minute, within bounds.
//!
//! Logic without transport: the edges bring what was said and carry what comes out.

use super::SessionError;
use bramble_model::Timestamp;
use bramble_model::session::{SIGNALLING_LIFETIME, State as Stands};
use bramble_store::sessions::Session;
use bramble_wire::events::{Command, MAX_EVENT, ServerEvent};
use bramble_wire::signalling::{BrowserEvent, IceCandidate, MAX_CANDIDATE, MAX_CANDIDATES};
use bramble_wire::{DeviceId, SessionId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::Duration;
use tokio::sync::watch;

/// Sessions that may be on their way at once.
const MAX_EXCHANGES: usize = 10_000;
/// Bytes of descriptions and candidates held at once, over all sessions.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long a device may take to answer.
pub(super) const ANSWER_TIME: Duration = Duration::seconds(30);

/// All that is on its way.
#[derive(Debug, Default)]
pub struct Signalling(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    exchanges: HashMap<SessionId, Exchange>,
    bytes: usize,
}

#[derive(Debug)]
struct Exchange {
    device: DeviceId,
    since: Timestamp,
    offer: Offer,
    answered: bool,
    ended: bool,
    /// Candidates of the browser that wait for the device to fetch the offer.
    early: Vec<IceCandidate>,
    browser_candidates: usize,
    device_candidates: usize,
    /// What the browser hears, the oldest first; `forgotten` came before.
    log: Vec<BrowserEvent>,
    forgotten: usize,
    bytes: usize,
    /// How many events there are: wakes the browser's stream.
    told: watch::Sender<usize>,
}

/// Where the browser's offer is.
#[derive(Debug)]
enum Offer {
    Expected,
    Waiting(String),
    Fetched,
}

/// Refuses a candidate that does not fit one event of the device's stream.
pub(super) fn check_candidate(id: SessionId, candidate: &IceCandidate) -> Result<(), SessionError> {
    let event = ServerEvent::Command(Command::Candidate { id, candidate: candidate.clone() });
    if candidate.candidate.len() > MAX_CANDIDATE || event.to_bytes().len() > MAX_EVENT {
        return Err(SessionError::TooMuch("The candidate is too large."));
    }
    Ok(())
}

impl Signalling {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The browser's offer, once.
    pub(super) fn offer(&self, session: &Session, sdp: String, now: Timestamp) -> Result<(), SessionError> {
        let mut state = self.lock();
        state.room_for(sdp.len())?;
        let exchange = state.exchange(session, now)?;
        if !matches!(exchange.offer, Offer::Expected) || exchange.forgotten > 0 {
            return Err(SessionError::Again("The offer of this session was sent already."));
        }
        exchange.bytes += sdp.len();
        let added = sdp.len();
        exchange.since = now;
        exchange.offer = Offer::Waiting(sdp);
        state.bytes += added;
        Ok(())
    }

    /// A candidate of the browser. Returned if the device can hear it now.
    pub(super) fn browser_candidate(
        &self,
        session: &Session,
        candidate: IceCandidate,
        now: Timestamp,
    ) -> Result<Option<IceCandidate>, SessionError> {
        let mut state = self.lock();
        state.room_for(candidate.candidate.len())?;
        let exchange = state.exchange(session, now)?;
        if exchange.browser_candidates >= MAX_CANDIDATES {
            return Err(SessionError::TooMuch("A session has at most 64 candidates."));
        }
        exchange.browser_candidates += 1;
        if matches!(exchange.offer, Offer::Fetched) {
            return Ok(Some(candidate));
        }
        let added = candidate.candidate.len();
        exchange.bytes += added;
        exchange.early.push(candidate);
        state.bytes += added;
        Ok(None)
    }

    /// The offer, for its device, and the candidates that came before.
    pub(super) fn fetch_offer(&self, id: SessionId) -> Option<(String, Vec<IceCandidate>)> {
        let mut state = self.lock();
        let exchange = state.exchanges.get_mut(&id)?;
        let Offer::Waiting(sdp) = std::mem::replace(&mut exchange.offer, Offer::Fetched) else {
            return None;
        };
        let early = std::mem::take(&mut exchange.early);
        let freed = sdp.len() + early.iter().map(|c| c.candidate.len()).sum::<usize>();
        exchange.bytes = exchange.bytes.saturating_sub(freed);
        state.bytes = state.bytes.saturating_sub(freed);
        Some((sdp, early))
    }

    /// The device's answer, once, after it fetched the offer.
    pub(super) fn answer(
        &self,
        session: &Session,
        event: BrowserEvent,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let mut state = self.lock();
        let exchange = state.exchange(session, now)?;
        if exchange.answered {
            return Err(SessionError::Again("This session was answered already."));
        }
        if !matches!(exchange.offer, Offer::Fetched) {
            return Err(SessionError::NotFound);
        }
        let ends = matches!(event, BrowserEvent::Error { .. });
        state.push(session.id, event)?;
        if let Some(exchange) = state.exchanges.get_mut(&session.id) {
            exchange.answered = true;
            exchange.ended |= ends;
        }
        Ok(())
    }

    /// A candidate of the device.
    pub(super) fn device_candidate(
        &self,
        session: &Session,
        candidate: IceCandidate,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let mut state = self.lock();
        let exchange = state.exchange(session, now)?;
        if exchange.device_candidates >= MAX_CANDIDATES {
            return Err(SessionError::TooMuch("A session has at most 64 candidates."));
        }
        exchange.device_candidates += 1;
        state.push(session.id, BrowserEvent::Candidate { candidate })
    }

    /// The last thing that a browser hears of a session.
    pub(super) fn end(&self, id: SessionId, last: BrowserEvent, now: Timestamp) {
        let mut state = self.lock();
        if let Some(exchange) = state.exchanges.get_mut(&id) {
            if exchange.ended {
                return;
            }
            exchange.ended = true;
            exchange.since = now;
        }
        // The last word is small and always fits.
        let _ = state.push(id, last);
    }

    /// A browser listens: from now on its session has a place here.
    pub(super) fn listen(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<watch::Receiver<usize>, SessionError> {
        Ok(self.lock().exchange(session, now)?.told.subscribe())
    }

    /// What the browser has not heard yet, with the number of each event, and whether that was all
    /// there will ever be.
    pub(super) fn heard_since(&self, id: SessionId, position: usize) -> (Vec<(usize, BrowserEvent)>, bool) {
        let state = self.lock();
        let Some(exchange) = state.exchanges.get(&id) else { return (Vec::new(), true) };
        let skip = position.saturating_sub(exchange.forgotten);
        let first = exchange.forgotten + skip;
        let events = exchange.log.iter().skip(skip).cloned();
        ((first..).zip(events).collect(), exchange.ended)
    }

    /// Whether what a session ended with is still here.
    pub(super) fn remembers(&self, id: SessionId) -> bool {
        self.lock().exchanges.contains_key(&id)
    }

    /// Sessions whose device has not fetched the offer.
    pub(super) fn unfetched(&self, device: DeviceId) -> Vec<SessionId> {
        let state = self.lock();
        let waiting = |e: &Exchange| e.device == device && matches!(e.offer, Offer::Waiting(_));
        state.exchanges.iter().filter(|(_, e)| waiting(e)).map(|(id, _)| *id).collect()
    }

    /// Sessions whose device should have answered by now.
    pub(super) fn unanswered(&self, now: Timestamp) -> Vec<SessionId> {
        let late = |e: &Exchange| {
            !e.ended && !e.answered && !matches!(e.offer, Offer::Expected) && now >= e.since + ANSWER_TIME
        };
        self.lock().exchanges.iter().filter(|(_, e)| late(e)).map(|(id, _)| *id).collect()
    }

    /// Forgets what is older than a minute: payloads always, the place of a session once nobody
    /// listens.
    pub(super) fn sweep(&self, now: Timestamp) {
        let mut state = self.lock();
        let mut freed = 0;
        state.exchanges.retain(|_, exchange| {
            // A clock that was set back must not make anything stay for longer.
            exchange.since = exchange.since.min(now);
            if now < exchange.since + SIGNALLING_LIFETIME {
                return true;
            }
            freed += exchange.bytes;
            exchange.bytes = 0;
            exchange.early.clear();
            exchange.forgotten += exchange.log.len();
            exchange.log.clear();
            exchange.offer = Offer::Fetched;
            // Who did not answer by now was told long ago; nobody is waited for.
            exchange.answered = true;
            exchange.told.receiver_count() > 0 && !exchange.ended
        });
        state.bytes = state.bytes.saturating_sub(freed);
    }
}

impl State {
    fn room_for(&self, bytes: usize) -> Result<(), SessionError> {
        if self.bytes + bytes > MAX_BYTES { Err(SessionError::Busy) } else { Ok(()) }
    }

    fn exchange(&mut self, session: &Session, now: Timestamp) -> Result<&mut Exchange, SessionError> {
        if self.exchanges.len() >= MAX_EXCHANGES && !self.exchanges.contains_key(&session.id) {
            return Err(SessionError::Busy);
        }
        let runs = session.state == Stands::Connected;
        Ok(self.exchanges.entry(session.id).or_insert_with(|| Exchange {
            device: session.device,
            since: now,
            // A browser may listen anew to a session that runs, after a restart of this server.
            offer: if runs { Offer::Fetched } else { Offer::Expected },
            answered: runs,
            ended: false,
            early: Vec::new(),
            browser_candidates: 0,
            device_candidates: 0,
            log: Vec::new(),
            forgotten: 0,
            bytes: 0,
            told: watch::Sender::new(0),
        }))
    }

    fn push(&mut self, id: SessionId, event: BrowserEvent) -> Result<(), SessionError> {
        let size = match &event {
            BrowserEvent::Answer { sdp } => sdp.len(),
            BrowserEvent::Candidate { candidate } => candidate.candidate.len(),
            BrowserEvent::End { .. } | BrowserEvent::Error { .. } => 0,
        };
        self.room_for(size)?;
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Ok(()) };
        exchange.bytes += size;
        exchange.log.push(event);
        exchange.told.send_replace(exchange.forgotten + exchange.log.len());
        self.bytes += size;
        Ok(())
    }
}
