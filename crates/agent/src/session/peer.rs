//! The peer connection of one session, and the task that drives it.
//!
//! One loop: wait for the network, the shell, the server or a deadline; hand it to `str0m`; carry away
//! what it puts out; refill it from the shell. See `docs/adr/0002-webrtc-stack.md` for why in this order.

use super::channels::{Channels, Heard};
use super::flow::{self, Flow};
use super::net::{Network, Ready};
use super::pty::{PtyEvent, Wants};
use super::shell::{Read, Shell, ShellSettings};
use super::{Input, Output, Refusal, SessionSettings};
use bramble_wire::SessionId;
use bramble_wire::channel::{Control, FromShell, MAX_MESSAGE};
use bramble_wire::signalling::{
    Answer, IceCandidate, MAX_CANDIDATE, MAX_CANDIDATES, Offer, ReportedState, StateReport,
};
use serde::Serialize;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::change::SdpOffer;
use str0m::channel::{ChannelData, ChannelId};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Rtc};
use tokio::sync::mpsc;

/// Bytes the peer connection may hold: the flow's bound and room for messages beside the output.
const MOST_BUFFERED: usize = flow::MOST + 256 * 1024;
/// How long the browser has to take note of the goodbye, or of the exit status.
const FAREWELL: Duration = Duration::from_millis(500);
/// A busy session lets others run after this.
const TURN: Duration = Duration::from_millis(5);
/// Longest reason repeated from the browser, in characters.
const MOST_REASON: usize = 200;

/// Where the session stands.
#[derive(Debug)]
enum Phase {
    /// Channels are not open yet.
    Connecting,
    Connected,
    /// The shell is over and the browser is being told.
    ShellOver {
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

#[derive(Debug)]
pub(crate) struct Peer {
    id: SessionId,
    settings: SessionSettings,
    rtc: Rtc,
    network: Network,
    channels: Channels,
    flow: Flow,
    shell: Shell,
    input_allowed: bool,
    phase: Phase,
    outbox: VecDeque<Output>,
    candidates_heard: usize,
    candidates_told: usize,
    mid: Option<String>,
    started: Instant,
    last_heard: Instant,
    without_server_since: Option<Instant>,
    /// When `str0m` wants to be called next.
    timeout: Instant,
    chunk: Box<[u8]>,
}

impl Peer {
    pub(crate) fn accept(
        id: SessionId,
        offer: &Offer,
        shell: ShellSettings,
        settings: &SessionSettings,
    ) -> Result<Self, Refusal> {
        let now = Instant::now();
        let sdp = SdpOffer::from_sdp_string(&offer.sdp).map_err(|_| Refusal::BadOffer)?;
        if !offer.sdp.lines().any(|line| line.starts_with("m=application")) {
            return Err(Refusal::BadOffer);
        }
        let mut rtc = Rtc::builder().clear_codecs().set_sctp_max_buffered_amount(MOST_BUFFERED).build(now);
        let mut network = Network::open(settings, &offer.ice_servers)?;
        for candidate in network.host_candidates() {
            rtc.add_local_candidate(candidate);
        }
        let answer = rtc.sdp_api().accept_offer(sdp).map_err(|_| Refusal::BadOffer)?;
        let answer = answer.to_sdp_string();
        let mid = answer.lines().find_map(|line| line.strip_prefix("a=mid:")).map(str::to_owned);
        offer.sdp.lines().filter_map(relayed_address).for_each(|it| network.their_relay(it));
        // Without a first timeout a session with relays only never begins its checks.
        rtc.handle_input(str0m::Input::Timeout(now)).map_err(|_| Refusal::BadOffer)?;
        Ok(Self {
            id,
            settings: settings.clone(),
            rtc,
            network,
            channels: Channels::default(),
            flow: Flow::new(now),
            shell: Shell::Waiting(shell),
            input_allowed: offer.permissions.input,
            phase: Phase::Connecting,
            outbox: VecDeque::from([Output::Answer(Answer::Accepted { sdp: answer })]),
            candidates_heard: 0,
            candidates_told: 0,
            mid,
            started: now,
            last_heard: now,
            without_server_since: None,
            timeout: now,
            chunk: vec![0; MAX_MESSAGE].into(),
        })
    }

    pub(crate) async fn run(
        mut self: Box<Self>,
        mut input: mpsc::Receiver<Input>,
        output: mpsc::Sender<Output>,
    ) {
        let mut listening = true;
        let mut telling = true;
        let sleep = tokio::time::sleep_until(self.timeout.into());
        tokio::pin!(sleep);
        let mut awake_since = Instant::now();
        loop {
            let now = Instant::now();
            self.drive(now);
            if matches!(self.phase, Phase::Over { .. }) {
                break;
            }
            let deadline = self.deadline().into();
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            if now - awake_since > TURN {
                tokio::task::yield_now().await;
                awake_since = Instant::now();
            }
            let reading = self.shell.running().is_none_or(|shell| !shell.lags());
            let wants = wants(&mut self.shell, &mut self.rtc, &self.channels, &self.flow);
            let waited = Instant::now();
            tokio::select! {
                biased;
                message = input.recv(), if listening => match message {
                    Some(message) => self.hear_server(message, Instant::now()),
                    None => listening = false,
                },
                ready = std::future::poll_fn(|cx| self.network.poll_ready(cx, reading)) => self.receive(ready),
                permit = output.reserve(), if telling && !self.outbox.is_empty() => match permit {
                    Ok(permit) => self.tell(permit),
                    Err(_) => telling = false,
                },
                event = wait_for_shell(&mut self.shell, wants) => self.hear_shell(event),
                () = &mut sleep => {}
            }
            if waited.elapsed() > TURN / 5 {
                awake_since = Instant::now();
            }
        }
        self.leave(&output, telling).await;
    }

    /// Carries everything as far as it goes without waiting.
    fn drive(&mut self, now: Instant) {
        if now >= self.timeout && self.rtc.handle_input(str0m::Input::Timeout(now)).is_err() {
            self.lost();
        }
        self.network.tick(now);
        while let Some(candidate) = self.network.next_candidate() {
            self.tell_candidate(candidate);
        }
        self.look_at_clock(now);
        loop {
            self.drain(now);
            if self.network.is_blocked() || !self.refill(now) {
                break;
            }
        }
        self.network.flush(now);
    }

    /// Takes what `str0m` puts out until it has no more.
    fn drain(&mut self, now: Instant) {
        while !self.network.is_blocked() {
            match self.rtc.poll_output() {
                Ok(str0m::Output::Transmit(transmit)) => self.network.transmit(transmit, now),
                Ok(str0m::Output::Event(event)) => self.hear_peer(event, now),
                Ok(str0m::Output::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                Err(error) => {
                    tracing::debug!(session.id = %self.id, %error, "peer connection failed");
                    return self.lost();
                }
            }
        }
    }

    fn receive(&mut self, ready: Ready) {
        let now = Instant::now();
        let rtc = &mut self.rtc;
        let mut failed = false;
        self.network.handle(ready, now, |source, destination, bytes| {
            let Ok(contents) = bytes.try_into() else { return };
            let datagram = Receive { proto: Protocol::Udp, source, destination, contents };
            failed |= rtc.handle_input(str0m::Input::Receive(now, datagram)).is_err();
        });
        // Anybody can send a datagram here; only the peer connection's own state ends it.
        if failed && !self.rtc.is_alive() {
            self.lost();
        }
    }

    /// Reads output of the shell into its channel, as far as credit and flow allow. `true` if there is
    /// something to put out.
    fn refill(&mut self, now: Instant) -> bool {
        // On the way out the shell is hung up, which is not its own end.
        let (Phase::Connected, Some(id)) = (&self.phase, self.channels.shell) else { return false };
        let buffered = self.rtc.channel(id).map_or(0, |mut channel| channel.buffered_amount());
        self.flow.observe(now, buffered);
        let mut room = self.flow.room(buffered);
        let Some(shell) = self.shell.running() else { return false };
        let mut wrote = false;
        while room >= MAX_MESSAGE && shell.credit.left() > 0 {
            let most = MAX_MESSAGE.min(shell.credit.left());
            let Read::Bytes(bytes) = shell.read(&mut self.chunk[..most]) else { break };
            let Some(mut channel) = self.rtc.channel(id) else { break };
            if !matches!(channel.write(true, &self.chunk[..bytes]), Ok(true)) {
                // Cannot be: the room was asked for. The terminal would miss bytes, so it ends.
                self.lost();
                return false;
            }
            shell.credit.spend(bytes);
            self.flow.wrote(now, bytes);
            room = room.saturating_sub(bytes);
            wrote = true;
        }
        // Out of credit with output left, the end waits for the browser.
        if shell.credit.left() > 0
            && room >= MAX_MESSAGE
            && let Some(ending) = shell.ending(now)
        {
            let reason = words_for(&ending);
            self.say_shell(&ending);
            self.shell = Shell::Gone;
            self.phase = Phase::ShellOver { reason, until: now + FAREWELL * 4 };
            return true;
        }
        wrote
    }

    fn hear_peer(&mut self, event: Event, now: Instant) {
        match event {
            Event::ChannelOpen(id, label) => {
                if !self.channels.opened(id, &label) {
                    self.rtc.direct_api().close_data_channel(id);
                } else if self.channels.are_open() && matches!(self.phase, Phase::Connecting) {
                    self.connected(now);
                }
            }
            Event::ChannelData(message) => self.hear_browser(&message, now),
            Event::ChannelClose(id) if self.channels.closed(id) => {
                self.end("The browser left.", now);
            }
            Event::Closed => self.over("The browser left."),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                tracing::debug!(session.id = %self.id, "path to the browser interrupted");
            }
            _ => {}
        }
    }

    fn connected(&mut self, now: Instant) {
        let path = self.network.path();
        self.phase = Phase::Connected;
        self.last_heard = now;
        let took = (now - self.started).as_millis();
        tracing::info!(session.id = %self.id, ?path, took_ms = %took, "session connected");
        let state = ReportedState::Connected;
        self.outbox.push_back(Output::State(StateReport { state, path, reason: None }));
    }

    fn hear_browser(&mut self, message: &ChannelData, now: Instant) {
        self.last_heard = now;
        let heard = self.channels.hear(message);
        match heard {
            Heard::Ping(seq) => self.say_control(&Control::Pong { seq }),
            Heard::Bye(reason) => {
                let reason: String = reason.chars().filter(|it| !it.is_control()).take(MOST_REASON).collect();
                self.over(if reason.is_empty() { "The browser left." } else { &reason });
            }
            Heard::Start { cols, rows } => {
                if let Some(answer) = self.shell.start(cols, rows) {
                    self.say_shell(&answer);
                    if let FromShell::Error { message } = answer {
                        self.phase = Phase::ShellOver { reason: message, until: now + FAREWELL * 4 };
                    }
                }
            }
            Heard::Resize { cols, rows } => {
                if let Some(shell) = self.shell.running()
                    && let Err(error) = shell.pty.resize(cols, rows)
                {
                    tracing::debug!(%error, "terminal not resized");
                }
            }
            Heard::Credit(bytes) => {
                if let Some(shell) = self.shell.running() {
                    shell.credit.grant(bytes);
                }
            }
            Heard::Keys => {
                if let (true, Some(shell)) = (self.input_allowed, self.shell.running()) {
                    shell.type_in(&message.data);
                }
            }
            Heard::Unknown => {}
        }
    }

    fn hear_server(&mut self, message: Input, now: Instant) {
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

    fn hear_shell(&mut self, event: PtyEvent) {
        let Some(shell) = self.shell.running() else { return };
        match event {
            // The next refill reads.
            PtyEvent::Output => {}
            PtyEvent::Room => shell.pass_input(),
            PtyEvent::Exited(status) => shell.exited(status),
        }
    }

    fn tell_candidate(&mut self, candidate: Candidate) {
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

    fn tell(&mut self, permit: mpsc::Permit<'_, Output>) {
        if let Some(message) = self.outbox.pop_front() {
            permit.send(message);
        }
    }

    fn say_shell(&mut self, message: &FromShell) {
        self.say(self.channels.shell, message);
    }

    fn say_control(&mut self, message: &Control) {
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

    fn unacknowledged(&mut self, id: Option<ChannelId>) -> usize {
        let channel = id.and_then(|id| self.rtc.channel(id));
        channel.map_or(0, |mut channel| channel.buffered_amount())
    }

    fn look_at_clock(&mut self, now: Instant) {
        let settings = &self.settings;
        let lonely = self.without_server_since.is_some_and(|since| now >= since + settings.without_server);
        match &mut self.phase {
            Phase::Connecting if now >= self.started + settings.connect_timeout => {
                self.over("The browser could not be reached.");
            }
            Phase::Connected if now >= self.last_heard + settings.heartbeat_timeout => {
                self.over("The browser has not been heard of any more.");
            }
            Phase::Connecting | Phase::Connected if lonely => {
                self.end("The device has lost its server for too long.", now);
            }
            Phase::ShellOver { reason, until } => {
                let (reason, late) = (std::mem::take(reason), now >= *until);
                if late || self.unacknowledged(self.channels.shell) == 0 {
                    self.end(&reason, now);
                } else if let Phase::ShellOver { reason: kept, .. } = &mut self.phase {
                    *kept = reason;
                }
            }
            Phase::Leaving { reason, until } => {
                let (reason, late) = (std::mem::take(reason), now >= *until);
                if late || self.unacknowledged(self.channels.control) == 0 {
                    self.over(&reason);
                } else if let Phase::Leaving { reason: kept, .. } = &mut self.phase {
                    *kept = reason;
                }
            }
            _ => {}
        }
    }

    fn deadline(&mut self) -> Instant {
        let settings = &self.settings;
        let phase = match &self.phase {
            Phase::Connecting => self.started + settings.connect_timeout,
            Phase::Connected => self.last_heard + settings.heartbeat_timeout,
            Phase::ShellOver { until, .. } | Phase::Leaving { until, .. } => *until,
            Phase::Over { .. } => self.started,
        };
        let server = self.without_server_since.map(|since| since + settings.without_server);
        let shell =
            self.shell.running().and_then(|shell| shell.drain_deadline().filter(|_| shell.credit.left() > 0));
        let now = Instant::now();
        // Once passed it is no reason to wake up again: the end then waits for room, which is an event.
        let shell = shell.filter(|at| *at > now);
        let others = [Some(phase), server, shell, self.network.deadline()];
        others.into_iter().flatten().fold(self.timeout, Instant::min)
    }

    /// Says goodbye first.
    fn end(&mut self, reason: &str, now: Instant) {
        match self.phase {
            Phase::Connecting => self.over(reason),
            Phase::Connected | Phase::ShellOver { .. } => {
                if let Some(shell) = self.shell.running() {
                    shell.pty.hang_up();
                }
                self.say_control(&Control::Bye { reason: reason.to_owned() });
                self.phase = Phase::Leaving { reason: reason.to_owned(), until: now + FAREWELL };
            }
            Phase::Leaving { .. } | Phase::Over { .. } => {}
        }
    }

    fn lost(&mut self) {
        self.over("The connection to the browser failed.");
    }

    /// Nobody is left to say goodbye to.
    fn over(&mut self, reason: &str) {
        match &self.phase {
            Phase::Over { .. } => {}
            // What was to be said has been said; the reason stays the first one.
            Phase::ShellOver { reason: first, .. } | Phase::Leaving { reason: first, .. }
                if !first.is_empty() =>
            {
                self.phase = Phase::Over { reason: first.clone() };
            }
            _ => self.phase = Phase::Over { reason: reason.to_owned() },
        }
    }

    /// Closes the connection, ends the shell, reports.
    async fn leave(mut self: Box<Self>, output: &mpsc::Sender<Output>, telling: bool) {
        let now = Instant::now();
        if let Some(shell) = self.shell.running() {
            shell.pty.hang_up();
        }
        if self.rtc.close().is_ok() {
            self.drain(now);
        }
        self.network.close(now);
        let Phase::Over { reason } = std::mem::replace(&mut self.phase, Phase::Connecting) else { return };
        tracing::info!(session.id = %self.id, %reason, "session ended");
        let report = StateReport { state: ReportedState::Ended, path: None, reason: Some(reason) };
        self.outbox.push_back(Output::State(report));
        let grace = self.settings.kill_grace;
        let Self { outbox, mut shell, .. } = *self;
        let tell = async {
            for message in outbox {
                // Nobody listens: nothing to be done.
                if !telling || output.send(message).await.is_err() {
                    break;
                }
            }
        };
        let reap = async {
            if let Some(shell) = shell.running() {
                shell.pty.end(grace).await;
            }
        };
        tokio::join!(tell, reap);
    }
}

/// What the loop waits for at the shell.
fn wants(shell: &mut Shell, rtc: &mut Rtc, channels: &Channels, flow: &Flow) -> Option<Wants> {
    let shell = shell.running()?;
    let channel = channels.shell.and_then(|id| rtc.channel(id));
    let buffered = channel.map_or(0, |mut channel| channel.buffered_amount());
    let output = shell.may_read() && shell.credit.left() > 0 && flow.room(buffered) >= MAX_MESSAGE;
    Some(Wants { output, room: shell.has_input(), exit: !shell.has_exited() })
}

async fn wait_for_shell(shell: &mut Shell, wants: Option<Wants>) -> PtyEvent {
    match (shell.running(), wants) {
        (Some(shell), Some(wants)) => shell.pty.event(wants).await,
        _ => std::future::pending().await,
    }
}

/// The address of a relayed candidate, from its line in a description or by itself.
fn relayed_address(line: &str) -> Option<SocketAddr> {
    let line = line.strip_prefix("a=").unwrap_or(line);
    if !line.starts_with("candidate:") || !line.contains(" typ relay") {
        return None;
    }
    let mut words = line.split_ascii_whitespace().skip(4);
    let (address, port) = (words.next()?, words.next()?);
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

fn words_for(ending: &FromShell) -> String {
    match ending {
        FromShell::Exit { status: Some(status), .. } => format!("The shell ended with status {status}."),
        FromShell::Exit { signal: Some(signal), .. } => format!("The shell was ended by signal {signal}."),
        FromShell::Exit { .. } | FromShell::Started { .. } => "The shell ended.".to_owned(),
        FromShell::Error { message } => message.clone(),
    }
}
