//! The daemon's end of the local socket.

use super::{MAX_REQUEST, Reply, Request, Status};
use crate::{
    control::{
        NOT_BUILT, Shared,
        key_file::{self, Outcome},
        sign_in::{self, Target},
    },
    screen,
    session::FilesSettings,
    state::{ScreenChoice, ScreenSize, SecretText, ServerUrl},
};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::{Notify, Semaphore},
    time::timeout,
};
use zeroize::Zeroize;

/// Connections at once: a panel, a terminal or two, and room for mistakes.
const MAX_CONNECTIONS: usize = 16;
/// A request is there at once or somebody plays.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// An answer that nobody reads.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// The open socket.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
    allowed_uid: u32,
}

impl LocalSocket {
    /// Opens it for processes of `allowed_uid`. The caller holds the folder's lock, so a socket that is
    /// there is left over, unless a daemon with another state folder answers on it.
    pub fn open(path: PathBuf, allowed_uid: u32) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another rpi-connectd answers there"));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Nobody else may connect even for the moment between binding and chmod: it gets its name last.
        let hidden = folder.join(format!(".rpi-connect-{}.sock", std::process::id()));
        let _ = fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden)?;
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))?;
        fs::rename(&hidden, &path)?;
        Ok(Self { listener, path, allowed_uid })
    }

    /// Answers until dropped.
    pub async fn serve(self, shared: Arc<Shared>, stop: Arc<Notify>) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a local connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.allowed_uid => {}
                Ok(peer) => {
                    tracing::warn!(uid = peer.uid(), "another user's process was turned away");
                    continue;
                }
                Err(_) => continue,
            }
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            tokio::spawn(async move {
                converse(stream, &shared, &stop).await;
                drop(place);
            });
        }
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, shared: &Shared, stop: &Notify) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(MAX_REQUEST));
    let mut line = Vec::new();
    let read = timeout(REQUEST_TIME, reader.read_until(b'\n', &mut line)).await;
    if !matches!(read, Ok(Ok(n)) if n > 0) {
        return;
    }
    // The error of a JSON parser quotes what it read, which may be a key.
    let Ok(request) = serde_json::from_slice::<Request>(&line) else {
        let why =
            "the daemon does not understand this request; are rpi-connect and rpi-connectd of one version?";
        let _ = say(&mut writer, &Reply::Failed { why: why.to_owned() }).await;
        return;
    };
    line.zeroize();
    // The rest of the input says one thing: the other side has gone.
    let gone = async { while reader.read_u8().await.is_ok() {} };
    tokio::select! {
        () = answer(request, &mut writer, shared, stop) => {}
        () = gone => {}
    }
}

async fn answer(request: Request, writer: &mut OwnedWriteHalf, shared: &Shared, stop: &Notify) {
    let reply = match request {
        Request::Status => {
            let displays = match shared.screen() {
                Some(screen) => screen.displays().await,
                None => Vec::new(),
            };
            Reply::Status(Box::new(Status { displays, ..shared.status() }))
        }
        Request::OtaTrust => match shared.trust_text().await {
            Ok(text) => Reply::Trust { text },
            Err(why) => Reply::Failed { why },
        },
        Request::OtaChanged => {
            shared.ota_changed();
            Reply::Done { note: None }
        }
        Request::Vnc { on } => match shared.allow_vnc(on) {
            Ok(()) => Reply::Done { note: on.then(|| shared.vnc().1).flatten() },
            Err(error) => Reply::Failed { why: error.to_string() },
        },
        Request::Screen { choice, virtual_screen } => choose_screen(shared, choice, virtual_screen),
        Request::Shell { on } => match shared.allow_shell(on) {
            Ok(()) => Reply::Done { note: None },
            Err(error) => Reply::Failed { why: error.to_string() },
        },
        Request::Files { on, root } => files(shared, on, root),
        Request::SignOut => match sign_in::out(shared).await {
            Ok(true) => Reply::Done { note: None },
            Ok(false) => Reply::Done {
                note: Some(
                    "The server could not be told. Delete the device there if it should not stay in the list."
                        .to_owned(),
                ),
            },
            Err(error) => Reply::Failed { why: error.to_string() },
        },
        Request::SignIn { auth_key, server, ca } => signed_in(shared, writer, auth_key, server, ca).await,
        Request::Stop => {
            let _ = say(writer, &Reply::Done { note: None }).await;
            stop.notify_one();
            return;
        }
    };
    let _ = say(writer, &reply).await;
}

/// What cannot work is not switched on: the person is there to mend it.
fn files(shared: &Shared, on: bool, root: Option<PathBuf>) -> Reply {
    let failed = |why: String| Reply::Failed { why };
    if on {
        let folder = match root.clone() {
            Some(root) if !root.is_absolute() => {
                return failed("the folder must be an absolute path".to_owned());
            }
            Some(root) => Ok(FilesSettings::at(root)),
            None => shared.files_folder(),
        };
        if let Err(error) = folder.and_then(|folder| folder.look()) {
            return failed(format!("the folder for file transfer cannot be used: {error}"));
        }
    }
    match shared.allow_files(on, root) {
        Ok(()) => Reply::Done { note: None },
        Err(error) => failed(error.to_string()),
    }
}

fn choose_screen(shared: &Shared, choice: Option<ScreenChoice>, virtual_screen: Option<ScreenSize>) -> Reply {
    let Some(screen) = shared.screen() else { return Reply::Failed { why: NOT_BUILT.to_owned() } };
    match screen::choose(shared, screen, choice, virtual_screen) {
        Ok(()) => Reply::Done { note: shared.vnc().1 },
        Err(why) => Reply::Failed { why },
    }
}

async fn signed_in(
    shared: &Shared,
    writer: &mut OwnedWriteHalf,
    auth_key: Option<SecretText>,
    server: Option<String>,
    ca: Option<String>,
) -> Reply {
    let done = Reply::Done { note: None };
    let failed = |why: String| Reply::Failed { why };
    // Waits for a key file that is being exchanged at this moment.
    let _one_at_a_time = shared.signing_in.lock().await;
    let target = target(shared, server.as_deref(), ca);
    if let Some(current) = shared.credential.borrow().as_ref() {
        let here = &current.stored.server;
        let elsewhere = server.is_some() && target.as_ref().is_ok_and(|target| target.server != *here);
        if auth_key.is_some() || elsewhere {
            return failed(format!(
                "this device is already signed in to {here}; run rpi-connect signout first"
            ));
        }
        return done;
    }
    let target = match target {
        Ok(target) => target,
        Err(why) => return failed(why),
    };
    if auth_key.is_none() {
        match key_file::exchange(shared, Some(target.clone())).await {
            Outcome::SignedIn => return done,
            Outcome::Unusable(why) => return failed(format!("auth.key cannot be used: {why}")),
            Outcome::Later(why) => return failed(format!("auth.key is not exchanged yet: {why}")),
            Outcome::Nothing => {}
        }
    }
    let result = match auth_key {
        Some(key) => sign_in::with_key(shared, &target, &key).await,
        None => match sign_in::request_code(shared, &target).await {
            Ok(pending) => {
                let _ = say(writer, &Reply::Visit { url: pending.page().to_owned() }).await;
                sign_in::with_code(shared, pending).await
            }
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(()) => done,
        Err(error) => failed(error.to_string()),
    }
}

fn target(shared: &Shared, server: Option<&str>, ca: Option<String>) -> Result<Target, String> {
    let mut target = match server {
        Some(server) => Target { server: ServerUrl::parse(server).map_err(|e| e.to_string())?, ca: None },
        None => key_file::configured_target(shared).map_err(|e| e.to_string())?,
    };
    if ca.is_some() {
        target.ca = ca;
    }
    Ok(target)
}

async fn say(writer: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    timeout(WRITE_TIME, writer.write_all(&line)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
