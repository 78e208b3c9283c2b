//! Hears from the kernel that the network changed, so that a device is back as soon as its cable is.

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv,
        socket_with,
    },
};
use std::{io, os::fd::OwnedFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Links, and addresses and routes of both families (`RTMGRP_…` of linux/rtnetlink.h).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// The kernel's announcements.
#[derive(Debug)]
pub struct NetworkWatch {
    /// `None` where the system has no such socket; then nothing is ever heard.
    socket: Option<AsyncFd<OwnedFd>>,
}

impl NetworkWatch {
    /// Listens. A system that refuses costs the early reconnection and nothing else.
    pub fn open() -> Self {
        let socket = Self::try_open()
            .inspect_err(|error| tracing::debug!(%error, "network changes are not announced here"))
            .ok();
        Self { socket }
    }

    fn try_open() -> io::Result<AsyncFd<OwnedFd>> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            // Protocol 0 of this family is NETLINK_ROUTE.
            None,
        )?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        crate::descriptor::watched(socket)
    }

    /// Forgets what was announced until now.
    pub fn drain(&self) {
        if let Some(socket) = &self.socket {
            drain(socket);
        }
    }

    /// Waits for the next change.
    pub async fn changed(&self) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        if socket.readable().await.is_err() {
            return std::future::pending().await;
        }
        drain(socket);
    }
}

/// The announcements' content does not matter. A lost one (`ENOBUFS`) is a change as well. What is left at the
/// end is nothing, and the socket knows it: only the next announcement makes it readable.
fn drain(socket: &AsyncFd<OwnedFd>) {
    let mut buffer = [0_u8; 4096];
    for _ in 0..1000 {
        let received = socket.try_io(Interest::READABLE, |socket| {
            match recv(socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            }
        });
        if received.is_err() {
            return;
        }
    }
}
