//! Tells when files of certain names appear, change or go in a folder.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::{
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
    time::Duration,
};
use tokio::io::unix::AsyncFd;

/// How often to look where the kernel does not tell.
const LOOK: Duration = Duration::from_secs(10);

/// A folder that is watched.
#[derive(Debug)]
pub struct FolderWatch {
    inotify: Option<AsyncFd<OwnedFd>>,
}

impl FolderWatch {
    /// Watches for these events.
    pub fn open(folder: &Path, events: WatchFlags) -> Self {
        let open = || -> io::Result<AsyncFd<OwnedFd>> {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            inotify::add_watch(&fd, folder, events)?;
            crate::descriptor::watched(fd)
        };
        let inotify = open()
            .inspect_err(|error| tracing::debug!(%error, "a folder is looked at from time to time instead"))
            .ok();
        Self { inotify }
    }

    /// Waits until something happened to a file whose name fits.
    pub async fn happened(&self, fits: impl Fn(&OsStr) -> bool) {
        let Some(fd) = &self.inotify else { return tokio::time::sleep(LOOK).await };
        loop {
            let Ok(mut ready) = fd.readable().await else { return tokio::time::sleep(LOOK).await };
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(fd.get_ref(), &mut buffer);
            let mut hit = false;
            loop {
                match events.next() {
                    Ok(event) => {
                        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                        hit |= name.is_some_and(&fits);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => break,
                }
            }
            ready.clear_ready();
            if hit {
                return;
            }
        }
    }
}
