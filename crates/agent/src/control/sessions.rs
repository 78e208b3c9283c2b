//! The sessions that run here, and the way their signalling takes.
//!
//! The server announces a session; its offer is fetched, the session started, and what it says goes to
//! the server in the order it was said. A session does not need the server to live: reports are tried
//! for a while and then given up, and the next `sync` sets things right.

use super::{api::CallError, attempts::Attempts, shared::Credential};
use crate::{
    session::{self, FilesSettings, Input, Keeper, Output, ScreenSettings, SessionSettings, ShellSettings},
    state::{FOLDER_VARIABLE, StateFolder},
};
use bramble_model::SharedRandom;
use bramble_wire::{
    SessionId,
    signalling::{
        Answer, IceCandidate, MAX_CANDIDATE, MAX_CANDIDATES, Offer, ReportedState, SessionKind, StateReport,
        TransferReport,
    },
};
use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// Most sessions at once. The server allows 10 per user and device; a device serves more than one user,
/// and a board with 512 MB must not serve a hundred.
pub const MAX_SESSIONS: usize = 32;
/// Messages towards a session: all candidates of its peer and an end.
const INPUT_QUEUE: usize = MAX_CANDIDATES + 8;
/// Messages from a session.
const OUTPUT_QUEUE: usize = MAX_CANDIDATES + 8;
/// Visits that a slow desktop may have to be told yet.
const VISITS: usize = 16;
/// How long a session that was told to end may take to say so.
const GOODBYE: Duration = Duration::from_secs(5);

/// Set to 1, sessions go through the relay alone: for networks where nothing else may be tried, and to
/// see whether the relay works.
const RELAY_ONLY: &str = "RPI_CONNECT_RELAY_ONLY";
/// First wait before a report is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Starts the work behind a session and returns at once. The session is over when it drops its sender.
pub type Starter = Arc<dyn Fn(Start) -> JoinHandle<()> + Send + Sync>;

/// What a session starts with.
#[derive(Debug)]
pub struct Start {
    /// Its id.
    pub id: SessionId,
    /// What the browser offers.
    pub offer: Offer,
    /// Trusts whom the sign-in trusts, for TURN over TLS; `None` for a server without TLS.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// To the session.
    pub input: mpsc::Receiver<Input>,
    /// From it.
    pub output: mpsc::Sender<Output>,
}

struct Running {
    kind: Option<SessionKind>,
    input: mpsc::Sender<Input>,
    /// Set once; also stops a session whose offer is still being fetched.
    ending: watch::Sender<Option<String>>,
}

/// All sessions of this daemon.
#[derive(Clone)]
pub struct Sessions {
    starter: Starter,
    random: SharedRandom,
    report: Duration,
    running: Arc<Mutex<HashMap<SessionId, Running>>>,
    count: watch::Sender<usize>,
    visits: broadcast::Sender<Visit>,
}

/// Somebody who has come, or who has gone.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The connection stands; `false` once it has ended.
    pub here: bool,
    /// What for.
    pub kind: SessionKind,
    /// They only look on: nothing that they type arrives.
    pub looks_on: bool,
    /// Who, as the server says.
    pub name: String,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("running", &self.ids().len()).finish_non_exhaustive()
    }
}

impl Sessions {
    /// None yet.
    pub fn new(starter: Starter, random: SharedRandom, report: Duration) -> Self {
        Self {
            starter,
            random,
            report,
            running: Arc::default(),
            count: watch::Sender::new(0),
            visits: broadcast::Sender::new(VISITS),
        }
    }

    /// The ids of all.
    pub fn ids(&self) -> Vec<SessionId> {
        self.lock().keys().copied().collect()
    }

    /// Tells when their number, or that of a kind, changes.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Tells who comes, as soon as the connection stands, and who of them goes.
    pub fn visits(&self) -> broadcast::Receiver<Visit> {
        self.visits.subscribe()
    }

    /// How many of a kind run.
    pub fn count(&self, kind: SessionKind) -> usize {
        self.lock().values().filter(|running| running.kind == Some(kind)).count()
    }

    /// The server announced a session. `allowed` says whether its kind is switched on.
    pub fn announced(
        &self,
        id: SessionId,
        credential: Arc<Credential>,
        allowed: impl Fn(SessionKind) -> Result<(), String> + Send + 'static,
    ) {
        let (input, receiver) = mpsc::channel(INPUT_QUEUE);
        {
            let mut running = self.lock();
            if running.contains_key(&id) {
                return;
            }
            if running.len() >= MAX_SESSIONS {
                drop(running);
                let report = self.reporter(credential);
                tokio::spawn(async move {
                    let answer = refusal("This device has too many open sessions. Close one and try again.");
                    report.answer(id, &answer).await;
                });
                return;
            }
            running.insert(id, Running { kind: None, input, ending: watch::Sender::new(None) });
            self.count.send_replace(running.len());
        }
        let this = self.clone();
        tokio::spawn(async move {
            this.serve(id, credential, allowed, receiver).await;
            let mut running = this.lock();
            running.remove(&id);
            this.count.send_replace(running.len());
        });
    }

    /// A candidate of the browser.
    pub fn candidate(&self, id: SessionId, candidate: IceCandidate) {
        if candidate.candidate.len() > MAX_CANDIDATE {
            return;
        }
        if let Some(running) = self.lock().get(&id) {
            // A full queue means more candidates than the protocol allows.
            let _ = running.input.try_send(Input::RemoteCandidate(candidate));
        }
    }

    /// Ends one.
    pub fn end(&self, id: SessionId, reason: &str) {
        if let Some(running) = self.lock().get(&id) {
            running.end(reason);
        }
    }

    /// Ends all of a kind.
    pub fn end_kind(&self, kind: SessionKind, reason: &str) {
        for running in self.lock().values().filter(|running| running.kind == Some(kind)) {
            running.end(reason);
        }
    }

    /// Ends all.
    pub fn end_all(&self, reason: &str) {
        for running in self.lock().values() {
            running.end(reason);
        }
    }

    /// The event stream stands or does not; sessions count the hours without it.
    pub fn server_contact(&self, there: bool) {
        for running in self.lock().values() {
            let _ = running.input.try_send(Input::ServerContact(there));
        }
    }

    /// After a (re)connection: those of `before` that the server does not know any more end.
    pub fn keep_only(&self, before: &[SessionId], known: &[SessionId]) {
        for id in before.iter().filter(|id| !known.contains(id)) {
            self.end(*id, "The server ended this session while the device was offline.");
        }
    }

    /// Waits until none runs.
    pub async fn none_left(&self) {
        let mut count = self.count.subscribe();
        let _ = count.wait_for(|count| *count == 0).await;
    }

    /// Waits until one runs.
    pub async fn any(&self) {
        let mut count = self.count.subscribe();
        let _ = count.wait_for(|count| *count > 0).await;
    }

    async fn serve(
        &self,
        id: SessionId,
        credential: Arc<Credential>,
        allowed: impl Fn(SessionKind) -> Result<(), String>,
        input: mpsc::Receiver<Input>,
    ) {
        let report = self.reporter(credential);
        let offer = match report.offer(id).await {
            Ok(offer) => offer,
            Err(error) => {
                tracing::warn!(session.id = %id, %error, "the offer of a session could not be fetched");
                return;
            }
        };
        let kind = offer.kind;
        if let Err(why) = allowed(kind) {
            tracing::info!(session.id = %id, session.kind = kind.as_str(), "session refused: {why}");
            report.answer(id, &refusal(&why)).await;
            return;
        }
        let Some(ending) = self.lock().get_mut(&id).map(|running| {
            running.kind = Some(kind);
            running.ending.subscribe()
        }) else {
            return;
        };
        let already = ending.borrow().clone();
        if let Some(reason) = already {
            report.answer(id, &refusal(&reason)).await;
            return;
        }
        // Switched off while the kind was not yet known here.
        if let Err(why) = allowed(kind) {
            report.answer(id, &refusal(&why)).await;
            return;
        }
        tracing::info!(session.id = %id, session.kind = kind.as_str(), "session opened");
        self.count.send_modify(|_| {});
        let looks_on = !offer.permissions.input;
        let visit = Visit { here: true, kind, looks_on, name: offer.user.name.clone() };
        let (output, outputs) = mpsc::channel(OUTPUT_QUEUE);
        let tls = report.credential.api.client().tls();
        let work = AbortOnDrop((self.starter)(Start { id, offer, tls, input, output }));
        let reason = self.forward(&report, id, outputs, ending, visit).await;
        drop(work);
        tracing::info!(session.id = %id, session.kind = kind.as_str(), "session ended: {reason}");
    }

    /// Sends on what the session says until it is over; returns why it ended.
    async fn forward(
        &self,
        report: &Reporter,
        id: SessionId,
        mut outputs: mpsc::Receiver<Output>,
        mut ending: watch::Receiver<Option<String>>,
        visit: Visit,
    ) -> String {
        // Says that it has gone whichever way this ends.
        let mut stay = None;
        let told = ending.clone();
        let out_of_time = async {
            let _ = ending.wait_for(Option::is_some).await;
            tokio::time::sleep(GOODBYE).await;
        };
        tokio::pin!(out_of_time);
        loop {
            let said = tokio::select! {
                said = outputs.recv() => said,
                () = &mut out_of_time => None,
            };
            match said {
                Some(Output::Answer(answer)) => report.answer(id, &answer).await,
                Some(Output::Candidate(candidate)) => report.candidate(id, candidate).await,
                Some(Output::Transfer(transfer)) => report.transfer(id, &transfer).await,
                Some(Output::State(state)) => {
                    match state.state {
                        ReportedState::Connected if stay.is_none() => stay = Some(self.stay(&visit)),
                        ReportedState::Connected => {}
                        ReportedState::Ended => stay = None,
                    }
                    report.state(id, &state).await;
                    if state.state == ReportedState::Ended {
                        // It closes its end when its processes are gone.
                        let _ = timeout(GOODBYE, async { while outputs.recv().await.is_some() {} }).await;
                        return state.reason.unwrap_or_default();
                    }
                }
                None => break,
            }
        }
        drop(stay);
        // It went without a word: say it in its place.
        let reason = told.borrow().clone().unwrap_or_else(|| "The session failed on the device.".to_owned());
        let state = StateReport { state: ReportedState::Ended, path: None, reason: Some(reason.clone()) };
        report.state(id, &state).await;
        reason
    }

    fn stay(&self, visit: &Visit) -> Stay {
        // Without a desktop nobody listens.
        let _ = self.visits.send(visit.clone());
        Stay { visits: self.visits.clone(), gone: Visit { here: false, ..visit.clone() } }
    }

    fn reporter(&self, credential: Arc<Credential>) -> Reporter {
        Reporter { credential, random: Arc::clone(&self.random), time: self.report }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that stands.
struct Stay {
    visits: broadcast::Sender<Visit>,
    gone: Visit,
}

impl Drop for Stay {
    fn drop(&mut self) {
        let _ = self.visits.send(self.gone.clone());
    }
}

/// The work of a session that did not end when it should have.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running {
    fn end(&self, reason: &str) {
        let first = self.ending.send_if_modified(|ending| {
            let first = ending.is_none();
            if first {
                *ending = Some(reason.to_owned());
            }
            first
        });
        if first {
            // A full queue belongs to a session that does not listen; its time runs out.
            let _ = self.input.try_send(Input::End { reason: reason.to_owned() });
        }
    }
}

fn refusal(why: &str) -> Answer {
    Answer::Refused { error: why.to_owned() }
}

/// Calls about one session, tried again while that makes sense.
struct Reporter {
    credential: Arc<Credential>,
    random: SharedRandom,
    time: Duration,
}

impl Reporter {
    async fn offer(&self, id: SessionId) -> Result<Offer, CallError> {
        let mut attempts = self.attempts();
        loop {
            let result = self.credential.api.offer(id).await;
            let Some(wait) = attempts.wait(&result) else { return result };
            tokio::time::sleep(wait).await;
        }
    }

    async fn answer(&self, id: SessionId, answer: &Answer) {
        self.tell(id, "answer", || self.credential.api.answer(id, answer)).await;
    }

    async fn candidate(&self, id: SessionId, candidate: IceCandidate) {
        self.tell(id, "candidate", || self.credential.api.candidate(id, candidate.clone())).await;
    }

    async fn state(&self, id: SessionId, state: &StateReport) {
        self.tell(id, "state", || self.credential.api.state(id, state)).await;
    }

    async fn transfer(&self, id: SessionId, transfer: &TransferReport) {
        self.tell(id, "file transfer", || self.credential.api.transfer(id, transfer)).await;
    }

    async fn tell<F>(&self, id: SessionId, what: &'static str, call: impl Fn() -> F)
    where
        F: Future<Output = Result<(), CallError>>,
    {
        let mut attempts = self.attempts();
        loop {
            let result = call().await;
            let Some(wait) = attempts.wait(&result) else { return Self::note(id, what, result) };
            tokio::time::sleep(wait).await;
        }
    }

    fn attempts(&self) -> Attempts {
        Attempts::new(Arc::clone(&self.random), FIRST_WAIT, self.time)
    }

    fn note(id: SessionId, what: &'static str, sent: Result<(), CallError>) {
        if let Err(error) = sent {
            tracing::warn!(session.id = %id, %error, "the {what} of a session did not reach the server");
        }
    }
}

/// The folder for files as the settings say at this moment; `None` when file transfer is off.
fn files_of(folder: &StateFolder) -> Option<FilesSettings> {
    let kept = folder.settings().ok().filter(|settings| settings.files)?;
    let files = FilesSettings::of_current_user(kept.files_root.as_deref());
    files.inspect_err(|error| tracing::error!(%error, "the home of this user is not known")).ok()
}

/// The real one: a peer connection, and the shell of whoever runs this process or the desktop's VNC server.
pub fn starter(folder: &StateFolder, screen: Option<ScreenSettings>, random: SharedRandom) -> Starter {
    let own_folder = folder.is_overridden();
    let folder = folder.clone();
    let relay_only = std::env::var_os(RELAY_ONLY).is_some_and(|value| value == "1");
    let keeper = Keeper::new(random);
    Arc::new(move |start| {
        let shell = ShellSettings::of_current_user().inspect_err(|error| {
            tracing::error!(%error, "the login shell of this user is not known");
        });
        let mut settings = SessionSettings::new(shell.ok());
        if let (Some(shell), true) = (&mut settings.shell, own_folder) {
            // So that rpi-connect in the shell finds this daemon and not the user's other one.
            shell.keep.push(FOLDER_VARIABLE.to_owned());
        }
        settings.screen.clone_from(&screen);
        settings.files = files_of(&folder);
        settings.keeper = Some(keeper.clone());
        settings.relay_only = relay_only;
        settings.turn_tls = start.tls;
        session::start(start.id, start.offer, settings, start.input, start.output)
    })
}
