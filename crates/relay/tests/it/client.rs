//! A small TURN client: enough to ask for everything the relay offers, and for much that it does not.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bramble_relay::credentials::{Credential, LongTermKey};
use bramble_relay::stun::{
    Builder, Class, Frame, Message, Splitter, TransactionId, attribute, code, method, write_channel_data,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
const UDP: u32 = 17 << 24;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub enum Wire {
    Udp(UdpSocket),
    Stream { stream: Box<dyn Stream>, splitter: Splitter, frames: VecDeque<Vec<u8>> },
}

/// What arrived from a peer.
#[derive(Debug, PartialEq, Eq)]
pub struct Data {
    pub from: From,
    pub payload: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum From {
    Channel(u16),
    Peer(SocketAddr),
}

pub struct Client {
    pub wire: Wire,
    pub credential: Credential,
    pub nonce: String,
    realm: String,
    data: VecDeque<Data>,
    buffer: Vec<u8>,
}

pub fn transaction() -> TransactionId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [7; 12];
    id[4..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    TransactionId(id)
}

pub fn udp_transport(builder: Builder) -> Builder {
    builder.number(attribute::REQUESTED_TRANSPORT, UDP)
}

impl Client {
    pub async fn udp(server: SocketAddr, credential: &Credential) -> Self {
        let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(local).await.expect("a free port");
        socket.connect(server).await.expect("connected");
        Self::over(Wire::Udp(socket), credential)
    }

    pub async fn tcp(server: SocketAddr, credential: &Credential) -> Self {
        let stream = TcpStream::connect(server).await.expect("connected");
        stream.set_nodelay(true).expect("set");
        Self::stream(stream, credential)
    }

    pub fn stream(stream: impl Stream + 'static, credential: &Credential) -> Self {
        let wire =
            Wire::Stream { stream: Box::new(stream), splitter: Splitter::default(), frames: VecDeque::new() };
        Self::over(wire, credential)
    }

    fn over(wire: Wire, credential: &Credential) -> Self {
        Self {
            wire,
            credential: credential.clone(),
            nonce: String::new(),
            realm: String::new(),
            data: VecDeque::new(),
            buffer: vec![0; 65_536],
        }
    }

    pub fn key(&self) -> LongTermKey {
        LongTermKey::of_password(&self.credential.username, &self.realm, &self.credential.password)
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Udp(socket) => {
                socket.send(bytes).await.expect("sent");
            }
            Wire::Stream { stream, .. } => {
                stream.write_all(bytes).await.expect("written");
                stream.flush().await.expect("flushed");
            }
        }
    }

    /// The next frame, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        timeout(PATIENCE, self.next_unbounded()).await.expect("something in time")
    }

    async fn next_unbounded(&mut self) -> Option<Vec<u8>> {
        match &mut self.wire {
            Wire::Udp(socket) => {
                let length = socket.recv(&mut self.buffer).await.expect("received");
                Some(self.buffer[..length].to_vec())
            }
            Wire::Stream { stream, splitter, frames } => loop {
                if let Some(frame) = frames.pop_front() {
                    return Some(frame);
                }
                let length = stream.read(&mut self.buffer).await.unwrap_or(0);
                if length == 0 {
                    return None;
                }
                splitter
                    .feed(
                        &self.buffer[..length],
                        || 65_556,
                        |frame| {
                            frames.push_back(match frame {
                                Frame::Stun(bytes) => bytes.to_vec(),
                                Frame::Channel(data) => {
                                    let mut bytes = Vec::new();
                                    write_channel_data(&mut bytes, data.channel, data.payload, false);
                                    bytes
                                }
                            });
                        },
                    )
                    .expect("the relay keeps to the format");
            },
        }
    }

    /// Keeps what is application data; gives back an answer.
    fn sort(&mut self, frame: Vec<u8>) -> Option<Vec<u8>> {
        match Frame::of_datagram(&frame).expect("STUN or ChannelData") {
            Frame::Channel(data) => {
                self.data
                    .push_back(Data { from: From::Channel(data.channel), payload: data.payload.to_vec() });
                None
            }
            Frame::Stun(bytes) => {
                let message = Message::parse(bytes).expect("well-formed");
                if (message.class(), message.method()) == (Class::Indication, method::DATA) {
                    let peer = message.xor_address(attribute::XOR_PEER_ADDRESS).expect("a peer");
                    let payload = message.get(attribute::DATA).expect("data").to_vec();
                    self.data.push_back(Data { from: From::Peer(peer), payload });
                    return None;
                }
                Some(frame)
            }
        }
    }

    /// The next application data.
    pub async fn receive(&mut self) -> Data {
        loop {
            if let Some(data) = self.data.pop_front() {
                return data;
            }
            let frame = self.next().await.expect("the stream is open");
            self.sort(frame);
        }
    }

    /// Sends bytes as they are and waits for the answer to this transaction.
    pub async fn exchange(&mut self, request: &[u8]) -> Vec<u8> {
        let id = Message::parse(request).expect("well-formed").transaction();
        self.send(request).await;
        loop {
            let frame = self.next().await.expect("the stream is open");
            if let Some(answer) = self.sort(frame)
                && Message::parse(&answer).expect("well-formed").transaction() == id
            {
                return answer;
            }
        }
    }

    /// A signed request with this id.
    pub fn signed(&self, method: u16, id: TransactionId, write: &dyn Fn(Builder) -> Builder) -> Vec<u8> {
        write(Builder::new(Class::Request, method, id))
            .attribute(attribute::USERNAME, self.credential.username.as_bytes())
            .attribute(attribute::REALM, self.realm.as_bytes())
            .attribute(attribute::NONCE, self.nonce.as_bytes())
            .integrity(self.key().bytes())
            .fingerprint()
            .finish()
    }

    /// One signed request, without a second try.
    pub async fn ask_once(
        &mut self,
        method: u16,
        write: &dyn Fn(Builder) -> Builder,
    ) -> Result<Vec<u8>, u16> {
        let request = self.signed(method, transaction(), write);
        let answer = self.exchange(&request).await;
        let message = Message::parse(&answer).expect("well-formed");
        if message.class() == Class::Success {
            assert!(message.verify_integrity(self.key().bytes()), "a success is signed");
            return Ok(answer);
        }
        let code = message.error_code().expect("a code");
        if matches!(code, code::UNAUTHENTICATED | code::STALE_NONCE) {
            self.take_challenge(&message);
        }
        Err(code)
    }

    pub fn take_challenge(&mut self, message: &Message<'_>) {
        message.text(attribute::REALM).expect("a realm").clone_into(&mut self.realm);
        message.text(attribute::NONCE).expect("a nonce").clone_into(&mut self.nonce);
    }

    /// A signed request, as a client makes it: it takes the nonce it is given.
    pub async fn ask(&mut self, method: u16, write: &dyn Fn(Builder) -> Builder) -> Result<Vec<u8>, u16> {
        if self.nonce.is_empty() {
            let first = write(Builder::new(Class::Request, method, transaction())).finish();
            let answer = self.exchange(&first).await;
            let message = Message::parse(&answer).expect("well-formed");
            assert_eq!(message.error_code(), Some(code::UNAUTHENTICATED));
            self.take_challenge(&message);
        }
        match self.ask_once(method, write).await {
            Err(code::STALE_NONCE) => self.ask_once(method, write).await,
            other => other,
        }
    }

    pub async fn try_allocate(&mut self) -> Result<SocketAddr, u16> {
        let answer = self.ask(method::ALLOCATE, &udp_transport).await?;
        Ok(relayed(&answer))
    }

    pub async fn allocate(&mut self) -> SocketAddr {
        self.try_allocate().await.expect("allocated")
    }

    /// Returns the lifetime granted, in seconds.
    pub async fn refresh(&mut self, lifetime: u32) -> Result<u32, u16> {
        let answer = self.ask(method::REFRESH, &|it| it.number(attribute::LIFETIME, lifetime)).await?;
        Ok(Message::parse(&answer).expect("well-formed").number(attribute::LIFETIME).expect("a lifetime"))
    }

    pub async fn permit(&mut self, peer: SocketAddr) -> Result<(), u16> {
        let write = |it: Builder| it.xor_address(attribute::XOR_PEER_ADDRESS, peer);
        self.ask(method::CREATE_PERMISSION, &write).await.map(|_| ())
    }

    pub async fn bind(&mut self, channel: u16, peer: SocketAddr) -> Result<(), u16> {
        let write = |it: Builder| {
            it.number(attribute::CHANNEL_NUMBER, u32::from(channel) << 16)
                .xor_address(attribute::XOR_PEER_ADDRESS, peer)
        };
        self.ask(method::CHANNEL_BIND, &write).await.map(|_| ())
    }

    pub async fn send_to(&mut self, peer: SocketAddr, payload: &[u8]) {
        let bytes = Builder::new(Class::Indication, method::SEND, transaction())
            .xor_address(attribute::XOR_PEER_ADDRESS, peer)
            .attribute(attribute::DATA, payload)
            .finish();
        self.send(&bytes).await;
    }

    pub async fn send_on(&mut self, channel: u16, payload: &[u8]) {
        let pad = matches!(self.wire, Wire::Stream { .. });
        let mut bytes = Vec::new();
        write_channel_data(&mut bytes, channel, payload, pad);
        self.send(&bytes).await;
    }

    /// Waits until the relay has handled everything sent so far.
    pub async fn settle(&mut self) {
        let request = Builder::new(Class::Request, method::BINDING, transaction()).finish();
        self.exchange(&request).await;
    }

    /// How this client looks from outside.
    pub async fn mapped(&mut self) -> SocketAddr {
        let request = Builder::new(Class::Request, method::BINDING, transaction()).fingerprint().finish();
        let answer = self.exchange(&request).await;
        Message::parse(&answer)
            .expect("well-formed")
            .xor_address(attribute::XOR_MAPPED_ADDRESS)
            .expect("an address")
    }
}

pub fn relayed(answer: &[u8]) -> SocketAddr {
    let message = Message::parse(answer).expect("well-formed");
    message.xor_address(attribute::XOR_RELAYED_ADDRESS).expect("a relayed address")
}
