//! A virtual screen for a machine without a desktop: a real sway and a real WayVNC, started for a session and
//! stopped after the last.

use super::x11::sees_the_screen;
use crate::visit::{PATIENCE, Visit, settings};
use bramble_agent::session::{Input, ScreenSettings, SessionSettings};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// sway does not run as root, so tests that do run it as somebody else.
const SWAY: &str = r#"#!/bin/sh
echo $$ >> "$(dirname "$0")/started"
if [ "$(id -u)" != 0 ]; then exec sway "$@"; fi
chown 65534 "$XDG_RUNTIME_DIR"
exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$XDG_RUNTIME_DIR" SHELL=/bin/sh sway "$@"
"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(sway: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // So that somebody else gets through to what is theirs.
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).expect("permissions");
        let place = Self { folder };
        fs::write(place.sway(), sway).expect("a file");
        fs::set_permissions(place.sway(), PermissionsExt::from_mode(0o755)).expect("permissions");
        place
    }

    fn sway(&self) -> PathBuf {
        self.folder.path().join("sway")
    }

    fn screen(&self, linger: Duration) -> ScreenSettings {
        let screen =
            ScreenSettings::at(self.folder.path().join("vnc.sock")).with_headless(self.sway(), linger);
        screen.choose_virtual("640x480".parse().expect("a size"));
        screen
    }

    /// The process of each that was started.
    fn started(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.folder.path().join("started")).unwrap_or_default();
        text.lines().map(|line| line.parse().expect("a number")).collect()
    }

    /// What is left of the folders of virtual screens.
    fn folders(&self) -> usize {
        let names = fs::read_dir(self.folder.path()).expect("a folder").flatten();
        names.filter(|it| it.file_name().to_string_lossy().starts_with("rpi-connect-screen-")).count()
    }
}

async fn visit(screen: &ScreenSettings) -> Visit {
    Visit::to_screen(SessionSettings { screen: Some(screen.clone()), ..settings() }).await
}

/// Waits until that is so.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let came = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, came).await.is_ok(), "waited in vain for {what}");
}

fn runs(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

async fn leave(visit: &mut Visit) {
    visit.input.send(Input::End { reason: "Enough.".to_owned() }).await.expect("runs");
    visit.until_ended().await;
}

#[tokio::test]
async fn it_starts_for_a_session_is_shared_and_ends_a_little_after_the_last() {
    let place = Place::new(SWAY);
    let screen = place.screen(Duration::from_secs(2));
    let mut one = visit(&screen).await;
    sees_the_screen(&mut one).await;
    let mut two = visit(&screen).await;
    sees_the_screen(&mut two).await;
    let [process] = place.started()[..] else { panic!("{:?}", place.started()) };
    leave(&mut one).await;
    // Whoever comes back before the time is over finds the same one.
    leave(&mut two).await;
    let mut three = visit(&screen).await;
    sees_the_screen(&mut three).await;
    assert_eq!(place.started(), [process]);
    assert!(runs(process));
    leave(&mut three).await;
    until("its end", || !runs(process) && place.folders() == 0).await;

    let mut four = visit(&screen).await;
    sees_the_screen(&mut four).await;
    let second = place.started()[1];
    // Switched off, it does not linger.
    screen.choose(None);
    leave(&mut four).await;
    until("its end", || !runs(second) && place.folders() == 0).await;
}

#[tokio::test]
async fn one_that_crashes_ends_its_sessions_and_the_next_gets_another() {
    let place = Place::new(SWAY);
    let screen = place.screen(Duration::from_mins(1));
    let mut one = visit(&screen).await;
    sees_the_screen(&mut one).await;
    let first = place.started()[0];
    let process = rustix::process::Pid::from_raw(first.cast_signed()).expect("a process");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("killed");
    assert_eq!(one.until_ended().await, "The desktop's VNC server ended the connection.");
    assert!(one.may_return());
    let mut two = visit(&screen).await;
    sees_the_screen(&mut two).await;
    assert_eq!(place.started().len(), 2);
}

#[tokio::test]
async fn one_that_does_not_start_is_refused_with_the_reason() {
    let place = Place::new("#!/bin/sh\nexit 3\n");
    let mut refused = visit(&place.screen(Duration::ZERO)).await;
    refused.until("a refusal", |it| it.refused.is_some()).await;
    let why = refused.refused.as_deref().expect("just seen");
    assert!(why.starts_with("The virtual screen of this device does not start: sway ended"), "{why}");
    fs::remove_file(place.sway()).expect("removed");
    let mut refused = visit(&place.screen(Duration::ZERO)).await;
    refused.until("a refusal", |it| it.refused.is_some()).await;
    let why = refused.refused.as_deref().expect("just seen");
    assert!(why.contains("sway cannot be started"), "{why}");
    assert_eq!(place.folders(), 0);
}

#[tokio::test]
async fn what_the_daemon_has_in_its_environment_stays_out() {
    let place = Place::new("#!/bin/sh\nenv > \"$(dirname \"$0\")/environment\"\nexit 3\n");
    let mut refused = visit(&place.screen(Duration::ZERO)).await;
    refused.until("a refusal", |it| it.refused.is_some()).await;
    let given = fs::read_to_string(place.folder.path().join("environment")).expect("it ran");
    let has = |name: &str| given.lines().any(|line| line.starts_with(&format!("{name}=")));
    assert!(has("PATH") && has("XDG_RUNTIME_DIR"), "{given}");
    // What these tests run with stands for what a daemon may have been given.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!has("CARGO_MANIFEST_DIR"), "{given}");
}

/// Says that it was started, and goes on once it is told to.
const SLOW: &str = "#!/bin/sh\nread word < \"$(dirname \"$0\")/go\"\n";

#[tokio::test]
async fn one_that_is_slow_to_start_is_there_for_who_comes_back() {
    let place = Place::new(&SWAY.replacen("#!/bin/sh\n", SLOW, 1));
    let go = place.folder.path().join("go");
    let made = std::process::Command::new("mkfifo").arg(&go).status().expect("mkfifo runs");
    assert!(made.success());
    let screen = place.screen(Duration::from_mins(1));
    let first = visit(&screen).await;
    until("its start", || place.folders() == 1).await;
    // The page has given up.
    first.task.abort();
    until("its end", || first.task.is_finished()).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || tell.send(fs::write(go, "go\n").is_ok()));
    let told = tokio::time::timeout(PATIENCE, told).await;
    assert_eq!(told.expect("it still starts"), Ok(true));
    let mut second = visit(&screen).await;
    sees_the_screen(&mut second).await;
    assert_eq!(place.started().len(), 1);
}

/// In the place of a terminal: writes down what it was given.
const TERMINAL: &str = r#"#!/bin/sh
env > "$PLACE/terminal.new" && mv "$PLACE/terminal.new" "$PLACE/terminal"
"#;

#[tokio::test]
async fn its_terminal_has_the_runtime_folder_of_its_person() {
    let sway = r#"#!/bin/sh
PLACE=$(dirname "$0")
export PLACE PATH="$PLACE/bin:$PATH" RPI_CONNECT_USERS_RUNTIME_DIR=/run/user/of-person
"#;
    let place = Place::new(&SWAY.replacen("#!/bin/sh\n", sway, 1));
    let folder = place.folder.path().to_owned();
    // Another user writes there.
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).expect("permissions");
    fs::create_dir(folder.join("bin")).expect("a folder");
    fs::write(folder.join("bin/foot"), TERMINAL).expect("a file");
    fs::set_permissions(folder.join("bin/foot"), PermissionsExt::from_mode(0o755)).expect("permissions");
    let mut visit = visit(&place.screen(Duration::ZERO)).await;
    sees_the_screen(&mut visit).await;
    until("a terminal", || folder.join("terminal").exists()).await;
    let given = fs::read_to_string(folder.join("terminal")).expect("it ran");
    let value = |name: &str| given.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    assert_eq!(value("XDG_RUNTIME_DIR"), Some("/run/user/of-person"), "{given}");
    assert_eq!(value("RPI_CONNECT_USERS_RUNTIME_DIR"), None, "{given}");
    let display = value("WAYLAND_DISPLAY").expect("a display");
    assert!(
        display.starts_with(folder.to_str().expect("text")) && display.ends_with("/wayland-1"),
        "{given}"
    );
}
