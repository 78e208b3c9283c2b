//! The browser's side of a session, for tests: a real WebRTC peer on a real socket.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// Far below every heartbeat timeout of a test.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// Marks the peer's own heartbeats, whose answers no test waits for.
const HEARTBEAT_SEQ: u64 = u64::MAX;

/// What the test tells the peer.
pub enum Order {
    Answer(String),
    Candidate(String),
    Send {
        label: &'static str,
        binary: bool,
        data: Vec<u8>,
    },
    /// Opens one channel more.
    Open(&'static str),
    /// Grant credit for every byte received from now on.
    Draw(bool),
    /// Take one datagram in this time from now on, like a browser behind a slow network.
    Slow(Duration),
    /// Neither listen nor answer any more, like a browser whose machine lost power.
    Vanish,
}

/// What the peer tells the test.
#[derive(Debug)]
pub enum Seen {
    Open,
    Message { label: String, binary: bool, data: Vec<u8> },
    Closed,
}

pub struct TestPeer {
    pub offer: String,
    pub orders: mpsc::UnboundedSender<Order>,
    pub seen: mpsc::UnboundedReceiver<Seen>,
}

impl TestPeer {
    /// A peer with an offer for a shell, listening on loopback.
    pub async fn new() -> Self {
        Self::with("shell").await
    }

    /// One whose second channel has this label.
    pub async fn with(label: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let local = socket.local_addr().expect("an address");
        let mut rtc = Rtc::builder().set_sctp_max_buffered_amount(8 << 20).build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).expect("a candidate"));
        let mut api = rtc.sdp_api();
        api.add_channel("control".to_owned());
        api.add_channel(label.to_owned());
        let (offer, pending) = api.apply().expect("an offer");
        let (orders, given) = mpsc::unbounded_channel();
        let (tell, seen) = mpsc::unbounded_channel();
        let state = State {
            rtc,
            socket,
            local,
            pending: Some(pending),
            labels: HashMap::new(),
            draw: true,
            pace: Duration::ZERO,
            tell,
        };
        tokio::spawn(state.run(given));
        Self { offer: offer.to_sdp_string(), orders, seen }
    }

    pub fn order(&self, order: Order) {
        self.orders.send(order).expect("the peer runs");
    }
}

struct State {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    pending: Option<SdpPendingOffer>,
    labels: HashMap<ChannelId, String>,
    draw: bool,
    pace: Duration,
    tell: mpsc::UnboundedSender<Seen>,
}

impl State {
    async fn run(mut self, mut given: mpsc::UnboundedReceiver<Order>) {
        let mut buffer = vec![0; 2048];
        let mut heart = tokio::time::interval(HEARTBEAT);
        let mut next_at = Instant::now();
        loop {
            let Some(timeout) = self.drain().await else { break };
            let mut fed = 0;
            let socket = &self.socket;
            let receive = async {
                tokio::time::sleep_until(next_at.into()).await;
                socket.recv_from(&mut buffer).await
            };
            tokio::select! {
                order = given.recv() => match order {
                    None => break,
                    Some(Order::Vanish) => {
                        // Until the test ends.
                        while given.recv().await.is_some() {}
                        break;
                    }
                    Some(order) => self.obey(order),
                },
                received = receive => {
                    next_at = Instant::now() + self.pace;
                    let most = if self.pace.is_zero() { 16 } else { 1 };
                    let mut next = received.ok();
                    while let Some((length, from)) = next {
                        self.feed(from, &buffer[..length]);
                        fed += 1;
                        next = (fed < most).then(|| self.socket.try_recv_from(&mut buffer).ok()).flatten();
                    }
                }
                _ = heart.tick() => self.beat(),
                () = tokio::time::sleep_until(timeout.into()) => {
                    let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
                }
            }
        }
        let _ = self.tell.send(Seen::Closed);
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Answer(sdp) => {
                let answer = SdpAnswer::from_sdp_string(&sdp).expect("an answer");
                let pending = self.pending.take().expect("the first answer");
                self.rtc.sdp_api().accept_answer(pending, answer).expect("a fitting answer");
            }
            Order::Candidate(line) => {
                self.rtc.add_remote_candidate(Candidate::from_sdp_string(&line).expect("a candidate"));
            }
            Order::Send { label, binary, data } => self.send(label, binary, &data),
            Order::Open(label) => {
                let config = ChannelConfig { label: label.to_owned(), ..ChannelConfig::default() };
                self.rtc.direct_api().create_data_channel(config);
            }
            Order::Draw(draw) => self.draw = draw,
            Order::Slow(pace) => self.pace = pace,
            Order::Vanish => unreachable!("handled by the loop"),
        }
        let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
    }

    /// As a page does, so that a shell which is slow to start does not look like a browser that is gone.
    fn beat(&mut self) {
        let id = self.labels.iter().find(|(_, name)| *name == "control").map(|(id, _)| *id);
        // It may be closing.
        let Some(mut channel) = id.and_then(|id| self.rtc.channel(id)) else { return };
        let _ = channel.write(false, format!(r#"{{"type":"ping","seq":{HEARTBEAT_SEQ}}}"#).as_bytes());
        let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
    }

    fn send(&mut self, label: &str, binary: bool, data: &[u8]) {
        let id = self.labels.iter().find(|(_, name)| *name == label).map(|(id, _)| *id);
        // The device may have ended the session in the meantime; the test hears of that by itself.
        if !self.rtc.is_alive() {
            return;
        }
        let Some(mut channel) = id.and_then(|id| self.rtc.channel(id)) else {
            panic!("no open channel {label}: {:?}", self.labels)
        };
        assert!(channel.write(binary, data).expect("an open channel"), "the peer's buffer is full");
    }

    fn feed(&mut self, source: SocketAddr, bytes: &[u8]) {
        let Ok(contents) = bytes.try_into() else { return };
        let datagram = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
        let _ = self.rtc.handle_input(Input::Receive(Instant::now(), datagram));
    }

    /// Until it wants to wait; `None` when the connection is over.
    async fn drain(&mut self) -> Option<Instant> {
        let mut drawn = 0;
        loop {
            if !self.rtc.is_alive() {
                return None;
            }
            match self.rtc.poll_output().ok()? {
                Output::Transmit(it) => {
                    let _ = self.socket.send_to(&it.contents, it.destination).await;
                }
                Output::Event(event) => drawn += self.notice(event),
                Output::Timeout(at) if drawn == 0 => {
                    return Some(at.max(Instant::now() + Duration::from_micros(1)));
                }
                Output::Timeout(_) => {
                    self.send("shell", false, format!(r#"{{"type":"credit","bytes":{drawn}}}"#).as_bytes());
                    drawn = 0;
                }
            }
        }
    }

    fn notice(&mut self, event: Event) -> usize {
        let mut drawn = 0;
        let seen = match event {
            Event::ChannelOpen(id, label) => {
                self.labels.insert(id, label);
                Seen::Open
            }
            Event::ChannelData(message) => {
                let label = self.labels[&message.id].clone();
                if self.draw && label == "shell" && message.binary {
                    drawn = message.data.len();
                }
                Seen::Message { label, binary: message.binary, data: message.data }
            }
            Event::Closed => Seen::Closed,
            _ => return 0,
        };
        let _ = self.tell.send(seen);
        drawn
    }
}
