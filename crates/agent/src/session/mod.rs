//! One session: a browser on this device's shell, over WebRTC, end to end encrypted.
//!
//! It is: the peer connection (`peer`), its sockets and relays (`net`), the messages of its channels
//! (`channels`) and what is behind it (`work`): a terminal (`shell`, `pty`) or the desktop's VNC server
//! (`crate::screen`), or a folder (`files`). Each session is one task which owns all of
//! its state; nothing of it exists while none runs.
//! It is not: signalling. Whoever talks to the server hands in the offer and what comes later as
//! [`Input`] and carries away [`Output`].
//! To add a kind of session: a module beside `shell` for what is behind it, its variant of `work::Work`, its
//! arm in `accept` below, and its settings in [`SessionSettings`].

mod channels;
mod credit;
mod files;
mod flow;
mod kept;
mod net;
mod peer;
mod probe;
mod pty;
pub(crate) mod queue;
mod shell;
mod tail;
mod watch;
mod work;

pub use crate::screen::{ScreenError, ScreenSettings};
pub use files::FilesSettings;
pub(crate) use files::is_supported as files_are_supported;
pub use kept::Keeper;
pub use probe::{Reached, probe};
pub(crate) use pty::{PtyEvent, Wants};
pub(crate) use shell::Read;
pub use shell::ShellSettings;

use crate::screen::Screen;
use bramble_wire::SessionId;
use bramble_wire::channel::{HEARTBEAT_TIMEOUT_SECONDS, KEPT_SECONDS};
use bramble_wire::signalling::{
    Answer, IceCandidate, MAX_SDP, Offer, SessionKind, StateReport, TransferReport,
};
use files::Files;
use shell::Shell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use watch::Watch;
use work::Work;

/// Filter directives for the libraries beneath, to be added to any log filter: `turn_client_proto` writes
/// several lines at level info for every datagram.
pub const QUIET: &str = "turn_client_proto=warn,turn_types=warn,stun_proto=warn,stun_types=warn,str0m=warn,is=warn,sctp_proto=warn,dimpl=warn";

/// What holds for the sessions of this device.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// The shell; `None` when remote shell is switched off.
    pub shell: Option<ShellSettings>,
    /// The desktop's VNC server; `None` where screen sharing is not available.
    pub screen: Option<ScreenSettings>,
    /// The folder for file transfer; `None` when it is switched off.
    pub files: Option<FilesSettings>,
    /// Where shells are kept whose browser vanished; `None` ends them at once.
    pub keeper: Option<Keeper>,
    /// How long they are kept.
    pub keep: Duration,
    /// Offer relayed candidates only.
    pub relay_only: bool,
    /// Offer these addresses instead of those of the interfaces.
    pub host_addresses: Option<Vec<IpAddr>>,
    /// For TURN over TLS; without it such servers are passed over.
    pub turn_tls: Option<Arc<rustls::ClientConfig>>,
    /// Silence of the browser after which it is taken for gone.
    pub heartbeat_timeout: Duration,
    /// From the offer to open channels.
    pub connect_timeout: Duration,
    /// How long a session outlives the device's contact to the server ([`Input::ServerContact`]).
    pub without_server: Duration,
    /// From SIGHUP to SIGKILL.
    pub kill_grace: Duration,
}

impl SessionSettings {
    /// The usual ones, with this shell or none.
    pub fn new(shell: Option<ShellSettings>) -> Self {
        Self {
            shell,
            screen: None,
            files: None,
            keeper: None,
            keep: Duration::from_secs(KEPT_SECONDS),
            relay_only: false,
            host_addresses: None,
            turn_tls: None,
            heartbeat_timeout: Duration::from_secs(HEARTBEAT_TIMEOUT_SECONDS),
            // A little more than the page waits, so that the page says in its own words what is wrong.
            connect_timeout: Duration::from_secs(20),
            without_server: Duration::from_hours(8),
            kill_grace: Duration::from_secs(2),
        }
    }
}

/// What the server says about a running session.
#[derive(Debug)]
pub enum Input {
    /// The browser has another address.
    RemoteCandidate(IceCandidate),
    /// The device lost (`false`) or found (`true`) the server.
    ServerContact(bool),
    /// End it; the browser is told why.
    End {
        /// A sentence for people.
        reason: String,
    },
}

/// What a session says to the server.
#[derive(Debug)]
pub enum Output {
    /// First, and once.
    Answer(Answer),
    /// Another address of this device.
    Candidate(IceCandidate),
    /// A file went over the session.
    Transfer(TransferReport),
    /// Connected, with the path; ended, with the reason. Nothing follows the latter.
    State(StateReport),
}

/// Starts the session on the current runtime. The task ends by itself; dropping `input` does not end
/// it, aborting the task hangs up its shell at once.
pub fn start(
    id: SessionId,
    offer: Offer,
    settings: SessionSettings,
    input: mpsc::Receiver<Input>,
    output: mpsc::Sender<Output>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        match accept(&id, &offer, &settings).await {
            Ok(peer) => Box::new(peer).run(input, output).await,
            Err(error) => {
                tracing::info!(session.id = %id, reason = %error, "session refused");
                let answer = Answer::Refused { error: error.to_string() };
                // A receiver that is gone has no use for the answer.
                let _ = output.send(Output::Answer(answer)).await;
            }
        }
    })
}

/// Why a session was refused, in words for the person in the browser.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("Remote shell is switched off on this device. Turn it on there with: rpi-connect shell on")]
    ShellOff,
    #[error("Screen sharing is not available on this device")]
    NoScreen,
    #[error("Watching a screen without touching it is not possible on this device yet")]
    WatchOnly,
    #[error(transparent)]
    Screen(#[from] ScreenError),
    #[error("File transfer is switched off on this device. Turn it on there with: rpi-connect files on")]
    FilesOff,
    #[error("File transfer was not permitted for this session")]
    FilesForbidden,
    #[error("The folder for file transfer on this device cannot be used: {0}")]
    NoFolder(std::io::Error),
    #[error("This browser's connection offer could not be understood. Reload the page and try again")]
    BadOffer,
    #[error("This device could not open a network socket")]
    NoSocket(#[from] std::io::Error),
}

async fn accept(id: &SessionId, offer: &Offer, settings: &SessionSettings) -> Result<peer::Peer, Refusal> {
    if offer.sdp.len() > MAX_SDP {
        return Err(Refusal::BadOffer);
    }
    let work = match offer.kind {
        SessionKind::Shell if settings.shell.is_none() => return Err(Refusal::ShellOff),
        SessionKind::Shell if !offer.permissions.input => Work::Watch(Box::new(Watch::new())),
        SessionKind::Shell => Work::Shell(Shell::Waiting(settings.shell.clone().ok_or(Refusal::ShellOff)?)),
        // Keys are part of the stream to the VNC server, and the stream is not taken apart here.
        SessionKind::Vnc if !offer.permissions.input => return Err(Refusal::WatchOnly),
        SessionKind::Vnc => {
            let screen = settings.screen.as_ref().ok_or(Refusal::NoScreen)?;
            Work::Screen(Box::new(Screen::open(screen).await?))
        }
        SessionKind::Files if !offer.permissions.files => return Err(Refusal::FilesForbidden),
        SessionKind::Files => {
            let files = settings.files.as_ref().ok_or(Refusal::FilesOff)?;
            Work::Files(Box::new(Files::open(files).map_err(Refusal::NoFolder)?))
        }
    };
    peer::Peer::accept(*id, offer, work, settings)
}
