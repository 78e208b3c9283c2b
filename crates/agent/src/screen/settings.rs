//! Which screen this device shares: this user's desktop by its own WayVNC, the same with a virtual one while
//! there is none, or another VNC server of the machine that its owner chose.

use super::desk::{self, Headless, Lease, OwnWayVnc, WayVncs};
use super::desktop;
use super::vnc_server::{ScreenError, Server, Stream, server_at};
use super::vnc_try;
use crate::state::{ScreenChoice, ScreenSize, SecretText};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a virtual screen stays after the last viewer has left: a reload of the page finds it again.
const LINGER: Duration = Duration::from_secs(30);

/// The compositor of a virtual screen.
const SWAY: &str = "sway";

/// Where the VNC server is. All clones follow what is chosen, and share what was started.
#[derive(Clone, Debug)]
pub struct ScreenSettings {
    socket: PathBuf,
    chosen: Arc<watch::Sender<Chosen>>,
    headless: Arc<Headless>,
    wayvncs: Arc<WayVncs>,
}

#[derive(Clone, Debug)]
enum Chosen {
    Desktop,
    /// The desktop, or one of this size while there is none.
    Virtual(ScreenSize),
    Other {
        server: Result<Server, ScreenError>,
        address: String,
        password: Option<SecretText>,
    },
}

/// A connection to what is shared.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) stream: Stream,
    /// To talk to the server with.
    pub(super) password: Option<SecretText>,
    pub(super) keep: Keep,
    /// The desktop's compositor, if it shows more than one display.
    pub(super) desktop: Option<Desktop>,
}

/// What is held for as long as it is looked at.
#[derive(Debug)]
pub(super) enum Keep {
    Nothing,
    Virtual { _lease: Lease },
    Display { _server: Arc<OwnWayVnc> },
}

/// A desktop with several displays.
#[derive(Clone, Debug)]
pub(super) struct Desktop {
    pub(super) compositor: PathBuf,
    pub(super) displays: Vec<String>,
    /// The one that its own WayVNC shows, if that was started to show a certain one.
    pub(super) showing: Option<String>,
}

impl ScreenSettings {
    /// The VNC server that listens there, until another is chosen.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            chosen: Arc::new(watch::Sender::new(Chosen::Desktop)),
            headless: Arc::new(Headless::new(SWAY.into(), LINGER)),
            wayvncs: Arc::default(),
        }
    }

    /// The same with another program in sway's place, and another time for which a virtual screen stays unused.
    #[must_use]
    pub fn with_headless(self, program: impl Into<PathBuf>, linger: Duration) -> Self {
        Self { headless: Arc::new(Headless::new(program.into(), linger)), ..self }
    }

    /// The path of the desktop's own socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Takes another VNC server, or none but the desktop's own. An address that is none is refused when
    /// somebody looks.
    pub fn choose(&self, choice: Option<ScreenChoice>) {
        self.chosen.send_replace(choice.map_or(Chosen::Desktop, |choice| Chosen::Other {
            server: server_at(&choice.address),
            address: choice.address,
            password: choice.password,
        }));
        self.headless.want(false);
    }

    /// Takes the desktop, or a virtual one while none runs.
    pub fn choose_virtual(&self, size: ScreenSize) {
        self.chosen.send_replace(Chosen::Virtual(size));
        self.headless.want(true);
    }

    /// The names of the desktop's displays; none while another VNC server is shared.
    pub async fn displays(&self) -> Vec<String> {
        let is_desktop = !matches!(&*self.chosen.borrow(), Chosen::Other { .. });
        match desktop::compositors().into_iter().next().filter(|_| is_desktop) {
            Some(compositor) => desk::displays(&compositor).await,
            None => Vec::new(),
        }
    }

    /// Whether something is an address, in words for the person who gave it.
    pub fn check(address: &str) -> Result<(), ScreenError> {
        server_at(address).map(|_| ())
    }

    /// The address that was chosen, if one was.
    pub fn chosen(&self) -> Option<String> {
        match &*self.chosen.borrow() {
            Chosen::Other { address, .. } => Some(address.clone()),
            Chosen::Desktop | Chosen::Virtual(_) => None,
        }
    }

    /// Whether a virtual screen stands in for a desktop that does not run.
    pub fn is_virtual(&self) -> bool {
        matches!(*self.chosen.borrow(), Chosen::Virtual(_)) && desktop::compositors().is_empty()
    }

    /// Comes when another is chosen from now on, also before this is first waited for.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + use<> {
        let mut chosen = self.chosen.subscribe();
        async move {
            // It fails once nobody can choose any more.
            if chosen.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether a VNC server of this user listens, without bothering it with a connection.
    pub fn look(&self) -> Result<(), ScreenError> {
        match &*self.chosen.borrow() {
            Chosen::Other { server, .. } => server.clone()?.look(),
            Chosen::Desktop | Chosen::Virtual(_) => self.own().look(),
        }
    }

    /// Whether the VNC server that was chosen lets this device in, and if not, why, for people. With none chosen
    /// there is nothing to try: WayVNC asks for no password.
    pub async fn try_chosen(&self) -> Result<(), String> {
        let chosen = self.chosen.borrow().clone();
        let Chosen::Other { server, password, .. } = chosen else { return Ok(()) };
        vnc_try::sign_in(&server.map_err(|error| error.to_string())?, password).await
    }

    /// Connects, and starts a virtual screen if that is what there is.
    pub(super) async fn open(&self) -> Result<Reached, ScreenError> {
        let chosen = self.chosen.borrow().clone();
        let size = match chosen {
            Chosen::Other { server, password, .. } => {
                let stream = server?.connect()?;
                return Ok(Reached { stream, password, keep: Keep::Nothing, desktop: None });
            }
            Chosen::Desktop => None,
            Chosen::Virtual(size) => Some(size),
        };
        match (self.own().connect(), size) {
            (Err(ScreenError::NotRunning), Some(size)) if desktop::compositors().is_empty() => {
                let lease = self.headless.lease(&self.socket, size).await?;
                let stream = Server::Socket(lease.socket().to_owned()).connect()?;
                Ok(Reached { stream, password: None, keep: Keep::Virtual { _lease: lease }, desktop: None })
            }
            (stream, _) => {
                let stream = stream?;
                let desktop = desktop(&stream).await;
                Ok(Reached { stream, password: None, keep: Keep::Nothing, desktop })
            }
        }
    }

    /// Connects to a WayVNC that shows this display.
    pub(super) async fn open_display(
        self,
        desktop: Desktop,
        display: String,
    ) -> Result<Reached, ScreenError> {
        let server = self.wayvncs.of(&self.socket, &desktop.compositor, &display).await?;
        let stream = Server::Socket(server.socket().to_owned()).connect()?;
        let keep = Keep::Display { _server: server };
        Ok(Reached { stream, password: None, keep, desktop: Some(desktop) })
    }

    fn own(&self) -> Server {
        Server::Socket(self.socket.clone())
    }
}

/// The desktop, if it has several displays to choose from.
async fn desktop(stream: &Stream) -> Option<Desktop> {
    let compositor = desktop::compositors().into_iter().next()?;
    let displays = desk::displays(&compositor).await;
    if displays.len() < 2 {
        return None;
    }
    let showing = stream.server_process().and_then(desk::display_of).filter(|name| displays.contains(name));
    Some(Desktop { compositor, displays, showing })
}
