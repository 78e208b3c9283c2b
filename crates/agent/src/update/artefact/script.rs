//! Runs an update's scripts.
//!
//! A script gets the workspace as its directory, no arguments, no input, no terminal, and an environment
//! that does not depend on who started the updater. It may flood its output (it waits until that is
//! taken), leave children behind (nobody waits for them, and they are killed, see `leftovers.rs`: what shall
//! stay running is a unit's business) or never end (all of it is killed).

use super::leftovers;
use rustix::process::{Pid, Signal, kill_process_group, setsid};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How much of the end of a script's output is kept.
pub const KEPT: usize = 64 * 1024;
/// Between the request to end and the order.
const GRACE: Duration = Duration::from_secs(5);
/// For output that was written before the end and not yet read. Children left behind may hold the pipe
/// open for ever, so its end is not waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// A script that was just written may still be open for writing in a process that another thread is
/// about to start; it is not for long.
const BUSY_TRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How often a running script's orphans are looked at.
const BURY_EVERY: Duration = Duration::from_secs(10);
/// A reason travels in a field of 255 characters; this leaves room for the words before it.
const LAST_LINE: usize = 180;

/// How a script that succeeded ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Exit status 0.
    Succeeded,
    /// Exit status 2.
    SucceededReboot,
}

/// Why a script failed, as it reaches the dashboard.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("Script failed with exit status {status}{}", after_colon(.last_line))]
    Status { status: i32, last_line: String },
    #[error("Script failed with signal {signal}{}", after_colon(.last_line))]
    Signal { signal: i32, last_line: String },
    #[error("Script did not finish within {0:?}")]
    TooLong(Duration),
    #[error("Script could not be started: {0}")]
    Start(io::Error),
    #[error("Script could not be watched: {0}")]
    Watch(io::Error),
}

fn after_colon(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

/// What is left of the output of all scripts of an update.
#[derive(Debug, Default)]
pub struct Tail {
    kept: VecDeque<u8>,
    /// How much at the end is of the script that runs or ran last.
    own: usize,
}

impl Tail {
    pub fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let over = (self.kept.len() + bytes.len()).saturating_sub(KEPT);
        self.kept.drain(..over);
        self.kept.extend(bytes);
        self.own = (self.own + bytes.len()).min(KEPT);
    }

    /// The next script begins; what others said is not its last line.
    fn begin(&mut self) {
        self.own = 0;
    }

    /// As text; bytes that are none are replaced.
    pub fn text(&self) -> String {
        let (front, back) = self.kept.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }

    /// The last line of the last script with something on it, fit for a message.
    pub fn last_line(&self) -> String {
        let own: Vec<u8> = self.kept.range(self.kept.len() - self.own..).copied().collect();
        let text = String::from_utf8_lossy(&own);
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let clean: String =
            line.chars().filter(|character| !character.is_control()).take(LAST_LINE).collect();
        clean.trim().to_owned()
    }
}

/// Runs one script in `folder`. Its output goes to `journal` as it comes, and its end into `tail`.
pub async fn run(
    script: &Path,
    folder: &Path,
    limit: Duration,
    journal: &mut (impl Write + ?Sized),
    tail: &mut Tail,
) -> Result<Ended, Failure> {
    tail.begin();
    let (reader, writer) = io::pipe().map_err(Failure::Start)?;
    let mut child = start(script, folder, writer).await?;
    let group = child.id();
    let mut output =
        tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into()).map_err(Failure::Watch)?;
    let deadline = Instant::now() + limit;
    let ended = tokio::select! {
        ended = timeout_at(deadline, child.wait()) => ended,
        never = relay(&mut output, journal, tail) => match never {},
        never = bury(group) => match never {},
    };
    let Ok(status) = ended else {
        end(&mut child, &mut output, journal, tail).await;
        return Err(Failure::TooLong(limit));
    };
    let status = status.map_err(Failure::Watch)?;
    // Whatever it left behind would go on as root, in a folder that goes away.
    signal_group(group, Signal::KILL);
    leftovers::end().await;
    last_words(&mut output, journal, tail).await;
    outcome(status, tail)
}

async fn bury(script: Option<u32>) -> std::convert::Infallible {
    loop {
        sleep(BURY_EVERY).await;
        leftovers::bury(script);
    }
}

fn outcome(status: ExitStatus, tail: &Tail) -> Result<Ended, Failure> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(Ended::Succeeded),
        (Some(2), _) => Ok(Ended::SucceededReboot),
        (Some(status), _) => Err(Failure::Status { status, last_line: tail.last_line() }),
        (None, signal) => {
            Err(Failure::Signal { signal: signal.unwrap_or_default(), last_line: tail.last_line() })
        }
    }
}

async fn start(script: &Path, folder: &Path, output: io::PipeWriter) -> Result<Child, Failure> {
    let mut command = Command::new(script);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(Failure::Start)?)
        .stderr(output);
    new_session(&mut command);
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                tries += 1;
                sleep(BUSY_PAUSE).await;
            }
            // `command` goes, and with it our ends of the pipe for writing.
            spawned => return spawned.map_err(Failure::Start),
        }
    }
}

/// A session of its own: no terminal, and one process group to kill.
#[expect(unsafe_code, reason = "only code between fork and exec can leave the session")]
fn new_session(command: &mut Command) {
    let leave = || setsid().map(drop).map_err(io::Error::from);
    // SAFETY: setsid is one system call; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(leave) };
}

/// Takes output for as long as it is polled: after the end of the output it waits for ever.
async fn relay(
    output: &mut (impl AsyncRead + Unpin),
    journal: &mut (impl Write + ?Sized),
    tail: &mut Tail,
) -> std::convert::Infallible {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        tail.push(&buffer[..count]);
        // A journal that went away must not fail an update.
        let _ = journal.write_all(&buffer[..count]);
    }
    let _ = journal.flush();
    std::future::pending().await
}

/// What is in the pipe after the end, and no more: at most until it is empty for a moment.
async fn last_words(
    output: &mut (impl AsyncRead + Unpin),
    journal: &mut (impl Write + ?Sized),
    tail: &mut Tail,
) {
    let until = Instant::now() + LAST_WORDS;
    let mut buffer = vec![0; 16 * 1024];
    // A pipe that others keep open is silent or floods; both end here.
    while let Ok(Ok(count @ 1..)) = timeout_at(until, output.read(&mut buffer)).await {
        tail.push(&buffer[..count]);
        let _ = journal.write_all(&buffer[..count]);
    }
    let _ = journal.flush();
}

async fn end(
    child: &mut Child,
    output: &mut (impl AsyncRead + Unpin),
    journal: &mut (impl Write + ?Sized),
    tail: &mut Tail,
) {
    let group = child.id();
    signal_group(group, Signal::TERM);
    let ended = tokio::select! {
        ended = timeout(GRACE, child.wait()) => ended,
        never = relay(output, journal, tail) => match never {},
    };
    // Children that ignored the request are in the group still, even if the script itself ended.
    signal_group(group, Signal::KILL);
    if ended.is_err() {
        let _ = child.wait().await;
    }
    leftovers::end().await;
    last_words(output, journal, tail).await;
}

/// That nobody is left in the group is fine.
fn signal_group(leader: Option<u32>, signal: Signal) {
    if let Some(group) = leader.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_end() {
        let mut tail = Tail::default();
        tail.push(&vec![b'a'; KEPT + 7]);
        tail.push(b"b\n\xff c\x1b\n  \n");
        assert_eq!(tail.text().chars().filter(|c| *c == 'a').count(), KEPT - 10);
        assert_eq!(tail.last_line(), "\u{fffd} c");
        tail.begin();
        assert_eq!(tail.last_line(), "");
    }
}
