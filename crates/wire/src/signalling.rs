//! How a browser and a device find each other: offers, answers and candidates, carried by the server
//! and never read by it. Part B of the protocol.
//!
//! Browser (session cookie): `POST /sessions` → [`SessionOpened`], `POST /sessions/{id}/offer`
//! [`Description`], `POST /sessions/{id}/candidates` [`CandidateBody`], `DELETE /sessions/{id}`,
//! `GET /sessions/{id}/events` ([`BrowserEvent`]).
//! Device (token): `GET /client/sessions/{id}/offer` → [`Offer`], `POST …/answer` [`Answer`],
//! `POST …/candidates` [`CandidateBody`], `POST …/state` [`StateReport`], `POST …/transfers` [`TransferReport`].

use crate::{DeviceId, SessionId, UserId};
use serde::{Deserialize, Serialize};

/// Largest session description, in bytes.
pub const MAX_SDP: usize = 64 * 1024;
/// Largest candidate line, in bytes. With its id it must fit one event.
pub const MAX_CANDIDATE: usize = 768;
/// Most candidates of one side of one session.
pub const MAX_CANDIDATES: usize = 64;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// Remote shell.
    Shell,
    /// Screen sharing.
    Vnc,
    /// File transfer.
    Files,
}

impl SessionKind {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Vnc => "vnc",
            Self::Files => "files",
        }
    }
}

/// `POST /sessions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenSession {
    /// Which device.
    pub device_id: DeviceId,
    /// What for.
    pub kind: SessionKind,
    /// Only to watch a shell that somebody else runs, who gave an invitation. The device asks for that; the server
    /// tells it that this session's input goes nowhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
    /// The session that the same window had before and goes on from by itself: a desktop that came back, a shell that
    /// the device kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<SessionId>,
}

/// 201 of `POST /sessions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The new session.
    pub id: SessionId,
    /// For `RTCPeerConnection`.
    pub ice_servers: Vec<IceServer>,
}

/// A STUN or TURN server, in the shape of `RTCIceServer`.
///
/// ```
/// # use bramble_wire::signalling::IceServer;
/// let it: IceServer = serde_json::from_str(r#"{"urls":["stun:192.0.2.1:3478"]}"#)?;
/// assert!(it.username.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp|tcp`, `turns:host:port?transport=tcp`.
    pub urls: Vec<String>,
    /// `<expiry>:<session id>:<b|d>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `base64(HMAC-SHA1(secret, username))`. A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// A session description: SDP text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// At most [`MAX_SDP`] bytes.
    pub sdp: String,
}

/// A trickled candidate, in the shape of `RTCIceCandidateInit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCandidate {
    /// `candidate:…`; empty at the end of candidates. At most [`MAX_CANDIDATE`] bytes.
    pub candidate: String,
    /// Media section.
    #[serde(default, rename = "sdpMid", skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    /// Media section's index.
    #[serde(default, rename = "sdpMLineIndex", skip_serializing_if = "Option::is_none")]
    pub sdp_m_line_index: Option<u16>,
}

/// The body of both `…/candidates` endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateBody {
    /// The candidate.
    pub candidate: IceCandidate,
}

/// What the person in the browser may do in the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// Keys and pointer reach the device; `false` for a watcher.
    #[serde(default = "yes")]
    pub input: bool,
    /// Files may be sent and fetched.
    #[serde(default)]
    pub files: bool,
}

fn yes() -> bool {
    true
}

/// Who is in the browser, in words for people at the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// Display name.
    pub name: String,
    /// Tells one person from another: what one leaves, no other gets back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
}

/// `GET /client/sessions/{id}/offer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What for.
    pub kind: SessionKind,
    /// The browser's offer.
    pub sdp: String,
    /// For the device, with credentials of its own.
    pub ice_servers: Vec<IceServer>,
    /// Who comes.
    pub user: Visitor,
    /// What they may do.
    pub permissions: Permissions,
}

/// `POST /client/sessions/{id}/answer`: once, a second is 409.
///
/// ```
/// # use bramble_wire::signalling::Answer;
/// let refused: Answer = serde_json::from_str(r#"{"error":"Remote shell is switched off"}"#)?;
/// assert!(matches!(refused, Answer::Refused { .. }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The device takes the session.
    Accepted {
        /// SDP answer.
        sdp: String,
    },
    /// The device refuses, and says why to the person.
    Refused {
        /// A sentence for people.
        error: String,
    },
}

/// How the two sides reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// Without a relay.
    Direct,
    /// Through a relay.
    Relayed,
}

/// Where a session stands, as its device reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportedState {
    /// The channels are open.
    Connected,
    /// It is over.
    Ended,
}

/// `POST /client/sessions/{id}/state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReport {
    /// Where it stands.
    pub state: ReportedState,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// Why it ended, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which way a file went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the browser to the device.
    Upload,
    /// From the device to the browser.
    Download,
}

/// `POST /client/sessions/{id}/transfers`: a file went over a session, or a part of it did. The server cannot see
/// that; it is the device's word.
///
/// ```
/// # use bramble_wire::signalling::{Direction, TransferReport};
/// let it: TransferReport = serde_json::from_str(r#"{"direction":"upload","name":"a.txt","size":5,"bytes":3}"#)?;
/// assert!(it.direction == Direction::Upload && it.sha256.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferReport {
    /// Which way.
    pub direction: Direction,
    /// Path below the root; shortened in front if it is long.
    pub name: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// Bytes of it that went over this session.
    pub bytes: u64,
    /// Of the whole file in lower-case hex, if the transfer was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What the waiting browser hears on `GET /sessions/{id}/events`. The event's name is the variant's,
/// the data its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum BrowserEvent {
    /// The device's answer.
    Answer {
        /// SDP answer.
        sdp: String,
    },
    /// A candidate of the device.
    Candidate {
        /// The candidate.
        candidate: IceCandidate,
    },
    /// The session is over.
    End {
        /// A sentence for people.
        reason: String,
        /// Whether the window may ask for another one by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// The session could not start.
    Error {
        /// A sentence for people.
        reason: String,
    },
}

impl BrowserEvent {
    /// The event's name in the stream.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::Candidate { .. } => "candidate",
            Self::End { .. } => "end",
            Self::Error { .. } => "error",
        }
    }
}
