//! Whether there is a screen to share: the VNC server of the desktop, and why it is not there.

use super::{ScreenError, ScreenSettings, desktop};
use crate::{
    control::{Shared, watch::FolderWatch},
    platform::Platform,
    state::{ScreenChoice, ScreenSize, Settings},
};
use bramble_wire::signalling::SessionKind;
use rustix::fs::inotify::WatchFlags;
use std::{sync::Arc, time::Duration};

/// Between a socket's name and somebody who listens on it, the VNC server needs a moment.
const SETTLE: Duration = Duration::from_millis(200);

/// Between two looks where the kernel does not tell: for a VNC server on a port, and for one that was killed.
const LOOK: Duration = Duration::from_secs(2);

/// Why there is no screen to share at the moment, in a sentence for people; `None` if there is one.
pub(crate) fn problem(platform: &Platform, screen: &ScreenSettings) -> Option<String> {
    let why = screen.look().err()?;
    if let (Some(address), ScreenError::NotRunning) = (screen.chosen(), &why) {
        return Some(format!("No VNC server listens at {address} on the device."));
    }
    if why != ScreenError::NotRunning {
        return Some(why.to_string());
    }
    let text = if !desktop::has_wayvnc(platform) {
        "WayVNC is not installed on the device (sudo apt install wayvnc)."
    } else if screen.is_virtual() {
        // It is started for whoever opens a session.
        if desktop::has_sway(platform) {
            return None;
        }
        "No Wayland desktop runs on the device, and a virtual screen needs sway, which is not installed (sudo apt install sway)."
    } else if desktop::compositors().is_empty() {
        "No Wayland desktop runs on the device for this user (rpi-connect screen virtual lets a session start one)."
    } else {
        "WayVNC is not running on the device (systemctl --user start rpi-connect-wayvnc)."
    };
    Some(text.to_owned())
}

/// Has what the settings choose shared from now on.
pub(crate) fn apply(screen: &ScreenSettings, settings: &Settings) {
    match (&settings.screen, settings.virtual_screen) {
        (None, Some(size)) => screen.choose_virtual(size),
        (choice, _) => screen.choose(choice.clone()),
    }
}

/// Shares another VNC server, or the desktop's own again, with or without a virtual one while there is none.
/// Sessions with the one before end. An error is for people.
pub(crate) fn choose(
    shared: &Shared,
    screen: &ScreenSettings,
    choice: Option<ScreenChoice>,
    virtual_screen: Option<ScreenSize>,
) -> Result<(), String> {
    if let Some(choice) = &choice {
        ScreenSettings::check(&choice.address).map_err(|error| error.to_string())?;
    }
    let change = |settings: &mut Settings| {
        settings.screen = choice;
        settings.virtual_screen = virtual_screen;
    };
    shared.change_settings(change).map_err(|error| error.to_string())?;
    apply(screen, &shared.settings());
    shared.sessions.end_kind(SessionKind::Vnc, "Another screen was chosen on the device.");
    shared.touch();
    Ok(())
}

/// Tells the server when the VNC server comes and goes. Runs until the daemon ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let Some(screen) = shared.screen() else { return std::future::pending().await };
    loop {
        let chosen = screen.changed();
        let watch = async {
            match screen.chosen() {
                None => watch_own(&shared, screen).await,
                Some(_) => watch_chosen(&shared, screen).await,
            }
        };
        tokio::select! {
            () = watch => {}
            () = chosen => {}
        }
    }
}

async fn watch_chosen(shared: &Shared, screen: &ScreenSettings) {
    let mut last = screen.look();
    shared.touch();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = screen.look();
        if now != last {
            shared.touch();
        }
        last = now;
    }
}

async fn watch_own(shared: &Shared, screen: &ScreenSettings) {
    let (Some(folder), Some(name)) = (screen.socket().parent(), screen.socket().file_name()) else {
        return std::future::pending().await;
    };
    let events = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
    let watch = FolderWatch::open(folder, events);
    loop {
        tokio::select! {
            () = watch.happened(|found| found == name || desktop::is_display(found)) => {}
            () = otherwise(screen) => {}
        }
        shared.touch();
        tokio::time::sleep(SETTLE).await;
        shared.touch();
    }
}

/// Waits until whether somebody listens is no longer what it is now. One that is killed leaves its name behind,
/// and the kernel tells nobody. Where there is no name there is nothing to look at.
async fn otherwise(screen: &ScreenSettings) {
    let now = screen.look();
    if now.is_err() && !screen.socket().exists() {
        return std::future::pending().await;
    }
    while screen.look() == now {
        tokio::time::sleep(LOOK).await;
    }
}
