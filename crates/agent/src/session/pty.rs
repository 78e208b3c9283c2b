//! A pseudo-terminal and the process group behind it.

use nix::unistd::{Uid, User};
use pty_process::{Command, Size};
use rustix::process::{Pid, Signal};
use rustix::termios::Winsize;
use std::ffi::OsString;
use std::future::Future as _;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;

/// How often to look whether a job is still there after its shell; it is no child of this process.
const JOB_LOOK: Duration = Duration::from_millis(50);

static OPENING: Mutex<()> = Mutex::new(());

/// A person's entry in the password database, with the home that this process was given.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    pub(crate) shell: PathBuf,
    pub(crate) administrator: bool,
}

impl Account {
    /// Whoever runs this process.
    pub(crate) fn current() -> io::Result<Self> {
        let uid = Uid::effective();
        let user = User::from_uid(uid)
            .map_err(io::Error::from)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no entry in the password database"))?;
        let shell = if user.shell.as_os_str().is_empty() { PathBuf::from("/bin/sh") } else { user.shell };
        // Who starts the daemon with a home of its own, in a container say, means its shells too.
        let own =
            std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home.is_dir());
        Ok(Self { name: user.name, home: own.unwrap_or(user.dir), shell, administrator: uid.is_root() })
    }
}

/// What to run on the terminal.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) argv0: OsString,
    pub(crate) directory: PathBuf,
    pub(crate) environment: Vec<(OsString, OsString)>,
}

/// What to wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    pub(crate) output: bool,
    pub(crate) room: bool,
    pub(crate) exit: bool,
}

/// What came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PtyEvent {
    Output,
    Room,
    Exited(ExitStatus),
}

/// A running program and the master side of its terminal. Dropping it hangs up.
#[derive(Debug)]
pub(crate) struct Pty {
    /// `None` once hung up: closing the master makes the kernel hang up the terminal.
    master: Option<AsyncFd<OwnedFd>>,
    child: Child,
    leader: Option<Pid>,
    foreground: Option<Pid>,
    pub(crate) tty: String,
}

impl Pty {
    /// Opens a terminal and runs the program on it, in a session of its own. `CONNECT_TTY` is added to
    /// the environment.
    pub(crate) fn spawn(program: Program, cols: u16, rows: u16) -> io::Result<Self> {
        // A terminal is opened first and told not to be inherited then. A shell that is started in between
        // would hold the other's terminal open, and closing it would not hang up any more.
        let one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let (pty, pts) = pty_process::open().map_err(into_io)?;
        pty.resize(Size::new(rows.max(1), cols.max(1))).map_err(into_io)?;
        let tty = rustix::pty::ptsname(&pty, Vec::new())?.to_string_lossy().into_owned();
        let child = Command::new(&program.path)
            .arg0(program.argv0)
            .env_clear()
            .envs(program.environment)
            .env("CONNECT_TTY", &tty)
            .current_dir(program.directory)
            .spawn(pts)
            .map_err(into_io)?;
        drop(one_at_a_time);
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let master = register(OwnedFd::from(pty))?;
        Ok(Self { master: Some(master), child, leader, foreground: None, tty })
    }

    pub(crate) fn resize(&self, cols: u16, rows: u16) -> io::Result<()> {
        let size = Winsize { ws_col: cols.max(1), ws_row: rows.max(1), ws_xpixel: 0, ws_ypixel: 0 };
        match &self.master {
            Some(master) => Ok(rustix::termios::tcsetwinsize(master.get_ref(), size)?),
            None => Ok(()),
        }
    }

    /// Reads what is there, `WouldBlock` if nothing is. 0 and EIO mean that nobody holds the terminal.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(master) = &self.master else { return Ok(0) };
        master.try_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, buffer)?))
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(master) = &self.master else { return Err(io::ErrorKind::BrokenPipe.into()) };
        master.try_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?))
    }

    /// Waits for whatever of these comes first. Safe to drop and call again.
    pub(crate) async fn event(&mut self, wants: Wants) -> PtyEvent {
        let Self { master, child, .. } = self;
        let mut exit = pin!(child.wait());
        std::future::poll_fn(|cx| {
            if let Some(master) = master {
                // An error is found again by the read or write that follows.
                if wants.output && master.poll_read_ready(cx).is_ready() {
                    return Poll::Ready(PtyEvent::Output);
                }
                if wants.room && master.poll_write_ready(cx).is_ready() {
                    return Poll::Ready(PtyEvent::Room);
                }
            }
            if wants.exit
                && let Poll::Ready(Ok(status)) = exit.as_mut().poll(cx)
            {
                return Poll::Ready(PtyEvent::Exited(status));
            }
            Poll::Pending
        })
        .await
    }

    /// Hangs up, and kills what is left of program and foreground job after the grace.
    pub(crate) async fn end(&mut self, grace: Duration) {
        self.hang_up();
        let orderly = async {
            // It cannot fail for a child of ours, and if it did, the kill below would follow.
            let _ = self.child.wait().await;
            while self.job().is_some() {
                tokio::time::sleep(JOB_LOOK).await;
            }
        };
        if tokio::time::timeout(grace, orderly).await.is_err() {
            self.signal(Signal::KILL);
            let _ = self.child.wait().await;
        }
    }

    /// SIGHUP to the program's and the foreground process group, and the terminal is closed.
    pub(crate) fn hang_up(&mut self) {
        let Some(master) = self.master.take() else { return };
        self.foreground = rustix::termios::tcgetpgrp(master.get_ref()).ok();
        drop(master);
        self.signal(Signal::HUP);
        // A stopped job receives its SIGHUP only when it runs again.
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let Some(leader) = self.leader else { return };
        // Until it is reaped nobody else can have its number. A group that is gone needs no signal.
        if self.child.id().is_some() {
            let _ = rustix::process::kill_process_group(leader, signal);
        }
        if let Some(job) = self.job() {
            let _ = rustix::process::kill_process_group(job, signal);
        }
    }

    /// The foreground job's process group at the hang-up, if it is still there.
    fn job(&self) -> Option<Pid> {
        let group = self.foreground.filter(|group| Some(*group) != self.leader)?;
        // The number may have been given away since; the session tells.
        let session = rustix::process::getsid(Some(group)).ok()?;
        (Some(session) == self.leader).then_some(group)
    }
}

#[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays open")]
fn register(master: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, always the same, and closed only when it is dropped, which the
    // `AsyncFd` that owns it does after its own registration.
    Ok(unsafe { AsyncFd::register(master) }?)
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.hang_up();
    }
}

fn into_io(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
