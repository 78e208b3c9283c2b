//! Where a session stands, and how it comes to its end.

use super::super::{Input, Output};
use super::{Peer, back};
use bramble_wire::channel::Control;
use bramble_wire::signalling::{ReportedState, StateReport};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long the browser has to take note of the goodbye, or of the exit status.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) enum Phase {
    /// Channels are not open yet.
    Connecting,
    Connected,
    /// What was behind the session is over, and the browser gets the rest of it.
    WorkOver {
        reason: String,
        until: Instant,
    },
    /// Goodbye was said; waits until it is taken note of.
    Leaving {
        reason: String,
        until: Instant,
    },
    Over {
        reason: String,
    },
}

impl Peer {
    /// Moves on to the next phase if it is time to; `true` if it did.
    pub(super) fn look_at_clock(&mut self, now: Instant) -> bool {
        let unacknowledged = match self.phase {
            Phase::WorkOver { .. } => self.unacknowledged(self.channels.work),
            Phase::Leaving { .. } => self.unacknowledged(self.channels.control),
            _ => 0,
        };
        let settings = &self.settings;
        let lonely = self.without_server_since.is_some_and(|since| now >= since + settings.without_server);
        match &mut self.phase {
            Phase::Connecting if now >= self.started + settings.connect_timeout => {
                self.over("The browser could not be reached.");
            }
            Phase::Connected if now >= self.last_heard + settings.heartbeat_timeout => {
                self.vanish("The browser has not been heard of any more.");
            }
            Phase::Connecting | Phase::Connected if lonely => {
                self.end("The device has lost its server for too long.", now);
            }
            Phase::WorkOver { reason, until } if unacknowledged == 0 || now >= *until => {
                let reason = std::mem::take(reason);
                self.end(&reason, now);
            }
            Phase::Leaving { reason, until } if unacknowledged == 0 || now >= *until => {
                let reason = std::mem::take(reason);
                self.phase = Phase::Over { reason };
            }
            _ => return false,
        }
        true
    }

    pub(super) fn deadline(&mut self) -> Instant {
        let settings = &self.settings;
        let phase = match &self.phase {
            Phase::Connecting => self.started + settings.connect_timeout,
            Phase::Connected => self.last_heard + settings.heartbeat_timeout,
            Phase::WorkOver { until, .. } | Phase::Leaving { until, .. } => *until,
            Phase::Over { .. } => self.started,
        };
        let server = self.without_server_since.map(|since| since + settings.without_server);
        let now = Instant::now();
        // Once passed it is no reason to wake up again: the end then waits for room, which is an event.
        let work = self.work.deadline().filter(|at| *at > now);
        let others = [Some(phase), server, work, self.network.deadline()];
        others.into_iter().flatten().fold(self.timeout, Instant::min)
    }

    /// Says goodbye first.
    pub(super) fn end(&mut self, reason: &str, now: Instant) {
        match self.phase {
            Phase::Connecting => self.over(reason),
            Phase::Connected | Phase::WorkOver { .. } => {
                // What was ended on purpose is handed to nobody.
                self.hold = None;
                self.work.hang_up();
                let again = self.may_return && matches!(self.phase, Phase::WorkOver { .. });
                self.say_control(&Control::Bye { reason: reason.to_owned(), again });
                self.phase = Phase::Leaving { reason: reason.to_owned(), until: now + FAREWELL };
            }
            Phase::Leaving { .. } | Phase::Over { .. } => {}
        }
    }

    pub(super) fn lost(&mut self) {
        self.vanish("The connection to the browser failed.");
    }

    /// The browser is gone without goodbye. What it left is kept if it can be asked for.
    pub(super) fn vanish(&mut self, reason: &str) {
        self.vanished |= matches!(self.phase, Phase::Connected) && self.hold.is_some();
        self.over(reason);
    }

    /// Nobody is left to say goodbye to.
    pub(super) fn over(&mut self, reason: &str) {
        match &self.phase {
            Phase::Over { .. } => {}
            // What was to be said has been said; the reason stays the first one.
            Phase::WorkOver { reason: first, .. } | Phase::Leaving { reason: first, .. }
                if !first.is_empty() =>
            {
                self.phase = Phase::Over { reason: first.clone() };
            }
            _ => self.phase = Phase::Over { reason: reason.to_owned() },
        }
    }

    /// Closes the connection, keeps or ends what is behind it, reports.
    pub(super) async fn leave(
        mut self: Box<Self>,
        mut input: mpsc::Receiver<Input>,
        output: &mpsc::Sender<Output>,
        telling: bool,
    ) {
        let now = Instant::now();
        self.take_late_shell();
        if !self.vanished {
            self.work.hang_up();
        }
        if self.rtc.close().is_ok() {
            self.drain(now);
        }
        self.network.close(now);
        for report in self.work.last_reports(self.settings.kill_grace).await {
            self.outbox.push_back(Output::Transfer(report));
        }
        let Phase::Over { reason } = std::mem::replace(&mut self.phase, Phase::Connecting) else { return };
        let grace = self.settings.kill_grace;
        let keep = self.settings.keep;
        let Self { id, outbox, mut work, hold, vanished, rtc, network, chunk, .. } = *self;
        // A kept shell needs none of it.
        drop((rtc, network, chunk));
        for message in outbox {
            // Nobody listens: nothing to be done.
            if !telling || output.send(message).await.is_err() {
                break;
            }
        }
        let reason = match hold.filter(|_| vanished) {
            Some(hold) => back::keep(id, &mut work, hold, &mut input, keep, reason).await,
            None => reason,
        };
        work.hang_up();
        tracing::info!(session.id = %id, %reason, "session ended");
        let report = StateReport { state: ReportedState::Ended, path: None, reason: Some(reason) };
        let tell = async {
            if telling {
                // Nobody listens: nothing to be done.
                let _ = output.send(Output::State(report)).await;
            }
        };
        tokio::join!(tell, work.end(grace));
    }
}
