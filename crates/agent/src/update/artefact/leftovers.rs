//! Ends what a script left running outside of its process group.
//!
//! A process whose parent ended goes to the nearest ancestor that asked for such orphans, and no process can
//! leave that: a session of its own, a second fork or an empty environment change nothing (`prctl(2)`,
//! `PR_SET_CHILD_SUBREAPER`). A program that called [`adopt`] has no children while no script runs, so that
//! whatever it has after a script is what the script left.

use rustix::process::{
    Pid, Signal, WaitOptions, child_subreaper, getpid, kill_process, set_child_subreaper, waitpid,
};
use std::{fs, io, time::Duration};
use tokio::time::{Instant, sleep};

/// Between two looks. What was killed is gone soon, and then its own children are this program's.
const PAUSE: Duration = Duration::from_millis(5);
/// One that makes processes faster than they are killed ends with the unit at the latest.
const LIMIT: Duration = Duration::from_secs(10);

/// From now on this program gets what its descendants leave.
pub fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Whether this program gets it.
fn adopts() -> bool {
    matches!(child_subreaper(), Ok(Some(_)))
}

/// Ends every child of this program and what they leave in turn. Nothing happens in a program that did not
/// [`adopt`]: its children may be others than a script's.
pub(super) async fn end() {
    if !adopts() {
        return;
    }
    let until = Instant::now() + LIMIT;
    loop {
        // Nobody but this function waits for them, so their numbers are not given to others meanwhile.
        let left = children();
        if left.is_empty() {
            return;
        }
        for child in left {
            let _ = kill_process(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::NOHANG);
        }
        if Instant::now() > until {
            tracing::warn!("what a script left running could not be ended");
            return;
        }
        sleep(PAUSE).await;
    }
}

/// Takes the dead among what this program adopted, so that a script that runs for an hour does not fill the
/// table of processes with them. The script itself is for others to wait for.
pub(super) fn bury(script: Option<u32>) {
    if !adopts() {
        return;
    }
    let script = script.and_then(|id| i32::try_from(id).ok());
    for child in children().into_iter().filter(|child| Some(child.as_raw_pid()) != script) {
        let _ = waitpid(Some(child), WaitOptions::NOHANG);
    }
}

/// The children of this program, the dead ones that nobody waited for included.
fn children() -> Vec<Pid> {
    let own = getpid();
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = all.flatten().filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let parent = |pid: &Pid| parent(&fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?);
    numbers.filter(|pid| parent(pid) == Some(own)).collect()
}

/// The parent in a line of `/proc/N/stat`: the second word after the program's name, which may hold anything.
fn parent(stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_whitespace().nth(1)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (a) b (c) S 7 12 12 0 -1"), Pid::from_raw(7));
        assert_eq!(parent("12 (x"), None);
        let own = fs::read_to_string("/proc/self/stat").expect("Linux");
        assert_eq!(parent(&own), rustix::process::getppid());
    }

    #[test]
    fn children_are_found() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a number"));
        assert!(children().contains(&pid.expect("not zero")));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
}
