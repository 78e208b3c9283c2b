//! The shared screen: bytes between the browser's channel and the VNC server's Unix socket, one connection
//! per session, with bounded queues both ways. What the bytes say is between the browser and the VNC server;
//! only the first four are looked at, so that a wrong program on the socket is told apart.

use super::pty::{PtyEvent, Wants};
use super::queue::Queue;
use super::shell::Read;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;

/// Bytes from the browser that the VNC server has not read yet: the largest clipboard and some keys. They
/// cannot be dropped, because what follows would be misread; a server that reads nothing is left.
const MOST_INPUT: usize = 2 * 1024 * 1024;
/// How a VNC server begins (RFC 6143, 7.1.1). It speaks first.
const GREETING: &[u8] = b"RFB ";
/// How long it may take to begin.
const GREETING_WITHIN: Duration = Duration::from_secs(10);
/// The flag of a socket that listens, in `/proc/net/unix` (`__SO_ACCEPTCON`).
const LISTENING: u32 = 0x10000;

const CLOSED: &str = "The desktop's VNC server ended the connection.";
const SILENT: &str = "The desktop's VNC server does not answer.";
const STRANGE: &str = "What answers on the screen sharing socket of this device is not a VNC server.";
const STUCK: &str = "The desktop's VNC server does not take what is sent to it.";

/// Where the VNC server is.
#[derive(Clone, Debug)]
pub struct ScreenSettings {
    socket: PathBuf,
}

/// Why there is no screen to share, in words for the person in the browser.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScreenError {
    /// No socket, or nobody listens on it.
    #[error("The VNC server of this device's desktop is not running.")]
    NotRunning,
    /// Another user could see and steer what is typed there.
    #[error("The screen sharing socket of this device belongs to another user.")]
    Foreign,
    /// It takes no connection at the moment.
    #[error("The VNC server of this device's desktop is too busy. Try again in a moment.")]
    Busy,
    /// Something else.
    #[error("The screen sharing socket of this device cannot be used: {0}")]
    Io(String),
}

impl ScreenSettings {
    /// The VNC server that listens there.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether a VNC server of this user listens, without bothering it with a connection.
    pub fn look(&self) -> Result<(), ScreenError> {
        let found = fs::metadata(&self.socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ScreenError::NotRunning,
            _ => ScreenError::Io(error.to_string()),
        })?;
        if !found.file_type().is_socket() {
            return Err(ScreenError::Io("it is not a socket".to_owned()));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(ScreenError::Foreign);
        }
        let sockets =
            fs::read_to_string("/proc/net/unix").map_err(|error| ScreenError::Io(error.to_string()))?;
        if listens(&sockets, &self.socket.to_string_lossy()) {
            return Ok(());
        }
        // A socket whose server was killed keeps its name. One of another network namespace is not listed.
        self.reach().map(|_| ())
    }

    fn connect(&self) -> Result<UnixStream, ScreenError> {
        register(self.reach()?).map_err(|error| ScreenError::Io(error.to_string()))
    }

    fn reach(&self) -> Result<OwnedFd, ScreenError> {
        let address = SocketAddrUnix::new(&self.socket).map_err(words)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(words)?;
        rustix::net::connect(&socket, &address).map_err(words)?;
        let peer = rustix::net::sockopt::socket_peercred(&socket).map_err(words)?;
        if peer.uid != rustix::process::geteuid() {
            return Err(ScreenError::Foreign);
        }
        Ok(socket)
    }
}

fn register(socket: OwnedFd) -> io::Result<UnixStream> {
    UnixStream::from_std(std::os::unix::net::UnixStream::from(socket))
}

fn words(error: Errno) -> ScreenError {
    match error {
        Errno::NOENT | Errno::CONNREFUSED => ScreenError::NotRunning,
        Errno::ACCESS => ScreenError::Foreign,
        // The queue of those that wait to be accepted is full.
        Errno::AGAIN => ScreenError::Busy,
        error => ScreenError::Io(error.to_string()),
    }
}

/// Whether the kernel's table has somebody who listens under this name.
fn listens(table: &str, path: &str) -> bool {
    table.lines().skip(1).any(|line| {
        // Num RefCount Protocol Flags Type St Inode Path
        let mut words = line.split_ascii_whitespace().skip(3);
        let flags = words.next().and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or(0);
        flags & LISTENING != 0
            && line.ends_with(path)
            && line.split_once(path).is_some_and(|(before, _)| before.ends_with(' '))
    })
}

/// The screen's side of a session.
#[derive(Debug)]
pub(crate) struct Screen {
    stream: UnixStream,
    input: Queue,
    since: Instant,
    greeted: usize,
    over: Option<&'static str>,
}

impl Screen {
    /// Connects to the VNC server.
    pub(crate) fn open(settings: &ScreenSettings) -> Result<Self, ScreenError> {
        let stream = settings.connect()?;
        Ok(Self { stream, input: Queue::new(MOST_INPUT), since: Instant::now(), greeted: 0, over: None })
    }

    /// Fills the buffer with what the VNC server sent, as far as there is any.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        let mut filled = 0;
        while filled < buffer.len() && self.over.is_none() {
            match self.stream.try_read(&mut buffer[filled..]) {
                Ok(0) => self.over = Some(CLOSED),
                Ok(read) => {
                    self.greet(&buffer[filled..filled + read]);
                    filled += read;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.over = Some(CLOSED),
            }
        }
        if filled == 0 { Read::Nothing } else { Read::Bytes(filled) }
    }

    fn greet(&mut self, bytes: &[u8]) {
        let rest = &GREETING[self.greeted..];
        let compared = rest.len().min(bytes.len());
        if rest[..compared] == bytes[..compared] {
            self.greeted += compared;
        } else {
            self.over = Some(STRANGE);
        }
    }

    /// Takes what the browser sent.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if self.input.push(bytes) > 0 {
            self.over.get_or_insert(STUCK);
        }
        self.pass_input();
    }

    /// Moves what waits on to the VNC server.
    pub(crate) fn pass_input(&mut self) {
        self.input.pass(|bytes| self.stream.try_write(bytes));
    }

    pub(crate) fn lags(&self) -> bool {
        self.input.lags()
    }

    pub(crate) fn wants(&self, output: bool) -> Wants {
        Wants { output: output && self.over.is_none(), room: !self.input.is_empty(), exit: false }
    }

    /// Waits for whatever of these comes first. Safe to drop and call again.
    pub(crate) async fn event(&self, wants: Wants) -> PtyEvent {
        std::future::poll_fn(|cx| {
            // An error is found again by the read or write that follows.
            if wants.output && self.stream.poll_read_ready(cx).is_ready() {
                return Poll::Ready(PtyEvent::Output);
            }
            if wants.room && self.stream.poll_write_ready(cx).is_ready() {
                return Poll::Ready(PtyEvent::Room);
            }
            Poll::Pending
        })
        .await
    }

    /// When to look again whether the VNC server has begun.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.greeted == 0 && self.over.is_none()).then(|| self.since + GREETING_WITHIN)
    }

    /// Why it is over, once it is.
    pub(crate) fn ending(&self, now: Instant) -> Option<&'static str> {
        self.over.or_else(|| self.deadline().filter(|at| now >= *at).map(|_| SILENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_is_found_by_its_whole_name_and_only_if_somebody_listens() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/user/1000/a.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 12 /run/user/1000/b.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 13\n";
        assert!(listens(table, "/run/user/1000/a.sock"));
        assert!(!listens(table, "/run/user/1000/b.sock"));
        assert!(!listens(table, "a.sock"));
        assert!(!listens(table, "/run/user/1000/c.sock"));
    }

    #[test]
    fn a_server_that_was_killed_is_not_running() {
        let place = tempfile::tempdir().expect("a folder");
        let screen = ScreenSettings::at(place.path().join("vnc.sock"));
        assert_eq!(screen.look(), Err(ScreenError::NotRunning));
        let listener = UnixListener::bind(screen.socket()).expect("binds");
        assert_eq!(screen.look(), Ok(()));
        drop(listener);
        assert!(screen.socket().exists());
        assert_eq!(screen.look(), Err(ScreenError::NotRunning));
        assert_eq!(screen.connect().map(|_| ()), Err(ScreenError::NotRunning));
    }

    #[test]
    fn a_file_is_no_socket() {
        let place = tempfile::tempdir().expect("a folder");
        let screen = ScreenSettings::at(place.path().join("vnc.sock"));
        std::fs::write(screen.socket(), "").expect("a file");
        assert!(matches!(screen.look(), Err(ScreenError::Io(_))));
    }
}
