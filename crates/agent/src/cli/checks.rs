//! The checks behind `rpi-connect doctor`, each with what to do when it fails.

use super::Place;
use crate::{
    control::api::{CallError, DeviceApi, OpenApi},
    http::Client,
    local_api::{Reply, Request, client::ask},
    session::{FilesSettings, probe},
    state::{SERVER_VARIABLE, configured_server},
};
use bramble_model::OsRandom;
use http::StatusCode;
use serde::Serialize;
use std::time::Duration;

/// How long the relays may take: the worst transport has a head start of others to wait for.
const PATIENCE: Duration = Duration::from_secs(8);

/// One line of the report.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    /// What was checked.
    pub(crate) name: &'static str,
    /// Whether it is well.
    pub(crate) passed: bool,
    /// What to do, if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cure: Option<String>,
}

impl Check {
    pub(crate) fn of(name: &'static str, result: Result<(), String>) -> Self {
        Self { name, passed: result.is_ok(), cure: result.err() }
    }
}

pub(super) const FILES: &str = "Folder for file transfer can be used";
pub(super) const WEBSOCKET: &str = "Communication with Raspberry Pi Connect WebSocket server";
pub(super) const API: &str = "Communication with Raspberry Pi Connect API";
pub(super) const AUTHENTICATION: &str = "Authentication with Raspberry Pi Connect API";
pub(super) const STUN: &str = "Peer-to-peer connection candidate via STUN";
pub(super) const TURN: &str = "Peer-to-peer connection candidate via TURN";

/// What is needed to ask the server.
struct Access {
    open: OpenApi,
    device: Option<DeviceApi>,
}

/// Whether a session could use the folder for file transfer. It is looked for as the daemon looks for it.
pub(super) fn files(place: &Place) -> Check {
    let root = place.folder.settings().ok().and_then(|settings| settings.files_root);
    let folder = FilesSettings::of_current_user(root.as_deref());
    let found = folder.and_then(|folder| folder.look());
    let cure =
        |error| format!("{error}; name another with rpi-connect files on --root FOLDER, or switch it off");
    Check::of(FILES, found.map_err(cure))
}

/// Runs all of them.
pub(super) async fn run(place: &Place) -> Vec<Check> {
    let access = match access(place) {
        Ok(access) => access,
        Err(why) => {
            let names = [WEBSOCKET, API, AUTHENTICATION, STUN, TURN];
            return names.into_iter().map(|name| Check::of(name, Err(why.clone()))).collect();
        }
    };
    let mut checks = vec![
        Check::of(WEBSOCKET, events(place, &access).await),
        Check::of(API, access.open.up().await.map_err(|error| cure(&error))),
    ];
    let signed_in = match &access.device {
        None => Err(SIGN_IN.to_owned()),
        Some(device) => device.who_am_i().await.map(|_| ()).map_err(|error| cure(&error)),
    };
    checks.push(Check::of(AUTHENTICATION, signed_in));
    let (stun, turn) = reach(&access).await;
    checks.push(Check::of(STUN, stun));
    checks.push(Check::of(TURN, turn));
    checks
}

/// Tries the servers that a session would get.
async fn reach(access: &Access) -> (Result<(), String>, Result<(), String>) {
    let both = |why: String| (Err(why.clone()), Err(why));
    let Some(device) = &access.device else { return both(SIGN_IN.to_owned()) };
    let servers = match device.ice_servers().await {
        Ok(answer) => answer.ice_servers,
        Err(CallError::Refused { status, .. }) if status == StatusCode::NOT_FOUND => {
            return both("this server does not tell its relays; it is older than this program".to_owned());
        }
        Err(error) => return both(cure(&error)),
    };
    let offers =
        |scheme: &str| servers.iter().flat_map(|server| &server.urls).any(|url| url.starts_with(scheme));
    let reached = match probe(&servers, device.client().tls(), PATIENCE).await {
        Ok(reached) => reached,
        Err(error) => return both(format!("no network socket: {error}")),
    };
    let result = |reached: bool, offered: bool, what: &str| match (reached, offered) {
        (true, _) => Ok(()),
        (false, true) => {
            Err(format!("no answer; let UDP and TCP to the server's {what} through the firewall"))
        }
        (false, false) => {
            Err(format!("the server offers no {what}; its administrator can turn the relay on"))
        }
    };
    (
        result(reached.stun, offers("stun"), "STUN service (port 3478)"),
        result(reached.turn, offers("turn"), "relay (port 3478)"),
    )
}

const SIGN_IN: &str = "not signed in; run rpi-connect signin";

fn access(place: &Place) -> Result<Access, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let serial = place.platform.serial_number(&place.folder, &OsRandom).map_err(|e| words(&e))?;
    let stored = place.folder.token().map_err(|e| words(&e))?.filter(|token| token.serial_number == serial);
    let (server, ca) = if let Some(token) = &stored {
        (token.server.clone(), token.ca.clone())
    } else {
        let environment = std::env::var(SERVER_VARIABLE).ok();
        let chosen = configured_server(environment.as_deref(), place.platform.root());
        chosen.map(|chosen| (chosen.server, chosen.ca)).map_err(|e| words(&e))?
    };
    let client = Client::new(server, ca.as_deref(), &serial).map_err(|e| words(&e))?;
    let open = OpenApi::new(client);
    let device = stored.map(|token| open.signed_in(token.access_token.clone()));
    Ok(Access { open, device })
}

/// The daemon's own stream says most. It must not be opened a second time with the token: a newer
/// stream closes the older.
async fn events(place: &Place, access: &Access) -> Result<(), String> {
    match ask(&place.folder.socket(), &Request::Status) {
        Ok(Reply::Status(status)) if status.subscribed => Ok(()),
        _ => access.open.events_answer().await.map_err(|error| cure(&error)),
    }
}

fn cure(error: &CallError) -> String {
    match error {
        CallError::InvalidToken => {
            "the server no longer knows this device; run rpi-connect signin".to_owned()
        }
        CallError::Http(inner) => {
            format!("{inner}; check the network, the server's address and a firewall in between")
        }
        CallError::Identity(_) | CallError::NoIdentity(_) => error.to_string(),
        CallError::Unavailable { .. } => format!("{error}; try again in a few minutes"),
        CallError::Refused { .. } | CallError::Nonsense(_) => {
            format!("{error}; is this the address of a Bramble server?")
        }
    }
}
