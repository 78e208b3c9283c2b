//! Files to and from one folder of this device, as a session's work.
//!
//! What it is: [`Files`], the side that the peer connection sees, which never waits for a disk; [`worker`], the
//! side that does; [`folder`], how paths are opened; [`upload`] and [`download`], a file on its way. What travels
//! is in `bramble_wire::files`.
//! What it is not: a file manager. Nothing is replaced, renamed or removed but what an upload itself has left.

mod download;
mod failure;
mod folder;
mod hash;
mod upload;
mod worker;

pub(crate) use folder::is_supported;

use super::pty::{Account, PtyEvent, Wants};
use super::shell::Read;
use bramble_wire::files::{ToFiles, WINDOW};
use bramble_wire::signalling::TransferReport;
use folder::Root;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use worker::{Event, Job, Worker};

/// The folder below a person's home, unless the settings name another.
const FOLDER: &str = "Bramble";
/// Bytes that one session may carry, both ways together: as much as the relay carries for one.
const LIMIT: u64 = 20_000_000_000;
/// Jobs and events between the two sides. Each holds at most [`MOST_JOINED`] bytes.
const QUEUE: usize = 4;
/// Messages of the browser are joined to jobs of so many bytes.
const MOST_JOINED: usize = 256 * 1024;
/// Bytes that may wait for the disk: the window, and what lies between a write and the browser hearing of it.
const MOST_WAITING: u64 = WINDOW + MOST_JOINED as u64;
/// Jobs that may wait. A browser waits for answers, so there are only a few.
const MOST_JOBS: usize = 64;
/// Reports that may wait for the server; then no further file is begun.
const MOST_REPORTS: usize = 16;

const TOO_MUCH: &str = "The browser sent more than the device had asked for.";
const FAILED: &str = "File transfer failed on the device.";

/// Where files are, and how much of them.
#[derive(Clone, Debug)]
pub struct FilesSettings {
    root: PathBuf,
    /// Bytes that one session may carry.
    pub limit: u64,
}

impl FilesSettings {
    /// Below this folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), limit: LIMIT }
    }

    /// Below the folder that the settings name, else the usual one of whoever runs this process.
    pub fn of_current_user(root: Option<&Path>) -> io::Result<Self> {
        let home = Account::current()?.home;
        let root = root.unwrap_or(Path::new(FOLDER));
        // Somebody may have written it by hand.
        Ok(Self::at(home.join(root.strip_prefix("~").unwrap_or(root))))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the folder, or makes it, to see whether a session could.
    pub fn look(&self) -> io::Result<()> {
        if !is_supported() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "Linux 5.6 or later is needed"));
        }
        Root::open(&self.root).map(|_| ())
    }
}

/// The files' side of a session.
#[derive(Debug)]
pub(crate) struct Files {
    /// `None` once it has come to its end.
    jobs: Option<PollSender<Job>>,
    waiting: VecDeque<Job>,
    waiting_bytes: u64,
    events: mpsc::Receiver<Event>,
    /// What is to be sent next.
    next: Option<Outgoing>,
    reports: mpsc::Receiver<TransferReport>,
    reported: VecDeque<TransferReport>,
    over: Option<&'static str>,
}

#[derive(Debug)]
enum Outgoing {
    Words(Vec<u8>),
    Bytes { bytes: Vec<u8>, at: usize },
}

impl Files {
    /// Opens the folder.
    pub(crate) fn open(settings: &FilesSettings) -> io::Result<Self> {
        let root = Root::open(&settings.root)?;
        let (jobs, to_work) = mpsc::channel(QUEUE);
        let (event, events) = mpsc::channel(QUEUE);
        let (report, reports) = mpsc::channel(1);
        let worker = Worker::new(root, settings, event, report);
        tokio::task::spawn_blocking(move || worker.run(to_work));
        Ok(Self {
            jobs: Some(PollSender::new(jobs)),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            events,
            next: None,
            reports,
            reported: VecDeque::new(),
            over: None,
        })
    }

    /// Takes a message; `None` for one that was not understood.
    pub(crate) fn hear(&mut self, words: Option<ToFiles>) {
        if self.waiting.len() >= MOST_JOBS {
            self.over.get_or_insert(TOO_MUCH);
            return;
        }
        self.waiting.push_back(Job::Words(words));
        self.pass_on();
    }

    /// Takes bytes of the upload.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.waiting_bytes += bytes.len() as u64;
        if self.waiting_bytes > MOST_WAITING || self.waiting.len() >= MOST_JOBS {
            self.over.get_or_insert(TOO_MUCH);
            return;
        }
        match self.waiting.back_mut() {
            Some(Job::Bytes(joined)) if joined.len() + bytes.len() <= MOST_JOINED => joined.extend(bytes),
            _ => self.waiting.push_back(Job::Bytes(bytes.to_vec())),
        }
        self.pass_on();
    }

    /// Moves what waits on to the worker, as far as it takes it.
    pub(crate) fn pass_on(&mut self) {
        let Some(jobs) = self.jobs.as_ref().and_then(PollSender::get_ref) else { return };
        while !self.waiting.is_empty() {
            let Ok(place) = jobs.try_reserve() else { return };
            let Some(job) = self.waiting.pop_front() else { return };
            if let Job::Bytes(bytes) = &job {
                self.waiting_bytes -= bytes.len() as u64;
            }
            place.send(job);
        }
    }

    /// Fills the buffer, of one message's size, with what is to be sent.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        if self.next.is_none()
            && let Ok(event) = self.events.try_recv()
        {
            self.sends(event);
        }
        match self.next.take() {
            None => Read::Nothing,
            Some(Outgoing::Words(words)) => {
                let most = words.len().min(buffer.len());
                buffer[..most].copy_from_slice(&words[..most]);
                Read::Words(most)
            }
            Some(Outgoing::Bytes { bytes, at }) => {
                let most = (bytes.len() - at).min(buffer.len());
                buffer[..most].copy_from_slice(&bytes[at..at + most]);
                if at + most < bytes.len() {
                    self.next = Some(Outgoing::Bytes { bytes, at: at + most });
                }
                Read::Bytes(most)
            }
        }
    }

    fn sends(&mut self, event: Event) {
        self.next = match event {
            Event::Bytes(bytes) => Some(Outgoing::Bytes { bytes, at: 0 }),
            Event::Words(words) => serde_json::to_vec(&words).ok().map(Outgoing::Words),
        };
    }

    pub(crate) fn wants(&self, output: bool) -> Wants {
        Wants { output: output && self.over.is_none(), room: !self.waiting.is_empty(), exit: false }
    }

    /// Waits for whatever of these comes first. Safe to drop and call again.
    pub(crate) async fn event(&mut self, wants: Wants) -> PtyEvent {
        std::future::poll_fn(|cx| {
            if self.reported.len() < MOST_REPORTS
                && let Poll::Ready(Some(report)) = self.reports.poll_recv(cx)
            {
                self.reported.push_back(report);
                return Poll::Ready(PtyEvent::Output);
            }
            if wants.output {
                if self.next.is_some() {
                    return Poll::Ready(PtyEvent::Output);
                }
                match self.events.poll_recv(cx) {
                    Poll::Ready(Some(event)) => {
                        self.sends(event);
                        return Poll::Ready(PtyEvent::Output);
                    }
                    Poll::Ready(None) => {
                        self.over.get_or_insert(FAILED);
                        return Poll::Ready(PtyEvent::Output);
                    }
                    Poll::Pending => {}
                }
            }
            if wants.room
                && let Some(jobs) = &mut self.jobs
                && jobs.poll_reserve(cx).is_ready()
            {
                // The place is taken again by what is passed on.
                jobs.abort_send();
                return Poll::Ready(PtyEvent::Room);
            }
            Poll::Pending
        })
        .await
    }

    /// What the server is to hear.
    pub(crate) fn next_report(&mut self) -> Option<TransferReport> {
        self.reported.pop_front()
    }

    /// Why it is over, once it is.
    pub(crate) fn ending(&self) -> Option<&'static str> {
        self.over
    }

    /// Ends it, and returns what the server is still to hear.
    pub(crate) async fn end(&mut self, grace: Duration) -> Vec<TransferReport> {
        self.jobs = None;
        self.events.close();
        self.waiting.clear();
        let mut rest: Vec<_> = self.reported.drain(..).collect();
        // A disk that takes longer than this hears of it all the same.
        let all = async {
            while let Some(report) = self.reports.recv().await {
                rest.push(report);
            }
        };
        let _ = tokio::time::timeout(grace, all).await;
        rest
    }
}

#[cfg(test)]
mod tests;
