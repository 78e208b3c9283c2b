//! `rpi-connect signin`.

use super::{Failure, Place, SignInArguments, commands, say, spinner::Spinner};
use crate::{
    local_api::{Reply, Request, client::Conversation},
    state::{SERVER_VARIABLE, SecretText, ServerUrl},
};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

/// Largest key file, in bytes.
const MAX_KEY: u64 = 4096;
/// Largest authority file, in bytes; it must fit a request.
const MAX_CA: u64 = 128 * 1024;

pub(super) fn run(place: &Place, arguments: &SignInArguments) -> Result<ExitCode, Failure> {
    let auth_key = arguments.auth_key.as_deref().map(key).transpose()?;
    let ca = arguments.ca.as_deref().map(authority).transpose()?;
    let server = match &arguments.server {
        Some(server) => Some(server.clone()),
        // The daemon may have been started without it.
        None => std::env::var(SERVER_VARIABLE).ok().filter(|server| !server.is_empty()),
    };
    // Before anything is sent: a typing error needs no daemon to be found.
    if let Some(server) = &server {
        ServerUrl::parse(server).map_err(Failure::new)?;
    }
    let request = Request::SignIn { auth_key, server, ca };
    let mut conversation = Conversation::start(&place.folder.socket(), &request).map_err(Failure::new)?;
    let mut spinner = Spinner::new();
    loop {
        let reply = conversation.patient_reply(|| spinner.tick()).map_err(Failure::new)?;
        drop(spinner);
        if let Reply::Visit { url } = reply {
            say(&format!("Complete sign in by visiting {url}"));
            spinner = Spinner::new();
            continue;
        }
        commands::done(reply)?;
        say("✓ Signed in");
        return Ok(ExitCode::SUCCESS);
    }
}

/// Reads `KEY`, `@FILE` or `@-`. Failures name the file, never its content.
fn key(argument: &str) -> Result<SecretText, Failure> {
    let text = match argument.strip_prefix('@') {
        None => argument.to_owned(),
        Some("-") => {
            let mut text = String::new();
            io::stdin().take(MAX_KEY).read_to_string(&mut text).map_err(|error| {
                Failure::new(format!("the key cannot be read from standard input: {error}"))
            })?;
            text
        }
        Some(path) => read(Path::new(path), MAX_KEY)?,
    };
    SecretText::from_input(&text).ok_or_else(|| Failure::new("there is no auth key in what was given"))
}

fn authority(path: &Path) -> Result<String, Failure> {
    let text = read(path, MAX_CA)?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(Failure::new(format!("{} holds no certificate in PEM form", path.display())))
    }
}

fn read(path: &Path, limit: u64) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new(format!("{} cannot be read: {error}", path.display()));
    let mut text = String::new();
    let read = File::open(path).map_err(failed)?.take(limit + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > limit {
        return Err(Failure::new(format!("{} is too large", path.display())));
    }
    Ok(text)
}
