//! A desktop without a monitor, for machines where none runs: sway on a display that exists in memory only,
//! with WayVNC on a socket of its own. Started for a session, shared by all, and stopped a little after the last.

use super::{LOOK, private_folder, wayvnc::OwnWayVnc};
use crate::screen::desktop;
use crate::screen::vnc_server::{ScreenError, Server};
use crate::state::{FOLDER_VARIABLE, ScreenSize};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::sync::Mutex;

/// How long the compositor may take to listen, and then WayVNC: a Pi Zero is slow, and it goes on when the
/// browser that asked for it has given up.
const START: Duration = Duration::from_secs(30);
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// Carries the person's own runtime folder through sway, which is given another.
const USERS_RUNTIME: &str = "RPI_CONNECT_USERS_RUNTIME_DIR";
/// A terminal, whichever there is. Its runtime folder is the person's own again.
const TERMINAL: &str = "WAYLAND_DISPLAY=$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY; XDG_RUNTIME_DIR=${RPI_CONNECT_USERS_RUNTIME_DIR:-$XDG_RUNTIME_DIR}; unset RPI_CONNECT_USERS_RUNTIME_DIR; for it in foot lxterminal xfce4-terminal x-terminal-emulator; do command -v $it >/dev/null && exec $it; done";
/// What wlroots calls the first display that it makes up.
const OUTPUT: &str = "HEADLESS-1";

/// The virtual screen of this device, running or not.
#[derive(Debug)]
pub(crate) struct Headless {
    running: Mutex<Option<Arc<Desk>>>,
    program: PathBuf,
    linger: Duration,
    /// Its owner has it switched on.
    wanted: AtomicBool,
    /// Counts those who have left: only the last one's time stops it.
    left: AtomicU64,
}

/// One that runs.
#[derive(Debug)]
struct Desk {
    size: ScreenSize,
    vnc: OwnWayVnc,
    compositor: Child,
    _folder: tempfile::TempDir,
}

/// For as long as this is there, the virtual screen runs.
#[derive(Debug)]
pub(crate) struct Lease {
    desk: Option<Arc<Desk>>,
    headless: Arc<Headless>,
}

impl Headless {
    /// One that runs this compositor, which must take sway's arguments.
    pub(crate) fn new(program: PathBuf, linger: Duration) -> Self {
        let wanted = AtomicBool::new(false);
        Self { running: Mutex::default(), program, linger, wanted, left: AtomicU64::new(0) }
    }

    /// Its owner switches it on, or off: then it ends at once unless somebody looks at it.
    pub(crate) fn want(self: &Arc<Self>, yes: bool) {
        let was = self.wanted.swap(yes, Ordering::Relaxed);
        if was && !yes {
            self.someone_left();
        }
    }

    /// Ends it after a while, if nobody has looked at it by then.
    fn someone_left(self: &Arc<Self>) {
        let left = self.left.fetch_add(1, Ordering::Relaxed) + 1;
        let linger = if self.wanted.load(Ordering::Relaxed) { self.linger } else { Duration::ZERO };
        let headless = Arc::clone(self);
        // Without a runtime the daemon has ended, and the screen with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(linger).await;
                headless.stop_unless_used(left).await;
            });
        }
    }

    /// Starts it, if it does not run in this size; one that is looked at stays as it is. A start goes on when
    /// nobody waits for it any more: who comes back finds what became of it.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        beside: &Path,
        size: ScreenSize,
    ) -> Result<Lease, ScreenError> {
        let (headless, beside) = (Arc::clone(self), beside.to_owned());
        let start = tokio::spawn(async move { headless.lease_now(&beside, size).await });
        start.await.unwrap_or_else(|_| Err(no_virtual(&"its start broke off")))
    }

    async fn lease_now(self: Arc<Self>, beside: &Path, size: ScreenSize) -> Result<Lease, ScreenError> {
        let mut running = self.running.lock().await;
        let fits = |desk: &Arc<Desk>| desk.is_alive() && (desk.size == size || Arc::strong_count(desk) > 1);
        let desk = match running.take() {
            Some(desk) if fits(&desk) => desk,
            former => {
                stop(former).await;
                Arc::new(Desk::start(&self.program, beside, size).await?)
            }
        };
        *running = Some(Arc::clone(&desk));
        drop(running);
        Ok(Lease { desk: Some(desk), headless: self })
    }

    async fn stop_unless_used(&self, left: u64) {
        let mut running = self.running.lock().await;
        let unused = running.as_ref().is_some_and(|desk| Arc::strong_count(desk) == 1);
        if unused && self.left.load(Ordering::Relaxed) == left {
            stop(running.take()).await;
            tracing::info!("the virtual screen was stopped: nobody looks at it");
        }
    }
}

impl Lease {
    /// Where its VNC server listens.
    pub(crate) fn socket(&self) -> &Path {
        self.desk.as_ref().map_or(Path::new(""), |desk| desk.vnc.socket())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.desk = None;
        self.headless.someone_left();
    }
}

impl Desk {
    async fn start(program: &Path, beside: &Path, size: ScreenSize) -> Result<Self, ScreenError> {
        let folder = private_folder(beside)?;
        let config = folder.path().join("sway.conf");
        std::fs::write(&config, config_of(size)).map_err(|error| no_virtual(&error))?;
        let mut compositor = spawn(program, folder.path(), &config)?;
        let display = first_display(folder.path(), &mut compositor).await?;
        let vnc = OwnWayVnc::start(beside, &display, OUTPUT, START).await?;
        tracing::info!(%size, "a virtual screen was started");
        Ok(Self { size, vnc, compositor, _folder: folder })
    }

    fn is_alive(&self) -> bool {
        Server::Socket(self.vnc.socket().to_owned()).look().is_ok()
    }
}

/// Lets the compositor tell its programs to end. One that does not is killed as it is dropped.
async fn stop(desk: Option<Arc<Desk>>) {
    let Some(Ok(mut desk)) = desk.map(Arc::try_unwrap) else { return };
    let process = desk.compositor.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(process) = process
        && kill_process(process, Signal::TERM).is_ok()
    {
        let _ = tokio::time::timeout(GRACE, desk.compositor.wait()).await;
    }
}

fn no_virtual(why: &dyn std::fmt::Display) -> ScreenError {
    ScreenError::NoVirtual(why.to_string())
}

/// The compositor's sockets are in a folder of its own: nobody takes it for the desktop of a person.
fn spawn(program: &Path, folder: &Path, config: &Path) -> Result<Child, ScreenError> {
    // What is started on it begins at home, as after a log-in.
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_dir());
    super::program(program)
        .current_dir(home.as_deref().unwrap_or(Path::new("/")))
        .arg("--config")
        .arg(config)
        .env("XDG_RUNTIME_DIR", folder)
        .envs(of_terminal(|name| std::env::var_os(name)))
        .env("XDG_SESSION_TYPE", "wayland")
        .env("XDG_CURRENT_DESKTOP", "sway")
        .env("WLR_BACKENDS", "headless")
        .env("WLR_HEADLESS_OUTPUTS", "1")
        .env("WLR_LIBINPUT_NO_DEVICES", "1")
        // Where there is no monitor there may be no GPU either, and WayVNC reads memory best.
        .env("WLR_RENDERER", "pixman")
        // It stays open for as long as this process lives: see `config_of`.
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| no_virtual(&format!("sway cannot be started: {error}")))
}

/// What the terminal needs beside what sway gets, so that `rpi-connect` finds this daemon there.
fn of_terminal(own: impl Fn(&str) -> Option<OsString>) -> Vec<(&'static str, OsString)> {
    let runtime = own("XDG_RUNTIME_DIR").map(|value| (USERS_RUNTIME, value));
    runtime.into_iter().chain(own(FOLDER_VARIABLE).map(|value| (FOLDER_VARIABLE, value))).collect()
}

async fn first_display(folder: &Path, compositor: &mut Child) -> Result<PathBuf, ScreenError> {
    let until = Instant::now() + START;
    loop {
        if let Some(display) = desktop::compositors_in(folder).into_iter().next() {
            return Ok(display);
        }
        if let Ok(Some(status)) = compositor.try_wait() {
            return Err(no_virtual(&format!("sway ended ({status}); it does not run as root")));
        }
        if Instant::now() >= until {
            return Err(no_virtual(&"sway takes too long"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A desktop with a terminal on it. The last line ends it when this process is gone, however it went: nobody
/// writes to that pipe. The name of sway's own socket ends in its process id.
fn config_of(size: ScreenSize) -> String {
    format!(
        r"output {OUTPUT} resolution {size}
default_border pixel 2
set $terminal '{TERMINAL}'
bindsym Mod4+Return exec sh -c $terminal
bindsym Mod4+Shift+q kill
bindsym Mod4+f fullscreen
bindsym Mod4+Left focus left
bindsym Mod4+Right focus right
exec sh -c $terminal
exec sh -c 'cat >/dev/null; sway=${{SWAYSOCK%.sock}}; kill ${{sway##*.}}'
"
    )
}
