//! The checks behind `rpi-connect doctor` that concern the screen.

use super::unit::{self, NAME};
use crate::{
    cli::{Check, Place},
    local_api::{Reply, Request, client::ask},
    screen::{ScreenSettings, desktop, problem},
};

const COMPOSITOR: &str = "Wayland compositor available";
const VIRTUAL: &str = "Virtual screen can be started when a session is opened";
const SERVICES: &str = "Screen sharing services enabled and active";

/// Runs them.
pub(super) fn run(place: &Place) -> Vec<Check> {
    let chosen = place.folder.settings().ok().and_then(|settings| settings.screen);
    if let Some(choice) = chosen {
        let screen = ScreenSettings::at(place.folder.vnc_socket());
        screen.choose(Some(choice));
        let result = match problem(&place.platform, &screen) {
            Some(why) => Err(format!("{why} Start it, or run rpi-connect screen wayland")),
            None => sign_in(&screen),
        };
        return vec![Check::of(SERVICES, result)];
    }
    let virtual_screen = place.folder.settings().ok().and_then(|settings| settings.virtual_screen);
    if let Some(size) = virtual_screen.filter(|_| desktop::compositors().is_empty()) {
        let screen = ScreenSettings::at(place.folder.vnc_socket());
        screen.choose_virtual(size);
        let why = problem(&place.platform, &screen);
        return vec![Check::of(VIRTUAL, why.map_or(Ok(()), Err))];
    }
    let compositor = if desktop::compositors().is_empty() {
        Err("no Wayland desktop runs for this user; log in to one, run rpi-connect screen virtual to let sessions start one, or run rpi-connect vnc off".to_owned())
    } else {
        Ok(())
    };
    vec![Check::of(COMPOSITOR, compositor), Check::of(SERVICES, services(place))]
}

/// The displays of the desktop that is shared.
pub(super) async fn displays(place: &Place) -> Vec<String> {
    let screen = ScreenSettings::at(place.folder.vnc_socket());
    screen.choose(place.folder.settings().ok().and_then(|settings| settings.screen));
    screen.displays().await
}

/// One that listens may still turn every session away.
fn sign_in(screen: &ScreenSettings) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(screen.try_chosen())
}

fn services(place: &Place) -> Result<(), String> {
    // The daemon may have been given another socket.
    let why = match ask(&place.folder.socket(), &Request::Status) {
        Ok(Reply::Status(status)) => status.vnc_reason,
        _ => problem(&place.platform, &ScreenSettings::at(place.folder.vnc_socket())),
    };
    match (why, unit::is_on(&place.folder, &place.platform)) {
        (Some(why), _) => Err(format!("{why} rpi-connect vnc on starts it where it has a unit")),
        (None, Some(false)) => Err(format!("{NAME} is not enabled and active; run rpi-connect vnc on")),
        (None, _) => Ok(()),
    }
}
