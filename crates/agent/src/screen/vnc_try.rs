//! Signs in to the chosen VNC server as a session would, and leaves again: what `doctor` can find out before
//! somebody stands in front of a closed screen.

use super::rfb::{Handshake, UNASKED};
use super::vnc_server::{Server, Stream};
use crate::state::SecretText;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same for its first word, where there is another look.
const GREETS_WITHIN: Duration = Duration::from_secs(1);

const GONE: &str = "The desktop's VNC server ended the connection.";
const SILENT: &str = "The desktop's VNC server does not answer.";
const ASKS: &str = "The desktop's VNC server asks for a password, and this device has none for it. Set it on the device with: rpi-connect screen vnc ADDRESS --password-file FILE";

/// Whether it lets this device in, and if not, why, for people.
pub(super) async fn sign_in(server: &Server, password: Option<SecretText>) -> Result<(), String> {
    let stream = server.connect().map_err(|error| error.to_string())?;
    let tried = tokio::time::timeout(PATIENCE, shake_hands(&stream, password)).await;
    tried.unwrap_or(Err(SILENT)).map_err(str::to_owned)
}

/// Whether it greets. One that only listens may be about to end: WayVNC does where its display is not there yet.
pub(super) async fn greets(server: &Server) -> bool {
    let Ok(stream) = server.connect() else { return false };
    let greeting = async {
        let mut heard = [0; 4];
        loop {
            poll_fn(|cx| stream.poll_read_ready(cx)).await?;
            match stream.try_read(&mut heard) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(|read| read > 0 && heard[..read] == b"RFB "[..read]),
            }
        }
    };
    tokio::time::timeout(GREETS_WITHIN, greeting).await.is_ok_and(|it: io::Result<bool>| it.unwrap_or(false))
}

async fn shake_hands(stream: &Stream, password: Option<SecretText>) -> Result<(), &'static str> {
    let known = password.is_some();
    let mut handshake = Handshake::new(password.unwrap_or_else(|| SecretText::new(String::new())));
    let mut heard = [0; 256];
    while !handshake.is_with_viewer() {
        if handshake.is_asked() && !known {
            return Err(ASKS);
        }
        let ready = poll_fn(|cx| stream.poll_read_ready(cx)).await;
        let read = match ready.and_then(|()| stream.try_read(&mut heard)) {
            Ok(0) => return Err(GONE),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Err(GONE),
        };
        match handshake.hear_server(&heard[..read]) {
            // Some bytes to a server that waits for them: they fit.
            Ok(answer) => _ = stream.try_write(&answer).map_err(|_| GONE)?,
            Err(UNASKED) if !known => return Ok(()),
            Err(why) => return Err(why),
        }
    }
    Ok(())
}
