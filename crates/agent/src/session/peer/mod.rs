//! The peer connection of one session, and the task that drives it.
//!
//! One loop: wait for the network, what is behind the session, the server or a deadline; hand it to `str0m`; carry away
//! what it puts out; refill it from behind. See `docs/adr/0005-webrtc-stack.md` for why in this order.

mod back;
mod hear;
mod phase;

use super::channels::Channels;
use super::flow::{self, Flow};
use super::kept::Hold;
use super::net::{Network, Ready};
use super::shell::Read;
use super::work::{Ending, Work};
use super::{Input, Output, Refusal, SessionSettings};
use back::Coming;
use bramble_wire::channel::MAX_MESSAGE;
use bramble_wire::signalling::{Answer, MAX_CANDIDATES, Offer};
use bramble_wire::{SessionId, UserId};
use hear::relayed_address;
pub(crate) use hear::words_for;
use phase::{FAREWELL, Phase};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use str0m::Rtc;
use str0m::change::SdpOffer;
use str0m::net::{Protocol, Receive};
use tokio::sync::mpsc;

/// Bytes the peer connection may hold: the flow's bound and room for messages beside the output.
const MOST_BUFFERED: usize = flow::MOST + 256 * 1024;
/// Messages for the server that reports of files may wait behind.
const MOST_OUTBOX: usize = 32;
/// A busy session lets others run after this.
const TURN: Duration = Duration::from_millis(5);
/// `str0m` dates what is written by the time it was told last. Written after a silence and dated back to
/// its beginning, a message would be taken for lost at once, and the path for congested.
const STALE: Duration = Duration::from_millis(5);

/// Where the session stands.
#[derive(Debug)]
pub(crate) struct Peer {
    id: SessionId,
    settings: SessionSettings,
    rtc: Rtc,
    network: Network,
    channels: Channels,
    flow: Flow,
    work: Work,
    input_allowed: bool,
    user: Option<UserId>,
    visitor: String,
    /// By which another session may ask for this one's shell.
    hold: Option<Hold>,
    /// The shell that this session asked for.
    coming: Option<Coming>,
    /// The browser is gone, and may come back to its shell.
    vanished: bool,
    /// What was behind the session is gone, and may come back.
    may_return: bool,
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
    /// When it was told the time last.
    fed: Instant,
    chunk: Box<[u8]>,
}

impl Peer {
    pub(crate) fn accept(
        id: SessionId,
        offer: &Offer,
        work: Work,
        settings: &SessionSettings,
    ) -> Result<Self, Refusal> {
        let now = Instant::now();
        let text = bounded(&offer.sdp);
        let sdp = SdpOffer::from_sdp_string(&text).map_err(|_| Refusal::BadOffer)?;
        if !text.lines().any(|line| line.starts_with("m=application")) {
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
        text.lines().filter_map(relayed_address).for_each(|it| network.their_relay(it));
        // Without a first timeout a session with relays only never begins its checks.
        rtc.handle_input(str0m::Input::Timeout(now)).map_err(|_| Refusal::BadOffer)?;
        Ok(Self {
            id,
            settings: settings.clone(),
            rtc,
            network,
            channels: Channels::new(work.label()),
            flow: Flow::new(now),
            work,
            input_allowed: offer.permissions.input,
            user: offer.user.id,
            visitor: offer.user.name.clone(),
            hold: None,
            coming: None,
            vanished: false,
            may_return: false,
            phase: Phase::Connecting,
            outbox: VecDeque::from([Output::Answer(Answer::Accepted { sdp: answer })]),
            candidates_heard: 0,
            candidates_told: 0,
            mid,
            started: now,
            last_heard: now,
            without_server_since: None,
            timeout: now,
            fed: now,
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
            let reading = !self.work.lags();
            let room = has_room(&mut self.rtc, &self.channels, &self.flow);
            let wants = self.work.wants(room);
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
                event = self.work.event(wants) => self.work.hear(event),
                ask = Hold::asked(self.hold.as_mut()) => self.hear_ask(ask),
                given = Coming::given(self.coming.as_mut()) => self.take_shell(given),
                () = &mut sleep => {}
            }
            if waited.elapsed() > TURN / 5 {
                awake_since = Instant::now();
            }
        }
        self.leave(input, &output, telling).await;
    }

    /// Carries everything as far as it goes without waiting.
    fn drive(&mut self, now: Instant) {
        let due = now >= self.timeout || now > self.fed + STALE;
        if due {
            self.fed = now;
            if self.rtc.handle_input(str0m::Input::Timeout(now)).is_err() {
                self.lost();
            }
        }
        while self.outbox.len() < MOST_OUTBOX
            && let Some(report) = self.work.next_report()
        {
            self.outbox.push_back(Output::Transfer(report));
        }
        self.network.tick(now);
        while let Some(candidate) = self.network.next_candidate() {
            self.tell_candidate(candidate);
        }
        loop {
            self.drain(now);
            // What was acknowledged may be what the phase waited for.
            let moved = self.look_at_clock(now);
            let stuck = self.network.is_blocked() || matches!(self.phase, Phase::Over { .. });
            if stuck || !(moved || self.refill(now)) {
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
        self.fed = now;
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

    /// Says what comes between pieces of output.
    fn say_words(&mut self) -> bool {
        let mut said = false;
        while let Some(words) = self.work.words() {
            self.say_shell(&words);
            said = true;
        }
        said
    }

    /// Reads output into its channel, as far as credit and flow allow. `true` if there is something to put
    /// out.
    fn refill(&mut self, now: Instant) -> bool {
        // On the way out a shell is hung up, which is not its own end.
        let (Phase::Connected, Some(id)) = (&self.phase, self.channels.work) else { return false };
        let buffered = self.rtc.channel(id).map_or(0, |mut channel| channel.buffered_amount());
        self.flow.observe(now, buffered);
        let mut room = self.flow.room(buffered);
        let mut wrote = self.say_words();
        while room >= MAX_MESSAGE {
            let most = MAX_MESSAGE.min(self.work.credit());
            if most == 0 {
                break;
            }
            let (binary, bytes) = match self.work.read(&mut self.chunk[..most]) {
                Read::Bytes(bytes) => (true, bytes),
                Read::Words(bytes) => (false, bytes),
                Read::Nothing => break,
            };
            let Some(mut channel) = self.rtc.channel(id) else { break };
            if !matches!(channel.write(binary, &self.chunk[..bytes]), Ok(true)) {
                // Cannot be: the room was asked for. The browser would miss bytes, so it ends.
                self.lost();
                return false;
            }
            self.work.spend(bytes);
            self.flow.wrote(now, bytes);
            room = room.saturating_sub(bytes);
            wrote = true;
        }
        wrote |= self.say_words();
        if room >= MAX_MESSAGE
            && let Some(ending) = self.work.ending(now)
        {
            self.may_return = self.work.may_return();
            let reason = match ending {
                Ending::Shell(words) => {
                    self.say_shell(&words);
                    words_for(&words)
                }
                Ending::Screen(reason) | Ending::Files(reason) | Ending::Watch(reason) => reason.to_owned(),
            };
            self.phase = Phase::WorkOver { reason, until: now + FAREWELL * 4 };
            return true;
        }
        wrote
    }
}

/// Whether output has somewhere to go.
fn has_room(rtc: &mut Rtc, channels: &Channels, flow: &Flow) -> bool {
    let channel = channels.work.and_then(|id| rtc.channel(id));
    let buffered = channel.map_or(0, |mut channel| channel.buffered_amount());
    flow.room(buffered) >= MAX_MESSAGE
}

/// The offer without candidates beyond what the protocol allows: each costs checks and, with every address
/// of this device, a pair that is compared with all others. A hostile description holds a thousand.
fn bounded(sdp: &str) -> String {
    let mut candidates = 0;
    let mut fits = |line: &str| {
        let is_candidate = line.starts_with("a=candidate:");
        candidates += usize::from(is_candidate);
        !is_candidate || candidates <= MAX_CANDIDATES
    };
    sdp.split_inclusive(['\r', '\n']).filter(|line| fits(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_keeps_as_many_candidates_as_the_protocol_allows() {
        for end in ["\r\n", "\n"] {
            let candidate = |n: usize| format!("a=candidate:{n} 1 UDP 1 127.0.0.1 {n} typ host{end}");
            let few: String = (1..4).map(candidate).collect();
            let offer = format!("v=0{end}{few}a=mid:0{end}");
            assert_eq!(bounded(&offer), offer);
            let many: String = (1..1000).map(candidate).collect();
            let kept = bounded(&format!("v=0{end}{many}a=mid:0{end}"));
            assert_eq!(kept.matches("a=candidate:").count(), MAX_CANDIDATES);
            assert!(kept.contains("a=mid:0"));
        }
    }
}
