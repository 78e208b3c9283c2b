//! Waiting for a file descriptor of the kernel's (inotify, netlink) in the runtime.

use std::{io, os::fd::OwnedFd};
use tokio::io::unix::AsyncFd;

/// Registers a descriptor that nobody else holds.
#[expect(unsafe_code, reason = "tokio asks its callers to promise that the descriptor stays open")]
pub(crate) fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the OwnedFd moves into the AsyncFd, which closes it only after it took it off the reactor,
    // and no duplicate of it exists; so it stays open and the same for as long as it is registered.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}
