//! Tells the person at the desktop who has come and who has gone.

use crate::control::sessions::Visit;
use bramble_wire::signalling::SessionKind;
use std::{collections::HashMap, time::Duration};
use zbus::{Connection, Variant};

/// How long a notification daemon may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest name that is shown, in characters.
const MOST_NAME: usize = 80;

/// The desktop's notifications (the freedesktop.org specification, version 1.2).
#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    #[expect(clippy::too_many_arguments, reason = "the method's arguments")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Variant<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;
}

/// Shows it, where there is somebody who shows it.
pub(super) async fn tell(bus: Connection, visit: Visit) {
    let (summary, body) = words(&visit);
    let hints = HashMap::from([("desktop-entry", Variant::from("rpi-connect"))]);
    let show = async {
        let desktop = NotificationsProxy::new(&bus).await?;
        desktop.notify("Raspberry Pi Connect", 0, "", summary, &body, &[], hints, -1).await
    };
    match tokio::time::timeout(PATIENCE, show).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "no notification was shown"),
        Err(_) => tracing::debug!("the notification daemon does not answer"),
    }
}

fn words(visit: &Visit) -> (&'static str, String) {
    let name = plain(&visit.name);
    let name = if name.is_empty() { "Somebody".to_owned() } else { name };
    if !visit.here {
        return match visit.kind {
            SessionKind::Vnc => ("Screen sharing ended", format!("{name} has disconnected.")),
            SessionKind::Shell => ("Remote shell ended", format!("{name} has disconnected.")),
            SessionKind::Files => ("File transfer ended", format!("{name} has disconnected.")),
        };
    }
    match visit.kind {
        SessionKind::Vnc => ("Screen sharing started", format!("{name} sees and controls this desktop.")),
        SessionKind::Shell => ("Remote shell started", format!("{name} uses a shell on this device.")),
        SessionKind::Files => ("File transfer started", format!("{name} transfers files.")),
    }
}

/// A name from the server without what a desktop would take for markup.
fn plain(name: &str) -> String {
    let mut text = String::new();
    for character in bramble_model::text::clean(name).chars().take(MOST_NAME) {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            character => text.push(character),
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_as_text() {
        let visit = |name: &str| Visit { here: true, kind: SessionKind::Vnc, name: name.to_owned() };
        assert_eq!(
            words(&visit("Ada & <b>Co</b>\u{202e}\n")).1,
            "Ada &amp; &lt;b&gt;Co&lt;/b&gt; sees and controls this desktop."
        );
        assert_eq!(words(&visit("\u{0}")).1, "Somebody sees and controls this desktop.");
        assert!(words(&visit(&"x".repeat(5000))).1.len() < 200);
        let gone = Visit { here: false, ..visit("<Ada>") };
        assert_eq!(words(&gone), ("Screen sharing ended", "&lt;Ada&gt; has disconnected.".to_owned()));
    }
}
