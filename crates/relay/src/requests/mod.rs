//! Requests and their answers: Binding (RFC 8489 §6.3) and the four of TURN (RFC 8656 §7, §8, §10, §12).
//!
//! [`answer`] is the only entrance. Whether a request is answered at all is decided before any hash is computed.

mod allocate;
mod authentication;
mod existing;

use std::sync::Arc;

use tokio::time::Instant;

use crate::allocation::Allocation;
use crate::credentials::LongTermKey;
use crate::forward::Origin;
use crate::shared::{Shared, count};
use crate::stun::{Builder, Class, Message, attribute, code, method};

use authentication::Caller;

/// One request with all that an answer depends on.
struct Request<'a> {
    shared: &'a Arc<Shared>,
    origin: &'a Origin,
    allocation: Option<&'a Arc<Allocation>>,
    message: &'a Message<'a>,
    now: Instant,
}

/// Answers a request, or `None` if silence is better.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    origin: &Origin,
    allocation: Option<&Arc<Allocation>>,
    message: &Message<'_>,
    now: Instant,
) -> Option<Vec<u8>> {
    let admitted = match allocation {
        Some(allocation) => allocation.admits_request(now),
        None => shared.throttle.admits(origin.tuple.client.ip(), now),
    };
    if !admitted {
        count(&shared.counters.dropped, 1);
        return None;
    }
    let request = Request { shared, origin, allocation, message, now };
    match message.method() {
        method::BINDING => Some(request.binding()),
        method::ALLOCATE | method::REFRESH | method::CREATE_PERMISSION | method::CHANNEL_BIND => {
            let caller = match request.authenticate() {
                Ok(caller) => caller,
                Err(refusal) => return Some(refusal),
            };
            Some(request.dispatch(&caller))
        }
        // Connect and the like (RFC 6062) are not offered.
        _ => Some(request.refuse(code::BAD_REQUEST).finish()),
    }
}

impl Request<'_> {
    fn dispatch(&self, caller: &Caller<'_>) -> Vec<u8> {
        if let Some(answer) = self.refuse_unknown() {
            return answer.integrity(caller.key.bytes()).finish();
        }
        let result = match self.message.method() {
            method::ALLOCATE => self.allocate(caller),
            method::REFRESH => self.refresh(caller),
            method::CREATE_PERMISSION => self.create_permission(caller),
            _ => self.channel_bind(caller),
        };
        match result {
            Ok(answer) => answer.integrity(caller.key.bytes()).finish(),
            // It carries a challenge whoever asks (RFC 8489 §9.2.4).
            Err(code::UNAUTHENTICATED) => self.challenge(code::UNAUTHENTICATED),
            Err(code) => self.refuse_to(code, &caller.key),
        }
    }

    /// RFC 8489 §6.3.1: the client learns how the world sees it.
    fn binding(&self) -> Vec<u8> {
        if let Some(answer) = self.refuse_unknown() {
            return answer.finish();
        }
        let answer = self.success().xor_address(attribute::XOR_MAPPED_ADDRESS, self.origin.tuple.client);
        if self.message.get(attribute::FINGERPRINT).is_some() { answer.fingerprint() } else { answer }
            .finish()
    }

    /// RFC 8489 §6.3.1: 420 with a list of what was not understood. The list is bounded, because the answer must not
    /// be longer than the question.
    fn refuse_unknown(&self) -> Option<Builder> {
        const LISTED: usize = 8;
        let unknown: Vec<u8> = self
            .message
            .attributes()
            .map(|(kind, _)| kind)
            .filter(|kind| !attribute::is_understood(*kind))
            .take(LISTED)
            .flat_map(u16::to_be_bytes)
            .collect();
        if unknown.is_empty() {
            return None;
        }
        Some(self.refuse(code::UNKNOWN_ATTRIBUTE).attribute(attribute::UNKNOWN_ATTRIBUTES, &unknown))
    }

    fn success(&self) -> Builder {
        Builder::new(Class::Success, self.message.method(), self.message.transaction())
    }

    fn refuse(&self, code: u16) -> Builder {
        Builder::new(Class::Error, self.message.method(), self.message.transaction()).error_code(code)
    }

    fn refuse_to(&self, code: u16, key: &LongTermKey) -> Vec<u8> {
        self.refuse(code).integrity(key.bytes()).finish()
    }
}
