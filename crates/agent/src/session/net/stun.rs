//! How others see a socket of ours: one STUN Binding transaction per socket and server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use turn_client_proto::stun::types::attribute::XorMappedAddress;
use turn_client_proto::stun::types::message::{
    BINDING, Message, MessageWrite, MessageWriteVec, TransactionId,
};

/// A request is repeated after this, then after twice that, and so on.
const FIRST_WAIT: Duration = Duration::from_millis(400);
/// Requests before a server is given up.
const ATTEMPTS: u32 = 5;

#[derive(Debug)]
pub(crate) struct Binding {
    /// Index of the socket.
    pub(crate) socket: usize,
    pub(crate) server: SocketAddr,
    transaction: TransactionId,
    request: Vec<u8>,
    attempts: u32,
    next: Instant,
}

impl Binding {
    pub(crate) fn new(socket: usize, server: SocketAddr, now: Instant) -> Self {
        let builder = Message::builder_request(BINDING, MessageWriteVec::new());
        let request = builder.finish();
        let transaction = Message::from_bytes(&request)
            .map_or_else(|_| TransactionId::generate(), |message| message.transaction_id());
        Self { socket, server, transaction, request, attempts: 0, next: now }
    }

    /// The request, if it is time to send it (again).
    pub(crate) fn due(&mut self, now: Instant) -> Option<&[u8]> {
        if now < self.next || self.is_over() {
            return None;
        }
        self.next = now + FIRST_WAIT * 2_u32.pow(self.attempts);
        self.attempts += 1;
        Some(&self.request)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.attempts >= ATTEMPTS
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        (!self.is_over()).then_some(self.next)
    }

    /// The socket's address as the server saw it, if this is its answer to us.
    pub(crate) fn answer(&self, from: SocketAddr, datagram: &[u8]) -> Option<SocketAddr> {
        if from != self.server {
            return None;
        }
        let message = Message::from_bytes(datagram).ok()?;
        if !message.is_response() || message.transaction_id() != self.transaction {
            return None;
        }
        let mapped = message.attribute::<XorMappedAddress>().ok()?;
        Some(mapped.addr(self.transaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use turn_client_proto::stun::types::message::MessageWriteExt;

    #[test]
    fn only_the_asked_server_with_the_right_transaction_is_believed() {
        let now = Instant::now();
        let server = SocketAddr::from(([192, 0, 2, 1], 3478));
        let mapped = SocketAddr::from(([198, 51, 100, 7], 4242));
        let mut binding = Binding::new(0, server, now);
        let request = binding.due(now).expect("at once").to_vec();
        let request = Message::from_bytes(&request).expect("a message");
        let mut answer = Message::builder_success(&request, MessageWriteVec::new());
        answer.add_attribute(&XorMappedAddress::new(mapped, request.transaction_id())).expect("room");
        let answer = answer.finish();

        assert_eq!(binding.answer(server, &answer), Some(mapped));
        assert_eq!(binding.answer(mapped, &answer), None);
        assert_eq!(Binding::new(0, server, now).answer(server, &answer), None);
    }

    #[test]
    fn it_gives_up_after_a_while() {
        let mut now = Instant::now();
        let mut binding = Binding::new(0, SocketAddr::from(([192, 0, 2, 1], 3478)), now);
        let mut sent = 0;
        while let Some(next) = binding.next() {
            now = next;
            sent += u32::from(binding.due(now).is_some());
        }
        assert_eq!(sent, ATTEMPTS);
    }
}
