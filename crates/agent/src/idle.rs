//! Gives memory back when nothing runs. The agent shares a small board with its owner's programs, and most
//! of what its start and its sessions touched is not needed to wait for the next event.
//!
//! What it is not: a cure for leaks. It changes nothing that the program can notice.

use crate::control::sessions::Sessions;
use std::{path::Path, time::Duration};

/// After the start or the last session: goodbyes, reports and reconnections are over by then.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs until the daemon ends.
pub(crate) async fn run(sessions: Sessions) {
    loop {
        sessions.none_left().await;
        tokio::time::sleep(SETTLE).await;
        if sessions.ids().is_empty() {
            give_back();
        }
        sessions.any().await;
    }
}

fn give_back() {
    trim();
    let Ok(own) = std::fs::read_link("/proc/self/exe") else { return };
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (start, length) in maps.lines().filter_map(|line| code(line, &own)) {
        unmap_until_used(start, length);
    }
}

/// Where this program's own machine code is, from a line of `/proc/self/maps`. Nothing that can be written,
/// or could be before relocation, is meant.
fn code(line: &str, own: &Path) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, permissions) = (words.next()?, words.next()?);
    let path = words.nth(3)?;
    if permissions != "r-xp" || Path::new(path) != own {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).ok());
    Some((start?, end?.checked_sub(start?)?))
}

#[expect(unsafe_code, reason = "no safe crate speaks of a program's own mappings")]
fn unmap_until_used(start: usize, length: usize) {
    let address = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: the kernel has just named this range as a private, never writable mapping of the program's
    // file, and nothing unmaps it while the program runs. Such pages hold what the file holds and are read
    // from it again when they are touched, so that no memory changes.
    let _ = unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) };
}

/// Freed memory between what is still used goes back to the system.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a call into the C library")]
fn trim() {
    // SAFETY: it may be called at any time from any thread (malloc_trim(3): MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries give back by themselves.
#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_code_is_meant() {
        let own = Path::new("/usr/bin/rpi-connectd");
        let line =
            |permissions: &str, path: &str| format!("1000-3000 {permissions} 002b2000 fe:00 642 {path}");
        assert_eq!(code(&line("r-xp", "/usr/bin/rpi-connectd"), own), Some((0x1000, 0x2000)));
        for (permissions, path) in [
            ("r--p", "/usr/bin/rpi-connectd"),
            ("rw-p", "/usr/bin/rpi-connectd"),
            ("rwxp", "/usr/bin/rpi-connectd"),
            ("r-xp", "/usr/lib/libc.so.6"),
            ("r-xp", ""),
        ] {
            assert_eq!(code(&line(permissions, path), own), None, "{permissions} {path}");
        }
        assert_eq!(code("", own), None);
        assert_eq!(code("x-y r-xp 0 0 0 /usr/bin/rpi-connectd", own), None);
    }

    /// Kilobytes of this program's code that are in its memory.
    fn resident() -> u64 {
        let own = std::fs::read_link("/proc/self/exe").expect("a program");
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux");
        let mut lines = maps.lines().skip_while(|line| code(line, &own).is_none());
        let line = lines.find(|line| line.starts_with("Rss:")).expect("a line");
        line.split_ascii_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
    }

    #[test]
    fn the_program_goes_on_with_less_memory() {
        // The first look brings in its own code.
        resident();
        let before = resident();
        give_back();
        let after = resident();
        assert!(after < before, "{before} kB, then {after} kB");
    }
}
