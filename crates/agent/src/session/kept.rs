//! Shells whose browser vanished, and the way back to them.
//!
//! Whoever runs a shell holds it: the session's own task, with a browser or without. A later session of the
//! same person that shows the token asks that task for the shell, and the task hands it over. So there is one
//! owner at any time, and a token is good for one use: asking removes it, and the new owner gets another.

use super::Input;
use super::pty::{PtyEvent, Wants};
use super::shell::Running;
use super::watch::Watcher;
use bramble_model::{Secret, SecretHash, SecretKind, SharedRandom};
use bramble_wire::UserId;
use bramble_wire::channel::{FromShell, INVITATION_SECONDS, MAX_MESSAGE, ShellToken};
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// What may wait for the task that holds a shell.
const ASKS: usize = 8;

/// What others ask of the task that holds a shell.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Its person is back: give it away.
    Shell(oneshot::Sender<Box<Running>>),
    /// Somebody who was invited: show it to them.
    Watch(Watcher),
    /// A watcher left.
    Left,
}

/// All shells of this device that somebody could come back to. Clones share them.
#[derive(Clone, Debug)]
pub struct Keeper {
    random: SharedRandom,
    held: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    shells: Vec<Held>,
    invitations: Vec<Invitation>,
}

#[derive(Debug)]
struct Held {
    token: SecretHash,
    user: UserId,
    ask: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Invitation {
    code: SecretHash,
    /// The shell's token.
    shell: SecretHash,
    owner: String,
    until: Instant,
    ask: mpsc::Sender<Ask>,
}

/// A shell that can be asked for; dropped, it no longer can.
#[derive(Debug)]
pub(crate) struct Hold {
    token: SecretHash,
    keeper: Keeper,
    ask: mpsc::Sender<Ask>,
    asked: mpsc::Receiver<Ask>,
}

impl Keeper {
    /// With none yet; tokens come from this source.
    pub fn new(random: SharedRandom) -> Self {
        Self { random, held: Arc::default() }
    }

    /// A new token for this person's shell, and what it leads to.
    pub(crate) fn hold(&self, user: UserId) -> (ShellToken, Hold) {
        let secret = Secret::generate(SecretKind::KeptShell, &*self.random);
        let token = secret.hash();
        let (ask, asked) = mpsc::channel(ASKS);
        self.lock().shells.push(Held { token, user, ask: ask.clone() });
        (ShellToken(secret.expose().to_owned()), Hold { token, keeper: self.clone(), ask, asked })
    }

    /// Asks for the shell of this token and person. Of two that ask at once, one gets it.
    pub(crate) fn ask(&self, token: &ShellToken, user: UserId) -> Option<oneshot::Receiver<Box<Running>>> {
        let token = Secret::parse(SecretKind::KeptShell, &token.0)?.hash();
        let mut held = self.lock();
        let at = held.shells.iter().position(|held| held.token == token && held.user == user)?;
        let Held { ask, .. } = held.shells.swap_remove(at);
        let (reply, given) = oneshot::channel();
        ask.try_send(Ask::Shell(reply)).ok().map(|()| given)
    }

    /// Uses an invitation: where to ask, and whose shell it is.
    pub(crate) fn invitation(&self, code: &ShellToken) -> Option<(mpsc::Sender<Ask>, String)> {
        let code = Secret::parse(SecretKind::ShellInvitation, &code.0)?.hash();
        let mut held = self.lock();
        let at = held.invitations.iter().position(|invitation| invitation.code == code)?;
        let Invitation { owner, until, ask, .. } = held.invitations.swap_remove(at);
        (Instant::now() < until).then_some((ask, owner))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Waits until somebody asks. Safe to drop and call again.
    pub(crate) async fn asked(hold: Option<&mut Self>) -> Ask {
        match hold {
            Some(hold) => match hold.asked.recv().await {
                Some(ask) => ask,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

impl Hold {
    /// Lets one person watch this shell, in the name of its owner. An earlier invitation that nobody used is void.
    pub(crate) fn invite(&self, owner: &str) -> ShellToken {
        self.uninvite();
        let secret = Secret::generate(SecretKind::ShellInvitation, &*self.keeper.random);
        self.keeper.lock().invitations.push(Invitation {
            code: secret.hash(),
            shell: self.token,
            owner: owner.to_owned(),
            until: Instant::now() + Duration::from_secs(INVITATION_SECONDS),
            ask: self.ask.clone(),
        });
        ShellToken(secret.expose().to_owned())
    }

    /// Takes the invitation back.
    pub(crate) fn uninvite(&self) {
        self.keeper.lock().invitations.retain(|invitation| invitation.shell != self.token);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.uninvite();
        self.keeper.lock().shells.retain(|held| held.token != self.token);
    }
}

/// What became of a shell without a browser.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its person is back.
    Asked(oneshot::Sender<Box<Running>>),
    /// It is over, or to be ended.
    Over(String),
}

/// Holds the shell while nobody is there: its output is kept as far as there is room for it.
pub(crate) async fn wait(
    running: &mut Running,
    hold: &mut Hold,
    input: &mut mpsc::Receiver<Input>,
    patience: Duration,
) -> Outcome {
    let out_of_time = tokio::time::sleep(patience);
    tokio::pin!(out_of_time);
    let mut listening = true;
    let mut chunk = vec![0; MAX_MESSAGE];
    loop {
        let wants =
            Wants { output: running.may_store(), room: running.has_input(), exit: !running.has_exited() };
        tokio::select! {
            biased;
            message = input.recv(), if listening => match message {
                Some(Input::End { reason }) => return Outcome::Over(reason),
                Some(Input::RemoteCandidate(_) | Input::ServerContact(_)) => {}
                None => listening = false,
            },
            ask = Hold::asked(Some(&mut *hold)) => match ask {
                Ask::Shell(reply) => return Outcome::Asked(reply),
                Ask::Watch(watcher) => running.show_to(watcher),
                Ask::Left => running.watchers.look(),
            },
            event = running.pty.event(wants) => match event {
                PtyEvent::Output => running.store(&mut chunk),
                PtyEvent::Room => running.pass_input(),
                PtyEvent::Exited(status) => {
                    let exit = FromShell::Exit { status: status.code(), signal: status.signal() };
                    return Outcome::Over(super::peer::words_for(&exit));
                }
            },
            () = &mut out_of_time => {
                return Outcome::Over("The browser did not come back to its shell.".to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shell::{Shell, ShellSettings};
    use super::*;
    use bramble_model::SeededRandom;
    use bramble_wire::channel::KEPT_SECONDS;

    const PATIENCE: Duration = Duration::from_secs(KEPT_SECONDS);

    fn shell() -> Box<Running> {
        let settings = ShellSettings::of_current_user().expect("an account").with_program("/bin/cat");
        let mut shell = Shell::Waiting(settings);
        shell.start(80, 24, || None).expect("it starts");
        shell.give().expect("it runs")
    }

    fn held() -> (Keeper, ShellToken, Hold, UserId) {
        let keeper = Keeper::new(Arc::new(SeededRandom::new(1)));
        let user = "0a0a0a0a-89ab-4cde-8f01-23456789abcd".parse().expect("an id");
        let (token, hold) = keeper.hold(user);
        (keeper, token, hold, user)
    }

    #[tokio::test(start_paused = true)]
    async fn two_minutes_and_not_longer() {
        let (keeper, token, mut hold, user) = held();
        let (_input, mut inputs) = mpsc::channel(1);
        let began = tokio::time::Instant::now();
        let outcome = wait(&mut shell(), &mut hold, &mut inputs, PATIENCE).await;
        assert!(matches!(outcome, Outcome::Over(_)), "{outcome:?}");
        assert_eq!(began.elapsed().as_secs(), KEPT_SECONDS);
        drop(hold);
        assert!(keeper.ask(&token, user).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn until_the_last_second_it_can_be_asked_for() {
        let (keeper, token, mut hold, user) = held();
        let (_input, mut inputs) = mpsc::channel(1);
        let mut kept = shell();
        let ask = async {
            tokio::time::advance(Duration::from_secs(KEPT_SECONDS - 1)).await;
            keeper.ask(&token, user)
        };
        let (outcome, given) = tokio::join!(wait(&mut kept, &mut hold, &mut inputs, PATIENCE), ask);
        assert!(matches!(outcome, Outcome::Asked(_)) && given.is_some(), "{outcome:?}");
        assert!(keeper.ask(&token, user).is_none(), "a token works once");
    }
}
