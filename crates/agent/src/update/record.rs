//! What the updater remembers across restarts and power cuts: one small file, replaced before each step.
//!
//! It lies beside `autoboot.txt` where a device has two systems, because both of them must find it. It is
//! lines of `name=value`, so that a person or a script can read `state=…`.

use super::files;
use bramble_wire::DeploymentId;
use std::{
    collections::VecDeque,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

/// Its name.
pub const FILE_NAME: &str = "ota_state";
/// Where it is on a device with two systems, below the root.
const BOOT_FOLDER: &str = "bootfs";
/// Where it is on every other device, below the root.
pub const OWN_FOLDER: &str = "var/lib/rpi-ota-connector";
/// How many finished deployments are remembered. Older ones are refused by their time stamp.
const MAX_FINISHED: usize = 64;
const MAX_LENGTH: u64 = 64 * 1024;

/// Where an update stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Nothing was ever applied here.
    #[default]
    Idle,
    /// The artefact is fetched; images go to the other slot. Nothing that runs was touched.
    Downloading,
    /// Scripts run as root.
    Scripts,
    /// The other slot is written and read back; a restart is due.
    Ready,
    /// The device restarts, or restarted, into the other slot for one try.
    Trying,
    /// The other slot becomes the default.
    Committing,
    /// The device restarts into the old slot because somebody said so.
    RollingBack,
    /// Over; the outcome is known.
    Finished,
}

const PHASES: [(Phase, &str); 8] = [
    (Phase::Idle, "idle"),
    (Phase::Downloading, "downloading"),
    (Phase::Scripts, "running-scripts"),
    (Phase::Ready, "waiting-for-restart"),
    (Phase::Trying, "waiting-for-commit"),
    (Phase::Committing, "committing"),
    (Phase::RollingBack, "rolling-back"),
    (Phase::Finished, "finished"),
];

impl Phase {
    /// Every one there is.
    pub const ALL: [Self; PHASES.len()] = {
        let mut all = [Self::Idle; PHASES.len()];
        let mut at = 0;
        while at < PHASES.len() {
            all[at] = PHASES[at].0;
            at += 1;
        }
        all
    };

    /// As in the file and on the bus.
    pub fn as_str(self) -> &'static str {
        PHASES.iter().find(|(phase, _)| *phase == self).map_or("idle", |(_, name)| name)
    }

    fn parse(text: &str) -> Option<Self> {
        PHASES.iter().find(|(_, name)| *name == text).map(|(phase, _)| *phase)
    }
}

/// How an update ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// Why, in the words that reach the dashboard.
    Failed(String),
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    pub phase: Phase,
    /// The deployment that runs or ran last.
    pub deployment: Option<DeploymentId>,
    /// Its signed time.
    pub timestamp: i64,
    /// How often it was begun.
    pub attempts: u32,
    /// The boot partition of the slot that was written.
    pub target: Option<u32>,
    /// The kernel's id of the boot in which this was written.
    pub boot: String,
    /// Set when it is over.
    pub outcome: Option<Outcome>,
    /// A script asked for a restart that was not made yet.
    pub restart: bool,
    /// The newest time of any order that was taken.
    pub newest: i64,
    /// Deployments that are over; they are never applied again.
    pub finished: VecDeque<DeploymentId>,
}

impl Record {
    /// Where the file is below `root`.
    pub fn path(root: &Path) -> PathBuf {
        let boot = root.join(BOOT_FOLDER);
        let folder = if boot.join(super::slots::AUTOBOOT).exists() { boot } else { root.join(OWN_FOLDER) };
        folder.join(FILE_NAME)
    }

    /// Reads it; a device without one starts with nothing.
    pub fn load(path: &Path) -> io::Result<Self> {
        match files::read_small(path, MAX_LENGTH)? {
            Some((text, _)) => Self::parse(&text)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not a state file")),
            None => Ok(Self::default()),
        }
    }

    /// Replaces it in one step.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        files::replace(path, self.text().as_bytes(), 0o600)
    }

    /// The deployment is over.
    pub fn finish(&mut self, outcome: Outcome) {
        self.phase = Phase::Finished;
        self.outcome = Some(outcome);
        if let Some(id) = self.deployment {
            self.finished.retain(|old| *old != id);
            self.finished.push_back(id);
            if self.finished.len() > MAX_FINISHED {
                self.finished.pop_front();
            }
        }
    }

    fn text(&self) -> String {
        let mut text = format!("state={}\n", self.phase.as_str());
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{name}={value}");
        };
        if let Some(id) = self.deployment {
            line("deployment", &id);
        }
        line("timestamp", &self.timestamp);
        line("attempts", &self.attempts);
        if let Some(target) = self.target {
            line("target", &target);
        }
        line("boot", &self.boot);
        match &self.outcome {
            Some(Outcome::Succeeded) => line("outcome", &"succeeded"),
            Some(Outcome::Failed(why)) => {
                line("outcome", &"failed");
                line("reason", &bramble_model::text::clip(why, 255));
            }
            None => {}
        }
        line("restart", &self.restart);
        line("newest", &self.newest);
        for id in &self.finished {
            line("finished", id);
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut record = Self::default();
        let (mut phase, mut outcome, mut reason) = (None, None, String::new());
        for line in text.lines() {
            let (name, value) = line.split_once('=')?;
            match name {
                "state" => phase = Some(Phase::parse(value)?),
                "deployment" => record.deployment = Some(value.parse().ok()?),
                "timestamp" => record.timestamp = value.parse().ok()?,
                "attempts" => record.attempts = value.parse().ok()?,
                "target" => record.target = Some(value.parse().ok()?),
                "boot" => value.clone_into(&mut record.boot),
                "outcome" => outcome = Some(value.to_owned()),
                "reason" => value.clone_into(&mut reason),
                "restart" => record.restart = value.parse().ok()?,
                "newest" => record.newest = value.parse().ok()?,
                "finished" => record.finished.push_back(value.parse().ok()?),
                // A newer version's.
                _ => {}
            }
        }
        record.phase = phase?;
        record.outcome = match outcome.as_deref() {
            None => None,
            Some("succeeded") => Some(Outcome::Succeeded),
            Some(_) => Some(Outcome::Failed(reason)),
        };
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_begins_with_the_state() {
        let mut record = Record {
            phase: Phase::Trying,
            deployment: Some(DeploymentId(uuid::Uuid::from_u128(5))),
            timestamp: 17,
            attempts: 2,
            target: Some(3),
            boot: "b".into(),
            restart: true,
            newest: 18,
            ..Record::default()
        };
        assert!(record.text().starts_with("state=waiting-for-commit\n"), "{}", record.text());
        assert_eq!(Record::parse(&record.text()).as_ref(), Some(&record));
        record.finish(Outcome::Failed("no\nstate=idle".into()));
        let again = Record::parse(&record.text()).expect("reads");
        assert_eq!(again.phase, Phase::Finished, "a reason cannot forge a line");
        assert!(Record::parse("state=dancing\n").is_none() && Record::parse("").is_none());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut record = Record::default();
        for n in 0..100 {
            record.deployment = Some(DeploymentId(uuid::Uuid::from_u128(n)));
            record.finish(Outcome::Succeeded);
            record.finish(Outcome::Succeeded);
        }
        assert_eq!(record.finished.len(), MAX_FINISHED);
    }
}
