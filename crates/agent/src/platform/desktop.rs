//! The desktop of this user: the Wayland compositors that run, and the program that shares them.

use super::Platform;
use std::{
    env,
    os::unix::net::UnixStream,
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

fn found(runtime: Option<&Path>, named: Option<&Path>) -> Vec<PathBuf> {
    let answers = |path: &PathBuf| UnixStream::connect(path).is_ok();
    if let Some(named) = named {
        let path = runtime.map_or_else(|| named.to_owned(), |runtime| runtime.join(named));
        if answers(&path) {
            return vec![path];
        }
    }
    let Some(entries) = runtime.and_then(|runtime| std::fs::read_dir(runtime).ok()) else {
        return Vec::new();
    };
    let is_display = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix("wayland-").is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_display).collect();
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
        // One that the environment still names but that has gone.
        assert_eq!(found(Some(place.path()), Some(Path::new("wayland-0"))).len(), 2);
    }
}
