//! A relay on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bramble_relay::credentials::{Credential, Secret, Side, issue};
use bramble_relay::{Clock, Config, Limits, Relay, Stats};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::client::Client;

pub const START: u64 = 1_800_000_000;
/// Nothing here takes so long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Bench {
    pub relay: Relay,
    pub secret: Secret,
    clock: Arc<AtomicU64>,
}

impl Bench {
    /// A relay whose clients may have peers on loopback.
    pub fn start() -> Self {
        Self::with(|config| config.allow = vec!["127.0.0.0/8".parse().expect("a network")])
    }

    /// A relay as it would run on the internet, but on loopback.
    pub fn strict() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let secret = Secret::new("a secret of the test bench");
        let mut config = Config {
            udp: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            tcp: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            tls: Vec::new(),
            public_ip: None,
            ports: 49152..=65535,
            allow: Vec::new(),
            own_addresses: Vec::new(),
            secret: secret.clone(),
            limits: Limits::default(),
        };
        change(&mut config);
        let clock = Arc::new(AtomicU64::new(START));
        let reading = Arc::clone(&clock);
        let read: Clock = Arc::new(move || reading.load(Ordering::Relaxed));
        let relay = Relay::start(config, read).expect("the relay starts");
        Self { relay, secret, clock }
    }

    pub fn move_clock(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn credential(&self, session: &str, side: Side) -> Credential {
        issue(&self.secret, session, side, START + 600).expect("a good session id")
    }

    pub fn udp(&self) -> SocketAddr {
        self.relay.local_addresses().udp[0]
    }

    pub fn tcp(&self) -> SocketAddr {
        self.relay.local_addresses().tcp[0]
    }

    /// A client over UDP with the credential of one side.
    pub async fn client(&self, session: &str, side: Side) -> Client {
        Client::udp(self.udp(), &self.credential(session, side)).await
    }

    /// A client over TCP with the credential of one side.
    pub async fn tcp_client(&self, session: &str, side: Side) -> Client {
        Client::tcp(self.tcp(), &self.credential(session, side)).await
    }

    /// Waits until the counters are as wanted.
    pub async fn until(&self, wanted: impl Fn(&Stats) -> bool) {
        let reached = timeout(PATIENCE, async {
            while !wanted(&self.relay.stats()) {
                sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(reached.await.is_ok(), "still {:?}", self.relay.stats());
    }
}

/// A peer that is no client of the relay.
pub struct Peer(pub UdpSocket);

impl Peer {
    pub async fn bind() -> Self {
        Self(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    pub async fn send(&self, to: SocketAddr, payload: &[u8]) {
        self.0.send_to(payload, to).await.expect("sent");
    }

    pub async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (length, from) = timeout(PATIENCE, self.0.recv_from(&mut buffer))
            .await
            .expect("a datagram in time")
            .expect("received");
        buffer.truncate(length);
        (buffer, from)
    }
}
