//! What the unit of the VNC server runs: it waits for this user's desktop and then becomes WayVNC, listening
//! where nobody else can connect. A user's services start before the desktop, and their environment does not
//! always say where it is.

use crate::{
    cli::{Failure, Place},
    control::watch::FolderWatch,
    screen::{ScreenError, ScreenSettings, desktop, displays},
};
use rustix::fs::{Mode, inotify::WatchFlags};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

/// Longest time between two looks for a desktop.
const LOOK: Duration = Duration::from_secs(2);
/// Between a compositor's socket and somebody who listens on it.
const SETTLE: Duration = Duration::from_millis(100);

pub(super) fn run(place: &Place) -> Result<ExitCode, Failure> {
    let socket = place.folder.vnc_socket();
    if !desktop::has_wayvnc(&place.platform) {
        return Err(Failure::new("WayVNC is not installed; sudo apt install wayvnc"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let display = runtime.block_on(first_display(&socket));
    // Of several, a certain one, so that whoever looks can be told which.
    let several = runtime.block_on(displays(&display));
    let output = several.first().filter(|_| several.len() > 1).map(|name| format!("--output={name}"));
    drop(runtime);
    make_room(&socket)?;
    let folder = own_folder(&socket)?;
    // Before it listens: the socket is made with the rights that this leaves.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let error = Command::new("wayvnc")
        .args(["--config=/dev/null", "--render-cursor", "--unix-socket"])
        .args(output)
        .arg(&socket)
        .env("WAYLAND_DISPLAY", display)
        // Later versions listen for commands there, and end where another one does: the person's own, say.
        .env("XDG_RUNTIME_DIR", folder)
        .exec();
    Err(Failure::new(format!("WayVNC cannot be started: {error}")))
}

/// A folder beside the socket for what WayVNC puts into its runtime folder. Only this user can open it.
fn own_folder(socket: &Path) -> Result<PathBuf, Failure> {
    let folder = socket.with_extension("own");
    let failed = |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", folder.display()));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&error)),
        _ => {}
    }
    let found = fs::symlink_metadata(&folder).map_err(|error| failed(&error))?;
    let own = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if !own || found.mode() & 0o077 != 0 {
        return Err(failed(&"it must be a folder that only this user can open; remove it"));
    }
    Ok(folder)
}

/// Waits for a desktop. Its sockets are beside ours.
async fn first_display(socket: &Path) -> PathBuf {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    let watch = FolderWatch::open(folder, WatchFlags::CREATE | WatchFlags::MOVED_TO);
    loop {
        if let Some(display) = desktop::compositors().into_iter().next() {
            return display;
        }
        // It may be another folder that the environment names.
        let _ = tokio::time::timeout(LOOK, watch.happened(|_| true)).await;
        tokio::time::sleep(SETTLE).await;
    }
}

/// Removes the socket of one that was killed; it could not listen again otherwise.
fn make_room(socket: &Path) -> Result<(), Failure> {
    match ScreenSettings::at(socket).look() {
        Ok(()) => Err(Failure::new("a VNC server listens already")),
        Err(ScreenError::NotRunning) if is_socket(socket) => match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::new(format!("{}: {error}", socket.display())))
            }
            _ => Ok(()),
        },
        Err(ScreenError::NotRunning) => Ok(()),
        Err(error) => Err(Failure::new(error)),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}
