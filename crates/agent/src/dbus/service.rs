//! The object that the desktop's panel talks to.

use crate::control::{Shared, key_file, sign_in};
use bramble_wire::{device_api::Capability, signalling::SessionKind};
use std::{process::Stdio, sync::Arc};
use tokio::{process::Command, sync::oneshot};
use zbus::{fdo, object_server::SignalEmitter};

/// Signed in, screen sharing available, screen sharing on, shell on, screen sessions, shell sessions.
pub(super) type Standing = (bool, bool, bool, bool, i32, i32);

/// How things stand.
pub(super) fn standing(shared: &Shared) -> Standing {
    let settings = shared.settings();
    let count = |kind| i32::try_from(shared.sessions.count(kind)).unwrap_or(i32::MAX);
    (
        shared.credential.borrow().is_some(),
        shared.vnc().0 != Capability::Unavailable,
        settings.vnc,
        settings.shell,
        count(SessionKind::Vnc),
        count(SessionKind::Shell),
    )
}

pub(super) struct Object {
    shared: Arc<Shared>,
}

impl Object {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

fn failed(error: &impl ToString) -> fdo::Error {
    fdo::Error::Failed(error.to_string())
}

#[zbus::interface(name = "com.raspberrypi.Connect")]
impl Object {
    /// Opens the page where the person approves this device; the signal says when that has happened.
    async fn sign_in(&self) -> fdo::Result<()> {
        let (opened, is_open) = oneshot::channel();
        tokio::spawn(sign_in_by_page(Arc::clone(&self.shared), opened));
        match is_open.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(fdo::Error::Failed(why)),
            Err(_) => Err(fdo::Error::Failed("the sign-in broke off".to_owned())),
        }
    }

    async fn sign_out(&self) -> fdo::Result<()> {
        sign_in::out(&self.shared).await.map(|_| ()).map_err(|error| failed(&error))
    }

    fn vnc_on(&self) -> fdo::Result<()> {
        self.shared.allow_vnc(true).map_err(|error| failed(&error))
    }

    fn vnc_off(&self) -> fdo::Result<()> {
        self.shared.allow_vnc(false).map_err(|error| failed(&error))
    }

    fn shell_on(&self) -> fdo::Result<()> {
        self.shared.allow_shell(true).map_err(|error| failed(&error))
    }

    fn shell_off(&self) -> fdo::Result<()> {
        self.shared.allow_shell(false).map_err(|error| failed(&error))
    }

    /// One structure and not six values, which is what the panel reads.
    fn status(&self) -> (Standing,) {
        (standing(&self.shared),)
    }

    #[zbus(signal, name = "Status")]
    pub(super) async fn status_changed(emitter: &SignalEmitter<'_>, status: Standing) -> zbus::Result<()>;
}

/// Asks for a code, shows its page, and waits for the approval.
async fn sign_in_by_page(shared: Arc<Shared>, opened: oneshot::Sender<Result<(), String>>) {
    let Ok(_one_at_a_time) = shared.signing_in.try_lock() else {
        let _ = opened.send(Err("a sign-in is already going on".to_owned()));
        return;
    };
    if shared.credential.borrow().is_some() {
        let _ = opened.send(Ok(()));
        return;
    }
    let begun = async {
        let target = key_file::configured_target(&shared).map_err(|error| error.to_string())?;
        let pending = sign_in::request_code(&shared, &target).await.map_err(|error| error.to_string())?;
        show(pending.page())?;
        Ok(pending)
    };
    let pending = match begun.await {
        Ok(pending) => pending,
        Err(why) => {
            let _ = opened.send(Err(why));
            return;
        }
    };
    // A panel that did not wait for the answer still gets its sign-in.
    let _ = opened.send(Ok(()));
    if let Err(error) = sign_in::with_code(&shared, pending).await {
        tracing::warn!(%error, "the sign-in that the panel asked for failed");
        shared.set_problem(Some(error.to_string()));
    }
}

/// Opens a page in the person's browser.
fn show(page: &str) -> Result<(), String> {
    // Whatever else a server says is no page.
    if !(page.starts_with("https://") || page.starts_with("http://")) {
        return Err("the server's answer names no page to sign in on".to_owned());
    }
    let mut command = Command::new("xdg-open");
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("xdg-open cannot be run: {error}"))?;
    // It may be the browser itself and stay.
    tokio::spawn(async move { child.wait().await });
    Ok(())
}
