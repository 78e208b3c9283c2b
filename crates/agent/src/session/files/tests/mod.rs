//! Files on real folders, without a network.

mod bad_input;
mod disk;
mod whole;

use super::FilesSettings;
use super::folder::Root;
use super::worker::{Event, Job, Worker};
use bramble_wire::files::{Entry, FromFiles, Problem, ToFiles};
use bramble_wire::signalling::TransferReport;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// A browser that talks to the worker itself.
struct Browser {
    jobs: Option<mpsc::Sender<Job>>,
    events: mpsc::Receiver<Event>,
    reports: mpsc::Receiver<TransferReport>,
    thread: Option<JoinHandle<()>>,
}

impl Browser {
    fn at(root: &Path) -> Self {
        Self::with(&FilesSettings::at(root))
    }

    fn with(settings: &FilesSettings) -> Self {
        let (jobs, to_work) = mpsc::channel(4);
        let (event, events) = mpsc::channel(4);
        let (report, reports) = mpsc::channel(64);
        let root = Root::open(settings.root()).expect("opens");
        let worker = Worker::new(root, settings, event, report);
        let thread = std::thread::spawn(move || worker.run(to_work));
        Self { jobs: Some(jobs), events, reports, thread: Some(thread) }
    }

    fn say(&self, words: ToFiles) {
        self.job(Job::Words(Some(words)));
    }

    fn job(&self, job: Job) {
        self.jobs.as_ref().expect("open").blocking_send(job).expect("works");
    }

    fn hear(&mut self) -> FromFiles {
        match self.events.blocking_recv().expect("works") {
            Event::Words(words) => words,
            Event::Bytes(_) => panic!("bytes came"),
        }
    }

    fn problem(&mut self) -> Problem {
        match self.hear() {
            FromFiles::Failed { problem, message, .. } => {
                assert!(message.ends_with('.') && message.len() > 10, "{message}");
                problem
            }
            other => panic!("no failure: {other:?}"),
        }
    }

    fn list(&mut self, folder: &str) -> (Vec<Entry>, u64, bool) {
        self.say(ToFiles::List { folder: folder.to_owned() });
        let mut all = Vec::new();
        loop {
            match self.hear() {
                FromFiles::Entries { entries } => {
                    let message = serde_json::to_vec(&FromFiles::Entries { entries: entries.clone() });
                    assert!(message.expect("JSON").len() <= bramble_wire::channel::MAX_MESSAGE);
                    all.extend(entries);
                }
                FromFiles::Listed { hidden, more, .. } => return (all, hidden, more),
                other => panic!("{other:?}"),
            }
        }
    }

    fn upload(&mut self, folder: &str, name: &str, size: u64) -> FromFiles {
        let (folder, name) = (folder.to_owned(), name.to_owned());
        self.say(ToFiles::Upload { id: 1, folder, name, size, stamp: "7".to_owned() });
        self.hear()
    }

    /// Sends bytes and waits until they are written.
    fn send(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(16 * 1024) {
            self.job(Job::Bytes(part.to_vec()));
            assert!(matches!(self.hear(), FromFiles::Written { .. }));
        }
    }

    fn finish(&mut self, sha256: &str) -> FromFiles {
        self.say(ToFiles::Finish { id: 1, sha256: sha256.to_owned() });
        self.hear()
    }

    /// The whole of a download, from an offset.
    fn download(&mut self, folder: &str, name: &str, offset: u64) -> Result<(Vec<u8>, String), Problem> {
        let (folder, name) = (folder.to_owned(), name.to_owned());
        self.say(ToFiles::Download { id: 2, folder, name, offset });
        match self.hear() {
            FromFiles::Sending { offset: at, .. } => assert_eq!(at, offset),
            FromFiles::Failed { problem, .. } => return Err(problem),
            other => panic!("{other:?}"),
        }
        let mut all = Vec::new();
        loop {
            match self.events.blocking_recv().expect("works") {
                Event::Bytes(bytes) => {
                    self.say(ToFiles::Credit { bytes: bytes.len() as u64 });
                    all.extend(bytes);
                }
                Event::Words(FromFiles::Sent { sha256, .. }) => return Ok((all, sha256)),
                Event::Words(other) => panic!("{other:?}"),
            }
        }
    }

    /// Leaves, and says what was reported.
    fn leave(mut self) -> Vec<TransferReport> {
        self.jobs = None;
        self.events.close();
        self.thread.take().expect("once").join().expect("no panic");
        let mut all = Vec::new();
        while let Some(report) = self.reports.blocking_recv() {
            all.push(report);
        }
        all
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn bytes(many: usize) -> Vec<u8> {
    (0..many).map(|n| u8::try_from((n * 31 + n / 251) % 256).expect("small")).collect()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path().join("root");
    fs::create_dir(&root).expect("made");
    (place, root)
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(root)
        .expect("reads")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
