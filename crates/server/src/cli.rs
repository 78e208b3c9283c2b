//! The command line.

use crate::app::{App, Server};
use crate::config::settings::ALL;
use crate::config::{Config, LogFormat, Values, check};
use bramble_model::{OsRandom, SystemClock};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the program.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("serve", matches)) => serve(matches),
        Some(("config", matches)) => match matches.subcommand() {
            Some(("check", matches)) => config_check(matches),
            _ => ExitCode::from(2),
        },
        _ => ExitCode::from(2),
    }
}

/// The whole command line, for the program, its completions and its manual page.
pub fn command() -> Command {
    Command::new("bramble")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Reach your devices' shells and screens from any browser, on your own server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(Command::new("serve").about("Run the server")))
        .subcommand(
            Command::new("config").about("Look at the configuration").subcommand_required(true).subcommand(
                with_settings(
                    Command::new("check")
                        .about("Show every effective value, where it comes from, and what is wrong")
                        .arg(json()),
                ),
            ),
        )
}

fn json() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Answer in JSON")
}

fn with_settings(command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("The settings file (TOML) [default: DIR/bramble.toml]");
    ALL.iter().fold(command.arg(config), |command, setting| {
        let mut help = setting.help.to_owned();
        if let Some(default) = setting.default {
            help = format!("{help} [default: {default}]");
        }
        let mut arg = Arg::new(setting.name).long(setting.name).value_name(setting.value_name).help(help);
        if setting.switch {
            arg = arg.num_args(0..=1).default_missing_value("true").require_equals(true);
        }
        command.arg(arg)
    })
}

fn gather(matches: &ArgMatches) -> (Values, Vec<crate::config::Problem>) {
    let file = matches.get_one::<String>("config").map(PathBuf::from);
    Values::gather(
        |name| matches.get_one::<String>(name).cloned(),
        |variable| std::env::var(variable).ok().filter(|text| !text.is_empty()),
        file.as_deref(),
    )
}

fn config_check(matches: &ArgMatches) -> ExitCode {
    let (values, problems) = gather(matches);
    let report = check::check(&values, problems);
    if matches.get_flag("json") {
        println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        println!("{report}");
    }
    if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn serve(matches: &ArgMatches) -> ExitCode {
    let (values, mut problems) = gather(matches);
    let config = match Config::from_values(&values) {
        Ok(config) if problems.is_empty() => config,
        Ok(_) => return refuse(&problems),
        Err(more) => {
            problems.extend(more);
            return refuse(&problems);
        }
    };
    start_logging(config.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bramble: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(config))
}

async fn run(config: Config) -> ExitCode {
    let server = async {
        let app = App::build(config, Arc::new(SystemClock), Arc::new(OsRandom)).await?;
        crate::accounts::announce_set_up(&app).await?;
        Server::listen(app).await
    };
    let server = match server.await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("bramble: {error}");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!(address = %server.front_door.address(), url = %server.app.config.origin(), "Bramble is up");
    let _ = tokio::signal::ctrl_c().await;
    server.shutdown().await;
    ExitCode::SUCCESS
}

fn refuse(problems: &[crate::config::Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("bramble: {problem}");
    }
    ExitCode::FAILURE
}

fn start_logging(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BRAMBLE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
