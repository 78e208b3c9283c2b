//! The object that the desktop's panel talks to.

use super::show::show;
use crate::control::{Shared, key_file, sign_in};
use crate::screen::switch_unit;
use bramble_wire::{device_api::Capability, signalling::SessionKind};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use zbus::{Connection, fdo, object_server::SignalEmitter};

/// How long systemd may take to start or stop a unit.
const UNIT_TIME: Duration = Duration::from_secs(15);

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

/// The page of a sign-in that waits for its approval.
type SharedPage = Arc<watch::Sender<Option<String>>>;

pub(super) struct Object {
    shared: Arc<Shared>,
    page: SharedPage,
}

impl Object {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, page: Arc::new(watch::Sender::new(None)) }
    }

    /// The same as `rpi-connect vnc on|off`: the switch, and WayVNC's unit where there is one.
    async fn vnc(&self, on: bool) -> fdo::Result<()> {
        self.shared.allow_vnc(on).map_err(|error| failed(&error))?;
        let (folder, platform) = (self.shared.folder.clone(), self.shared.platform.clone());
        let run = tokio::task::spawn_blocking(move || switch_unit(&folder, &platform, on));
        match timeout(UNIT_TIME, run).await {
            Ok(Ok(done)) => done.map(|_| ()).map_err(fdo::Error::Failed),
            Ok(Err(crash)) => Err(failed(&crash)),
            Err(_) => Err(fdo::Error::Failed("systemd takes too long to switch WayVNC's unit".to_owned())),
        }
    }
}

fn failed(error: &impl ToString) -> fdo::Error {
    fdo::Error::Failed(error.to_string())
}

#[zbus::interface(name = "com.raspberrypi.Connect")]
impl Object {
    /// Opens the page where the person approves this device; the signal says when that has happened.
    async fn sign_in(&self, #[zbus(connection)] bus: &Connection) -> fdo::Result<()> {
        // Whoever closed the page before approving gets it once more.
        let page = self.page.borrow().clone();
        if let Some(page) = page {
            return show(bus, &page).await.map_err(fdo::Error::Failed);
        }
        let (opened, is_open) = oneshot::channel();
        let page = Arc::clone(&self.page);
        tokio::spawn(sign_in_by_page(Arc::clone(&self.shared), bus.clone(), page, opened));
        match is_open.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(fdo::Error::Failed(why)),
            Err(_) => Err(fdo::Error::Failed("the sign-in broke off".to_owned())),
        }
    }

    async fn sign_out(&self) -> fdo::Result<()> {
        sign_in::out(&self.shared).await.map(|_| ()).map_err(|error| failed(&error))
    }

    async fn vnc_on(&self) -> fdo::Result<()> {
        self.vnc(true).await
    }

    async fn vnc_off(&self) -> fdo::Result<()> {
        self.vnc(false).await
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
async fn sign_in_by_page(
    shared: Arc<Shared>,
    bus: Connection,
    page: SharedPage,
    opened: oneshot::Sender<Result<(), String>>,
) {
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
        show(&bus, pending.page()).await?;
        Ok(pending)
    };
    let pending = match begun.await {
        Ok(pending) => pending,
        Err(why) => {
            let _ = opened.send(Err(why));
            return;
        }
    };
    page.send_replace(Some(pending.page().to_owned()));
    // A panel that did not wait for the answer still gets its sign-in.
    let _ = opened.send(Ok(()));
    let signed_in = sign_in::with_code(&shared, pending).await;
    page.send_replace(None);
    if let Err(error) = signed_in {
        tracing::warn!(%error, "the sign-in that the panel asked for failed");
        shared.set_problem(Some(error.to_string()));
    }
}
