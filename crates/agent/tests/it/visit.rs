//! A browser visiting a session, as tests see it: what is typed, what is shown, what is reported.

use crate::peer::{Order, Seen, TestPeer};
use bramble_agent::session::{self, Input, Output, SessionSettings, ShellSettings};
use bramble_wire::SessionId;
use bramble_wire::channel::{Control, FromShell};
use bramble_wire::files::{FromFiles, ToFiles};
use bramble_wire::signalling::{
    Answer, IceServer, Offer, Path, Permissions, ReportedState, SessionKind, StateReport, TransferReport,
    Visitor,
};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Longer than anything takes here; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn settings() -> SessionSettings {
    // An empty home: what a person's own start files do, and how long they take, is no part of a test.
    let home = concat!(env!("CARGO_TARGET_TMPDIR"), "/home");
    std::fs::create_dir_all(home).expect("a home");
    let shell = ShellSettings::of_current_user().expect("an account").with_program("/bin/bash").at_home(home);
    let mut settings = SessionSettings::new(Some(shell));
    settings.host_addresses = Some(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    settings
}

pub fn offer(sdp: &str, ice_servers: Vec<IceServer>) -> Offer {
    Offer {
        kind: SessionKind::Shell,
        sdp: sdp.to_owned(),
        ice_servers,
        user: Visitor { name: "Ada".to_owned(), id: None },
        permissions: Permissions { input: true, files: false },
    }
}

pub fn session_id() -> SessionId {
    "01234567-89ab-4cde-8f01-23456789abcd".parse().expect("an id")
}

pub struct Visit {
    pub peer: TestPeer,
    pub input: mpsc::Sender<Input>,
    pub task: JoinHandle<()>,
    output: mpsc::Receiver<Output>,
    /// All terminal output so far, unless `discard`.
    pub screen: String,
    /// All that the VNC server said.
    pub bytes: Vec<u8>,
    pub received: usize,
    pub discard: bool,
    pub told: Vec<FromShell>,
    pub control: Vec<Control>,
    /// What the device said about files.
    pub files: Vec<FromFiles>,
    pub transfers: Vec<TransferReport>,
    pub reports: Vec<StateReport>,
    pub candidates: Vec<String>,
    pub refused: Option<String>,
    pub open: usize,
    pub closed: bool,
}

impl Visit {
    pub async fn begin(settings: SessionSettings, servers: Vec<IceServer>) -> Self {
        Self::begin_with(settings, |offer| offer.ice_servers = servers).await
    }

    pub async fn begin_with(settings: SessionSettings, change: impl FnOnce(&mut Offer)) -> Self {
        Self::begin_at(TestPeer::new().await, settings, change)
    }

    /// A visit to the desktop.
    pub async fn to_screen(settings: SessionSettings) -> Self {
        Self::begin_at(TestPeer::with("vnc").await, settings, |offer| offer.kind = SessionKind::Vnc)
    }

    /// A visit to the desktop by somebody who may only look.
    pub async fn to_screen_as_watcher(settings: SessionSettings) -> Self {
        Self::begin_at(TestPeer::with("vnc").await, settings, |offer| {
            offer.kind = SessionKind::Vnc;
            offer.permissions.input = false;
        })
    }

    /// A visit to the files.
    pub async fn to_files(settings: SessionSettings) -> Self {
        Self::begin_at(TestPeer::with("files").await, settings, |offer| {
            offer.kind = SessionKind::Files;
            offer.permissions.files = true;
        })
    }

    fn begin_at(peer: TestPeer, settings: SessionSettings, change: impl FnOnce(&mut Offer)) -> Self {
        let mut offer = offer(&peer.offer, Vec::new());
        change(&mut offer);
        let (input, inputs) = mpsc::channel(16);
        let (outputs, output) = mpsc::channel(16);
        let task = session::start(session_id(), offer, settings, inputs, outputs);
        Self {
            peer,
            input,
            task,
            output,
            screen: String::new(),
            bytes: Vec::new(),
            received: 0,
            discard: false,
            told: Vec::new(),
            control: Vec::new(),
            files: Vec::new(),
            transfers: Vec::new(),
            reports: Vec::new(),
            candidates: Vec::new(),
            refused: None,
            open: 0,
            closed: false,
        }
    }

    /// A session with a shell at its prompt.
    pub async fn with_shell(settings: SessionSettings) -> Self {
        let mut visit = Self::begin(settings, Vec::new()).await;
        visit.start().await;
        visit
    }

    /// Waits until both sides have both channels.
    pub async fn until_connected(&mut self) {
        self.until("connected", |it| it.open == 2 && it.connected().is_some()).await;
    }

    /// Waits for the connection and starts the shell.
    pub async fn start(&mut self) {
        self.until_connected().await;
        self.say("shell", r#"{"type":"start","cols":80,"rows":24}"#);
        self.until("a prompt", |it| it.screen.contains("$ ") || it.screen.contains("# ")).await;
    }

    /// Waits until the condition holds, taking in what happens.
    pub async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !condition(self) {
                tokio::select! {
                    // One side may have come to its end; the other has more to say.
                    Some(seen) = self.peer.seen.recv() => self.see(seen),
                    Some(output) = self.output.recv() => self.take(output),
                    else => panic!(
                        "both sides ended before {what}: told {:?}, control {:?}, reports {:?}",
                        self.told, self.control, self.reports
                    ),
                }
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(
            came,
            "waited in vain for {what}; screen {:?}, told {:?}, control {:?}, reports {:?}",
            self.screen, self.told, self.control, self.reports
        );
    }

    /// Waits for the report of the end, and for the task.
    pub async fn until_ended(&mut self) -> String {
        self.until("the end", |it| it.ended().is_some()).await;
        tokio::time::timeout(PATIENCE, &mut self.task).await.expect("in time").expect("no panic");
        self.ended().expect("just seen")
    }

    pub fn connected(&self) -> Option<Path> {
        let report = self.reports.iter().find(|it| it.state == ReportedState::Connected)?;
        report.path
    }

    pub fn ended(&self) -> Option<String> {
        let report = self.reports.iter().find(|it| it.state == ReportedState::Ended)?;
        report.reason.clone()
    }

    pub fn exit(&self) -> Option<&FromShell> {
        self.told.iter().find(|it| matches!(it, FromShell::Exit { .. }))
    }

    pub fn tty(&self) -> Option<&str> {
        self.told.iter().find_map(|it| match it {
            FromShell::Started { tty, .. } | FromShell::Attached { tty, .. } => Some(tty.as_str()),
            _ => None,
        })
    }

    pub fn bye(&self) -> Option<&str> {
        self.control.iter().find_map(|it| match it {
            Control::Bye { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
    }

    /// Whether the goodbye said that what is gone may come back.
    pub fn may_return(&self) -> bool {
        self.control.iter().any(|it| matches!(it, Control::Bye { again: true, .. }))
    }

    pub fn type_in(&self, text: &str) {
        let data = text.as_bytes().to_vec();
        self.peer.order(Order::Send { label: "shell", binary: true, data });
    }

    pub fn say(&self, label: &'static str, text: &str) {
        let data = text.as_bytes().to_vec();
        self.peer.order(Order::Send { label, binary: false, data });
    }

    /// Says something about files.
    pub fn say_files(&self, words: &ToFiles) {
        self.say("files", &serde_json::to_string(words).expect("JSON"));
    }

    /// Sends a part of a file.
    pub fn send_file(&self, bytes: &[u8]) {
        for part in bytes.chunks(16 * 1024) {
            self.peer.order(Order::Send { label: "files", binary: true, data: part.to_vec() });
        }
    }

    /// Sends bytes to the VNC server.
    pub fn send_screen(&self, bytes: &[u8]) {
        self.peer.order(Order::Send { label: "vnc", binary: true, data: bytes.to_vec() });
    }

    /// The shell's process, by asking it.
    pub async fn shell_process(&mut self) -> i32 {
        self.type_in("echo pid:$$:\n");
        let number = |screen: &str| screen.split("pid:").find_map(|it| it.split(':').next()?.parse().ok());
        self.until("the shell's number", |it| number(&it.screen).is_some()).await;
        number(&self.screen).expect("just seen")
    }

    fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Open => self.open += 1,
            Seen::Closed => self.closed = true,
            Seen::Message { label, binary: true, data } => {
                self.received += data.len();
                if (label == "vnc" || label == "files") && !self.discard {
                    self.bytes.extend(&data);
                } else if !self.discard {
                    self.screen.push_str(&String::from_utf8_lossy(&data));
                }
            }
            Seen::Message { label, binary: false, data } => {
                let text = String::from_utf8(data).expect("text");
                if label == "files" {
                    self.files.push(serde_json::from_str(&text).expect("a message about files"));
                } else if label == "shell" {
                    self.told.push(serde_json::from_str(&text).expect("a shell message"));
                } else {
                    self.control.push(serde_json::from_str(&text).expect("a control message"));
                }
            }
        }
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Answer(Answer::Accepted { sdp }) => self.peer.order(Order::Answer(sdp)),
            Output::Answer(Answer::Refused { error }) => self.refused = Some(error),
            Output::Candidate(candidate) => {
                self.candidates.push(candidate.candidate.clone());
                self.peer.order(Order::Candidate(candidate.candidate));
            }
            Output::Transfer(report) => self.transfers.push(report),
            Output::State(report) => self.reports.push(report),
        }
    }
}
