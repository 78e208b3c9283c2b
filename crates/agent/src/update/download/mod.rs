//! Fetches an artefact as one stream of bytes, however often the connection breaks.
//!
//! What it is not: it verifies nothing (the checksum of the whole does) and keeps nothing. A stream that
//! breaks is opened again where it ended; a server that cannot do that is read from the start, and what is
//! known already is dropped.
//!
//! How to add to it: a scheme is a file with one `open` and an arm in [`Origin::open`].

mod address;
mod file;
mod ftp;
mod http;
mod sftp;

pub use sftp::Ssh;

use super::trust::Trust;
use crate::http::{backoff::Backoff, tls};
use bramble_model::{Clock, SharedRandom, SystemClock};
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use rustls::{ClientConfig, pki_types::UnixTime, time_provider::TimeProvider};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use url::Url;

/// Pieces between the network and whoever unpacks.
const PIECES: usize = 8;
/// A device's own clock is believed as long as it is this near to the signed time.
const CLOCK_TOLERANCE: u64 = 24 * 3600;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection and the head of an answer.
    pub connect: Duration,
    /// For the next bytes.
    pub silence: Duration,
    /// First and longest wait between attempts.
    pub first_wait: Duration,
    pub longest_wait: Duration,
    /// Without a single new byte.
    pub give_up: Duration,
    /// For the whole, so that a server that drips does not hold a device for ever.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            silence: Duration::from_mins(1),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            give_up: Duration::from_mins(30),
            whole: Duration::from_hours(24),
        }
    }
}

/// How far it is.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    /// 0 as long as nobody said.
    total: AtomicU64,
}

impl Progress {
    /// 0 to 100; `None` as long as the size is unknown.
    pub fn percent(&self) -> Option<u8> {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
        (total > 0).then(|| u8::try_from(percent).unwrap_or(100))
    }
}

/// An opened stream.
pub(super) struct Opened {
    pub body: BoxStream<'static, io::Result<Bytes>>,
    /// The position of its first byte.
    pub starts_at: u64,
    /// The size of the whole, if the server says it.
    pub total: Option<u64>,
}

/// Why a stream could not be opened.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It would be refused again.
    Final(String),
    /// It may work later.
    Later(String),
    /// The certificate is not valid at the time that was taken.
    CertificateTime(String),
}

/// Where an artefact comes from, and whom to trust for it.
#[derive(Debug, Clone)]
pub struct Origin {
    url: Url,
    /// The only authority, if the artefact lies on the server that ordered it.
    ca: Option<String>,
    signed_time: i64,
    patience: Patience,
    ssh: Ssh,
}

/// Why this is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    #[error("update file rejected: its address cannot be read")]
    Malformed,
    #[error("update file rejected: {0} addresses are not supported")]
    Scheme(String),
}

impl Origin {
    pub fn new(
        uri: &str,
        trust: &Trust,
        signed_time: i64,
        patience: Patience,
        ssh: Ssh,
    ) -> Result<Self, BadOrigin> {
        let url = Url::parse(uri).map_err(|_| BadOrigin::Malformed)?;
        if !matches!(url.scheme(), "http" | "https" | "ftp" | "ftps" | "sftp" | "file") {
            return Err(BadOrigin::Scheme(bramble_model::text::clip(url.scheme(), 20)));
        }
        let same_host = url.host_str() == Some(trust.server.host().as_str());
        let ca = trust.ca.clone().filter(|_| same_host);
        Ok(Self { url, ca, signed_time, patience, ssh })
    }

    async fn open(&self, offset: u64, signed_time: bool) -> Result<Opened, Trouble> {
        match self.url.scheme() {
            "file" => file::open(&self.url, offset).await,
            "sftp" => sftp::open(self, offset).await,
            "ftp" | "ftps" => ftp::open(self, offset, signed_time).await,
            _ => http::open(self, offset, signed_time).await,
        }
    }

    /// TLS for this origin, at this device's time or at the signed one.
    fn tls(&self, signed_time: bool) -> Result<Arc<ClientConfig>, Trouble> {
        let time = Arc::new(Time { signed: u64::try_from(self.signed_time).unwrap_or(0), flip: signed_time });
        tls::client_config_at(self.ca.as_deref(), time).map_err(|error| Trouble::Final(error.to_string()))
    }
}

/// The time for checking certificates. A device whose clock is far from the time that the server signed
/// takes the signed one; if a certificate is not valid then, the other one is tried: either of the two
/// clocks may be wrong by a year.
#[derive(Debug)]
struct Time {
    signed: u64,
    flip: bool,
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let own = u64::try_from(SystemClock.unix()).unwrap_or(0);
        let far = own.abs_diff(self.signed) > CLOCK_TOLERANCE;
        let seconds = if far == self.flip { own } else { self.signed };
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The bytes, for a thread that may wait.
#[derive(Debug)]
pub struct Incoming {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl io::Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Begins to fetch. Dropping the [`Incoming`] ends it.
pub fn start(origin: Origin, random: SharedRandom, progress: Arc<Progress>) -> Incoming {
    let (sender, pieces) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let whole = origin.patience.whole;
        let fetched = tokio::select! {
            fetched = timeout(whole, fetch(&origin, random, &progress, &sender)) => fetched,
            () = sender.closed() => return,
        };
        let failed = match fetched {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => format!("it took longer than {whole:?}"),
        };
        let _ = sender.send(Err(io::Error::other(failed))).await;
    });
    Incoming { pieces, current: Bytes::new() }
}

/// Fetches to the end, or says why not.
async fn fetch(
    origin: &Origin,
    random: SharedRandom,
    progress: &Progress,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), String> {
    let patience = origin.patience;
    let mut backoff = Backoff::new(random, patience.first_wait, patience.longest_wait);
    let (mut offset, mut connected, mut flip) = (0_u64, false, false);
    let mut last_progress = Instant::now();
    loop {
        let before = offset;
        let opened = timeout(patience.connect, origin.open(offset, flip)).await;
        let why = match opened.unwrap_or_else(|_| Err(Trouble::Later("it did not answer in time".into()))) {
            Ok(opened) => {
                connected = true;
                match pass_on(opened, patience.silence, &mut offset, progress, sender).await {
                    Ok(()) => return Ok(()),
                    Err(why) => why,
                }
            }
            Err(Trouble::CertificateTime(_)) if !flip => {
                flip = true;
                continue;
            }
            Err(Trouble::Final(why)) => return Err(why),
            Err(Trouble::Later(why) | Trouble::CertificateTime(why)) => why,
        };
        if offset > before {
            backoff.reset();
            last_progress = Instant::now();
        }
        let wait = backoff.next(None);
        if last_progress.elapsed() + wait > patience.give_up {
            return Err(if connected { why } else { NOT_REACHED.to_owned() });
        }
        tracing::info!(at = offset, wait.seconds = wait.as_secs_f32(), "the download goes on later: {why}");
        tokio::time::sleep(wait).await;
    }
}

/// The public service's words.
pub(super) const NOT_REACHED: &str = "Download could not connect to server (retry)";

/// Passes on what comes, without what is known already.
async fn pass_on(
    mut opened: Opened,
    silence: Duration,
    offset: &mut u64,
    progress: &Progress,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), String> {
    let mut position = opened.starts_at;
    if position > *offset {
        return Err("the server skipped a part".to_owned());
    }
    if let Some(total) = opened.total {
        progress.total.store(total, Ordering::Relaxed);
    }
    loop {
        let piece = timeout(silence, opened.body.next()).await;
        let mut piece = match piece.map_err(|_| "the server fell silent")? {
            None => break,
            Some(piece) => piece.map_err(|error| error.to_string())?,
        };
        let end = position + piece.len() as u64;
        if end > *offset {
            let known = usize::try_from(*offset - position.min(*offset)).unwrap_or(usize::MAX);
            let new = piece.split_off(known.min(piece.len()));
            *offset = end;
            progress.done.store(end, Ordering::Relaxed);
            sender.send(Ok(new)).await.map_err(|_| "nobody reads any more")?;
        }
        position = end;
    }
    match opened.total {
        Some(total) if *offset < total => Err("the connection ended early".to_owned()),
        _ => Ok(()),
    }
}
