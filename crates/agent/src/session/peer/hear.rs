//! What a session hears — from the peer connection, the browser, the server — and says.

use super::super::channels::Heard;
use super::super::shell::Shell;
use super::super::{Input, Output};
use super::Peer;
use super::phase::Phase;
use bramble_wire::channel::{Control, FromShell};
use bramble_wire::signalling::{IceCandidate, MAX_CANDIDATE, MAX_CANDIDATES, ReportedState, StateReport};
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Instant;
use str0m::channel::{ChannelData, ChannelId};
use str0m::{Candidate, Event, IceConnectionState};
use tokio::sync::mpsc;

/// Longest reason repeated from the browser, in characters.
const MOST_REASON: usize = 200;

impl Peer {
    pub(super) fn hear_peer(&mut self, event: Event, now: Instant) {
        match event {
            Event::ChannelOpen(id, label) => {
                if !self.channels.opened(id, &label) {
                    self.rtc.direct_api().close_data_channel(id);
                    if self.channels.are_too_many() {
                        self.over("The browser opened too many channels.");
                    }
                } else if self.channels.are_open() && matches!(self.phase, Phase::Connecting) {
                    self.connected(now);
                }
            }
            Event::ChannelData(message) => self.hear_browser(&message, now),
            Event::ChannelClose(id) if self.channels.closed(id) => {
                if self.hold.is_some() {
                    self.vanish("The browser left.");
                } else {
                    self.end("The browser left.", now);
                }
            }
            Event::Closed => self.vanish("The browser left."),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                tracing::debug!(session.id = %self.id, "path to the browser interrupted");
            }
            _ => {}
        }
    }

    pub(super) fn connected(&mut self, now: Instant) {
        let path = self.network.path();
        self.phase = Phase::Connected;
        self.last_heard = now;
        let took = (now - self.started).as_millis();
        tracing::info!(session.id = %self.id, ?path, took_ms = %took, "session connected");
        let state = ReportedState::Connected;
        self.outbox.push_back(Output::State(StateReport { state, path, reason: None }));
    }

    pub(super) fn hear_browser(&mut self, message: &ChannelData, now: Instant) {
        self.last_heard = now;
        let heard = self.channels.hear(message);
        match heard {
            Heard::Ping(seq) => self.say_control(&Control::Pong { seq }),
            Heard::Bye(reason) => {
                let reason: String = reason.chars().filter(|it| !it.is_control()).take(MOST_REASON).collect();
                self.over(if reason.is_empty() { "The browser left." } else { &reason });
            }
            Heard::Away => self.vanish("The browser left its page."),
            Heard::Start { cols, rows } => self.start_shell(cols, rows, now),
            Heard::Attach { token, cols, rows, seen } => self.ask_for_shell(&token, cols, rows, seen),
            Heard::Resize { cols, rows } => {
                if let Some(shell) = self.work.shell().and_then(Shell::running) {
                    shell.resize(cols, rows);
                }
            }
            Heard::Credit(bytes) => {
                if let Some(shell) = self.work.shell().and_then(Shell::running) {
                    shell.grant(bytes);
                } else if let Some(watch) = self.work.watch() {
                    watch.credit.grant(bytes);
                }
            }
            Heard::Watch(code) => self.ask_to_watch(&code),
            Heard::Invite => self.invite(),
            Heard::StopWatching => self.stop_watching(),
            Heard::Files(words) => {
                if let Some(files) = self.work.files() {
                    files.hear(words);
                }
            }
            Heard::Show(display) => {
                if self.input_allowed
                    && let Some(screen) = self.work.screen()
                {
                    screen.show(&display);
                }
            }
            Heard::Bytes => {
                if self.input_allowed {
                    self.work.take(&message.data);
                }
            }
            Heard::Unknown => {}
        }
    }

    pub(super) fn hear_server(&mut self, message: Input, now: Instant) {
        match message {
            Input::End { reason } => self.end(&reason, now),
            Input::ServerContact(true) => self.without_server_since = None,
            Input::ServerContact(false) => {
                self.without_server_since.get_or_insert(now);
            }
            Input::RemoteCandidate(IceCandidate { candidate, .. }) => {
                self.candidates_heard += 1;
                if self.candidates_heard > MAX_CANDIDATES || candidate.len() > MAX_CANDIDATE {
                    return;
                }
                if let Some(relay) = relayed_address(&candidate) {
                    self.network.their_relay(relay);
                }
                // Hidden behind a `.local` name it cannot be used; the browser's own checks reveal it.
                if let Ok(candidate) = Candidate::from_sdp_string(&candidate) {
                    self.rtc.add_remote_candidate(candidate);
                    self.timeout = now;
                }
            }
        }
    }

    pub(super) fn tell_candidate(&mut self, candidate: Candidate) {
        let Some(added) = self.rtc.add_local_candidate(candidate) else { return };
        let candidate = added.to_sdp_string();
        self.timeout = Instant::now();
        self.candidates_told += 1;
        if self.candidates_told <= MAX_CANDIDATES {
            let sdp_mid = self.mid.clone();
            let candidate = IceCandidate { candidate, sdp_mid, sdp_m_line_index: Some(0) };
            self.outbox.push_back(Output::Candidate(candidate));
        }
    }

    pub(super) fn tell(&mut self, permit: mpsc::Permit<'_, Output>) {
        if let Some(message) = self.outbox.pop_front() {
            permit.send(message);
        }
    }

    pub(super) fn say_shell(&mut self, message: &FromShell) {
        self.say(self.channels.work, message);
    }

    pub(super) fn say_control(&mut self, message: &Control) {
        self.say(self.channels.control, message);
    }

    fn say(&mut self, id: Option<ChannelId>, message: &impl Serialize) {
        let Some(mut channel) = id.and_then(|id| self.rtc.channel(id)) else { return };
        let Ok(text) = serde_json::to_vec(message) else { return };
        // Refused only when the browser takes nothing: then its heartbeat is about to be missed too.
        if !matches!(channel.write(false, &text), Ok(true)) {
            tracing::debug!(session.id = %self.id, "a message found no room");
        }
    }

    pub(super) fn unacknowledged(&mut self, id: Option<ChannelId>) -> usize {
        let channel = id.and_then(|id| self.rtc.channel(id));
        channel.map_or(0, |mut channel| channel.buffered_amount())
    }
}

/// The address of a relayed candidate, from its line in a description or by itself.
pub(super) fn relayed_address(line: &str) -> Option<SocketAddr> {
    let line = line.strip_prefix("a=").unwrap_or(line);
    if !line.starts_with("candidate:") || !line.contains(" typ relay") {
        return None;
    }
    let mut words = line.split_ascii_whitespace().skip(4);
    let (address, port) = (words.next()?, words.next()?);
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

pub(crate) fn words_for(ending: &FromShell) -> String {
    match ending {
        FromShell::Exit { status: Some(status), .. } => format!("The shell ended with status {status}."),
        FromShell::Exit { signal: Some(signal), .. } => format!("The shell was ended by signal {signal}."),
        FromShell::Error { message } => message.clone(),
        _ => "The shell ended.".to_owned(),
    }
}
