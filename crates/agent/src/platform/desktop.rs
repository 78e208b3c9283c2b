//! The desktop of this user: the Wayland compositors that run, and the program that shares them.

use super::Platform;
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// Where Debian puts the VNC server, below the root.
const WAYVNC: &str = "usr/bin/wayvnc";

/// And the compositor that needs no monitor.
const SWAY: &str = "usr/bin/sway";

/// Whether a virtual screen can be started.
pub fn has_sway(platform: &Platform) -> bool {
    platform.root().join(SWAY).exists()
}

/// Whether the VNC server is installed.
pub fn has_wayvnc(platform: &Platform) -> bool {
    platform.root().join(WAYVNC).exists()
}

/// The sockets of the compositors that answer: the one that the environment names, else all of the runtime
/// folder.
pub fn compositors() -> Vec<PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let named = env::var_os("WAYLAND_DISPLAY").filter(|name| !name.is_empty());
    found(runtime.as_deref(), named.as_deref().map(Path::new))
}

/// Those whose sockets are in this folder.
pub fn compositors_in(runtime: &Path) -> Vec<PathBuf> {
    found(Some(runtime), None)
}

/// Connects without waiting: one that stands still, with its queue full, is `AGAIN`. The connection does not
/// block either.
pub fn connect(socket: &Path) -> Result<OwnedFd, Errno> {
    let address = SocketAddrUnix::new(socket)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connection = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&connection, &address)?;
    Ok(connection)
}

/// Whether a compositor names its socket so.
pub fn is_display(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.strip_prefix("wayland-"));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn found(runtime: Option<&Path>, named: Option<&Path>) -> Vec<PathBuf> {
    let answers = |path: &PathBuf| matches!(connect(path), Ok(_) | Err(Errno::AGAIN));
    if let Some(named) = named {
        let path = runtime.map_or_else(|| named.to_owned(), |runtime| runtime.join(named));
        if answers(&path) {
            return vec![path];
        }
    }
    let Some(entries) = runtime.and_then(|runtime| std::fs::read_dir(runtime).ok()) else {
        return Vec::new();
    };
    let named = |path: &PathBuf| path.file_name().is_some_and(is_display);
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(named).collect();
    paths.retain(answers);
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_compositors_that_answer_count() {
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        assert!(found(Some(place.path()), None).is_empty());
        assert!(found(None, None).is_empty());
        drop(UnixListener::bind(at("wayland-0")).expect("binds"));
        let _one = UnixListener::bind(at("wayland-1")).expect("binds");
        let _two = UnixListener::bind(at("wayland-2")).expect("binds");
        let _other = UnixListener::bind(at("wayland-x")).expect("binds");
        std::fs::write(at("wayland-1.lock"), "").expect("a file");
        assert_eq!(found(Some(place.path()), None), [at("wayland-1"), at("wayland-2")]);
        assert_eq!(found(Some(place.path()), Some(Path::new("wayland-2"))), [at("wayland-2")]);
        assert_eq!(found(None, Some(&at("wayland-2"))), [at("wayland-2")]);
        // One that stands still: each look stays in its queue.
        let still = place.path().join("still");
        std::fs::create_dir(&still).expect("a folder");
        let _still = UnixListener::bind(still.join("wayland-0")).expect("binds");
        let looks: Vec<_> = (0..10_000).map_while(|_| connect(&still.join("wayland-0")).ok()).collect();
        assert!(looks.len() < 10_000, "its queue is full");
        let (tell, told) = std::sync::mpsc::channel();
        let folder = still.clone();
        std::thread::spawn(move || tell.send(found(Some(&folder), None)));
        let seen = told.recv_timeout(std::time::Duration::from_secs(10)).expect("without waiting for it");
        assert_eq!(seen, [still.join("wayland-0")]);
        // One that the environment still names but that has gone.
        assert_eq!(found(Some(place.path()), Some(Path::new("wayland-0"))).len(), 2);
    }
}
