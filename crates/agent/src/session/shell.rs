//! The remote shell: the person's login shell on a real terminal, with bounded queues both ways.

use super::credit::Credit;
use super::pty::{Account, Program, Pty};
use super::queue::Queue;
use super::tail::Tail;
use super::watch::{Watcher, Watchers};
use bramble_wire::channel::{FromShell, ShellToken};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// Bytes typed or pasted that the shell has not read yet. More is dropped: a shell which reads nothing
/// must not hold memory.
const MOST_INPUT: usize = 1024 * 1024;
/// After the shell's end, how long to wait for output of jobs that still hold its terminal.
const DRAIN: Duration = Duration::from_millis(100);

/// Whose shell, and what it inherits.
#[derive(Clone, Debug)]
pub struct ShellSettings {
    account: Account,
    /// Variables taken over from this process beside the locale.
    pub keep: Vec<String>,
}

impl ShellSettings {
    /// The login shell of whoever runs this process, from the password database, in this process's `HOME`
    /// or else in the home that the database has.
    pub fn of_current_user() -> io::Result<Self> {
        Ok(Self {
            account: Account::current()?,
            // Without it the person's own `rpi-connect` would not find the daemon.
            keep: vec!["XDG_RUNTIME_DIR".to_owned()],
        })
    }

    /// Another program than the login shell, with no arguments.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.account.shell = program.into();
        self
    }

    /// Another home than the account's; its start files are what a login reads.
    #[must_use]
    pub fn at_home(mut self, home: impl Into<PathBuf>) -> Self {
        self.account.home = home.into();
        self
    }

    fn program(&self) -> Program {
        let account = &self.account;
        let mut argv0 = OsString::from("-");
        argv0.push(account.shell.file_name().unwrap_or(OsStr::new("sh")));
        let home = if account.home.is_dir() { account.home.as_path() } else { Path::new("/") };
        let path = if account.administrator {
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        } else {
            "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
        };
        let mut environment: Vec<(OsString, OsString)> =
            std::env::vars_os().filter(|(name, _)| self.keeps(&name.to_string_lossy())).collect();
        let own = [
            ("HOME", account.home.as_os_str()),
            ("USER", OsStr::new(&account.name)),
            ("LOGNAME", OsStr::new(&account.name)),
            ("SHELL", account.shell.as_os_str()),
            ("PATH", OsStr::new(path)),
            ("TERM", OsStr::new("xterm-256color")),
        ];
        environment.extend(own.map(|(name, value)| (name.into(), value.into())));
        Program { path: account.shell.clone(), argv0, directory: home.to_owned(), environment }
    }

    /// Everything else of the daemon's environment stays out: it may hold a key.
    fn keeps(&self, name: &str) -> bool {
        name == "LANG" || name.starts_with("LC_") || self.keep.iter().any(|kept| kept == name)
    }
}

/// The shell side of a session.
#[derive(Debug)]
pub(crate) enum Shell {
    /// The browser has not said how large its window is.
    Waiting(ShellSettings),
    Running(Box<Running>),
    /// Its exit was reported, or it could not start.
    Gone,
}

/// A shell with its queues.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pty: Pty,
    pub(crate) credit: Credit,
    pub(crate) watchers: Watchers,
    tail: Tail,
    size: (u16, u16),
    input: Queue,
    dropped: u64,
    /// Nobody holds the terminal any more.
    closed: bool,
    exit: Option<(ExitStatus, Instant)>,
}

impl Shell {
    /// Starts it, and says what the browser is to hear; `token` makes what brings it back. A second start is
    /// ignored.
    pub(crate) fn start(
        &mut self,
        cols: u16,
        rows: u16,
        token: impl FnOnce() -> Option<ShellToken>,
    ) -> Option<FromShell> {
        let Self::Waiting(settings) = self else { return None };
        let program = settings.program();
        let path = program.path.clone();
        match Pty::spawn(program, cols, rows) {
            Ok(pty) => {
                let tty = pty.tty.clone();
                *self = Self::Running(Box::new(Running {
                    pty,
                    credit: Credit::new(),
                    watchers: Watchers::default(),
                    tail: Tail::default(),
                    size: (cols, rows),
                    input: Queue::new(MOST_INPUT),
                    dropped: 0,
                    closed: false,
                    exit: None,
                }));
                Some(FromShell::Started { tty, token: token() })
            }
            Err(error) => {
                tracing::warn!(%error, shell = %path.display(), "the login shell could not be started");
                *self = Self::Gone;
                let message = format!("The login shell {} could not be started: {error}", path.display());
                Some(FromShell::Error { message })
            }
        }
    }

    /// Whether the browser has still to say what it wants.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }

    /// Gives it away if it runs.
    pub(crate) fn give(&mut self) -> Option<Box<Running>> {
        match std::mem::replace(self, Self::Gone) {
            Self::Running(running) => Some(running),
            other => {
                *self = other;
                None
            }
        }
    }

    pub(crate) fn running(&mut self) -> Option<&mut Running> {
        match self {
            Self::Running(running) => Some(running),
            Self::Waiting(_) | Self::Gone => None,
        }
    }
}

/// What became of a look at the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(usize),
    /// A text message.
    Words(usize),
    Nothing,
}

impl Running {
    /// Fills the buffer with output, as far as there is any: first with what a browser has missed.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        let missed = self.tail.resend(buffer);
        if missed > 0 {
            return Read::Bytes(missed);
        }
        let read = self.take_output(buffer);
        if let Read::Bytes(bytes) = read {
            self.tail.push(&buffer[..bytes], true);
            self.watchers.output(&buffer[..bytes]);
        }
        read
    }

    /// Takes output while no browser is there.
    pub(crate) fn store(&mut self, chunk: &mut [u8]) {
        let most = self.tail.room().min(chunk.len());
        if let Read::Bytes(bytes) = self.take_output(&mut chunk[..most]) {
            self.tail.push(&chunk[..bytes], false);
            self.watchers.output(&chunk[..bytes]);
        }
    }

    /// Whether there is something to wait for, and room for it, while no browser is there.
    pub(crate) fn may_store(&self) -> bool {
        !self.closed && self.tail.room() > 0
    }

    /// The browser has drawn so many bytes more.
    pub(crate) fn grant(&mut self, bytes: u64) {
        self.tail.drawn(bytes);
        self.credit.grant(bytes);
    }

    /// A browser is back that has received so many bytes, or has none of the output. Says where it goes on.
    pub(crate) fn resume(&mut self, seen: Option<u64>, cols: u16, rows: u16) -> u64 {
        self.credit = Credit::new();
        if seen.is_none() {
            // Programs draw all of it anew when the size changes, for a page that shows nothing yet.
            self.resize(cols, rows.saturating_add(1));
        }
        self.resize(cols, rows);
        self.watchers.tell_again();
        self.tail.resume(seen)
    }

    /// The window has another size.
    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        if let Err(error) = self.pty.resize(cols, rows) {
            tracing::debug!(%error, "terminal not resized");
        }
        self.size = (cols, rows);
        self.watchers.size(cols, rows);
    }

    /// Lets somebody watch.
    pub(crate) fn show_to(&mut self, watcher: Watcher) {
        let name = watcher.name.clone();
        let let_in = self.watchers.join(watcher, self.size, self.tail.screen(self.size.1));
        tracing::info!(watcher = %name, let_in, "somebody came to watch a shell");
    }

    fn take_output(&mut self, buffer: &mut [u8]) -> Read {
        let mut filled = 0;
        while filled < buffer.len() && !self.closed {
            match self.pty.try_read(&mut buffer[filled..]) {
                Ok(0) => self.closed = true,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // EIO: the last process let go of the terminal.
                Err(_) => self.closed = true,
            }
        }
        if filled == 0 { Read::Nothing } else { Read::Bytes(filled) }
    }

    /// Takes keys from the browser.
    pub(crate) fn type_in(&mut self, bytes: &[u8]) {
        let dropped = self.input.push(bytes);
        if dropped > 0 {
            if self.dropped == 0 {
                tracing::warn!("input dropped: the shell does not read it");
            }
            self.dropped += dropped as u64;
        }
        self.pass_input();
    }

    /// Moves waiting keys to the terminal, as many as it takes.
    pub(crate) fn pass_input(&mut self) {
        self.input.pass(|bytes| self.pty.try_write(bytes));
    }

    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether the network should wait for the shell: it lags, but it reads.
    pub(crate) fn lags(&self) -> bool {
        self.input.lags()
    }

    pub(crate) fn may_read(&self) -> bool {
        !self.closed
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    pub(crate) fn exited(&mut self, status: ExitStatus) {
        self.exit = Some((status, Instant::now()));
    }

    /// When to look again whether all output is through.
    pub(crate) fn drain_deadline(&self) -> Option<Instant> {
        self.exit.map(|(_, at)| at + DRAIN)
    }

    /// How it ended, once it has and its last look found no more output.
    pub(crate) fn ending(&self, now: Instant) -> Option<FromShell> {
        let (status, at) = self.exit?;
        let drained = self.closed || now >= at + DRAIN;
        drained.then(|| FromShell::Exit { status: status.code(), signal: status.signal() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_locale_and_what_is_named_is_kept() {
        let settings = ShellSettings::of_current_user().expect("an account");
        for kept in ["LANG", "LC_ALL", "LC_TIME", "XDG_RUNTIME_DIR"] {
            assert!(settings.keeps(kept), "{kept}");
        }
        for left in ["RPI_CONNECT_AUTH_KEY", "LANGUAGE_KEY", "PATH", "LD_PRELOAD", "LC", "HOME"] {
            assert!(!settings.keeps(left), "{left}");
        }
    }

    #[test]
    fn a_login_shell_is_named_with_a_dash() {
        let settings = ShellSettings::of_current_user().expect("an account").with_program("/bin/sh");
        assert_eq!(settings.program().argv0, "-sh");
    }
}
