//! The channels of a session: which is which, and what the messages on them mean.

use bramble_wire::channel::{
    CONTROL, Control, FILES, MAX_MESSAGE, SHELL, ShellToken, ToScreen, ToShell, VNC,
};
use bramble_wire::files::ToFiles;
use str0m::channel::{ChannelData, ChannelId};

/// Longest text message: all of ours are far shorter, and a longer one is not looked at.
const MOST_TEXT: usize = 4 * 1024;

/// Channels without a place in the session that are closed again with patience: a later browser may open
/// some that this version does not know.
const MOST_STRANGERS: usize = 16;

/// The open channels.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) control: Option<ChannelId>,
    /// The one of the session's kind.
    pub(crate) work: Option<ChannelId>,
    label: &'static str,
    strangers: usize,
}

/// A message from the browser.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Ping(u64),
    Bye(String),
    Away,
    Start {
        cols: u16,
        rows: u16,
    },
    Attach {
        token: ShellToken,
        cols: u16,
        rows: u16,
        seen: Option<u64>,
    },
    Resize {
        cols: u16,
        rows: u16,
    },
    Credit(u64),
    Watch(ShellToken),
    Invite,
    StopWatching,
    /// Another display is wanted.
    Show(String),
    /// About files; `None` if it was not understood.
    Files(Option<ToFiles>),
    /// Bytes for what is behind the session, where the message itself holds them.
    Bytes,
    /// Nothing this device understands; a later browser may say more.
    Unknown,
}

impl Channels {
    /// None open yet; the session's own one has this label.
    pub(crate) fn new(label: &'static str) -> Self {
        Self { control: None, work: None, label, strangers: 0 }
    }

    /// Takes note of a channel; `false` if it has no place in this session.
    pub(crate) fn opened(&mut self, id: ChannelId, label: &str) -> bool {
        let place = match label {
            CONTROL => &mut self.control,
            _ if label == self.label => &mut self.work,
            _ => {
                self.strangers += 1;
                return false;
            }
        };
        if place.is_some() {
            self.strangers += 1;
            return false;
        }
        *place = Some(id);
        true
    }

    /// Whether the browser opens channels without end: each costs memory until it is closed on both sides.
    pub(crate) fn are_too_many(&self) -> bool {
        self.strangers > MOST_STRANGERS
    }

    /// Whether one of ours was closed.
    pub(crate) fn closed(&mut self, id: ChannelId) -> bool {
        let mut ours = false;
        for place in [&mut self.control, &mut self.work] {
            if *place == Some(id) {
                *place = None;
                ours = true;
            }
        }
        ours
    }

    pub(crate) fn are_open(&self) -> bool {
        self.control.is_some() && self.work.is_some()
    }

    pub(crate) fn hear(&self, message: &ChannelData) -> Heard {
        if self.work == Some(message.id) {
            on_work(self.label, message.binary, &message.data)
        } else if self.control == Some(message.id) {
            on_control(message.binary, &message.data)
        } else {
            Heard::Unknown
        }
    }
}

fn on_work(label: &str, binary: bool, data: &[u8]) -> Heard {
    if binary {
        return if data.len() <= MAX_MESSAGE { Heard::Bytes } else { Heard::Unknown };
    }
    if label == FILES {
        let words = if data.len() > MOST_TEXT { None } else { serde_json::from_slice(data).ok() };
        return Heard::Files(words);
    }
    if data.len() > MOST_TEXT {
        return Heard::Unknown;
    }
    if label == VNC {
        let words = serde_json::from_slice(data);
        return words.map_or(Heard::Unknown, |ToScreen::Show { display }| Heard::Show(display));
    }
    if label != SHELL {
        return Heard::Unknown;
    }
    match serde_json::from_slice(data) {
        Ok(ToShell::Start { cols, rows }) => Heard::Start { cols, rows },
        Ok(ToShell::Attach { token, cols, rows, seen }) => Heard::Attach { token, cols, rows, seen },
        Ok(ToShell::Watch { code }) => Heard::Watch(code),
        Ok(ToShell::Invite) => Heard::Invite,
        Ok(ToShell::StopWatching) => Heard::StopWatching,
        Ok(ToShell::Resize { cols, rows }) => Heard::Resize { cols, rows },
        Ok(ToShell::Credit { bytes }) => Heard::Credit(bytes),
        Err(_) => Heard::Unknown,
    }
}

fn on_control(binary: bool, data: &[u8]) -> Heard {
    if binary || data.len() > MOST_TEXT {
        return Heard::Unknown;
    }
    match serde_json::from_slice(data) {
        Ok(Control::Ping { seq }) => Heard::Ping(seq),
        Ok(Control::Bye { reason, .. }) => Heard::Bye(reason),
        Ok(Control::Away) => Heard::Away,
        Ok(Control::Pong { .. }) | Err(_) => Heard::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_shell(binary: bool, data: &[u8]) -> Heard {
        on_work(SHELL, binary, data)
    }

    #[test]
    fn a_screen_takes_bytes_and_few_words() {
        let show = br#"{"type":"show","display":"HDMI-A-2"}"#;
        assert_eq!(on_work(VNC, false, show), Heard::Show("HDMI-A-2".to_owned()));
        assert_eq!(on_shell(false, show), Heard::Unknown);
        assert_eq!(on_work(VNC, false, &[b' '; MOST_TEXT + 1]), Heard::Unknown);
        assert_eq!(on_work(VNC, true, b"RFB 003.008\n"), Heard::Bytes);
        assert_eq!(on_work(VNC, false, br#"{"type":"start","cols":80,"rows":24}"#), Heard::Unknown);
    }

    #[test]
    fn files_are_told_what_was_not_understood() {
        let list = br#"{"type":"list","folder":""}"#;
        assert_eq!(on_work(FILES, false, list), Heard::Files(Some(ToFiles::List { folder: String::new() })));
        assert_eq!(on_work(FILES, true, b"bytes"), Heard::Bytes);
        let invalid = b"{\"type\":\"list\",\"folder\":\"\xff\"}";
        for garbage in [&invalid[..], b"", b"null", br#"{"type":"erase"}"#, &[b' '; MOST_TEXT + 1]] {
            assert_eq!(on_work(FILES, false, garbage), Heard::Files(None));
        }
        assert_eq!(on_shell(false, list), Heard::Unknown);
    }

    #[test]
    fn messages_are_understood_on_their_own_channel_only() {
        let start = br#"{"type":"start","cols":80,"rows":24}"#;
        let ping = br#"{"type":"ping","seq":7}"#;
        assert_eq!(on_shell(false, start), Heard::Start { cols: 80, rows: 24 });
        assert_eq!(on_control(false, start), Heard::Unknown);
        assert_eq!(on_control(false, ping), Heard::Ping(7));
        assert_eq!(on_shell(false, ping), Heard::Unknown);
        assert_eq!(on_shell(true, ping), Heard::Bytes);
    }

    #[test]
    fn what_is_too_large_or_no_message_is_not_looked_at() {
        assert_eq!(on_shell(true, &vec![0; MAX_MESSAGE + 1]), Heard::Unknown);
        let mut long = br#"{"type":"bye","reason":""#.to_vec();
        long.resize(MOST_TEXT, b'a');
        long.extend(b"\"}");
        for data in [&long[..], b"", b"{", b"null", br#"{"type":"start","cols":-1,"rows":1}"#] {
            assert_eq!(on_control(false, data), Heard::Unknown);
            assert_eq!(on_shell(false, data), Heard::Unknown);
        }
    }
}
