//! `DIR/admin.sock`: one JSON line asks, one JSON line answers.

use super::{Request, Response, handle};
use crate::app::Ctx;
use crate::lifecycle::spawn_essential;
use crate::start::StartError;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Bytes of a request or an answer.
pub(super) const MAX_LINE: u64 = 4 * 1024 * 1024;
/// A request arrives within this time.
const REQUEST: Duration = Duration::from_secs(10);
/// Operators at once.
const AT_ONCE: usize = 8;

/// Makes the socket and serves it until the server stops.
pub fn listen(app: &Ctx) -> Result<(), StartError> {
    let path = app.config.admin_socket();
    let listener = bind(&path, &app.config.secrets())
        .map_err(|source| StartError::AdminSocket { path: path.clone(), source })?;
    spawn_essential(app, "operator's socket", accept(Arc::clone(app), listener, path));
    Ok(())
}

/// Born in a folder that only the server can enter, and moved when its mode is right: at no moment
/// can anybody else connect. The data folder's lock makes sure that what is replaced is a leftover.
fn bind(path: &Path, secrets: &Path) -> io::Result<UnixListener> {
    DirBuilder::new().recursive(true).mode(0o700).create(secrets)?;
    let born = secrets.join("admin.sock");
    let _ = std::fs::remove_file(&born);
    let listener = short(&born, UnixListener::bind)?;
    std::fs::set_permissions(&born, Permissions::from_mode(0o600))?;
    std::fs::rename(&born, path)?;
    Ok(listener)
}

/// Socket addresses hold about a hundred bytes, folders may be deeper: goes by way of an open folder.
pub(super) fn short<T>(path: &Path, use_it: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = std::fs::File::open(folder)?;
    use_it(PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

async fn accept(app: Ctx, listener: UnixListener, path: PathBuf) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let stream = tokio::select! {
            () = app.stopping.cancelled() => break,
            taken = listener.accept() => match taken {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "an operator's connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let serving = Arc::clone(&app);
        app.tasks.spawn(async move {
            if let Err(error) = serve(&serving, stream).await {
                tracing::debug!(%error, "an operator's connection ended early");
            }
            drop(place);
        });
    }
    let _ = std::fs::remove_file(path);
}

async fn serve(app: &Ctx, stream: UnixStream) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    if peer != 0 && peer != rustix::process::geteuid().as_raw() {
        tracing::warn!(user = peer, "somebody else tried the operator's socket");
        return Ok(());
    }
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(MAX_LINE));
    timeout(REQUEST, reader.read_line(&mut line)).await??;
    let response = match serde_json::from_str::<Request>(&line) {
        Ok(request) => handle(app, request).await,
        Err(_) => Response::refused("The running server does not know this command. Is it another version?"),
    };
    let mut answer = serde_json::to_vec(&response)?;
    answer.push(b'\n');
    timeout(REQUEST, writer.write_all(&answer)).await?
}
