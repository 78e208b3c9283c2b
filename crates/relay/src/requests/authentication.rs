//! The long-term credential mechanism (RFC 8489 §9.2) over time-limited credentials.

use super::Request;
use crate::credentials::{LongTermKey, REALM, Username};
use crate::nonce;
use crate::stun::{attribute, code};

/// Someone who holds the password of this username.
pub(super) struct Caller<'a> {
    pub(super) text: &'a str,
    pub(super) username: Username<'a>,
    pub(super) key: LongTermKey,
}

impl<'a> Request<'a> {
    /// RFC 8489 §9.2.4, in its order. The time of expiry is not looked at: that is Allocate's business alone.
    pub(super) fn authenticate(&self) -> Result<Caller<'a>, Vec<u8>> {
        let message = self.message;
        if !message.has_integrity() {
            return Err(self.challenge(code::UNAUTHENTICATED));
        }
        let (Some(text), Some(_), Some(nonce)) =
            (message.text(attribute::USERNAME), message.get(attribute::REALM), message.get(attribute::NONCE))
        else {
            return Err(self.refuse(code::BAD_REQUEST).finish());
        };
        let client = self.origin.tuple.client;
        if !nonce::is_fresh(&self.shared.secret, client, self.shared.now(), nonce) {
            return Err(self.challenge(code::STALE_NONCE));
        }
        let Some(username) = Username::parse(text) else {
            return Err(self.challenge(code::UNAUTHENTICATED));
        };
        // The allocation knows its owner's key, and its owner is who nearly always asks.
        let key = match self.allocation {
            Some(allocation) if allocation.account.username == text => allocation.key.clone(),
            _ => LongTermKey::of(&self.shared.secret, text),
        };
        if !message.verify_integrity(key.bytes()) {
            return Err(self.challenge(code::UNAUTHENTICATED));
        }
        Ok(Caller { text, username, key })
    }

    /// 401 or 438 with what the client needs to try again (RFC 8489 §9.2.4). Kept short: 60 bytes, since anyone can
    /// have it sent to an address that is not theirs.
    pub(super) fn challenge(&self, code: u16) -> Vec<u8> {
        let nonce = nonce::issue(&self.shared.secret, self.origin.tuple.client, self.shared.now());
        self.refuse(code)
            .attribute(attribute::REALM, REALM.as_bytes())
            .attribute(attribute::NONCE, nonce.as_bytes())
            .finish()
    }
}
