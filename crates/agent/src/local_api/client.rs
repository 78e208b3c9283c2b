//! The command line's end of the local socket. Blocking: a command does one thing.

use super::{Reply, Request};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// How long any single answer but a sign-in's may take.
const ANSWER_TIME: Duration = Duration::from_secs(45);
/// Largest answer.
const MAX_ANSWER: u64 = 64 * 1024;
/// How often a wait is shown to the person.
const TICK: Duration = Duration::from_millis(100);

/// Why the daemon did not answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It does not run.
    #[error("Raspberry Pi Connect is not running, run rpi-connect on")]
    NotRunning,
    /// It is somebody else's.
    #[error("the daemon does not belong to you; run rpi-connect as the user who runs it, without sudo")]
    Foreign,
    /// It hung up.
    #[error("the daemon ended the conversation")]
    Closed,
    /// It is slow or broken.
    #[error("the daemon cannot be asked: {0}")]
    Io(io::Error),
}

/// A conversation of one request.
#[derive(Debug)]
pub struct Conversation {
    reader: BufReader<io::Take<UnixStream>>,
    line: Vec<u8>,
}

/// Asks and takes the only answer.
pub fn ask(socket: &Path, request: &Request) -> Result<Reply, LocalError> {
    Conversation::start(socket, request)?.reply()
}

impl Conversation {
    /// Sends the request.
    pub fn start(socket: &Path, request: &Request) -> Result<Self, LocalError> {
        let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => LocalError::NotRunning,
            io::ErrorKind::PermissionDenied => LocalError::Foreign,
            _ => LocalError::Io(error),
        })?;
        // Whoever can put a socket there (after `su` with another user's XDG_RUNTIME_DIR) would get a key.
        if !is_of(&stream, rustix::process::geteuid()) {
            return Err(LocalError::Foreign);
        }
        stream.set_write_timeout(Some(ANSWER_TIME)).map_err(LocalError::Io)?;
        let mut line = serde_json::to_vec(request).map_err(|error| LocalError::Io(error.into()))?;
        line.push(b'\n');
        let sent = stream.write_all(&line);
        zeroize::Zeroize::zeroize(&mut line);
        sent.map_err(|_| LocalError::Closed)?;
        Ok(Self { reader: BufReader::new(stream.take(MAX_ANSWER)), line: Vec::new() })
    }

    /// The next reply.
    pub fn reply(&mut self) -> Result<Reply, LocalError> {
        self.reader.get_ref().get_ref().set_read_timeout(Some(ANSWER_TIME)).map_err(LocalError::Io)?;
        self.next()?.ok_or_else(|| LocalError::Io(io::ErrorKind::TimedOut.into()))
    }

    /// The next reply, however long it takes; `tick` is called ten times a second until then.
    pub fn patient_reply(&mut self, mut tick: impl FnMut()) -> Result<Reply, LocalError> {
        self.reader.get_ref().get_ref().set_read_timeout(Some(TICK)).map_err(LocalError::Io)?;
        loop {
            if let Some(reply) = self.next()? {
                return Ok(reply);
            }
            tick();
        }
    }

    /// One line, or `None` if it is not complete when the time is over.
    fn next(&mut self) -> Result<Option<Reply>, LocalError> {
        match self.reader.read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.ends_with(b"\n") => {
                let reply =
                    serde_json::from_slice(&self.line).map_err(|error| LocalError::Io(error.into()))?;
                self.line.clear();
                Ok(Some(reply))
            }
            // A daemon that turns a foreign process away says nothing.
            Ok(_) => Err(LocalError::Closed),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(LocalError::Closed),
            Err(error) => Err(LocalError::Io(error)),
        }
    }
}

/// Whether a process of this user listens at the other end.
fn is_of(stream: &UnixStream, user: rustix::process::Uid) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Uid, geteuid};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_of_another_user_is_told_apart() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("socket");
        let _listener = UnixListener::bind(&path).expect("binds");
        let stream = UnixStream::connect(&path).expect("connects");
        assert!(is_of(&stream, geteuid()));
        assert!(!is_of(&stream, Uid::from_raw(geteuid().as_raw() + 1)));
    }
}
