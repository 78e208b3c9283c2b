//! The way back to a shell: a browser asks for it, its session hands it over, and with nobody there it waits. And
//! the way of others to watch it.

use super::super::Input;
use super::super::kept::{self, Ask, Hold, Outcome};
use super::super::shell::{Running, Shell};
use super::super::work::Work;
use super::Peer;
use super::phase::{FAREWELL, Phase};
use bramble_wire::SessionId;
use bramble_wire::channel::{FromShell, ShellToken};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Where a shell went that another session asked for.
const MOVED: &str = "The shell goes on in another window.";

/// A shell on its way here, and the window that it comes to.
#[derive(Debug)]
pub(super) struct Coming {
    given: oneshot::Receiver<Box<Running>>,
    cols: u16,
    rows: u16,
    seen: Option<u64>,
}

impl Coming {
    /// Waits for the shell; `None` if it ended meanwhile. Safe to drop and call again.
    pub(super) async fn given(coming: Option<&mut Self>) -> Option<Box<Running>> {
        match coming {
            Some(coming) => (&mut coming.given).await.ok(),
            None => std::future::pending().await,
        }
    }
}

impl Peer {
    pub(super) fn start_shell(&mut self, cols: u16, rows: u16, now: Instant) {
        if self.coming.is_some() {
            return;
        }
        let keeper = self.settings.keeper.as_ref().filter(|_| self.input_allowed).zip(self.user);
        let place = &mut self.hold;
        let mut token = || {
            let (token, hold) = keeper.map(|(keeper, user)| keeper.hold(user))?;
            *place = Some(hold);
            Some(token)
        };
        let Some(answer) = self.work.shell().and_then(|shell| shell.start(cols, rows, &mut token)) else {
            return;
        };
        self.say_shell(&answer);
        if let FromShell::Error { message } = answer {
            self.phase = Phase::WorkOver { reason: message, until: now + FAREWELL * 4 };
        }
    }

    /// The browser says that it had a shell here.
    pub(super) fn ask_for_shell(&mut self, token: &ShellToken, cols: u16, rows: u16, seen: Option<u64>) {
        if let Some(watch) = self.work.watch() {
            return watch.refuse();
        }
        if self.coming.is_some() || !self.work.shell().is_some_and(|shell| shell.is_waiting()) {
            return;
        }
        let keeper = self.settings.keeper.as_ref().filter(|_| self.input_allowed).zip(self.user);
        match keeper.and_then(|(keeper, user)| keeper.ask(token, user)) {
            Some(given) => self.coming = Some(Coming { given, cols, rows, seen }),
            None => self.say_shell(&FromShell::Gone),
        }
    }

    /// Takes a shell that came too late for this session, so that it is ended with it.
    pub(super) fn take_late_shell(&mut self) {
        if let Some(Coming { mut given, .. }) = self.coming.take()
            && let Ok(running) = given.try_recv()
        {
            self.work = Work::Shell(Shell::Running(running));
        }
    }

    /// The shell is here, or went meanwhile.
    pub(super) fn take_shell(&mut self, given: Option<Box<Running>>) {
        let Some(Coming { cols, rows, seen, .. }) = self.coming.take() else { return };
        let keeper = self.settings.keeper.as_ref().zip(self.user);
        let (Some(mut running), Some((keeper, user))) = (given, keeper) else {
            return self.say_shell(&FromShell::Gone);
        };
        let (token, hold) = keeper.hold(user);
        let tty = running.pty.tty.clone();
        let from = running.resume(seen, cols, rows);
        self.hold = Some(hold);
        self.work = Work::Shell(Shell::Running(running));
        tracing::info!(session.id = %self.id, "the browser is back at its shell");
        self.say_shell(&FromShell::Attached { tty, token, from });
    }

    /// Another session wants something of this one's shell.
    pub(super) fn hear_ask(&mut self, ask: Ask) {
        let running = self.work.shell().and_then(Shell::running);
        match (ask, running) {
            (Ask::Shell(reply), _) => self.give_shell(reply),
            (Ask::Watch(watcher), Some(running)) => running.show_to(watcher),
            (Ask::Left, Some(running)) => running.watchers.look(),
            // Its sender is dropped, which says enough.
            (Ask::Watch(_) | Ask::Left, None) => {}
        }
    }

    /// The owner lets somebody watch.
    pub(super) fn invite(&mut self) {
        let runs = self.work.shell().and_then(Shell::running).is_some();
        if let Some(hold) = self.hold.as_ref().filter(|_| runs) {
            let code = hold.invite(&self.visitor);
            self.say_shell(&FromShell::Invited { code });
        }
    }

    pub(super) fn stop_watching(&mut self) {
        if let Some(hold) = &self.hold {
            hold.uninvite();
        }
        if let Some(running) = self.work.shell().and_then(Shell::running) {
            running.watchers.stop();
        }
    }

    /// Somebody was told that they may watch.
    pub(super) fn ask_to_watch(&mut self, code: &ShellToken) {
        let Some(watch) = self.work.watch() else { return };
        if watch.has_begun() {
            return;
        }
        match self.settings.keeper.as_ref().and_then(|keeper| keeper.invitation(code)) {
            Some((shell, owner)) => watch.begin(shell, owner, self.visitor.clone()),
            None => watch.refuse(),
        }
    }

    /// Another session of the same person asks for the shell.
    fn give_shell(&mut self, ask: oneshot::Sender<Box<Running>>) {
        self.hold = None;
        // One that has exited ends where it ran, with its exit status.
        let Some(shell) = self.work.shell() else { return };
        if shell.running().is_none_or(|running| running.has_exited()) {
            return;
        }
        let Some(running) = shell.give() else { return };
        self.work = not_taken(ask.send(running));
        self.end(MOVED, Instant::now());
    }
}

/// What stays behind after a shell was handed over. Whoever asked may be gone again: then nobody can come back to
/// the shell, and it is ended here like any other, with what it started.
fn not_taken(sent: Result<(), Box<Running>>) -> Work {
    Work::Shell(sent.map_or_else(Shell::Running, |()| Shell::Gone))
}

/// Holds what a browser left until it is asked for, over or out of time; says how it ended here.
pub(super) async fn keep(
    id: SessionId,
    work: &mut Work,
    mut hold: Hold,
    input: &mut mpsc::Receiver<Input>,
    patience: Duration,
    why: String,
) -> String {
    let shell = work.shell();
    let Some(running) = shell.and_then(Shell::running).filter(|running| !running.has_exited()) else {
        return why;
    };
    tracing::info!(session.id = %id, reason = %why, "the shell is kept for its browser");
    match kept::wait(running, &mut hold, input, patience).await {
        Outcome::Over(reason) => reason,
        Outcome::Asked(ask) => {
            if let Some(running) = work.shell().and_then(Shell::give) {
                *work = not_taken(ask.send(running));
            }
            MOVED.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Keeper, ShellSettings};
    use bramble_model::SeededRandom;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_shell_that_nobody_takes_stays_to_be_ended() {
        let settings = ShellSettings::of_current_user().expect("an account").with_program("/bin/sh");
        let mut shell = Shell::Waiting(settings.at_home("/"));
        shell.start(80, 24, || None).expect("it starts");
        let mut work = Work::Shell(shell);
        let keeper = Keeper::new(Arc::new(SeededRandom::new(1)));
        let user = "0a0a0a0a-89ab-4cde-8f01-23456789abcd".parse().expect("an id");
        let (token, hold) = keeper.hold(user);
        // It asks, and is gone before it is answered.
        drop(keeper.ask(&token, user).expect("it is held"));
        let (_input, mut inputs) = mpsc::channel(1);
        let id = SessionId(uuid::Uuid::nil());
        let why = keep(id, &mut work, hold, &mut inputs, Duration::from_mins(1), String::new()).await;
        assert_eq!(why, MOVED);
        assert!(work.shell().and_then(Shell::running).is_some(), "somebody has to end it");
        work.hang_up();
        work.end(Duration::from_secs(5)).await;
    }
}
