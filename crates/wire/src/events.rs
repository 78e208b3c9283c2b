//! The event stream `GET /events?channel=DeviceChannel`.
//!
//! Existing parsers are naive: every event is exactly the lines below, one space after the colon, LF,
//! an empty line, in one write, one chunk and one TLS record of at most [`MAX_EVENT`] bytes.
//! `welcome`, `confirm_subscription`, `ping` and `deploy` are part A; the other commands are ours.

use crate::SessionId;
use crate::signalling::IceCandidate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most bytes that one event takes, its empty line included.
pub const MAX_EVENT: usize = 1024;
/// The value of `channel` in the query.
pub const CHANNEL: &str = "DeviceChannel";

/// One event of the stream, as the server writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// First: the stream stands.
    Welcome {
        /// A random name of the stream.
        sid: String,
    },
    /// Second: commands will follow.
    ConfirmSubscription,
    /// Keeps middle boxes awake and tells the time.
    Ping {
        /// Unix time in seconds.
        now: i64,
    },
    /// An order to the device.
    Command(Command),
}

/// An order to the device. Events are not replayed: after every connection a client asks for what is
/// pending and syncs its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", content = "data", rename_all = "snake_case")]
pub enum Command {
    /// Part A: a deployment waits; ask for it.
    Deploy {
        /// Deployment id.
        id: uuid::Uuid,
    },
    /// Somebody opens a session; fetch its offer.
    Session {
        /// Session id.
        id: SessionId,
    },
    /// A network candidate of the browser.
    Candidate {
        /// Session id.
        id: SessionId,
        /// The candidate.
        candidate: IceCandidate,
    },
    /// End this session now.
    EndSession {
        /// Session id.
        id: SessionId,
        /// A sentence for the person in the browser; empty if there is none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// The device was deleted or its token revoked: forget the token.
    SignOut {},
}

impl ServerEvent {
    /// The bytes of the event, ready for one write.
    ///
    /// ```
    /// # use bramble_wire::events::ServerEvent;
    /// assert_eq!(
    ///     ServerEvent::Ping { now: 1_700_000_000 }.to_bytes(),
    ///     b"event: ping\ndata: {\"type\":\"ping\",\"message\":1700000000}\n\n",
    /// );
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        let (name, data) = match self {
            Self::Welcome { sid } => {
                (Some("welcome"), format!(r#"{{"type":"welcome","sid":{}}}"#, json!(sid)))
            }
            Self::ConfirmSubscription => (
                Some("confirm_subscription"),
                r#"{"type":"confirm_subscription","identifier":"{\"channel\":\"DeviceChannel\"}"}"#
                    .to_owned(),
            ),
            Self::Ping { now } => (Some("ping"), format!(r#"{{"type":"ping","message":{now}}}"#)),
            Self::Command(command) => {
                (None, serde_json::to_string(command).unwrap_or_else(|_| String::from("{}")))
            }
        };
        let mut out = Vec::with_capacity(data.len() + 32);
        if let Some(name) = name {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(name.as_bytes());
            out.push(b'\n');
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(data.as_bytes());
        out.extend_from_slice(b"\n\n");
        out
    }

    /// Reads one event from its name (if it had one) and its data. `None` for an event that this
    /// version does not know: newer servers may send more.
    pub fn parse(name: Option<&str>, data: &str) -> Option<Self> {
        match name {
            Some("welcome") => {
                let value: Value = serde_json::from_str(data).ok()?;
                Some(Self::Welcome { sid: value.get("sid")?.as_str()?.to_owned() })
            }
            Some("confirm_subscription") => Some(Self::ConfirmSubscription),
            Some("ping") => {
                let value: Value = serde_json::from_str(data).ok()?;
                Some(Self::Ping { now: value.get("message")?.as_i64()? })
            }
            None | Some("message") => serde_json::from_str(data).ok().map(Self::Command),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_exactly_those_that_existing_clients_parse() {
        let confirm = ServerEvent::ConfirmSubscription.to_bytes();
        assert_eq!(
            String::from_utf8(confirm).expect("text"),
            "event: confirm_subscription\ndata: {\"type\":\"confirm_subscription\",\"identifier\":\"{\\\"channel\\\":\\\"DeviceChannel\\\"}\"}\n\n"
        );
        let id: uuid::Uuid = "fdf45c44-2c0e-4f12-9b04-3a6a1c0d3b8d".parse().expect("a UUID");
        let deploy = ServerEvent::Command(Command::Deploy { id }).to_bytes();
        assert_eq!(
            String::from_utf8(deploy).expect("text"),
            "data: {\"command\":\"deploy\",\"data\":{\"id\":\"fdf45c44-2c0e-4f12-9b04-3a6a1c0d3b8d\"}}\n\n"
        );
        let out = ServerEvent::Command(Command::SignOut {}).to_bytes();
        assert_eq!(String::from_utf8(out).expect("text"), "data: {\"command\":\"sign_out\",\"data\":{}}\n\n");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let all = [
            ServerEvent::Welcome { sid: "a\"b".into() },
            ServerEvent::ConfirmSubscription,
            ServerEvent::Ping { now: 5 },
            ServerEvent::Command(Command::EndSession {
                id: SessionId(uuid::Uuid::nil()),
                reason: "Over.".into(),
            }),
        ];
        for event in all {
            let bytes = event.to_bytes();
            let text = std::str::from_utf8(&bytes).expect("text");
            let name = text.lines().find_map(|l| l.strip_prefix("event: "));
            let data = text.lines().find_map(|l| l.strip_prefix("data: ")).expect("data");
            assert_eq!(ServerEvent::parse(name, data), Some(event));
        }
        // An older server gives no reason.
        let nil = SessionId(uuid::Uuid::nil());
        let unexplained = Command::EndSession { id: nil, reason: String::new() };
        let data = format!(r#"{{"command":"end_session","data":{{"id":"{nil}"}}}}"#);
        assert_eq!(ServerEvent::parse(None, &data), Some(ServerEvent::Command(unexplained)));
        assert_eq!(ServerEvent::parse(Some("news"), "{}"), None);
        assert_eq!(ServerEvent::parse(None, r#"{"command":"dance","data":{}}"#), None);
    }
}
