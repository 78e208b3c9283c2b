//! Start, signals and stop of the process, as its supervisor sees it.
//!
//! SIGTERM or SIGINT: stop taking connections, finish requests, end streams, exit within 10 s; a
//! second one exits at once. SIGHUP reads certificate and key again. systemd hears READY and STOPPING.
//! A task that must not end but does stops the server with a failing exit code.

use crate::app::{App, Ctx, Server};
use crate::config::Config;
use crate::start::StartError;
use crate::{accounts, admin};
use bramble_model::{OsRandom, SystemClock};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::Future;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The whole stop takes no longer; a supervisor that waits 10 s never has to kill.
const STOP: Duration = Duration::from_secs(9);

/// Runs a server until it is told to stop.
pub async fn run(config: Config) -> ExitCode {
    raise_open_files();
    // Whatever is made in the data folder is for this user alone.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    // Heard from the first moment: whoever sees the port open may ask for the end.
    let (mut stop, mut hang_up) = match (Stop::new(), signal(SignalKind::hangup())) {
        (Ok(stop), Ok(hang_up)) => (stop, hang_up),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("bramble: signals cannot be heard: {error}");
            return ExitCode::FAILURE;
        }
    };
    let server = match start(config).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("bramble: {error}");
            return ExitCode::FAILURE;
        }
    };
    let url = server.app.config.origin();
    tracing::info!(address = %server.front_door.address(), %url, "Bramble is up");
    notify("READY=1");
    let crashed = server.app.crashed.clone();
    let exit = loop {
        tokio::select! {
            () = stop.asked() => break ExitCode::SUCCESS,
            () = crashed.cancelled() => break ExitCode::FAILURE,
            _ = hang_up.recv() => reload(&server),
        }
    };
    notify("STOPPING=1");
    tracing::info!("stopping: running requests may finish, streams are told to connect again");
    tokio::select! {
        done = tokio::time::timeout(STOP, server.shutdown()) => match done {
            Ok(()) => exit,
            Err(_) => ExitCode::FAILURE,
        },
        () = stop.asked() => {
            tracing::warn!("stopped at once");
            ExitCode::FAILURE
        }
    }
}

async fn start(config: Config) -> Result<Server, StartError> {
    let app = App::build(config, Arc::new(SystemClock), Arc::new(OsRandom)).await?;
    let server = Server::listen(app).await?;
    admin::socket::listen(&server.app)?;
    accounts::announce_set_up(&server.app).await?;
    Ok(server)
}

fn reload(server: &Server) {
    let relay = || server.app.relay.as_ref().map_or(Ok(()), crate::relaying::Relaying::reload);
    match server.front_door.reload().and_then(|()| relay()) {
        Ok(()) => tracing::info!("certificate and key were read again"),
        Err(error) => tracing::error!(%error, "the former certificate stays in use"),
    }
}

/// Starts work without which the server is no use: if it ends before the server stops, everything does.
pub fn spawn_essential<F>(app: &Ctx, name: &'static str, work: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let app = Arc::clone(app);
    let running = app.tasks.spawn(work);
    tokio::spawn(async move {
        let ended = running.await;
        if !app.stopping.is_cancelled() {
            tracing::error!(
                task = name,
                panicked = ended.is_err(),
                "an essential part ended; the server stops"
            );
            app.crashed.cancel();
        }
    });
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Each connection is a file; the default of 1024 is for programs with few.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the number of open files could not be raised");
    }
}

/// Tells systemd, if it listens.
fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let text = path.to_string_lossy();
    let address = match text.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let told = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
