//! What travels inside a session, between browser and device, where the server cannot see it.
//!
//! The browser opens the channels before its offer, all ordered and reliable: [`CONTROL`] in every
//! session and one named after the session's kind. On [`SHELL`] a binary message is terminal bytes
//! and a text message is JSON: [`ToShell`] from the browser, [`FromShell`] from the device. On
//! [`FILES`] it is much the same, see [`crate::files`]. On [`VNC`] a binary message is bytes of the VNC server's
//! protocol and a text message [`ToScreen`] or [`FromScreen`]. On [`CONTROL`] both sides send [`Control`] as text.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Label of the channel with heartbeat and goodbye.
pub const CONTROL: &str = "control";
/// Label of the terminal channel.
pub const SHELL: &str = "shell";
/// Label of the raw RFB channel.
pub const VNC: &str = "vnc";
/// Label of the file channel; see [`crate::files`].
pub const FILES: &str = "files";

/// Bytes of output that the device may send beyond what the browser has granted: the credit at the
/// start. The browser grants more with [`ToShell::Credit`] as its terminal has drawn them, so that a
/// flood (`yes`) waits in the shell's own pipe and not in anybody's memory.
pub const INITIAL_CREDIT: u64 = 1024 * 1024;

/// Largest binary message that either side sends on a channel, in bytes.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// Seconds between two heartbeats of the browser.
pub const HEARTBEAT_SECONDS: u64 = 5;
/// Seconds without any message from the browser after which the device takes it for gone.
pub const HEARTBEAT_TIMEOUT_SECONDS: u64 = 20;
/// Seconds for which the device keeps a shell whose browser vanished.
pub const KEPT_SECONDS: u64 = 120;

/// Seconds within which an invitation to watch is used.
pub const INVITATION_SECONDS: u64 = 600;

/// What brings a browser back to its shell: 256 random bits, given by the device in the channel, good for one
/// use. The server never sees it, and it never prints itself.
///
/// ```
/// # use bramble_wire::channel::ShellToken;
/// assert_eq!(format!("{:?}", ShellToken("secret".to_owned())), "ShellToken");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShellToken(pub String);

impl fmt::Debug for ShellToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShellToken")
    }
}

/// Browser to device, on [`SHELL`].
///
/// ```
/// # use bramble_wire::channel::ToShell;
/// let it: ToShell = serde_json::from_str(r#"{"type":"start","cols":80,"rows":24}"#)?;
/// assert_eq!(it, ToShell::Start { cols: 80, rows: 24 });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ToShell {
    /// Start the shell at this size. First message; later ones are ignored.
    Start {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Instead of [`ToShell::Start`]: go on with the shell that this token belongs to. Answered with
    /// [`FromShell::Attached`], or with [`FromShell::Gone`], after which the browser may start a new one.
    Attach {
        /// From the last [`FromShell::Started`] or [`FromShell::Attached`].
        token: ShellToken,
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
        /// Bytes of the shell's output that this page has received; nothing for a page that has none of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<u64>,
    },
    /// From a watcher, instead of [`ToShell::Start`]: show me the shell that this invitation belongs to. Answered
    /// with [`FromShell::Watching`] or [`FromShell::Gone`].
    Watch {
        /// From [`FromShell::Invited`], which its owner passed on.
        code: ShellToken,
    },
    /// Let one person watch. Answered with [`FromShell::Invited`].
    Invite,
    /// Nobody watches any more, and open invitations are void.
    StopWatching,
    /// The window changed.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// The terminal has drawn this many more bytes.
    Credit {
        /// Bytes.
        bytes: u64,
    },
}

/// Device to browser, on [`SHELL`].
///
/// ```
/// # use bramble_wire::channel::FromShell;
/// assert_eq!(
///     serde_json::to_string(&FromShell::Exit { status: Some(3), signal: None })?,
///     r#"{"type":"exit","status":3}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromShell {
    /// The shell runs.
    Started {
        /// Its terminal, `/dev/pts/3`.
        tty: String,
        /// Brings the browser back to it; absent where the device does not keep shells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<ShellToken>,
    },
    /// The browser is back at its shell. Output that it missed follows.
    Attached {
        /// Its terminal.
        tty: String,
        /// For the next time; the former one is used up.
        token: ShellToken,
        /// How many bytes of output came before the next one. More than the browser has seen: the difference
        /// is lost.
        from: u64,
    },
    /// There is no such shell, or none for this person.
    Gone,
    /// For the owner: lets one person watch, once, within [`INVITATION_SECONDS`].
    Invited {
        /// The server never sees it.
        code: ShellToken,
    },
    /// For the owner, at each change: who watches now. What they type goes nowhere.
    Watchers {
        /// Their display names.
        names: Vec<String>,
    },
    /// For the watcher: it is this person's shell, and output only.
    Watching {
        /// Display name.
        owner: String,
    },
    /// For the watcher: the size of the owner's window, before the output that fits it.
    Size {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// The shell ended; all of its output came before this.
    Exit {
        /// Exit status, if it exited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<i32>,
        /// Signal number, if one killed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    },
    /// The shell could not start.
    Error {
        /// A sentence for people.
        message: String,
    },
}

/// Browser to device, as text on [`VNC`]. Binary messages there are the VNC server's own protocol.
///
/// ```
/// # use bramble_wire::channel::ToScreen;
/// let it: ToScreen = serde_json::from_str(r#"{"type":"show","display":"HDMI-A-2"}"#)?;
/// assert_eq!(it, ToScreen::Show { display: "HDMI-A-2".to_owned() });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ToScreen {
    /// Show this display instead. The browser sends no bytes until [`FromScreen::Showing`].
    Show {
        /// One of [`FromScreen::Displays`].
        display: String,
    },
}

/// Device to browser, as text on [`VNC`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromScreen {
    /// The desktop has these displays, of which it shows one; sent at the start where there are two or more.
    Displays {
        /// Their names, as the compositor calls them.
        names: Vec<String>,
        /// The one that is shown, where the device knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        showing: Option<String>,
    },
    /// The bytes that follow are a new connection to the VNC server, which shows this display.
    Showing {
        /// Its name.
        display: String,
    },
}

/// Both ways, on [`CONTROL`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Control {
    /// Are you there? From the browser every [`HEARTBEAT_SECONDS`].
    Ping {
        /// Chosen by the sender.
        seq: u64,
    },
    /// The answer to [`Control::Ping`].
    Pong {
        /// Copied from the ping.
        seq: u64,
    },
    /// The page goes, and may come back: keep its shell for [`KEPT_SECONDS`]. A session without a shell to keep
    /// ends.
    Away,
    /// The sender leaves and does not come back; end the session.
    Bye {
        /// A sentence for people.
        reason: String,
        /// What was behind the session is gone and may come back by itself: from the device, when the desktop
        /// ended. Another session may then be asked for after a while.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
}
