//! `/etc/rpi-connect/rpi-ota-connector.config`: what the owner of the device decided about updates.

use super::files;
use std::{path::Path, time::Duration};

/// Where it is, below the root.
pub const PATH: &str = "etc/rpi-connect/rpi-ota-connector.config";
const MAX_LENGTH: u64 = 64 * 1024;

/// The file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `AutoReboot`: restart by itself when an update needs it.
    pub auto_reboot: bool,
    /// `AutoCommit`: a new system that reaches the server becomes the default by itself.
    pub auto_commit: bool,
    /// `ScriptTimeout`, in seconds: for one script.
    pub script_limit: Duration,
    /// `CommitTimeout`, in seconds: how long a new system may take to reach the server, with `AutoCommit`.
    pub commit_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_reboot: true,
            auto_commit: true,
            script_limit: Duration::from_hours(1),
            commit_limit: Duration::from_mins(15),
        }
    }
}

impl Settings {
    /// Reads the file below `root`. What is missing or makes no sense keeps its default, and is said.
    pub fn load(root: &Path) -> Self {
        match files::read_small(&root.join(PATH), MAX_LENGTH) {
            Ok(Some((text, _))) => Self::parse(&text),
            Ok(None) => Self::default(),
            Err(error) => {
                tracing::warn!(%error, "{PATH} cannot be read; the defaults hold");
                Self::default()
            }
        }
    }

    fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';', '[']) {
                continue;
            }
            let (name, value) = line.split_once('=').map_or((line, ""), |(n, v)| (n.trim(), v.trim()));
            let understood = match name {
                "AutoReboot" => yes_or_no(value).map(|it| settings.auto_reboot = it),
                "AutoCommit" => yes_or_no(value).map(|it| settings.auto_commit = it),
                "ScriptTimeout" => seconds(value).map(|it| settings.script_limit = it),
                "CommitTimeout" => seconds(value).map(|it| settings.commit_limit = it),
                // A newer version's.
                _ => Some(()),
            };
            if understood.is_none() {
                tracing::warn!(setting = name, "{PATH}: this value is not understood; the default holds");
            }
        }
        settings
    }
}

fn yes_or_no(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn seconds(value: &str) -> Option<Duration> {
    value.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood_counts() {
        let it =
            Settings::parse("# a word\n[x]\nAutoReboot=false\nAutoCommit = maybe\nScriptTimeout=90\nNew=1\n");
        let expected =
            Settings { auto_reboot: false, script_limit: Duration::from_secs(90), ..Settings::default() };
        assert_eq!(it, expected);
    }
}
