//! `rpi-connectd`: one per state folder.

use crate::{
    control::{
        Shared, Timing,
        key_file::{self, KeyWatch},
        link,
        sessions::{Sessions, Starter},
        sign_in::DeviceIdentity,
        updates,
    },
    dbus::{self, SessionBus},
    identity::OwnKey,
    local_api::server::LocalSocket,
    platform::{Platform, SerialError},
    screen,
    session::ScreenSettings,
    state::{FolderError, Settings, StateFolder},
};
use bramble_model::{OsRandom, SharedRandom};
use clap::Parser;
use std::{
    fmt,
    future::Future,
    io::{self, IsTerminal, Write},
    os::{linux::net::SocketAddrExt, unix::ffi::OsStrExt, unix::net::SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
    task::JoinSet,
    time::timeout,
};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How long sessions may take to say goodbye when the daemon ends.
const GOODBYE: Duration = Duration::from_secs(4);

/// What the daemon runs with.
pub struct Options {
    /// Where it keeps things.
    pub folder: StateFolder,
    /// The machine.
    pub platform: Platform,
    /// The local socket; the folder's own if `None`.
    pub socket: Option<PathBuf>,
    /// Whose processes may use it; this process's user if `None`.
    pub allowed_uid: Option<u32>,
    /// Starts the work behind a session.
    pub starter: Starter,
    /// The desktop's VNC server; `None` in a build without screen sharing.
    pub screen: Option<ScreenSettings>,
    /// The bus on which the desktop's panel is served; nowhere if `None`.
    pub session_bus: Option<SessionBus>,
    /// A way to sign in without anybody.
    pub identity: Option<Arc<dyn DeviceIdentity>>,
    /// Durations.
    pub timing: Timing,
    /// Chance, for jitter.
    pub random: SharedRandom,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Options {
    /// The usual ones, for this folder and machine.
    pub fn new(folder: StateFolder, platform: Platform, starter: Starter) -> Self {
        Self {
            folder,
            platform,
            socket: None,
            screen: None,
            session_bus: None,
            allowed_uid: None,
            starter,
            identity: None,
            timing: Timing::default(),
            random: Arc::new(OsRandom),
        }
    }
}

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its serial number.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// Its socket.
    #[error("the local socket {path} cannot be opened: {source}")]
    Socket {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part of it crashed.
    #[error("a part of the daemon failed: {0}")]
    Crashed(#[from] tokio::task::JoinError),
}

/// Runs until `stop` comes or somebody says so on the local socket. `ready` is called once commands are
/// taken.
pub async fn run(
    options: Options,
    ready: impl FnOnce(),
    stop: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    options.folder.prepare()?;
    let _lock = options.folder.lock()?;
    let path = options.socket.clone().unwrap_or_else(|| options.folder.socket());
    let uid = options.allowed_uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let socket =
        LocalSocket::open(path.clone(), uid).map_err(|source| DaemonError::Socket { path, source })?;
    // Before the folder is read: a key that comes in between is not missed.
    let watch = KeyWatch::open(&options.folder);

    let identity = options.identity.clone();
    let session_bus = options.session_bus.clone();
    let shared = Arc::new(load(options)?);
    let asked = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(link::run(Arc::clone(&shared)));
    tasks.spawn(updates::run(Arc::clone(&shared)));
    if shared.screen().is_some() {
        tasks.spawn(screen::run(Arc::clone(&shared)));
    }
    if let Some(bus) = session_bus {
        tasks.spawn(dbus::run(Arc::clone(&shared), bus));
    }
    tasks.spawn(key_file::run(Arc::clone(&shared), watch, identity));
    tasks.spawn(crate::idle::run(shared.sessions.clone()));
    tasks.spawn(socket.serve(Arc::clone(&shared), Arc::clone(&asked)));
    ready();

    tokio::select! {
        () = stop => {}
        () = asked.notified() => {}
        ended = tasks.join_next() => {
            if let Some(Err(crash)) = ended {
                return Err(crash.into());
            }
        }
    }
    tracing::info!("stopping");
    shared.sessions.end_all("The device's client was stopped.");
    let _ = timeout(GOODBYE, shared.sessions.none_left()).await;
    tasks.shutdown().await;
    Ok(())
}

/// Reads the folder: settings, and the sign-in if it was made on this board.
fn load(options: Options) -> Result<Shared, DaemonError> {
    let Options { folder, platform, starter, timing, random, screen, .. } = options;
    let serial = platform.serial_number(&folder, &*random)?;
    let (settings, problem) = match folder.settings() {
        Ok(settings) => (settings, None),
        Err(error) => {
            tracing::error!(%error, "the settings cannot be read; nothing is allowed until they are mended");
            (Settings::NOTHING, Some(format!("{error}; mend it with rpi-connect shell on or off")))
        }
    };
    let stored = folder.token();
    let sessions = Sessions::new(starter, Arc::clone(&random), timing.report);
    let shared = Shared::new(folder, platform, serial, settings, timing, random, sessions);
    let shared = shared.with_screen(screen);
    shared.set_problem(problem);
    match stored {
        Ok(None) => {}
        Ok(Some(token)) if token.serial_number == shared.serial_number => match shared.credential_of(token) {
            Ok(credential) => shared.adopt(credential),
            Err(error) => {
                tracing::error!(%error, "the stored sign-in cannot be used");
                shared.set_problem(Some(error.to_string()));
            }
        },
        Ok(Some(_)) => {
            // A cloned card must not sign out the original: nobody is told.
            shared.folder.delete_token()?;
            tracing::warn!("{MOVED}");
            shared.set_problem(Some(MOVED.to_owned()));
        }
        Err(error) => {
            tracing::error!(%error, "the stored sign-in cannot be read");
            shared.set_problem(Some(format!("{error}; sign in again with rpi-connect signin")));
        }
    }
    Ok(shared)
}

const MOVED: &str = "This card was signed in on another board (the serial number differs), so the sign-in was \
                     deleted here. Sign this board in with rpi-connect signin.";

/// The daemon's arguments.
#[derive(Debug, Parser)]
#[command(
    name = "rpi-connectd",
    version,
    about = "Keeps this device linked to its server and serves its sessions"
)]
struct Arguments {
    /// Log more
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    screen: screen::ScreenArguments,
    /// Detach from the terminal, say "ready" and close standard output
    #[arg(long, hide = true)]
    background: bool,
}

/// The whole of the program `rpi-connectd`.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    crate::descriptor::keep_from_children();
    log_to_stderr(arguments.verbose);
    // A core dump would hold the token, and no process of the user may look into this one.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if arguments.background {
        // It fails only for a process that already leads its session.
        let _ = rustix::process::setsid();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // One for the link, one for a session that is busy; more only cost memory on a small board.
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(serve(arguments)),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), String> {
    let stop = signals().map_err(|error| error.to_string())?;
    let folder = StateFolder::from_environment().map_err(|error| error.to_string())?;
    let platform = Platform::from_environment();
    let identity = OwnKey::of(&platform).unwrap_or_else(|error| {
        // The same file names the server; whoever signs in hears of it.
        tracing::warn!(%error, "no device identity is used");
        None
    });
    let screen = screen::at(&folder, arguments.screen);
    let starter = crate::control::sessions::starter(&folder, screen.clone(), Arc::new(OsRandom));
    let mut options = Options::new(folder, platform, starter);
    options.screen = screen;
    options.identity = identity;
    options.session_bus = Some(SessionBus::OfUser);
    let background = arguments.background;
    run(options, move || say_ready(background), stop).await.map_err(|error| error.to_string())
}

pub(crate) fn log_to_stderr(verbose: bool) {
    let level = if verbose { tracing::Level::DEBUG } else { tracing::Level::INFO };
    // Only our own words in detail: a library's debug log could quote a header.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_target("bramble_agent", level)
        // It warns of every check that a relay refuses, and names the visitor's address each time.
        .with_target("turn_client_proto", tracing::Level::ERROR)
        .with_default(tracing::Level::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    // The journal has its own time stamps.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let registry = tracing_subscriber::registry().with(filter);
    if journal {
        registry.with(lines.without_time().with_ansi(false)).init();
    } else {
        registry.with(lines.with_ansi(io::stderr().is_terminal())).init();
    }
}

/// Comes with SIGTERM, SIGINT or SIGHUP.
fn signals() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// Tells systemd, or whoever started this in the background.
fn say_ready(background: bool) {
    notify_systemd();
    if background {
        let mut out = io::stdout();
        let _ = writeln!(out, "{}", crate::cli::READY);
        let _ = out.flush();
        // The other side waits for nothing more, and the descriptor must not stay open for its pipe.
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stdout(null);
        }
    }
}

/// `sd_notify(3)` in the one form that is needed.
pub(crate) fn notify_systemd() {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let send = || -> io::Result<()> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        let bytes = address.as_bytes();
        let address = match bytes.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&address)?,
        };
        socket.send_to_addr(b"READY=1\n", &address).map(|_| ())
    };
    if let Err(error) = send() {
        tracing::warn!(%error, "systemd could not be told that the daemon is ready");
    }
}
