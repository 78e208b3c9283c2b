//! The side of a file session that waits for disks: one thread, one transfer at a time.
//!
//! It takes [`Job`]s in the order in which they came from the browser, and every queue around it is short: a disk
//! that is slower than the network makes the browser wait, and a network that is slower than the disk makes this
//! wait.

use super::FilesSettings;
use super::download::Download;
use super::failure::{Failure, Result};
use super::folder::Root;
use super::upload::{Upload, Wish};
use bramble_model::{Clock as _, SystemClock, text};
use bramble_wire::files::{FromFiles, Problem, ToFiles, WINDOW};
use bramble_wire::signalling::{Direction, TransferReport};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{self, error::TryRecvError};

/// Bytes of a list in one message, with room for what JSON adds.
const LIST_PART: usize = 14 * 1024;
/// Longest name in a report, in characters.
const MOST_NAME: usize = 255;

/// From the browser.
#[derive(Debug)]
pub(super) enum Job {
    /// A message; `None` for one that was not understood.
    Words(Option<ToFiles>),
    /// Of the upload.
    Bytes(Vec<u8>),
}

/// To the browser.
#[derive(Debug)]
pub(super) enum Event {
    Words(FromFiles),
    /// Of the download.
    Bytes(Vec<u8>),
}

/// Nobody listens any more.
struct Gone;

/// The state of a session's files.
#[derive(Debug)]
pub(super) struct Worker {
    root: Root,
    /// Bytes that the session may still carry.
    left: u64,
    transfer: Option<(Transfer, String)>,
    events: mpsc::Sender<Event>,
    reports: mpsc::Sender<TransferReport>,
}

#[derive(Debug)]
enum Transfer {
    Up(Upload),
    Down(Download),
}

impl Worker {
    pub(super) fn new(
        root: Root,
        settings: &FilesSettings,
        events: mpsc::Sender<Event>,
        reports: mpsc::Sender<TransferReport>,
    ) -> Self {
        Self { root, left: settings.limit, transfer: None, events, reports }
    }

    /// Works until the session is gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let job = if self.may_send() {
                match jobs.try_recv() {
                    Ok(job) => Some(job),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => break,
                }
            } else {
                match jobs.blocking_recv() {
                    Some(job) => Some(job),
                    None => break,
                }
            };
            let done = match job {
                Some(Job::Words(words)) => self.hear(words),
                Some(Job::Bytes(bytes)) => self.take(&bytes),
                None => self.send_on(),
            };
            if matches!(done, Err(Gone)) {
                break;
            }
        }
        // What an upload has written stays for a later session.
        self.stop();
    }

    fn may_send(&self) -> bool {
        matches!(&self.transfer, Some((Transfer::Down(download), _)) if download.may_go_on())
    }

    fn hear(&mut self, words: Option<ToFiles>) -> std::result::Result<(), Gone> {
        let id = match &words {
            Some(ToFiles::Upload { id, .. } | ToFiles::Download { id, .. } | ToFiles::Finish { id, .. }) => {
                Some(*id)
            }
            _ => None,
        };
        let done = match words {
            None => Err(out_of_place()),
            Some(ToFiles::List { folder }) => return self.list(folder),
            Some(ToFiles::Upload { .. } | ToFiles::Download { .. }) if self.transfer.is_some() => {
                Err(Failure::new(Problem::Protocol, "Another file is on its way. One goes after the other."))
            }
            Some(ToFiles::Upload { id, folder, name, size, stamp }) => {
                self.begin_upload(Wish { id, folder, name, size, stamp })
            }
            Some(ToFiles::Download { id, folder, name, offset }) => {
                self.begin_download(id, &folder, &name, offset)
            }
            Some(ToFiles::Finish { id, sha256 }) => self.finish_upload(id, &sha256),
            Some(ToFiles::Credit { bytes }) => {
                if let Some((Transfer::Down(download), _)) = &mut self.transfer {
                    // Never more than the window, whatever the browser claims.
                    download.credit = download.credit.saturating_add(bytes).min(WINDOW);
                }
                return Ok(());
            }
            Some(ToFiles::Cancel { id }) => {
                self.cancel(id);
                return Ok(());
            }
        };
        match done {
            Ok(said) => self.say(said),
            Err(failure) => self.say(failure.about(id)),
        }
    }

    fn list(&mut self, folder: String) -> std::result::Result<(), Gone> {
        let list = match self.root.list(&folder, now()) {
            Ok(list) => list,
            Err(failure) => return self.say(failure.about(None)),
        };
        let (mut part, mut bytes) = (Vec::new(), 0);
        for entry in list.entries {
            // A character may become six in JSON.
            let size = entry.name.len() * 6 + 96;
            if bytes + size > LIST_PART {
                self.say(FromFiles::Entries { entries: std::mem::take(&mut part) })?;
                bytes = 0;
            }
            bytes += size;
            part.push(entry);
        }
        if !part.is_empty() {
            self.say(FromFiles::Entries { entries: part })?;
        }
        let root = text::clip(&self.root.path().to_string_lossy(), MOST_NAME);
        let (hidden, more, left) = (list.hidden as u64, list.more, self.left);
        self.say(FromFiles::Listed { folder, root, hidden, more, left })
    }

    fn begin_upload(&mut self, wish: Wish) -> Result<FromFiles> {
        let path = path(&wish.folder, &wish.name);
        let upload = Upload::begin(&self.root, wish, &|| self.events.is_closed())?;
        if let Err(failure) = self.may_carry(upload.size - upload.offset) {
            // What an earlier session has brought may be gone on with in a later one.
            if upload.offset == 0 {
                upload.discard();
            }
            return Err(failure);
        }
        let said = FromFiles::Ready { id: upload.id, offset: upload.offset };
        self.transfer = Some((Transfer::Up(upload), path));
        Ok(said)
    }

    fn begin_download(&mut self, id: u32, folder: &str, name: &str, offset: u64) -> Result<FromFiles> {
        let download = {
            let is_gone = || self.events.is_closed();
            Download::begin(&self.root, id, (folder, name), offset, WINDOW, &is_gone)?
        };
        self.may_carry(download.size - offset)?;
        let said = FromFiles::Sending { id, size: download.size, offset };
        self.transfer = Some((Transfer::Down(download), path(folder, name)));
        Ok(said)
    }

    fn may_carry(&self, bytes: u64) -> Result<()> {
        if bytes <= self.left {
            return Ok(());
        }
        let megabytes = self.left / 1_000_000;
        Err(Failure::new(
            Problem::Limit,
            format!(
                "This is more than one session carries: {megabytes} MB are left. Connect again for more."
            ),
        ))
    }

    /// Bytes without an upload belong to one that failed: the browser has not heard of it yet.
    fn take(&mut self, bytes: &[u8]) -> std::result::Result<(), Gone> {
        let Some((Transfer::Up(upload), _)) = &mut self.transfer else { return Ok(()) };
        let id = upload.id;
        match upload.write(bytes) {
            Ok(()) => {
                let at = upload.at;
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.say(FromFiles::Written { id, bytes: at })
            }
            Err(failure) => {
                self.stop();
                self.say(failure.about(Some(id)))
            }
        }
    }

    fn finish_upload(&mut self, id: u32, sha256: &str) -> Result<FromFiles> {
        let (upload, path) = match self.transfer.take() {
            Some((Transfer::Up(upload), path)) if upload.id == id => (upload, path),
            other => {
                self.transfer = other;
                return Err(out_of_place());
            }
        };
        let mut report = about_upload(&upload, path);
        let done = upload.finish(sha256);
        report.sha256 = done.as_ref().ok().cloned();
        self.report(report);
        done.map(|_| FromFiles::Stored { id })
    }

    /// Sends the next bytes of the download, or its end.
    fn send_on(&mut self) -> std::result::Result<(), Gone> {
        let Some((Transfer::Down(download), _)) = &mut self.transfer else { return Ok(()) };
        let id = download.id;
        match download.next() {
            Ok(Some(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.events.blocking_send(Event::Bytes(bytes)).map_err(|_| Gone)
            }
            Ok(None) => {
                let Some((Transfer::Down(download), path)) = self.transfer.take() else { return Ok(()) };
                let mut report = about_download(&download, path);
                let sha256 = download.finish();
                report.sha256 = Some(sha256.clone());
                self.report(report);
                self.say(FromFiles::Sent { id, sha256 })
            }
            Err(failure) => {
                self.stop();
                self.say(failure.about(Some(id)))
            }
        }
    }

    fn cancel(&mut self, id: u32) {
        let running = match &self.transfer {
            Some((Transfer::Up(upload), _)) => upload.id,
            Some((Transfer::Down(download), _)) => download.id,
            None => return,
        };
        // One that has ended by itself in the meantime is no longer here.
        if running == id
            && let Some(upload) = self.stop()
        {
            upload.discard();
        }
    }

    /// Leaves the transfer that runs, and hands out the upload.
    fn stop(&mut self) -> Option<Upload> {
        match self.transfer.take() {
            Some((Transfer::Up(upload), path)) => {
                self.report(about_upload(&upload, path));
                return Some(upload);
            }
            Some((Transfer::Down(download), path)) => self.report(about_download(&download, path)),
            None => {}
        }
        None
    }

    /// Waits until the session takes it: nothing goes on unreported.
    fn report(&self, report: TransferReport) {
        // Without a session the device's log is all there is.
        let (direction, bytes) = (report.direction, report.bytes);
        tracing::info!(name = ?report.name, ?direction, bytes, complete = report.sha256.is_some(), "file transfer");
        let _ = self.reports.blocking_send(report);
    }

    fn say(&self, words: FromFiles) -> std::result::Result<(), Gone> {
        self.events.blocking_send(Event::Words(words)).map_err(|_| Gone)
    }
}

/// For what is a week old, which no test waits for.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(SystemClock.unix()).unwrap_or(0))
}

fn out_of_place() -> Failure {
    Failure::new(Problem::Protocol, "The browser's message was not understood. Reload the page.")
}

fn about_upload(upload: &Upload, name: String) -> TransferReport {
    let (size, bytes) = (upload.size, upload.at - upload.offset);
    TransferReport { direction: Direction::Upload, name, size, bytes, sha256: None }
}

fn about_download(download: &Download, name: String) -> TransferReport {
    let (size, bytes) = (download.size, download.at - download.offset);
    TransferReport { direction: Direction::Download, name, size, bytes, sha256: None }
}

/// As a report names it. The end of a long path tells more than its beginning.
fn path(folder: &str, name: &str) -> String {
    let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let characters = path.chars().count();
    if characters <= MOST_NAME {
        return path;
    }
    let end: String = path.chars().skip(characters + 1 - MOST_NAME).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_named_by_its_end() {
        assert_eq!(path("", "a"), "a");
        assert_eq!(path("b/c", "a"), "b/c/a");
        let long = path(&"x/".repeat(300), "the end");
        assert_eq!(long.chars().count(), MOST_NAME);
        assert!(long.starts_with('…') && long.ends_with("the end"));
    }
}
