//! Hears from the kernel that the network changed, so that a device is back as soon as its cable is.

use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv, socket_with,
};
use std::{io, os::fd::OwnedFd};
use tokio::io::unix::AsyncFd;

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
            drain(socket.get_ref());
        }
    }

    /// Waits for the next change.
    pub async fn changed(&self) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        match socket.readable().await {
            Ok(mut ready) => {
                drain(socket.get_ref());
                ready.clear_ready();
            }
            Err(_) => std::future::pending().await,
        }
    }
}

/// The announcements' content does not matter. A lost one (`ENOBUFS`) is a change as well.
fn drain(socket: &OwnedFd) {
    let mut buffer = [0_u8; 4096];
    for _ in 0..1000 {
        match recv(socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok(_) | Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
