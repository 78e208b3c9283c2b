//! A WayVNC that this device runs for one display of a desktop.

use super::{LOOK, private_folder, program};
use crate::screen::vnc_server::{ScreenError, Server};
use crate::screen::vnc_try;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(8);
/// Before one that ended is started again.
const AGAIN: Duration = Duration::from_millis(200);

/// It runs until this is dropped.
#[derive(Debug)]
pub(crate) struct OwnWayVnc {
    // Ended before its folder goes.
    _process: Child,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl OwnWayVnc {
    /// Starts it for the compositor behind this socket. A compositor that has just started may have no output
    /// yet, so one that ends at once is started again until the time is over.
    pub(crate) async fn start(
        beside: &Path,
        display: &Path,
        output: &str,
        within: Duration,
    ) -> Result<Self, ScreenError> {
        let until = Instant::now() + within;
        let folder = private_folder(beside)?;
        let socket = folder.path().join("vnc.sock");
        let mut process = spawn(folder.path(), &socket, display, output)?;
        while !vnc_try::greets(&Server::Socket(socket.clone())).await {
            if Instant::now() >= until {
                return Err(ScreenError::NoWayVnc);
            }
            if process.try_wait().is_ok_and(|status| status.is_some()) {
                tokio::time::sleep(AGAIN).await;
                // It could not listen where another has left its socket.
                let _ = std::fs::remove_file(&socket);
                process = spawn(folder.path(), &socket, display, output)?;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Self { _process: process, socket, _folder: folder })
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

/// A program that is killed as soon as this process is gone, however it went. `setpriv` (util-linux) asks the kernel
/// for that, and becomes the program.
fn with_this_process(name: &str) -> Command {
    let mut command = program("setpriv");
    command.args(["--pdeathsig", "KILL", "--", name]);
    command
}

fn spawn(folder: &Path, socket: &Path, display: &Path, output: &str) -> Result<Child, ScreenError> {
    with_this_process("wayvnc")
        .args(["--config=/dev/null", "--render-cursor", "--unix-socket"])
        .arg(format!("--output={output}"))
        .arg(socket)
        .env("WAYLAND_DISPLAY", display)
        // Later versions listen for commands there, and two in one folder get in each other's way.
        .env("XDG_RUNTIME_DIR", folder)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| ScreenError::Io(format!("WayVNC cannot be started: {error}")))
}

/// Those that run, one for each display.
#[derive(Debug, Default)]
pub(crate) struct WayVncs {
    running: Mutex<HashMap<(PathBuf, String), Weak<OwnWayVnc>>>,
}

impl WayVncs {
    /// The one for this display, which is started if none runs.
    pub(crate) async fn of(
        &self,
        beside: &Path,
        display: &Path,
        output: &str,
    ) -> Result<Arc<OwnWayVnc>, ScreenError> {
        let mut running = self.running.lock().await;
        running.retain(|_, one| one.strong_count() > 0);
        let key = (display.to_owned(), output.to_owned());
        let there = running.get(&key).and_then(Weak::upgrade);
        if let Some(there) = there.filter(|one| Server::Socket(one.socket.clone()).look().is_ok()) {
            return Ok(there);
        }
        let new = Arc::new(OwnWayVnc::start(beside, display, output, START).await?);
        running.insert(key, Arc::downgrade(&new));
        Ok(new)
    }
}

/// The display that a WayVNC of this user was told to show.
pub(crate) fn display_of(process: i32) -> Option<String> {
    chosen(&std::fs::read(format!("/proc/{process}/cmdline")).ok()?)
}

/// The same of its command line, whose parts end in zero bytes.
fn chosen(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let mut parts = line.split_terminator('\0');
    while let Some(part) = parts.next() {
        if matches!(part, "-o" | "--output") {
            return parts.next().map(str::to_owned);
        }
        if let Some(name) = part.strip_prefix("--output=").or_else(|| part.strip_prefix("-o")) {
            return Some(name.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, Signal, WaitOptions, waitpid};

    #[test]
    fn the_display_is_read_from_the_command_line() {
        for line in [
            "wayvnc\0--unix-socket\0--output=DSI-1\0/run/vnc.sock\0",
            "wayvnc\0--output\0DSI-1\0",
            "wayvnc\0-o\0DSI-1\0",
            "wayvnc\0-oDSI-1\0-u\0/run/vnc.sock\0",
        ] {
            assert_eq!(chosen(line.as_bytes()).as_deref(), Some("DSI-1"), "{line:?}");
        }
        for line in [&b""[..], b"wayvnc\0-u\0/run/vnc.sock\0", b"wayvnc\0-o\0", b"\xff\0-o\0DSI-1\0"] {
            assert_eq!(chosen(line), None, "{line:?}");
        }
    }

    #[test]
    fn what_was_started_ends_with_its_parent_also_if_that_is_killed() {
        // The kernel goes by the thread that started it, so that one can end in the process's place.
        let thread = std::thread::spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let _inside = runtime.enter();
            let child = with_this_process("sleep").arg("20").spawn().expect("starts");
            let id = child.id().expect("runs");
            let name = || std::fs::read_to_string(format!("/proc/{id}/comm")).expect("it is there");
            while name() != "sleep\n" {
                std::thread::yield_now();
            }
            // Nobody is left who could end it in an orderly way.
            std::mem::forget(child);
            id
        });
        let id = thread.join().expect("no panic");
        let process = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process");
        let (_, status) = waitpid(Some(process), WaitOptions::empty()).expect("waits").expect("ended");
        assert_eq!(status.terminating_signal(), Some(Signal::KILL.as_raw()), "{status:?}");
    }
}
