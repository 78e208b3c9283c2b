//! Shows a page in the person's browser. The daemon often runs since before the desktop, so its own environment
//! does not say where that is.

use crate::platform::desktop;
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time::timeout};
use zbus::Connection;

/// What tells a program where the desktop is and which one.
const NAMES: [&str; 6] =
    ["DISPLAY", "XAUTHORITY", WAYLAND, "XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP", "DESKTOP_SESSION"];
const WAYLAND: &str = "WAYLAND_DISPLAY";

/// How long systemd's manager may take to tell its environment.
const PATIENCE: Duration = Duration::from_secs(1);
/// When nothing can be shown, `xdg-open` has said so by then. It may be the browser itself, which stays.
const FAILS_WITHIN: Duration = Duration::from_secs(3);

/// systemd's manager of this user: desktops tell it what programs need to know.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    #[zbus(property(emits_changed_signal = "false"))]
    fn environment(&self) -> zbus::Result<Vec<String>>;
}

/// Opens the page, or says why nobody can see it.
pub(super) async fn show(bus: &Connection, page: &str) -> Result<(), String> {
    // Whatever else a server says is no page.
    if !(page.starts_with("https://") || page.starts_with("http://")) {
        return Err("the server's answer names no page to sign in on".to_owned());
    }
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let compositor = desktop::compositors().into_iter().next();
    let of_desktop =
        environment(env::var_os, &of_manager(bus).await, compositor.as_deref(), runtime.as_deref());
    let mut child = Command::new("xdg-open")
        .arg(page)
        .envs(of_desktop)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(&format!("xdg-open cannot be run: {error}")))?;
    match timeout(FAILS_WITHIN, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(&format!("xdg-open found no browser or no desktop ({status})"))),
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(_) => {
            tokio::spawn(async move { child.wait().await });
            Ok(())
        }
    }
}

fn failed(why: &str) -> String {
    format!("the page to sign in on could not be opened: {why}. Run rpi-connect signin in a terminal instead")
}

async fn of_manager(bus: &Connection) -> Vec<String> {
    let ask = async { ManagerProxy::new(bus).await?.environment().await };
    match timeout(PATIENCE, ask).await {
        Ok(Ok(environment)) => environment,
        // Not every desktop has one.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// What `xdg-open` is given beside this process's own environment.
fn environment(
    own: impl Fn(&'static str) -> Option<OsString>,
    manager: &[String],
    compositor: Option<&Path>,
    runtime: Option<&Path>,
) -> Vec<(&'static str, OsString)> {
    let of_manager = |name: &str| {
        let value = |entry: &String| Some(entry.strip_prefix(name)?.strip_prefix('=')?.into());
        manager.iter().find_map(value)
    };
    NAMES
        .into_iter()
        .filter_map(|name| match compositor {
            // One that answers is better than one that is only named.
            Some(socket) if name == WAYLAND => {
                Some((name, runtime.and_then(|it| socket.strip_prefix(it).ok()).unwrap_or(socket).into()))
            }
            _ if own(name).is_some() => None,
            _ => Some((name, of_manager(name)?)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_is_told_where_the_desktop_is() {
        let manager = ["DISPLAY=:0", "XAUTHORITY=/run/user/1000/x", "WAYLAND_DISPLAY=gone", "TOKEN=canary"];
        let manager: Vec<String> = manager.map(str::to_owned).to_vec();
        let nothing = |_: &str| None;
        let given = environment(nothing, &manager, None, None);
        let expected = [("DISPLAY", ":0"), ("XAUTHORITY", "/run/user/1000/x"), (WAYLAND, "gone")];
        assert_eq!(given, expected.map(|(name, value)| (name, value.into())));

        let (socket, runtime) = (Path::new("/run/user/1000/wayland-1"), Path::new("/run/user/1000"));
        assert_eq!(environment(nothing, &[], Some(socket), Some(runtime)), [(WAYLAND, "wayland-1".into())]);
        let other = environment(nothing, &[], Some(socket), Some(Path::new("/run/user/1001")));
        assert_eq!(other, [(WAYLAND, socket.into())]);

        // What this process was given is the person's own choice.
        let own = |name: &str| (name == "DISPLAY").then(|| OsString::from(":7"));
        assert!(environment(own, &manager, None, None).iter().all(|(name, _)| *name != "DISPLAY"));
    }
}
