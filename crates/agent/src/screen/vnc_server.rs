//! A VNC server of this machine, on a Unix socket or a loopback port, and whether it may be talked to.

use super::desktop;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// The flag of a socket that listens, in `/proc/net/unix` (`__SO_ACCEPTCON`).
const LISTENING: u32 = 0x10000;
/// The same in `/proc/net/tcp` (`TCP_LISTEN`).
const TCP_LISTENING: &str = "0A";
/// A server on this machine answers at once; one whose queue is full would hold this thread.
const REACH: Duration = Duration::from_millis(100);
/// Longest address that is read.
const MOST_ADDRESS: usize = 255;

/// A VNC server of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Socket(PathBuf),
    Port(SocketAddr),
}

/// Why there is no screen to share, in words for the person in the browser.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ScreenError {
    /// No socket, or nobody listens on it.
    #[error("The VNC server of this device's desktop is not running.")]
    NotRunning,
    /// Another user could see and steer what is typed there.
    #[error("The screen sharing socket of this device belongs to another user.")]
    Foreign,
    /// Anybody on the network reaches it, past the rules of who may see this device.
    #[error(
        "The VNC server of this device's desktop listens to the whole network. Let it listen on 127.0.0.1 only (x11vnc -localhost)."
    )]
    Exposed,
    /// The chosen address is none.
    #[error("The chosen VNC server cannot be used: {0}.")]
    Address(&'static str),
    /// One that this device starts did not.
    #[error("WayVNC does not start for this display of the device.")]
    NoWayVnc,
    /// No virtual screen; why.
    #[error("The virtual screen of this device does not start: {0}.")]
    NoVirtual(String),
    /// It takes no connection at the moment.
    #[error("The VNC server of this device's desktop is too busy. Try again in a moment.")]
    Busy,
    /// Something else.
    #[error("The screen sharing socket of this device cannot be used: {0}")]
    Io(String),
}

impl Server {
    /// Whether it is this user's and listens, without bothering it with a connection.
    pub(super) fn look(&self) -> Result<(), ScreenError> {
        match self {
            Self::Socket(socket) => look(socket),
            Self::Port(port) => look_at_port(*port),
        }
    }

    pub(super) fn connect(&self) -> Result<Stream, ScreenError> {
        let stream = match self {
            Self::Socket(socket) => register(reach(socket)?).map(Stream::Unix),
            Self::Port(port) => {
                look_at_port(*port)?;
                let stream = reach_port(*port).map(Stream::Tcp);
                // Whoever listened before and after is the one that was reached.
                look_at_port(*port)?;
                stream
            }
        };
        stream.map_err(|error| ScreenError::Io(error.to_string()))
    }
}

/// Reads an address: a socket's absolute path, or a port of this machine. Names are not looked up: what they
/// mean is decided elsewhere.
pub(super) fn server_at(address: &str) -> Result<Server, ScreenError> {
    let bad = ScreenError::Address;
    if address.len() > MOST_ADDRESS {
        return Err(bad("its address is too long"));
    }
    if address.starts_with('/') {
        return Ok(Server::Socket(PathBuf::from(address)));
    }
    let port: SocketAddr =
        address.parse().map_err(|_| bad("its address must be a socket's path or like 127.0.0.1:5900"))?;
    if !port.ip().is_loopback() || port.port() == 0 {
        return Err(bad("its port must be on this machine, like 127.0.0.1:5900"));
    }
    Ok(Server::Port(port))
}

/// Whether a VNC server of this user listens, without bothering it with a connection.
fn look(socket: &Path) -> Result<(), ScreenError> {
    let found = fs::metadata(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ScreenError::NotRunning,
        _ => ScreenError::Io(error.to_string()),
    })?;
    if !found.file_type().is_socket() {
        return Err(ScreenError::Io("it is not a socket".to_owned()));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(ScreenError::Foreign);
    }
    let sockets = fs::read_to_string("/proc/net/unix").map_err(|error| ScreenError::Io(error.to_string()))?;
    if listens(&sockets, &socket.to_string_lossy()) {
        return Ok(());
    }
    // A socket whose server was killed keeps its name. One of another network namespace is not listed.
    reach(socket).map(|_| ())
}

fn reach(path: &Path) -> Result<OwnedFd, ScreenError> {
    let socket = desktop::connect(path).map_err(words)?;
    let peer = rustix::net::sockopt::socket_peercred(&socket).map_err(words)?;
    if peer.uid != rustix::process::geteuid() {
        return Err(ScreenError::Foreign);
    }
    Ok(socket)
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

/// The same for a port. Only a server of this user or of root is trusted with the password and with what is
/// typed: any user can listen on a port.
fn look_at_port(port: SocketAddr) -> Result<(), ScreenError> {
    let file = if port.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let read = |file: &str| fs::read_to_string(file).map_err(|error| ScreenError::Io(error.to_string()));
    let mut found = listeners(&read(file)?, port.port());
    if port.is_ipv4() {
        // One that listens on `[::]` takes IPv4 as well. A kernel without IPv6 has no such table.
        found.extend(listeners(&read("/proc/net/tcp6").unwrap_or_default(), port.port()));
    }
    judge(&found, port.ip(), rustix::process::geteuid().as_raw())
}

fn judge(listeners: &[(String, u32)], ip: IpAddr, own: u32) -> Result<(), ScreenError> {
    let wanted = in_table(ip);
    let exact = listeners.iter().filter(|(address, _)| *address == wanted);
    let mut users = exact.map(|(_, uid)| *uid).peekable();
    if users.peek().is_some() {
        return if users.all(|uid| uid == own || uid == 0) { Ok(()) } else { Err(ScreenError::Foreign) };
    }
    let everywhere = |address: &str| address.bytes().all(|digit| digit == b'0');
    let exposed = listeners.iter().any(|(address, _)| everywhere(address));
    Err(if exposed { ScreenError::Exposed } else { ScreenError::NotRunning })
}

/// Who listens on a port: address as the table writes it, and user.
fn listeners(table: &str, port: u16) -> Vec<(String, u32)> {
    let port = format!("{port:04X}");
    let listener = |line: &str| {
        // sl local_address rem_address st queues timer retrnsmt uid
        let words: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
        let [_, local, _, TCP_LISTENING, _, _, _, uid] = words[..] else { return None };
        let (address, at) = local.split_once(':')?;
        (at == port).then_some((address.to_owned(), uid.parse().ok()?))
    };
    table.lines().skip(1).filter_map(listener).collect()
}

/// An address as the table writes it: words of four bytes in the machine's own order.
fn in_table(ip: IpAddr) -> String {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let word = |bytes: &[u8; 4]| format!("{:08X}", u32::from_ne_bytes(*bytes));
    bytes.as_chunks::<4>().0.iter().map(word).collect()
}

fn reach_port(port: SocketAddr) -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::connect_timeout(&port, REACH)?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

/// A connection to the VNC server.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    /// The process that listens, where the kernel tells.
    pub(super) fn server_process(&self) -> Option<i32> {
        match self {
            Self::Unix(stream) => stream.peer_cred().ok()?.pid(),
            Self::Tcp(_) => None,
        }
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_read(buffer),
            Self::Tcp(stream) => stream.try_read(buffer),
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tcp(stream) => stream.try_write(bytes),
        }
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tcp(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => stream.poll_write_ready(cx),
            Self::Tcp(stream) => stream.poll_write_ready(cx),
        }
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
        let socket = place.path().join("vnc.sock");
        let server = Server::Socket(socket.clone());
        assert_eq!(server.look(), Err(ScreenError::NotRunning));
        let listener = UnixListener::bind(&socket).expect("binds");
        assert_eq!(server.look(), Ok(()));
        drop(listener);
        assert!(socket.exists());
        assert_eq!(server.look(), Err(ScreenError::NotRunning));
        assert_eq!(server.connect().map(|_| ()), Err(ScreenError::NotRunning));
    }

    #[test]
    fn a_file_is_no_socket() {
        let place = tempfile::tempdir().expect("a folder");
        let socket = place.path().join("vnc.sock");
        std::fs::write(&socket, "").expect("a file");
        assert!(matches!(Server::Socket(socket).look(), Err(ScreenError::Io(_))));
    }

    #[test]
    fn only_this_machine_is_an_address() {
        for good in ["/run/x11vnc.sock", "127.0.0.1:5900", "127.0.0.2:1", "[::1]:5901"] {
            assert!(server_at(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "x11vnc.sock",
            "192.0.2.7:5900",
            "0.0.0.0:5900",
            "[::]:5900",
            "127.0.0.1",
            "127.0.0.1:0",
            "localhost:5900",
            "example.org:5900",
            "[::ffff:192.0.2.7]:5900",
        ] {
            assert!(matches!(server_at(bad), Err(ScreenError::Address(_))), "{bad}");
        }
        assert!(server_at(&format!("/{}", "x".repeat(MOST_ADDRESS))).is_err());
    }

    #[test]
    fn a_port_is_trusted_if_this_user_or_root_has_it_and_nobody_else_can_reach_it() {
        let ip = IpAddr::from([127, 0, 0, 1]);
        let here = |uid| vec![(in_table(ip), uid)];
        let everywhere = ("00000000".to_owned(), 1000);
        assert_eq!(judge(&here(1000), ip, 1000), Ok(()));
        assert_eq!(judge(&here(0), ip, 1000), Ok(()));
        assert_eq!(judge(&here(1001), ip, 1000), Err(ScreenError::Foreign));
        assert_eq!(judge(&[], ip, 1000), Err(ScreenError::NotRunning));
        assert_eq!(judge(std::slice::from_ref(&everywhere), ip, 1000), Err(ScreenError::Exposed));
        assert_eq!(judge(&[everywhere, here(1000)[0].clone()], ip, 1000), Ok(()));
    }

    #[test]
    fn a_listener_is_found_in_the_kernels_table() {
        let at = |address: &str| -> SocketAddr { address.parse().expect("an address") };
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(at(address)) else { continue };
            let port = listener.local_addr().expect("bound");
            assert_eq!(look_at_port(port), Ok(()));
            drop(listener);
            assert_eq!(look_at_port(port), Err(ScreenError::NotRunning));
        }
        let listener = std::net::TcpListener::bind(at("0.0.0.0:0")).expect("binds");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(look_at_port(at(&format!("127.0.0.1:{port}"))), Err(ScreenError::Exposed));
    }
}
