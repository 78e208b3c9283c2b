//! Keys, tokens and identities on the command line.

use super::{operators, organisation, required, text};
use crate::admin::Request;
use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};
use std::io::Read;

/// Bytes of a public key.
const MAX_KEY: u64 = 4096;

pub(super) fn auth_key_create_command() -> Command {
    operators(Command::new("create").about("Create a key that links one device"))
        .arg(Arg::new("user").long("user").value_name("EMAIL").help("Whose personal account"))
        .arg(Arg::new("org").long("org").value_name("ID").help("Or which organisation, by its id"))
        .group(ArgGroup::new("account").args(["user", "org"]).required(true))
        .arg(required("description", "TEXT", "What the key is for"))
        .arg(ttl_days())
        .arg(
            Arg::new("device-name")
                .long("device-name")
                .value_name("NAME")
                .requires("org")
                .help("The name that the device gets, if not its host name"),
        )
        .arg(tags().requires("org"))
}

pub(super) fn ttl_days() -> Arg {
    Arg::new("ttl-days")
        .long("ttl-days")
        .value_name("N")
        .value_parser(value_parser!(u16).range(1..=90))
        .help("Days until it expires, 1 to 90")
}

pub(super) fn tags() -> Arg {
    Arg::new("tags")
        .long("tags")
        .value_name("A,B")
        .value_delimiter(',')
        .help("The tags that the device gets, separated by commas")
}

pub(super) fn tags_of(matches: &ArgMatches) -> Vec<String> {
    matches.get_many::<String>("tags").into_iter().flatten().cloned().collect()
}

pub(super) fn token_create_command() -> Command {
    operators(Command::new("create").about("Create a management API access token of an organisation"))
        .arg(required("org", "ID", "The organisation's id, as in the address of its pages"))
        .arg(required("description", "TEXT", "What the token is for"))
}

pub(super) fn identity_release_command() -> Command {
    operators(
        Command::new("release")
            .about("Free the key of a board that changed hands; the entry that it linked is signed out"),
    )
    .arg(required("public-key", "FILE", "The board's public key (PEM); - reads standard input"))
}

pub(super) fn auth_key_create(matches: &ArgMatches) -> Result<Request, String> {
    let (description, ttl_days) = (text(matches, "description"), matches.get_one("ttl-days").copied());
    if matches.contains_id("org") {
        return Ok(Request::OrgAuthKeysCreate {
            organisation: organisation(matches)?,
            description,
            device_names: matches.get_one::<String>("device-name").cloned().into_iter().collect(),
            tags: tags_of(matches),
            ttl_days,
        });
    }
    Ok(Request::AuthKeyCreate { user: text(matches, "user"), description, ttl_days })
}

pub(super) fn token_create(matches: &ArgMatches) -> Result<Request, String> {
    Ok(Request::TokenCreate {
        organisation: organisation(matches)?,
        description: text(matches, "description"),
    })
}

pub(super) fn identity_release(matches: &ArgMatches) -> Result<Request, String> {
    let path = text(matches, "public-key");
    let read = |mut from: Box<dyn Read>| {
        let mut text = String::new();
        from.by_ref().take(MAX_KEY).read_to_string(&mut text).map(|_| text)
    };
    let key = match path.as_str() {
        "-" => read(Box::new(std::io::stdin())),
        _ => std::fs::File::open(&path).and_then(|file| read(Box::new(file))),
    };
    let public_key = key.map_err(|error| format!("{path} cannot be read: {error}"))?;
    Ok(Request::IdentityRelease { public_key })
}
