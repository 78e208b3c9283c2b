//! `rpi-ota-connector`: the root service behind `com.raspberrypi.ota`, and what `rpi-connect ota on|off`
//! runs as root.
//!
//! What it is not: it asks no server and reads no user's home. It hears orders of one user's daemon, and
//! believes nothing but a signature of the server that the administrator named.

mod interface;
mod opt_in;

use super::{
    artefact::leftovers,
    engine::{Engine, Options, Refusal},
};
use clap::{Parser, Subcommand};
use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Between the end of an update and a restart that it asked for: the daemon reports meanwhile. If it does
/// not, it reports afterwards.
const REPORT_TIME: Duration = Duration::from_secs(5);
/// How often a system that is tried is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Applies remote updates.
#[derive(Debug, Parser)]
#[command(
    name = "rpi-ota-connector",
    version,
    about = "Applies remote updates that this device's server ordered"
)]
struct Arguments {
    /// Everything it touches is below this folder (for tests)
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    root: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the trust file; what to trust is read from standard input
    #[command(hide = true)]
    Allow,
    /// Remove the trust file
    #[command(hide = true)]
    Forbid,
}

/// The whole of the program `rpi-ota-connector`.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    crate::descriptor::keep_from_children();
    // Files of this program are root's business, whoever started it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let result = match arguments.command {
        Some(Command::Allow) => opt_in::allow(&arguments.root),
        Some(Command::Forbid) => opt_in::forbid(&arguments.root),
        None => {
            crate::daemon::log_to_stderr(false);
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.map_err(|error| error.to_string()).and_then(|it| it.block_on(serve(arguments.root)))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(root: PathBuf) -> Result<(), String> {
    // It costs nothing but what scripts leave running, if this kernel cannot do it.
    if let Err(error) = leftovers::adopt() {
        tracing::warn!(%error, "what scripts leave in other process groups will go on running");
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let engine = Engine::open(Options::below(root.clone()))
        .map_err(|error| format!("the state file cannot be read: {error}"))?;
    let engine = Arc::new(engine);
    engine.recover().map_err(|cut| cut.to_string())?;
    let _connection = interface::serve(Arc::clone(&engine), root)
        .await
        .map_err(|error| format!("the system bus: {error}"))?;
    crate::daemon::notify_systemd();
    tokio::spawn(due(Arc::clone(&engine)));
    tokio::spawn(watch_trial(engine));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Makes a restart that is due, after the daemon had time to report.
async fn due(engine: Arc<Engine>) {
    use super::record::Phase;
    if engine.standing().phase == Phase::Finished {
        tokio::time::sleep(REPORT_TIME).await;
    }
    match engine.restart_if_due() {
        Ok(_) | Err(Refusal::Busy) => {}
        Err(why) => tracing::error!(%why, "the restart that an update needs could not be made"),
    }
}

/// A system that is tried and does not reach the server in time is given up: nobody could mend it from
/// afar.
async fn watch_trial(engine: Arc<Engine>) {
    let since = tokio::time::Instant::now();
    loop {
        let settings = engine.settings();
        let trial = engine.standing().phase == super::record::Phase::Trying;
        if !trial || !settings.auto_commit {
            return;
        }
        if since.elapsed() >= settings.commit_limit {
            if let Err(why) = engine.give_up() {
                tracing::error!(%why, "the tried system could not be given up");
            }
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
