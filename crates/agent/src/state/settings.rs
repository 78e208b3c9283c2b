//! What the person at the device allows.

use super::SecretText;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};

/// `settings.toml`. What a newer version wrote and this one does not know is kept out of the way, not
/// refused: an older program must still start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Remote shell is allowed.
    pub shell: bool,
    /// Screen sharing is allowed.
    pub vnc: bool,
    /// File transfer is allowed.
    pub files: bool,
    /// The folder that it works in; `~/Bramble` if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_root: Option<PathBuf>,
    /// Another VNC server than the desktop's own WayVNC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<ScreenChoice>,
    /// The size of the screen that stands in for a desktop while none runs; none if `None`. Without meaning
    /// while another VNC server is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_screen: Option<ScreenSize>,
}

/// Pixels across and down, written `1280x720`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScreenSize {
    width: u16,
    height: u16,
}

/// That is no size of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a screen's size is like 1280x720: from 320x200 to 7680x4320 pixels")]
pub struct SizeError;

impl Default for ScreenSize {
    fn default() -> Self {
        Self { width: 1280, height: 720 }
    }
}

impl FromStr for ScreenSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let (width, height) = text.split_once('x').ok_or(SizeError)?;
        // Rust would read a sign as well.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'x') {
            return Err(SizeError);
        }
        let size = Self {
            width: width.parse().map_err(|_| SizeError)?,
            height: height.parse().map_err(|_| SizeError)?,
        };
        let fits = (320..=7680).contains(&size.width) && (200..=4320).contains(&size.height);
        fits.then_some(size).ok_or(SizeError)
    }
}

impl TryFrom<String> for ScreenSize {
    type Error = SizeError;

    fn try_from(text: String) -> Result<Self, SizeError> {
        text.parse()
    }
}

impl From<ScreenSize> for String {
    fn from(size: ScreenSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for ScreenSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A VNC server on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScreenChoice {
    /// A Unix socket's absolute path, or a loopback address with a port.
    pub address: String,
    /// What the server asks for. It is never sent to a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretText>,
}

impl Settings {
    /// Nothing is allowed: what holds while the file cannot be read.
    pub const NOTHING: Self =
        Self { shell: false, vnc: false, files: false, files_root: None, screen: None, virtual_screen: None };
}

impl Default for Settings {
    fn default() -> Self {
        Self { shell: true, vnc: true, ..Self::NOTHING }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers_within_reason() {
        for good in ["1280x720", "320x200", "7680x4320"] {
            assert_eq!(good.parse::<ScreenSize>().map(|size| size.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "x",
            "1280",
            "1280x",
            "1280x720x1",
            "+1280x720",
            "319x200",
            "320x4321",
            "99999x720",
            "1280x720 bg #0",
        ] {
            assert_eq!(bad.parse::<ScreenSize>(), Err(SizeError), "{bad}");
        }
    }
}
