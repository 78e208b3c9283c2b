//! What the daemon's tasks share.

use super::{api::DeviceApi, sessions::Sessions};
use crate::{
    VERSION,
    http::Client,
    local_api::{Feature, Status},
    platform::Platform,
    screen,
    session::{FilesSettings, ScreenSettings, files_are_supported},
    state::{FolderError, Settings, StateFolder, StoredToken},
    update::{
        self,
        trust::{Trust, TrustedKey},
    },
};
use bramble_model::SharedRandom;
use bramble_wire::{
    device_api::{Capabilities, Capability, Me},
    signalling::SessionKind,
};
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Why a build without screen sharing shares none.
pub(crate) const NOT_BUILT: &str = "This version of rpi-connect has no screen sharing.";

/// Every duration of the link, so that tests need not wait.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// First wait before connecting again.
    pub first_wait: Duration,
    /// Longest wait.
    pub longest_wait: Duration,
    /// Silence of the stream after which it is taken for dead; pings come every 25 s.
    pub silence: Duration,
    /// A stream that stood this long makes the next wait short again.
    pub stable: Duration,
    /// How long a report about a session is tried.
    pub report: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(2),
            silence: Duration::from_mins(1),
            stable: Duration::from_secs(20),
            report: Duration::from_mins(1),
        }
    }
}

/// A sign-in with the client that carries it.
#[derive(Debug)]
pub struct Credential {
    /// As it is stored.
    pub stored: StoredToken,
    /// Calls with it.
    pub api: DeviceApi,
}

/// Where the event stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// No sign-in.
    SignedOut,
    /// Not yet, or not now; why, if something went wrong.
    Connecting {
        /// For people.
        why: Option<String>,
    },
    /// Commands arrive.
    Subscribed,
}

/// The daemon.
#[derive(Debug)]
pub struct Shared {
    pub folder: StateFolder,
    pub platform: Platform,
    pub serial_number: String,
    pub random: SharedRandom,
    pub timing: Timing,
    pub sessions: Sessions,
    /// The sign-in; `None` without one.
    pub credential: watch::Sender<Option<Arc<Credential>>>,
    /// The stream.
    pub link: watch::Sender<LinkState>,
    /// Something that `POST /me` carries may have changed.
    pub changed: Notify,
    /// Something that the desktop's panel shows may have changed.
    pub standing: watch::Sender<()>,
    /// By how many seconds this device's clock is ahead of the server's; 0 while that is not much.
    pub clock_off: AtomicI64,
    /// Whether the server has heard from this process what it runs.
    pub(crate) synced: AtomicBool,
    /// An update may wait.
    pub deploy: Notify,
    /// One sign-in at a time.
    pub signing_in: tokio::sync::Mutex<()>,
    settings: Mutex<Settings>,
    screen: Option<ScreenSettings>,
    problem: Mutex<Option<String>>,
}

impl Shared {
    pub fn new(
        folder: StateFolder,
        platform: Platform,
        serial_number: String,
        settings: Settings,
        timing: Timing,
        random: SharedRandom,
        sessions: Sessions,
    ) -> Self {
        Self {
            folder,
            platform,
            serial_number,
            random,
            timing,
            sessions,
            credential: watch::Sender::new(None),
            link: watch::Sender::new(LinkState::SignedOut),
            changed: Notify::new(),
            standing: watch::Sender::new(()),
            clock_off: AtomicI64::new(0),
            synced: AtomicBool::new(false),
            deploy: Notify::new(),
            signing_in: tokio::sync::Mutex::new(()),
            settings: Mutex::new(settings),
            screen: None,
            problem: Mutex::new(None),
        }
    }

    /// The same with a screen to share.
    #[must_use]
    pub fn with_screen(self, screen: Option<ScreenSettings>) -> Self {
        if let Some(screen) = &screen {
            screen::apply(screen, &self.settings());
        }
        Self { screen, ..self }
    }

    /// A client for a sign-in that is kept.
    pub fn credential_of(&self, stored: StoredToken) -> Result<Credential, crate::http::tls::TlsError> {
        let client = Client::new(stored.server.clone(), stored.ca.as_deref(), &self.serial_number)?;
        Ok(Credential {
            api: super::api::OpenApi::new(client).signed_in(stored.access_token.clone()),
            stored,
        })
    }

    /// Takes a sign-in into use.
    pub fn adopt(&self, credential: Credential) {
        self.set_problem(None);
        self.credential.send_replace(Some(Arc::new(credential)));
    }

    /// Forgets the sign-in if it is still this one, and ends what runs because of it.
    pub fn forget(&self, which: &Arc<Credential>, reason: &str) -> Result<(), FolderError> {
        let was = self.credential.send_if_modified(|current| {
            let same = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, which));
            if same {
                *current = None;
            }
            same
        });
        if was {
            self.sessions.end_all(reason);
            self.folder.delete_token()?;
        }
        Ok(())
    }

    /// Something may have changed: the server and the panel are told if it did.
    pub fn touch(&self) {
        self.changed.notify_one();
        self.standing.send_replace(());
    }

    /// The settings of this moment.
    pub fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Allows or forbids the remote shell. Forbidding ends the running ones.
    pub fn allow_shell(&self, on: bool) -> Result<(), FolderError> {
        self.change_settings(|settings| settings.shell = on)?;
        if !on {
            self.sessions.end_kind(SessionKind::Shell, "Remote shell was switched off on the device.");
        }
        Ok(())
    }

    /// Allows or forbids screen sharing. Forbidding ends the running sessions.
    pub fn allow_vnc(&self, on: bool) -> Result<(), FolderError> {
        self.change_settings(|settings| settings.vnc = on)?;
        if !on {
            self.sessions.end_kind(SessionKind::Vnc, "Screen sharing was switched off on the device.");
        }
        Ok(())
    }

    /// Allows or forbids file transfer, below this folder from now on if one is named. Either ends the running
    /// sessions that no longer fit.
    pub fn allow_files(&self, on: bool, root: Option<PathBuf>) -> Result<(), FolderError> {
        let moved = root.is_some() && root != self.settings().files_root;
        self.change_settings(|settings| {
            settings.files = on;
            settings.files_root = root.or(settings.files_root.take());
        })?;
        if !on {
            self.sessions.end_kind(SessionKind::Files, "File transfer was switched off on the device.");
        } else if moved {
            self.sessions
                .end_kind(SessionKind::Files, "File transfer works in another folder of the device now.");
        }
        Ok(())
    }

    /// File transfer: whether this kernel can do it safely, and whether it is switched on.
    pub fn files(&self) -> Capability {
        match (files_are_supported(), self.settings().files) {
            (false, _) => Capability::Unavailable,
            (true, true) => Capability::Enabled,
            (true, false) => Capability::Available,
        }
    }

    /// Where file transfer works.
    pub fn files_folder(&self) -> io::Result<FilesSettings> {
        FilesSettings::of_current_user(self.settings().files_root.as_deref())
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Result<(), FolderError> {
        {
            let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
            let mut new = settings.clone();
            change(&mut new);
            self.folder.store_settings(&new)?;
            *settings = new;
        }
        self.touch();
        Ok(())
    }

    /// Where the desktop's VNC server is; `None` in a build without screen sharing.
    pub fn screen(&self) -> Option<&ScreenSettings> {
        self.screen.as_ref()
    }

    /// Screen sharing: whether there is a screen and it is switched on, and why there is none.
    pub fn vnc(&self) -> (Capability, Option<String>) {
        let Some(screen) = self.screen() else {
            return (Capability::Unavailable, Some(NOT_BUILT.to_owned()));
        };
        match screen::problem(&self.platform, screen) {
            Some(why) => (Capability::Unavailable, Some(why)),
            None if self.settings().vnc => (Capability::Enabled, None),
            None => (Capability::Available, None),
        }
    }

    /// What `status` says under the block; `None` takes it away.
    pub fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Remote updates: whether the updater is installed, and whether root's trust file names this server,
    /// this device and this user.
    pub fn ota(&self) -> Capability {
        let root = self.platform.root();
        if !root.join(update::UPDATER).exists() {
            return Capability::Unavailable;
        }
        let credential = self.credential.borrow().clone();
        let named = credential.zip(Trust::peek(root)).is_some_and(|(credential, trust)| {
            trust.server == credential.stored.server
                && trust.device_id == credential.stored.device_id
                && trust.uid == rustix::process::geteuid().as_raw()
        });
        if named { Capability::Enabled } else { Capability::Available }
    }

    /// The text of a trust file for this sign-in, with the server's newest key.
    pub async fn trust_text(&self) -> Result<String, String> {
        let credential = self.credential.borrow().clone();
        let credential = credential.ok_or("this device is not signed in; run rpi-connect signin first")?;
        let keys = credential.api.deployment_keys().await.map_err(|error| error.to_string())?;
        let newest = keys.deployment_keys.last();
        let newest = newest.ok_or("the server has no key that signs updates")?;
        let trust = Trust {
            server: credential.stored.server.clone(),
            device_id: credential.stored.device_id,
            uid: rustix::process::geteuid().as_raw(),
            ca: credential.stored.ca.clone(),
            keys: vec![TrustedKey { id: newest.id.clone(), key: newest.key.clone() }],
        };
        toml::to_string(&trust).map_err(|error| error.to_string())
    }

    /// Remote updates were allowed or forbidden.
    pub fn ota_changed(&self) {
        self.touch();
        self.deploy.notify_one();
    }

    /// What `POST /me` says now.
    pub fn describe(&self) -> Me {
        let shell = if self.settings().shell { Capability::Enabled } else { Capability::Available };
        let (vnc, vnc_reason) = self.vnc();
        Me {
            capabilities: Capabilities {
                vnc: Some(vnc),
                shell: Some(shell),
                ota: Some(self.ota()),
                files: Some(self.files()),
            },
            vnc_reason: Some(vnc_reason.unwrap_or_default()),
            client_version: Some(VERSION.to_owned()),
            hostname: Some(self.platform.hostname()),
            board: self.platform.board(),
            os: self.platform.os(),
            kernel_architecture: self.platform.kernel_architecture(),
            clock_off: Some(self.clock_off.load(Ordering::Relaxed)),
            ..Me::default()
        }
    }

    /// What `rpi-connect status` shows.
    pub fn status(&self) -> Status {
        let credential = self.credential.borrow().clone();
        let link = self.link.borrow().clone();
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trouble = match &link {
            LinkState::Connecting { why } => why.clone(),
            LinkState::SignedOut | LinkState::Subscribed => None,
        };
        let (vnc, vnc_reason) = self.vnc();
        Status {
            signed_in: credential.is_some(),
            subscribed: credential.is_some() && link == LinkState::Subscribed,
            vnc: feature(vnc),
            vnc_reason,
            vnc_sessions: self.sessions.count(SessionKind::Vnc),
            virtual_screen: self.screen.as_ref().and_then(|_| self.settings().virtual_screen),
            displays: Vec::new(),
            shell: if self.settings().shell { Feature::Allowed } else { Feature::Disallowed },
            shell_sessions: self.sessions.count(SessionKind::Shell),
            ota: feature(self.ota()),
            files: feature(self.files()),
            files_sessions: self.sessions.count(SessionKind::Files),
            files_root: self.files_folder().ok().map(|files| files.root().to_owned()),
            server: credential.as_ref().map(|c| c.stored.server.clone()),
            device_id: credential.as_ref().map(|c| c.stored.device_id),
            serial_number: self.serial_number.clone(),
            version: VERSION.to_owned(),
            problem: problem.or(trouble),
        }
    }
}

fn feature(capability: Capability) -> Feature {
    match capability {
        Capability::Enabled => Feature::Allowed,
        Capability::Available => Feature::Disallowed,
        Capability::Unavailable => Feature::Unavailable,
    }
}
