//! File descriptors: waiting for those of the kernel's (inotify, netlink) in the runtime, and keeping
//! what this process was started with to itself.

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
};
use tokio::io::unix::AsyncFd;

/// Registers a descriptor that nobody else holds.
#[expect(unsafe_code, reason = "tokio asks its callers to promise that the descriptor stays open")]
pub(crate) fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the OwnedFd moves into the AsyncFd, which closes it only after it took it off the reactor,
    // and no duplicate of it exists; so it stays open and the same for as long as it is registered.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// Keeps what this process was started with (a script's lock, a launcher's pipe) away from every program
/// that it starts: a shell must not get it, and a daemon must not hold it for months. To be called before
/// there are other threads.
pub(crate) fn keep_from_children() {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    // Standard input, output and error are chosen anew for each program.
    for number in numbers.filter(|number| *number > 2) {
        keep(number);
    }
}

#[expect(unsafe_code, reason = "the number of an inherited descriptor is all that there is")]
fn keep(number: RawFd) {
    // SAFETY: the kernel has just listed it as open, and nobody else runs who could close it.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    if let Ok(flags) = fcntl_getfd(fd) {
        // It cannot fail for a descriptor that is open.
        let _ = fcntl_setfd(fd, flags | FdFlags::CLOEXEC);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inherited_is_not_passed_on() {
        let file = std::fs::File::open("/dev/null").expect("a file");
        let inherited = rustix::io::dup(&file).expect("a descriptor that programs inherit");
        assert!(!fcntl_getfd(&inherited).expect("open").contains(FdFlags::CLOEXEC));
        keep_from_children();
        assert!(fcntl_getfd(&inherited).expect("open").contains(FdFlags::CLOEXEC));
    }
}
