//! What people's programs say to the daemon: one line of JSON there, one or more back, over a Unix
//! socket of the user's own.
//!
//! What it is not: a network service. Only processes of the same user are heard, a request is small and
//! must come at once, and there are only so many connections. How to add to it: a variant of
//! [`Request`], an arm in [`server`], a command in `cli`.

pub mod client;
pub mod server;

use crate::state::{ScreenChoice, ScreenSize, SecretText, ServerUrl};
use bramble_wire::DeviceId;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Largest request, in bytes: a chain of authorities.
pub const MAX_REQUEST: u64 = 256 * 1024;

/// To the daemon.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// How things stand.
    Status,
    /// Sign in; without a key by a code.
    SignIn {
        /// The key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        auth_key: Option<SecretText>,
        /// The server; else the configured one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
        /// PEM of the only authority to trust.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
    /// Sign out.
    SignOut,
    /// Allow or forbid the remote shell.
    Shell {
        /// Allow.
        on: bool,
    },
    /// Allow or forbid screen sharing.
    Vnc {
        /// Allow.
        on: bool,
    },
    /// Allow or forbid file transfer.
    Files {
        /// Allow.
        on: bool,
        /// The folder that it works in from now on; as before if `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        root: Option<PathBuf>,
    },
    /// Share another VNC server.
    Screen {
        /// Which; the desktop's own if `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        choice: Option<ScreenChoice>,
        /// The size of the virtual one that stands in for the desktop while there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        virtual_screen: Option<ScreenSize>,
    },
    /// What to trust for remote updates.
    OtaTrust,
    /// Remote updates were allowed or forbidden.
    OtaChanged,
    /// End.
    Stop,
}

/// From the daemon. The last line is one of `done`, `failed`, `trust` and `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Reply {
    /// A person must open this page; more will follow.
    Visit {
        /// The page, with the code in it.
        url: String,
    },
    /// The answer to [`Request::OtaTrust`]: the trust file's text.
    Trust {
        /// TOML.
        text: String,
    },
    /// It worked.
    Done {
        /// What a person should know besides.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// It did not.
    Failed {
        /// Why, and what to do.
        why: String,
    },
    /// The answer to [`Request::Status`].
    Status(Box<Status>),
}

/// Whether a function is there and switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Feature {
    /// Switched on.
    Allowed,
    /// Switched off.
    Disallowed,
    /// Not on this machine or not in this build.
    Unavailable,
}

impl Feature {
    /// As `rpi-connect status` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Disallowed => "disallowed",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How things stand; `rpi-connect status --json` prints exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// There is a sign-in.
    pub signed_in: bool,
    /// The server's commands arrive.
    pub subscribed: bool,
    /// Screen sharing.
    pub vnc: Feature,
    /// Why it is unavailable, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vnc_reason: Option<String>,
    /// Its sessions.
    pub vnc_sessions: usize,
    /// The size of the screen that stands in for a desktop while none runs, where that is switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_screen: Option<ScreenSize>,
    /// The displays of the desktop that is shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub displays: Vec<String>,
    /// Remote shell.
    pub shell: Feature,
    /// Its sessions.
    pub shell_sessions: usize,
    /// Remote updates.
    pub ota: Feature,
    /// File transfer.
    pub files: Feature,
    /// Its sessions.
    pub files_sessions: usize,
    /// The folder that it works in.
    pub files_root: Option<PathBuf>,
    /// The server, when signed in.
    pub server: Option<ServerUrl>,
    /// The id there.
    pub device_id: Option<DeviceId>,
    /// The serial number that the server knows this board by.
    pub serial_number: String,
    /// The daemon's version.
    pub version: String,
    /// What stands in the way, for people.
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_one_line_each_and_never_show_a_key() {
        let key = SecretText::new("rpuak_canary".into());
        let request = Request::SignIn { auth_key: Some(key), server: None, ca: Some("a\nb".into()) };
        let line = serde_json::to_string(&request).expect("serialises");
        assert_eq!(line, r#"{"do":"sign_in","auth_key":"rpuak_canary","ca":"a\nb"}"#);
        assert!(!format!("{request:?}").contains("canary"));
        let status: Request = serde_json::from_str(r#"{"do":"status"}"#).expect("parses");
        assert!(matches!(status, Request::Status));
    }
}
