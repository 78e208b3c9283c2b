//! The command line's side: asks the running server, or does the work itself when none runs.

use super::{Request, Response, handle, socket};
use crate::app::App;
use crate::config::{Config, admin_socket};
use bramble_model::{OsRandom, SystemClock};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Asks.
pub async fn ask(config: Config, request: Request) -> Response {
    match connect(&config.data).await {
        Ok(stream) => over_socket(stream, &request).await.unwrap_or_else(|error| {
            Response::refused(format!("The running server did not answer: {error}. See its log."))
        }),
        Err(error) if is_nobody(&error) => directly(config, request).await,
        Err(error) => {
            let path = admin_socket(&config.data);
            let text =
                format!("{} cannot be used: {error}. Run this as the server's own user.", path.display());
            Response::refused(text)
        }
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

#[expect(clippy::unused_async, reason = "the socket is registered with the runtime")]
async fn connect(data: &Path) -> io::Result<UnixStream> {
    // Connected by the standard library: the short path must hold until then.
    let stream = socket::short(&admin_socket(data), std::os::unix::net::UnixStream::connect)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

async fn over_socket(stream: UnixStream, request: &Request) -> io::Result<Response> {
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(reader.take(socket::MAX_LINE)).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

/// Under the folder's lock, so that no server starts meanwhile.
async fn directly(mut config: Config, request: Request) -> Response {
    config.relay = None;
    let app = match App::build(config, Arc::new(SystemClock), Arc::new(OsRandom)).await {
        Ok(app) => app,
        Err(error) => return Response::refused(error.to_string()),
    };
    let response = handle(&app, request).await;
    let _ = app.store.clone().close().await;
    response
}
