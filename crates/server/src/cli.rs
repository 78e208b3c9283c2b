//! The command line.

mod keys;
mod provision;

use crate::admin::{self, Request, Response};
use crate::config::settings::ALL;
use crate::config::{Config, LogFormat, Problem, Values, check};
use crate::lifecycle;
use bramble_wire::{AccountId, MailId};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Bytes of a password on standard input, its line feed included.
const MAX_PASSWORD: u64 = 1025;

/// Runs the program.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let nested = |matches: &ArgMatches| matches.subcommand().map(|(name, m)| (name.to_owned(), m.clone()));
    let Some((first, matches)) = nested(&matches) else { return ExitCode::from(2) };
    if first == "serve" {
        return serve(&matches);
    }
    if first == "provision" {
        return provision::run(&matches);
    }
    let Some((second, matches)) = nested(&matches) else { return ExitCode::from(2) };
    match (first.as_str(), second.as_str()) {
        ("config", "check") => config_check(&matches),
        ("user", "create") => operate(&matches, user_create(&matches)),
        ("user", "list") => operate(&matches, Ok(user_list(&matches))),
        ("user", "disable") => operate(&matches, Ok(user_disable(&matches))),
        ("user", "enable") => operate(&matches, Ok(Request::UserEnable { email: text(&matches, "email") })),
        ("user", "reset-2fa") => {
            operate(&matches, Ok(Request::UserResetTwoFactor { email: text(&matches, "email") }))
        }
        ("org", "create") => operate(&matches, Ok(org_create(&matches))),
        ("org", "list") => operate(&matches, org_list(&matches)),
        ("org", "billing") => operate(&matches, org_billing(&matches)),
        ("auth-key", "create") => operate(&matches, keys::auth_key_create(&matches)),
        ("token", "create") => operate(&matches, keys::token_create(&matches)),
        ("identity", "release") => operate(&matches, keys::identity_release(&matches)),
        ("deployment-key", "rotate") => operate(&matches, Ok(Request::DeploymentKeyRotate)),
        ("mail", "list") => operate(&matches, Ok(Request::MailList)),
        ("mail", "show") => operate(&matches, mail_show(&matches)),
        _ => ExitCode::from(2),
    }
}

/// The whole command line, for the program, its completions and its manual page.
pub fn command() -> Command {
    let group = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).subcommand_required(true).arg_required_else_help(true)
    };
    Command::new("bramble")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Reach your devices' shells and screens from any browser, on your own server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(
            Command::new("serve").about("Run the server").after_help(
                "Every setting can also come from the environment (BRAMBLE_PUBLIC_URL for --public-url) or from \
                 the settings file (public-url = \"…\"). Flags win over the environment, the environment over \
                 the file.",
            ),
        ))
        .subcommand(group("config", "Look at the configuration").subcommand(with_settings(
            Command::new("check").arg(json()).about(
                "Show every effective value, where it comes from, and what is wrong; exit code 1 if anything is",
            ),
        )))
        .subcommand(
            group("user", "People")
                .subcommand(user_create_command())
                .subcommand(list("List everybody who has an account, by address: a thousand at a time", "EMAIL"))
                .subcommand(user_disable_command())
                .subcommand(person("enable", "Let somebody in again who was disabled"))
                .subcommand(person("reset-2fa", "Remove app and passkeys of somebody who lost them")),
        )
        .subcommand(
            group("org", "Organisations")
                .subcommand(org_create_command())
                .subcommand(list("List every organisation: a thousand at a time", "ID"))
                .subcommand(org_billing_command()),
        )
        .subcommand(group("auth-key", "Keys that link a device").subcommand(keys::auth_key_create_command()))
        .subcommand(provision::command())
        .subcommand(group("token", "Tokens of the management API").subcommand(keys::token_create_command()))
        .subcommand(group("identity", "Key pairs of devices").subcommand(keys::identity_release_command()))
        .subcommand(group("deployment-key", "The key with which remote updates are signed").subcommand(operators(
            Command::new("rotate").about("Make a new key for signing remote updates").long_about(
                "Make a new key for signing remote updates. Devices follow it because the old one vouches for it: \
                 this helps against a key that grew old, not against one that was stolen.",
            ),
        )))
        .subcommand(
            group("mail", "The outbox, above all where no mail server is configured")
                .subcommand(operators(Command::new("list").about("List the newest messages")))
                .subcommand(operators(
                    Command::new("show")
                        .about("Show one message with its links")
                        .arg(Arg::new("id").value_name("ID").required(true).help("From `bramble mail list`")),
                )),
        )
}

fn user_create_command() -> Command {
    operators(Command::new("create").about("Create an account for somebody"))
        .arg(required("email", "EMAIL", "Their address"))
        .arg(required("name", "NAME", "Their name as others see it"))
        .arg(
            switch("password-stdin", "Read the password from the first line of standard input")
                .required(true),
        )
        .arg(switch(
            "verified",
            "Take the address as proved; otherwise they must open a link in a mail first",
        ))
}

fn person(name: &'static str, about: &'static str) -> Command {
    operators(Command::new(name).about(about)).arg(required("email", "EMAIL", "Their address"))
}

/// A list in parts; each says what the next begins after.
fn list(about: &'static str, what: &'static str) -> Command {
    let after = "Go on after this one; the part before says after which";
    operators(Command::new("list").about(about))
        .arg(Arg::new("after").long("after").value_name(what).help(after))
}

fn user_disable_command() -> Command {
    let force = "Also if an organisation is left without an administrator who can sign in";
    let about =
        "Keep somebody out: sign them out everywhere, end their sessions, take back their invitations";
    let more = "Keep somebody out: sign them out everywhere, end their sessions, take back the invitations that they \
                sent. What they made for organisations stays: auth keys and API tokens that still work are \
                named, for administrators to decide.";
    person("disable", about).long_about(more).arg(switch("force", force))
}

fn org_create_command() -> Command {
    operators(Command::new("create").about("Create an organisation for somebody who has an account"))
        .arg(required("name", "NAME", "Its name"))
        .arg(required("administrator", "EMAIL", "Who administers it and can invite others"))
}

fn org_billing_command() -> Command {
    operators(
        Command::new("billing").about(
            "Note how an organisation pays; one whose billing ended has no remote access and no updates",
        ),
    )
    .arg(Arg::new("org").value_name("ID").required(true).help("From `bramble org list`"))
    .arg(
        Arg::new("billing")
            .value_name("trial|paid|ended")
            .required(true)
            .value_parser(["trial", "paid", "ended"])
            .help("How it pays"),
    )
}

fn required(name: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value_name).required(true).help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn json() -> Arg {
    switch("json", "Answer in JSON")
}

fn config_file() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("The settings file (TOML) [default: DIR/bramble.toml]")
}

fn operators(command: Command) -> Command {
    let data = Arg::new("data").long("data").value_name("DIR").help("The server's data folder");
    command.arg(data).arg(config_file()).arg(json()).after_help(
        "Asks the running server through DIR/admin.sock; without a running server it does the work itself.",
    )
}

fn with_settings(command: Command) -> Command {
    ALL.iter().fold(command.arg(config_file()), |command, setting| {
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

fn gather(matches: &ArgMatches) -> (Values, Vec<Problem>) {
    let file = matches.get_one::<String>("config").map(PathBuf::from);
    Values::gather(
        // Operator's commands have few of the settings as flags.
        |name| matches.try_get_one::<String>(name).ok().flatten().cloned(),
        |variable| std::env::var(variable).ok().filter(|text| !text.is_empty()),
        file.as_deref(),
    )
}

fn configuration(matches: &ArgMatches) -> Result<Config, Vec<Problem>> {
    let (values, mut problems) = gather(matches);
    match Config::from_values(&values) {
        Ok(config) if problems.is_empty() => Ok(config),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

fn config_check(matches: &ArgMatches) -> ExitCode {
    let (values, problems) = gather(matches);
    let report = check::check(&values, problems);
    let printed = if matches.get_flag("json") {
        print(serde_json::to_string_pretty(&report).unwrap_or_default())
    } else {
        print(&report)
    };
    if report.problems.is_empty() { printed } else { ExitCode::FAILURE }
}

fn serve(matches: &ArgMatches) -> ExitCode {
    match configuration(matches) {
        Ok(config) => {
            start_logging(config.log_format, "info,sea_orm_migration=warn");
            run(lifecycle::run(config))
        }
        Err(problems) => refuse(&problems),
    }
}

fn operate(matches: &ArgMatches, request: Result<Request, String>) -> ExitCode {
    let request = match request {
        Ok(request) => request,
        Err(text) => {
            eprintln!("bramble: {text}");
            return ExitCode::FAILURE;
        }
    };
    let config = match configuration(matches) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    start_logging(LogFormat::Text, "warn");
    let json = matches.get_flag("json");
    run(async move {
        match admin::client::ask(config, request).await {
            Response::Done { json: value, .. } if json => print(value),
            Response::Done { text, .. } => print(text),
            Response::Refused { text, json: value } => {
                eprintln!("bramble: {text}");
                if json && !value.is_null() {
                    print(value);
                }
                ExitCode::FAILURE
            }
        }
    })
}

fn run(work: impl std::future::Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(work);
            // What was cut off is not waited for a second time.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            eprintln!("bramble: the runtime does not start: {error}");
            ExitCode::FAILURE
        }
    }
}

fn user_create(matches: &ArgMatches) -> Result<Request, String> {
    let mut password = String::new();
    let read = std::io::stdin().lock().take(MAX_PASSWORD).read_to_string(&mut password);
    read.map_err(|error| format!("the password cannot be read from standard input: {error}"))?;
    let password = password.lines().next().unwrap_or_default().to_owned();
    Ok(Request::UserCreate {
        email: text(matches, "email"),
        name: text(matches, "name"),
        password,
        verified: matches.get_flag("verified"),
    })
}

fn user_list(matches: &ArgMatches) -> Request {
    Request::UserList { after: text(matches, "after") }
}

fn org_list(matches: &ArgMatches) -> Result<Request, String> {
    let after = matches.get_one::<String>("after").map(|id| {
        id.parse().map_err(|_| format!("“{id}” is not the id of an organisation. See `bramble org list`."))
    });
    Ok(Request::OrgList { after: after.transpose()? })
}

fn user_disable(matches: &ArgMatches) -> Request {
    Request::UserDisable { email: text(matches, "email"), force: matches.get_flag("force") }
}

fn org_create(matches: &ArgMatches) -> Request {
    Request::OrgCreate { name: text(matches, "name"), administrator: text(matches, "administrator") }
}

fn org_billing(matches: &ArgMatches) -> Result<Request, String> {
    Ok(Request::OrgBilling { organisation: organisation(matches)?, billing: text(matches, "billing") })
}

fn organisation(matches: &ArgMatches) -> Result<AccountId, String> {
    let id = text(matches, "org");
    id.parse().map_err(|_| format!("“{id}” is not the id of an organisation."))
}

fn mail_show(matches: &ArgMatches) -> Result<Request, String> {
    let id = text(matches, "id");
    let id: MailId =
        id.parse().map_err(|_| format!("“{id}” is not the id of a mail. See `bramble mail list`."))?;
    Ok(Request::MailShow { id })
}

fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

/// Prints an answer. Whoever stopped reading (`| head -1`) has read enough.
fn print(answer: impl std::fmt::Display) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{answer}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("bramble: the answer cannot be written: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn refuse(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("bramble: {problem}");
    }
    ExitCode::FAILURE
}

fn start_logging(format: LogFormat, level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BRAMBLE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let colours = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
