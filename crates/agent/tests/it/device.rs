//! The daemon in a test: a machine and a state folder of its own, sessions that a test can look into.

use super::fake_server::SOON;
use bramble_agent::{
    control::{Timing, sessions::Start},
    daemon::{self, DaemonError, Options},
    local_api::{Reply, Request, Status, client},
    platform::Platform,
    session::{Input, Output},
    state::StateFolder,
};
use bramble_wire::{
    SessionId,
    signalling::{Answer, ReportedState, StateReport},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

pub const SERIAL: &str = "10000000abcdef01";

/// The machine: folders that outlive the daemon.
pub struct Machine {
    place: tempfile::TempDir,
}

/// A daemon that runs.
pub struct Device {
    pub folder: StateFolder,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), DaemonError>>,
    /// The sessions that were started.
    pub sessions: mpsc::UnboundedReceiver<Running>,
}

/// A session that was started, with both of its ends.
pub struct Running {
    pub id: SessionId,
    pub input: mpsc::Receiver<Input>,
    pub output: mpsc::Sender<Output>,
}

/// Short, and long enough for a busy machine.
pub fn timing() -> Timing {
    Timing {
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_millis(100),
        silence: Duration::from_secs(30),
        stable: Duration::from_secs(20),
        report: Duration::from_secs(10),
    }
}

impl Machine {
    pub fn new() -> Self {
        let this = Self { place: tempfile::tempdir().expect("a folder") };
        this.write("root/proc/device-tree/serial-number", SERIAL);
        std::fs::create_dir_all(this.state()).expect("folder");
        this
    }

    pub fn with_server(url: &str) -> Self {
        let this = Self::new();
        this.configure(url);
        this
    }

    pub fn configure(&self, url: &str) {
        self.write("root/etc/rpi-connect/config.toml", &format!("server = \"{url}\"\n"));
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.place.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        std::fs::write(path, text).expect("file");
    }

    pub fn state(&self) -> PathBuf {
        self.place.path().join("state")
    }

    pub fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    pub fn auth_key(&self) -> PathBuf {
        self.state().join("auth.key")
    }

    pub fn token(&self) -> PathBuf {
        self.state().join("token")
    }

    /// Puts a key there as an installer does: written elsewhere, then moved.
    pub fn drop_key(&self, key: &str) {
        let fresh = self.place.path().join("fresh.key");
        std::fs::write(&fresh, format!("{key}\n")).expect("file");
        std::fs::rename(fresh, self.auth_key()).expect("moves");
    }

    pub async fn start(&self) -> Device {
        self.start_with(|_| {}).await
    }

    pub async fn start_with(&self, change: impl FnOnce(&mut Options)) -> Device {
        let folder = StateFolder::at(self.state());
        let (announce, sessions) = mpsc::unbounded_channel();
        let starter = Arc::new(move |start: Start| {
            let running = Running { id: start.id, input: start.input, output: start.output };
            let _ = announce.send(running);
            tokio::spawn(std::future::pending())
        });
        let mut options = Options::new(folder.clone(), Platform::below(self.root()), starter);
        options.timing = timing();
        change(&mut options);
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let running = tokio::spawn(daemon::run(
            options,
            move || {
                let _ = ready.send(());
            },
            async move {
                let _ = stopped.await;
            },
        ));
        tokio::time::timeout(SOON, is_ready).await.expect("ready in time").expect("it starts");
        Device { folder, stop: Some(stop), running, sessions }
    }
}

impl Device {
    pub async fn ask(&self, request: Request) -> Reply {
        ask(&self.folder.socket(), request).await
    }

    pub async fn status(&self) -> Status {
        match self.ask(Request::Status).await {
            Reply::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the status fits.
    pub async fn until(&self, what: &str, fits: impl Fn(&Status) -> bool) -> Status {
        let mut last = None;
        let found = tokio::time::timeout(SOON, async {
            loop {
                let status = self.status().await;
                if fits(&status) {
                    return status;
                }
                last = Some(status);
                tokio::task::yield_now().await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("never {what}: {last:?}"))
    }

    pub async fn subscribed(&self) -> Status {
        self.until("subscribed", |status| status.subscribed).await
    }

    pub async fn session(&mut self) -> Running {
        tokio::time::timeout(SOON, self.sessions.recv()).await.expect("in time").expect("a session")
    }

    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.running.await.expect("no panic").expect("a good end");
    }
}

impl Running {
    pub async fn heard(&mut self) -> Input {
        tokio::time::timeout(SOON, self.input.recv()).await.expect("in time").expect("an input")
    }

    /// The reason with which it is told to end.
    pub async fn told_to_end(&mut self) -> String {
        loop {
            if let Input::End { reason } = self.heard().await {
                return reason;
            }
        }
    }

    pub async fn say(&self, output: Output) {
        self.output.send(output).await.expect("somebody listens");
    }

    pub async fn accept(&self) {
        self.say(Output::Answer(Answer::Accepted { sdp: "v=0 answer".into() })).await;
    }

    pub async fn connected(&self) {
        self.say(Output::State(StateReport { state: ReportedState::Connected, path: None, reason: None }))
            .await;
    }

    pub async fn ended(self, reason: &str) {
        let report = StateReport { state: ReportedState::Ended, path: None, reason: Some(reason.to_owned()) };
        self.say(Output::State(report)).await;
    }
}

pub async fn ask(socket: &Path, request: Request) -> Reply {
    let socket = socket.to_owned();
    let asked = tokio::task::spawn_blocking(move || client::ask(&socket, &request));
    asked.await.expect("no panic").expect("the daemon answers")
}
