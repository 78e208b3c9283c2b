//! Tells the person at the desktop who has come and who has gone.

use crate::control::sessions::Visit;
use bramble_wire::signalling::SessionKind;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
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

/// Visits that are shown one after the other; more in a row are counted.
const BURST: u32 = 6;
/// After so long one more is shown.
const EACH: Duration = Duration::from_secs(5);

/// A notification.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    summary: &'static str,
    body: String,
}

/// Decides what is shown: a person must see who comes, and the desktop must not drown in it.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    since: Instant,
    held: u64,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now, held: 0 }
    }

    /// What to show of a visit now; it is counted if that is nothing.
    pub(super) fn visit(&mut self, visit: &Visit, now: Instant) -> Option<Note> {
        self.refill(now);
        if self.held > 0 || self.left == 0 {
            self.hold(1);
            return None;
        }
        self.left -= 1;
        let (summary, body) = words(visit);
        Some(Note { summary, body })
    }

    /// So many were not even seen.
    pub(super) fn hold(&mut self, visits: u64) {
        self.held = self.held.saturating_add(visits);
    }

    /// When those that were counted are told.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.held > 0).then(|| self.since + EACH)
    }

    /// Those that were counted, once it is time.
    pub(super) fn counted(&mut self, now: Instant) -> Option<Note> {
        self.due().filter(|due| now >= *due)?;
        self.refill(now);
        self.left = self.left.saturating_sub(1);
        let body = match std::mem::take(&mut self.held) {
            1 => "One more connection began or ended.".to_owned(),
            held => format!("{held} more connections began or ended."),
        };
        Some(Note { summary: "Many connections", body })
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs() / EACH.as_secs();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(passed).min(BURST);
        if self.left == BURST {
            self.since = now;
        } else {
            self.since += EACH * passed;
        }
    }
}

/// Shows it, where there is somebody who shows it.
pub(super) async fn tell(bus: Connection, note: Note) {
    let Note { summary, body } = note;
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
        let what = match (visit.kind, visit.looks_on) {
            (SessionKind::Vnc, _) => "Screen sharing ended",
            (SessionKind::Shell, false) => "Remote shell ended",
            (SessionKind::Shell, true) => "Watching a shell ended",
            (SessionKind::Files, _) => "File transfer ended",
        };
        return (what, format!("{name} has disconnected."));
    }
    let (what, does) = match (visit.kind, visit.looks_on) {
        (SessionKind::Vnc, false) => ("Screen sharing started", "sees and controls this desktop"),
        (SessionKind::Vnc, true) => ("Screen sharing started", "sees this desktop and cannot control it"),
        (SessionKind::Shell, false) => ("Remote shell started", "uses a shell on this device"),
        (SessionKind::Shell, true) => {
            ("Watching a shell started", "watches a shell on this device and cannot type in it")
        }
        (SessionKind::Files, _) => ("File transfer started", "transfers files"),
    };
    (what, format!("{name} {does}."))
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
    fn a_flood_of_visits_is_counted_and_what_comes_later_is_shown_again() {
        let visit = Visit { here: true, kind: SessionKind::Shell, looks_on: false, name: "Eve".to_owned() };
        let began = Instant::now();
        let mut budget = Budget::new(began);
        let shown = (0..10_000).filter(|_| budget.visit(&visit, began).is_some()).count();
        assert_eq!(shown, 6);
        assert_eq!(budget.counted(began + Duration::from_secs(4)), None);
        budget.hold(6);
        let due = budget.due().expect("they are told");
        assert_eq!(due, began + EACH);
        assert_eq!(budget.counted(due).expect("due").body, "10000 more connections began or ended.");
        assert_eq!(budget.due(), None);
        // At most one in five seconds for as long as it goes on.
        assert_eq!(budget.visit(&visit, due), None);
        let next = budget.due().expect("they are told");
        assert_eq!(next, due + EACH);
        assert_eq!(budget.counted(next).expect("due").body, "One more connection began or ended.");
        // And afterwards as before.
        let later = next + Duration::from_mins(1);
        assert_eq!((0..10).filter(|_| budget.visit(&visit, later).is_some()).count(), 6);
    }

    #[test]
    fn a_name_is_shown_as_text() {
        let visit =
            |name: &str| Visit { here: true, kind: SessionKind::Vnc, looks_on: false, name: name.to_owned() };
        assert_eq!(
            words(&visit("Ada & <b>Co</b>\u{202e}\n")).1,
            "Ada &amp; &lt;b&gt;Co&lt;/b&gt; sees and controls this desktop."
        );
        assert_eq!(words(&visit("\u{0}")).1, "Somebody sees and controls this desktop.");
        assert!(words(&visit(&"x".repeat(5000))).1.len() < 200);
        let gone = Visit { here: false, ..visit("<Ada>") };
        assert_eq!(words(&gone), ("Screen sharing ended", "&lt;Ada&gt; has disconnected.".to_owned()));
    }

    #[test]
    fn somebody_who_only_looks_on_is_said_to() {
        let visit = |kind, looks_on| Visit { here: true, kind, looks_on, name: "Ada".to_owned() };
        let told = |kind| words(&visit(kind, true)).1;
        assert_eq!(told(SessionKind::Shell), "Ada watches a shell on this device and cannot type in it.");
        assert_eq!(told(SessionKind::Vnc), "Ada sees this desktop and cannot control it.");
        assert_eq!(words(&visit(SessionKind::Shell, false)).1, "Ada uses a shell on this device.");
    }
}
