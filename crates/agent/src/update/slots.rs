//! The two systems of a device: which one runs, which one starts by default, and which one may be written.
//!
//! `autoboot.txt` on the first partition names the boot partition that starts by default (`[all]`) and the
//! one that starts once after `reboot '0 tryboot'` (`[tryboot]`). The firmware says which one it took in
//! the device tree. Making the tried system the default swaps the two.

use super::files;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The firmware's file, in `/bootfs`.
pub const AUTOBOOT: &str = "autoboot.txt";
const MAX_AUTOBOOT: u64 = 16 * 1024;
/// Prints the `autoboot.txt` that makes the tried system the default, where it is installed.
const TOOL: &str = "rpi-slot-tryboot";
const TOOL_FOLDERS: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];

/// Restarts the device.
pub trait Power: Send + Sync + std::fmt::Debug {
    /// Asks the system to restart, `tryboot` into the other system for one try.
    fn restart(&self, tryboot: bool) -> io::Result<()>;
}

/// The system's own `reboot`.
#[derive(Debug)]
pub struct SystemPower;

impl Power for SystemPower {
    fn restart(&self, tryboot: bool) -> io::Result<()> {
        let mut command = Command::new("reboot");
        if tryboot {
            command.arg("0 tryboot");
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("reboot failed: {status}"))) }
    }
}

/// The device below a root.
#[derive(Debug, Clone)]
pub struct Slots {
    root: PathBuf,
}

/// What there is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The boot partition that starts by default; `None` on a device with one system.
    pub default: Option<u32>,
    /// The one that starts once after `tryboot`.
    pub spare: Option<u32>,
    /// The one that the firmware took, if it says so.
    pub running: Option<u32>,
    /// The running system was started for one try.
    pub tried: bool,
}

/// Why no image can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotProblem {
    #[error("this device has no second system (there is no autoboot.txt with two boot partitions)")]
    OneSystem,
    #[error("the running system is not the one that starts by default; commit it or restart first")]
    NotDefault,
    #[error("the other slot is the one that runs")]
    Same,
}

impl Slots {
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The partitions of the slot that may be written.
    pub fn other(&self) -> PathBuf {
        self.root.join("dev/disk/by-slot/other")
    }

    fn autoboot(&self) -> PathBuf {
        self.root.join("bootfs").join(AUTOBOOT)
    }

    /// The kernel's name for this boot.
    pub fn boot_id(&self) -> String {
        let read = files::read_small(&self.root.join("proc/sys/kernel/random/boot_id"), MAX_AUTOBOOT);
        // The kernel's own files say that they are empty.
        read.ok().flatten().map(|(text, _)| text.trim().to_owned()).unwrap_or_default()
    }

    /// Looks.
    pub fn look(&self) -> View {
        let text = self.read_autoboot();
        let (default, spare) = text.as_deref().map_or((None, None), partitions);
        let firmware = |name: &str| self.number(&format!("proc/device-tree/chosen/bootloader/{name}"));
        View { default, spare, running: firmware("partition"), tried: firmware("tryboot") == Some(1) }
    }

    /// The boot partition of the slot that may be written: neither running nor the default.
    pub fn target(&self) -> Result<u32, SlotProblem> {
        let view = self.look();
        let (Some(default), Some(spare)) = (view.default, view.spare) else {
            return Err(SlotProblem::OneSystem);
        };
        if default == spare {
            return Err(SlotProblem::OneSystem);
        }
        // Without a word of the firmware a system that was started without `tryboot` is the default.
        if view.tried || view.running.is_some_and(|running| running != default) {
            return Err(SlotProblem::NotDefault);
        }
        Ok(spare)
    }

    /// Whether this partition of the other slot is truly another than the running system's.
    pub fn is_apart(&self, name: &str) -> Result<(), SlotProblem> {
        let identity = |slot: &str| {
            let path = self.root.join("dev/disk/by-slot").join(slot).join(name);
            std::fs::metadata(path).ok().map(|found| (found.rdev(), found.dev(), found.ino()))
        };
        let same = |(a_device, a_dev, a_ino), (b_device, b_dev, b_ino)| {
            if a_device == 0 || b_device == 0 {
                (a_dev, a_ino) == (b_dev, b_ino)
            } else {
                a_device == b_device
            }
        };
        match (identity("active"), identity("other")) {
            (Some(active), Some(other)) if same(active, other) => Err(SlotProblem::Same),
            _ => Ok(()),
        }
    }

    /// Makes the tried system the default, if it is not yet.
    pub fn commit(&self, target: u32) -> io::Result<()> {
        if self.look().default == Some(target) {
            return Ok(());
        }
        let current = self.read_autoboot().ok_or_else(|| io::Error::other("there is no autoboot.txt"))?;
        let text = match self.tool() {
            Some(tool) => told_by(&tool)?,
            None => swapped(&current),
        };
        // Whoever wrote it: a default that is not the tried system would undo the update at the next start.
        let (default, spare) = partitions(&text);
        if default != Some(target) || spare.is_none() || spare == default {
            return Err(io::Error::other("the new autoboot.txt does not start the tried system"));
        }
        files::replace(&self.autoboot(), text.as_bytes(), 0o644)
    }

    fn tool(&self) -> Option<PathBuf> {
        TOOL_FOLDERS.iter().map(|folder| self.root.join(folder).join(TOOL)).find(|path| path.is_file())
    }

    fn read_autoboot(&self) -> Option<String> {
        files::read_small(&self.autoboot(), MAX_AUTOBOOT).ok().flatten().map(|(text, _)| text)
    }

    /// A number of the device tree: four bytes, the largest first.
    fn number(&self, path: &str) -> Option<u32> {
        let mut bytes = [0; 4];
        File::open(self.root.join(path)).ok()?.read_exact(&mut bytes).ok()?;
        Some(u32::from_be_bytes(bytes))
    }
}

fn told_by(tool: &Path) -> io::Result<String> {
    let output = Command::new(tool).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{TOOL} failed: {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// The boot partitions of `[all]` and of `[tryboot]`. The last word in a section counts, as for the
/// firmware; before the first section everything is for all.
fn partitions(text: &str) -> (Option<u32>, Option<u32>) {
    let (mut default, mut spare) = (None, None);
    for (section, name, value) in settings(text) {
        match (section, name) {
            ("all", "boot_partition") => default = value.parse().ok(),
            ("tryboot", "boot_partition") => spare = value.parse().ok(),
            _ => {}
        }
    }
    (default, spare)
}

fn settings(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut section = "all";
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            return None;
        }
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some((section, name.trim(), value.trim()))
    })
}

/// The same file with the two boot partitions exchanged and everything else kept.
fn swapped(text: &str) -> String {
    let (default, spare) = partitions(text);
    let mut section = "all";
    let mut new = String::with_capacity(text.len());
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        let value = match (section, trimmed.split_once('=').map(|(name, _)| name.trim())) {
            ("all", Some("boot_partition")) => spare,
            ("tryboot", Some("boot_partition")) => default,
            _ => None,
        };
        match value {
            Some(value) => new.extend(["boot_partition=", &value.to_string(), "\n"]),
            None => new.extend([line, "\n"]),
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition = 3\n";

    #[test]
    fn the_two_partitions_change_places_and_the_rest_stays() {
        assert_eq!(partitions(FILE), (Some(2), Some(3)));
        let new = swapped(FILE);
        assert_eq!(new, "# ours\n[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=2\n");
        assert_eq!(partitions(&swapped(&new)), (Some(2), Some(3)));
        assert_eq!(partitions("boot_partition=5\n#boot_partition=6\n"), (Some(5), None));
    }

    fn device(autoboot: &str, partition: Option<u32>, tryboot: u32) -> (tempfile::TempDir, Slots) {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, bytes: &[u8]| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("below the root")).expect("folder");
            std::fs::write(path, bytes).expect("file");
        };
        write("bootfs/autoboot.txt", autoboot.as_bytes());
        write("proc/device-tree/chosen/bootloader/tryboot", &tryboot.to_be_bytes());
        if let Some(partition) = partition {
            write("proc/device-tree/chosen/bootloader/partition", &partition.to_be_bytes());
        }
        let slots = Slots::below(root.path());
        (root, slots)
    }

    #[test]
    fn only_a_slot_that_neither_runs_nor_is_the_default_may_be_written() {
        assert_eq!(device(FILE, Some(2), 0).1.target(), Ok(3));
        assert_eq!(device(FILE, None, 0).1.target(), Ok(3));
        assert_eq!(device(FILE, Some(3), 1).1.target(), Err(SlotProblem::NotDefault));
        assert_eq!(device(FILE, Some(3), 0).1.target(), Err(SlotProblem::NotDefault));
        assert_eq!(device("", None, 0).1.target(), Err(SlotProblem::OneSystem));
        let twice = "[all]\nboot_partition=2\n[tryboot]\nboot_partition=2\n";
        assert_eq!(device(twice, None, 0).1.target(), Err(SlotProblem::OneSystem));
    }

    #[test]
    fn the_tool_is_asked_where_it_is_installed_and_not_believed_blindly() {
        use std::os::unix::fs::PermissionsExt;
        let (root, slots) = device(FILE, Some(3), 1);
        let tool = root.path().join("usr/bin").join(TOOL);
        std::fs::create_dir_all(tool.parent().expect("a folder")).expect("folder");
        let install = |text: &str| {
            std::fs::write(&tool, format!("#!/bin/sh\nprintf '{text}'\n")).expect("file");
            std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        };
        install("");
        assert!(slots.commit(3).is_err(), "nothing is not written");
        assert_eq!(slots.look().default, Some(2));
        install("[all]\\nboot_partition=3\\n[tryboot]\\nboot_partition=2\\n# the tool\\n");
        slots.commit(3).expect("commits");
        let text = std::fs::read_to_string(root.path().join("bootfs/autoboot.txt")).expect("reads");
        assert!(text.ends_with("# the tool\n"), "{text}");
        slots.commit(3).expect("and again, without effect");
    }
}
