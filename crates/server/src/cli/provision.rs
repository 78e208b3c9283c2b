//! `bramble provision`: auth keys for many devices, each in a folder of its own with what cloud-init needs.

use super::{configuration, keys, operators, organisation, refuse, required, start_logging, text};
use crate::admin::{self, Request, Response};
use crate::config::{Config, LogFormat};
use bramble_wire::AccountId;
use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Devices of one command.
const MAX_COUNT: u32 = 10_000;
/// Where the client looks for a key, below its user's home.
const KEY_PATH: &str = ".config/com.raspberrypi.connect/auth.key";

pub(super) fn command() -> Command {
    let count = Arg::new("count")
        .long("count")
        .value_name("N")
        .required(true)
        .value_parser(value_parser!(u32).range(1..=i64::from(MAX_COUNT)))
        .help("How many devices");
    let first = Arg::new("first")
        .long("first")
        .value_name("N")
        .default_value("1")
        .value_parser(value_parser!(u32).range(0..=1_000_000_000))
        .help("The number of the first one");
    operators(Command::new("provision").about("Make auth keys for many devices, with files for their images"))
        .arg(required("org", "ID", "The organisation's id, from `bramble org list`"))
        .arg(count)
        .arg(first)
        .arg(required(
            "name-pattern",
            "PATTERN",
            "Their names: {} is the number, {:03} the number with zeros",
        ))
        .arg(keys::tags())
        .arg(keys::ttl_days())
        .arg(
            Arg::new("device-user")
                .long("device-user")
                .value_name("USER")
                .default_value("pi")
                .help("Whose home on the devices"),
        )
        .arg(required("out", "DIR", "A new folder for the files; they are secrets"))
}

/// What is asked for.
struct Wish {
    organisation: AccountId,
    names: Vec<String>,
    tags: Vec<String>,
    ttl_days: Option<u16>,
    user: String,
    out: PathBuf,
}

pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let wish = match wish(matches) {
        Ok(wish) => wish,
        Err(why) => return fail(&why),
    };
    let config = match configuration(matches) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    start_logging(LogFormat::Text, "warn");
    let json = matches.get_flag("json");
    super::run(async move {
        match provision(&config, &wish).await {
            Ok(keys) if json => super::print(Value::Array(keys)),
            Ok(keys) => super::print(format!(
                "Made {} auth keys in {}. Whoever can read the folder can link devices with them.",
                keys.len(),
                wish.out.display()
            )),
            Err(why) => fail(&why),
        }
    })
}

fn fail(why: &str) -> ExitCode {
    eprintln!("bramble: {why}");
    ExitCode::FAILURE
}

fn wish(matches: &ArgMatches) -> Result<Wish, String> {
    let number = |name: &str| matches.get_one::<u32>(name).copied().unwrap_or_default();
    let (count, first) = (number("count"), number("first"));
    let user = text(matches, "device-user");
    if !is_plain(&user) {
        return Err(format!("“{user}” is no name of a user."));
    }
    Ok(Wish {
        organisation: organisation(matches)?,
        names: names(&text(matches, "name-pattern"), first, count)?,
        tags: keys::tags_of(matches),
        ttl_days: matches.get_one("ttl-days").copied(),
        user,
        out: PathBuf::from(text(matches, "out")),
    })
}

/// Names become names of folders.
fn is_plain(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    (1..=64).contains(&name.len()) && letters && !name.starts_with(['.', '-'])
}

/// `kiosk-{:03}`, from 1: `kiosk-001`, `kiosk-002`.
fn names(pattern: &str, first: u32, count: u32) -> Result<Vec<String>, String> {
    let wrong = || format!("“{pattern}” needs one {{}} or {{:03}} for the number.");
    let (before, rest) = pattern.split_once('{').ok_or_else(wrong)?;
    let (inside, after) = rest.split_once('}').ok_or_else(wrong)?;
    let width = match inside.strip_prefix(":0") {
        Some(digits) => digits.parse::<usize>().ok().filter(|width| (1..=9).contains(width)),
        None => inside.is_empty().then_some(0),
    };
    let width = width.filter(|_| !after.contains(['{', '}'])).ok_or_else(wrong)?;
    let names: Vec<String> =
        (first..first.saturating_add(count)).map(|n| format!("{before}{n:0width$}{after}")).collect();
    match names.iter().find(|name| !is_plain(name)) {
        Some(name) => {
            Err(format!("“{name}” cannot be a folder: use letters, digits, dots, hyphens, underscores."))
        }
        None => Ok(names),
    }
}

async fn provision(config: &Config, wish: &Wish) -> Result<Vec<Value>, String> {
    let out = wish.out.display();
    // Before any key is made. It must be new: no key of an earlier run is overwritten.
    folder(&wish.out).map_err(|error| format!("{out} cannot be made: {error}"))?;
    let mut table = String::from("device_name,auth_key_id,expires_at,auth_key,user_data\r\n");
    let mut made = Vec::new();
    for names in wish.names.chunks(admin::MAX_KEYS) {
        let request = Request::OrgAuthKeysCreate {
            organisation: wish.organisation,
            description: String::new(),
            device_names: names.to_vec(),
            tags: wish.tags.clone(),
            ttl_days: wish.ttl_days,
        };
        let answer = match admin::client::ask(config.clone(), request).await {
            Response::Done { json, .. } => json,
            Response::Refused { text, .. } => {
                return Err(format!("{text} {} keys were made before.", made.len()));
            }
        };
        let server = answer["server"].as_str().unwrap_or_default();
        for key in answer["auth_keys"].as_array().into_iter().flatten() {
            let line =
                write(wish, server, key).map_err(|error| format!("{out} cannot be written: {error}"))?;
            table.push_str(&line);
            let mut shown = key.clone();
            if let Some(fields) = shown.as_object_mut() {
                fields.remove("secret");
            }
            made.push(shown);
        }
    }
    file(&wish.out.join("devices.csv"), &table)
        .map_err(|error| format!("{out} cannot be written: {error}"))?;
    Ok(made)
}

/// Writes what one device needs. Its line of the table has no secret.
fn write(wish: &Wish, server: &str, key: &Value) -> io::Result<String> {
    let field = |name: &str| key[name].as_str().unwrap_or_default();
    let (name, secret) = (field("device_name"), field("secret"));
    let place = wish.out.join(name);
    folder(&place)?;
    file(&place.join("auth.key"), &format!("{secret}\n"))?;
    file(&place.join("user-data"), &user_data(&wish.user, server, secret))?;
    let expires = key["expires_at"].as_i64().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let expires = expires.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
    let id = field("id");
    Ok(format!("{name},{id},{expires},{name}/auth.key,{name}/user-data\r\n"))
}

/// What cloud-init writes at the first start. The server's address comes first: the client reads it when
/// the key appears.
fn user_data(user: &str, server: &str, secret: &str) -> String {
    let home = if user == "root" { "/root".to_owned() } else { format!("/home/{user}") };
    let mut text = String::from("#cloud-config\nwrite_files:\n");
    let _ = write!(
        text,
        "- path: /etc/rpi-connect/config.toml\n  permissions: '0644'\n  content: |\n    server = \"{server}\"\n"
    );
    text.push_str("runcmd:\n");
    let _ = writeln!(
        text,
        "- [install, -d, -o, {user}, -g, {user}, -m, '0700', {home}/.config, {home}/.config/com.raspberrypi.connect]"
    );
    let _ = writeln!(
        text,
        "- [sh, -c, \"umask 077; printf '%s\\\\n' {secret} > {home}/{KEY_PATH}.new && chown {user}:{user} {home}/{KEY_PATH}.new && mv {home}/{KEY_PATH}.new {home}/{KEY_PATH}\"]"
    );
    text
}

fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn file(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_names() {
        assert_eq!(names("kiosk-{:03}", 1, 2), Ok(vec!["kiosk-001".to_owned(), "kiosk-002".to_owned()]));
        assert_eq!(names("k{}x", 9, 2), Ok(vec!["k9x".to_owned(), "k10x".to_owned()]));
        assert_eq!(names("{:02}", 99, 2), Ok(vec!["99".to_owned(), "100".to_owned()]));
        for bad in
            ["kiosk", "{", "{}{}", "{:3}", "{:00}", "{:010}", "../{}", "a b{}", ".{}", "{x}", "a}{}", "é{}"]
        {
            assert!(names(bad, 1, 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_snippet_puts_the_key_where_the_client_looks() {
        let text = user_data("pi", "https://pi.example", "rpoak_x");
        assert!(text.starts_with("#cloud-config\n") && text.contains("server = \"https://pi.example\""));
        assert!(text.contains("mv /home/pi/.config/com.raspberrypi.connect/auth.key.new "));
    }
}
