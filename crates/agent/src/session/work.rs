//! What is behind a session, as the peer connection sees it: something that puts out bytes, takes bytes, and
//! ends.

use super::files::Files;
use super::pty::{PtyEvent, Wants};
use super::shell::{Read, Shell};
use super::watch::{OVER, Watch};
use crate::screen::Screen;
use bramble_wire::channel::{FILES, FromShell, SHELL, VNC};
use bramble_wire::signalling::TransferReport;
use std::time::{Duration, Instant};

/// A shell, somebody else's shell, a screen or files.
#[derive(Debug)]
pub(crate) enum Work {
    Shell(Shell),
    Watch(Box<Watch>),
    Screen(Box<Screen>),
    Files(Box<Files>),
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The shell's exit, which the browser hears in the shell's own words.
    Shell(FromShell),
    /// In a sentence for people.
    Screen(&'static str),
    /// In a sentence for people.
    Files(&'static str),
    /// In a sentence for people.
    Watch(&'static str),
}

impl Work {
    /// The name of its channel.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Shell(_) | Self::Watch(_) => SHELL,
            Self::Screen(_) => VNC,
            Self::Files(_) => FILES,
        }
    }

    pub(crate) fn shell(&mut self) -> Option<&mut Shell> {
        match self {
            Self::Shell(shell) => Some(shell),
            Self::Watch(_) | Self::Screen(_) | Self::Files(_) => None,
        }
    }

    pub(crate) fn watch(&mut self) -> Option<&mut Watch> {
        match self {
            Self::Watch(watch) => Some(watch),
            Self::Shell(_) | Self::Screen(_) | Self::Files(_) => None,
        }
    }

    /// What the browser is to hear before more output.
    pub(crate) fn words(&mut self) -> Option<FromShell> {
        match self {
            Self::Shell(shell) => shell.running().and_then(|shell| shell.watchers.news()),
            Self::Watch(watch) => watch.words(),
            Self::Screen(_) | Self::Files(_) => None,
        }
    }

    pub(crate) fn files(&mut self) -> Option<&mut Files> {
        match self {
            Self::Files(files) => Some(files),
            Self::Shell(_) | Self::Watch(_) | Self::Screen(_) => None,
        }
    }

    pub(crate) fn screen(&mut self) -> Option<&mut Screen> {
        match self {
            Self::Screen(screen) => Some(screen),
            Self::Shell(_) | Self::Watch(_) | Self::Files(_) => None,
        }
    }

    /// Bytes that the browser is ready to take. A VNC viewer asks for each picture and files have
    /// their own credit, so they need none here.
    pub(crate) fn credit(&mut self) -> usize {
        match self {
            Self::Shell(shell) => shell.running().map_or(0, |shell| shell.credit.left()),
            Self::Watch(watch) => watch.credit.left(),
            Self::Screen(_) | Self::Files(_) => usize::MAX,
        }
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        if let Some(shell) = self.shell().and_then(Shell::running) {
            shell.credit.spend(bytes);
        } else if let Some(watch) = self.watch() {
            watch.credit.spend(bytes);
        }
    }

    /// Fills the buffer with output, as far as there is any.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        match self {
            Self::Shell(shell) => shell.running().map_or(Read::Nothing, |shell| shell.read(buffer)),
            Self::Watch(watch) => watch.read(buffer),
            Self::Screen(screen) => screen.read(buffer),
            Self::Files(files) => files.read(buffer),
        }
    }

    /// Takes bytes from the browser.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        match self {
            Self::Shell(shell) => {
                if let Some(shell) = shell.running() {
                    shell.type_in(bytes);
                }
            }
            // Whoever watches does nothing else.
            Self::Watch(_) => {}
            Self::Screen(screen) => screen.take(bytes),
            Self::Files(files) => files.take(bytes),
        }
    }

    /// Whether the network should wait for it.
    pub(crate) fn lags(&mut self) -> bool {
        match self {
            Self::Shell(shell) => shell.running().is_some_and(|shell| shell.lags()),
            Self::Screen(screen) => screen.lags(),
            // The browser waits by itself.
            Self::Watch(_) | Self::Files(_) => false,
        }
    }

    /// What to wait for; `room` says whether output has somewhere to go.
    pub(crate) fn wants(&mut self, room: bool) -> Option<Wants> {
        match self {
            Self::Shell(shell) => {
                let shell = shell.running()?;
                let output = room && shell.may_read() && shell.credit.left() > 0;
                Some(Wants { output, room: shell.has_input(), exit: !shell.has_exited() })
            }
            Self::Watch(watch) => {
                Some(Wants { output: room && watch.credit.left() > 0, room: false, exit: false })
            }
            Self::Screen(screen) => Some(screen.wants(room)),
            Self::Files(files) => Some(files.wants(room)),
        }
    }

    /// Waits for whatever of these comes first. Safe to drop and call again.
    pub(crate) async fn event(&mut self, wants: Option<Wants>) -> PtyEvent {
        match (self, wants) {
            (Self::Shell(shell), Some(wants)) => match shell.running() {
                Some(shell) => shell.pty.event(wants).await,
                None => std::future::pending().await,
            },
            (Self::Watch(watch), Some(wants)) => watch.event(wants.output).await,
            (Self::Screen(screen), Some(wants)) => screen.event(wants).await,
            (Self::Files(files), Some(wants)) => files.event(wants).await,
            _ => std::future::pending().await,
        }
    }

    /// Takes note of what came.
    pub(crate) fn hear(&mut self, event: PtyEvent) {
        match (event, self) {
            // The next refill reads.
            (PtyEvent::Output, _) | (PtyEvent::Room, Self::Watch(_)) => {}
            (PtyEvent::Room, Self::Screen(screen)) => screen.pass_input(),
            (PtyEvent::Room, Self::Files(files)) => files.pass_on(),
            (PtyEvent::Room, Self::Shell(shell)) => {
                if let Some(shell) = shell.running() {
                    shell.pass_input();
                }
            }
            (PtyEvent::Exited(status), work) => {
                if let Some(shell) = work.shell().and_then(Shell::running) {
                    shell.exited(status);
                }
            }
        }
    }

    /// When to look again whether it has ended.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        match self {
            Self::Shell(shell) => shell
                .running()
                .filter(|shell| shell.credit.left() > 0)
                .and_then(|shell| shell.drain_deadline()),
            Self::Screen(screen) => screen.deadline(),
            Self::Watch(_) | Self::Files(_) => None,
        }
    }

    /// How it ended, once it has and all of its output is through.
    pub(crate) fn ending(&mut self, now: Instant) -> Option<Ending> {
        match self {
            Self::Shell(shell) => {
                // Out of credit with output left, the end waits for the browser.
                let running = shell.running().filter(|shell| shell.credit.left() > 0)?;
                let ending = running.ending(now)?;
                *shell = Shell::Gone;
                Some(Ending::Shell(ending))
            }
            Self::Watch(watch) => watch.is_over().then_some(Ending::Watch(OVER)),
            Self::Screen(screen) => screen.ending(now).map(Ending::Screen),
            Self::Files(files) => files.ending().map(Ending::Files),
        }
    }

    /// Whether what has ended may be there again soon.
    pub(crate) fn may_return(&self) -> bool {
        matches!(self, Self::Screen(screen) if screen.may_return())
    }

    /// Takes a shell's terminal away. A screen's connection goes with the session.
    pub(crate) fn hang_up(&mut self) {
        if let Some(shell) = self.shell().and_then(Shell::running) {
            shell.pty.hang_up();
        } else if let Some(watch) = self.watch() {
            watch.stop();
        }
    }

    /// What the server is to hear of it.
    pub(crate) fn next_report(&mut self) -> Option<TransferReport> {
        self.files()?.next_report()
    }

    /// Ends the files' side, and returns what the server is still to hear of it.
    pub(crate) async fn last_reports(&mut self, grace: Duration) -> Vec<TransferReport> {
        match self.files() {
            Some(files) => files.end(grace).await,
            None => Vec::new(),
        }
    }

    /// Ends what runs, and kills what is left after the grace.
    pub(crate) async fn end(&mut self, grace: Duration) {
        if let Some(shell) = self.shell().and_then(Shell::running) {
            shell.pty.end(grace).await;
        }
    }
}
