//! Screen sharing as the daemon allows, counts, reports and ends it.

use crate::{
    device::{Device, Machine},
    fake_server::{FakeServer, Seen},
};
use bramble_agent::{
    local_api::{Feature, Reply, Request, Status},
    session::ScreenSettings,
    state::{ScreenChoice, ScreenSize, SecretText},
};
use bramble_wire::{
    SessionId,
    events::{Command, ServerEvent},
};
use http::Method;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
};

const KEY: &str = "rpuak_canary";

/// The socket of a VNC server that nobody talks to in these tests.
struct FakeVnc {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl FakeVnc {
    fn at(machine: &Machine) -> Self {
        Self { path: machine.state().with_file_name("vnc.sock"), listener: None }
    }

    fn start(&mut self) {
        self.listener = Some(UnixListener::bind(&self.path).expect("binds"));
    }

    /// Ends as one does that is told to.
    fn stop(&mut self) {
        self.listener = None;
        fs::remove_file(&self.path).expect("removed");
    }
}

async fn linked() -> (FakeServer, Machine, FakeVnc, Device) {
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let vnc = FakeVnc::at(&machine);
    let screen = ScreenSettings::at(&vnc.path);
    let device = machine.start_with(|options| options.screen = Some(screen)).await;
    device.subscribed().await;
    (server, machine, vnc, device)
}

/// A report that says so of the screen.
fn is(state: &'static str) -> impl Fn(&Seen) -> bool {
    move |seen| seen.body["capabilities"]["vnc"] == state
}

fn session(n: u8) -> SessionId {
    format!("00000000-0000-4000-8000-0000000000{n:02x}").parse().expect("an id")
}

#[tokio::test]
async fn the_server_hears_when_the_vnc_server_comes_and_goes_and_why() {
    let (server, _machine, mut vnc, device) = linked().await;
    let first = server.nth_where(1, "unavailable", is("unavailable")).await;
    let why = first.body["vnc_reason"].as_str().expect("a reason");
    assert!(why.contains("WayVNC is not installed"), "{why}");

    vnc.start();
    let enabled = server.nth_where(1, "enabled", is("enabled")).await;
    assert_eq!(enabled.body["vnc_reason"], "");
    assert_eq!(device.status().await.vnc, Feature::Allowed);

    vnc.stop();
    server.nth_where(2, "unavailable again", is("unavailable")).await;
    let status = device.status().await;
    assert_eq!(status.vnc, Feature::Unavailable);
    assert!(status.vnc_reason.is_some());
    device.stop().await;
}

#[tokio::test]
async fn a_vnc_server_that_is_killed_is_missed_although_its_name_stays() {
    let (server, machine, mut vnc, device) = linked().await;
    server.nth_where(1, "unavailable", is("unavailable")).await;
    device.stop().await;
    // There before the daemon, which then looks at nothing that was made just now.
    vnc.start();
    let screen = ScreenSettings::at(&vnc.path);
    let device = machine.start_with(|options| options.screen = Some(screen)).await;
    server.nth_where(1, "enabled", is("enabled")).await;
    vnc.listener = None;
    assert!(vnc.path.exists());
    server.nth_where(2, "unavailable again", is("unavailable")).await;
    fs::remove_file(&vnc.path).expect("removed");
    vnc.start();
    server.nth_where(2, "enabled again", is("enabled")).await;
    device.stop().await;
}

#[tokio::test]
async fn vnc_off_ends_its_sessions_and_no_others_and_outlives_a_restart() {
    let (server, machine, mut vnc, mut device) = linked().await;
    vnc.start();
    device.until("allowed", |status| status.vnc == Feature::Allowed).await;
    let (screen, shell) = (session(1), session(2));
    server.offer(screen, "vnc");
    server.send(&ServerEvent::Command(Command::Session { id: screen }));
    let mut of_screen = device.session().await;
    server.offer(shell, "shell");
    server.send(&ServerEvent::Command(Command::Session { id: shell }));
    let of_shell = device.session().await;
    let status = device.status().await;
    assert_eq!((status.vnc_sessions, status.shell_sessions), (1, 1));

    assert_eq!(device.ask(Request::Vnc { on: false }).await, Reply::Done { note: None });
    assert!(of_screen.told_to_end().await.contains("Screen sharing was switched off"));
    of_screen.ended("off").await;
    server.nth_where(1, "vnc off", |seen| seen.body["capabilities"]["vnc"] == "available").await;
    let status = device.until("one left", |status| status.vnc_sessions == 0).await;
    assert_eq!((status.shell_sessions, status.vnc), (1, Feature::Disallowed));

    let late = session(3);
    server.offer(late, "vnc");
    server.send(&ServerEvent::Command(Command::Session { id: late }));
    let answer = server.nth(1, Method::POST, &format!("/client/sessions/{late}/answer")).await;
    assert_eq!(answer.body["error"], "Screen sharing is switched off on the device.");

    of_shell.ended("").await;
    device.stop().await;
    let screen = ScreenSettings::at(&vnc.path);
    let device = machine.start_with(|options| options.screen = Some(screen)).await;
    assert_eq!(device.status().await.vnc, Feature::Disallowed);
    // The other switch is as it was.
    assert_eq!(device.status().await.shell, Feature::Allowed);
    assert_eq!(device.ask(Request::Vnc { on: true }).await, Reply::Done { note: None });
    assert_eq!(device.status().await.vnc, Feature::Allowed);
    device.stop().await;
}

#[tokio::test]
async fn a_session_without_a_vnc_server_is_refused_with_the_reason() {
    let (server, _machine, mut vnc, device) = linked().await;
    server.nth_where(1, "unavailable", is("unavailable")).await;
    vnc.start();
    // What comes and goes between two reports is in none.
    server.nth_where(1, "enabled", is("enabled")).await;
    // As one ends that is killed: the name stays.
    vnc.listener = None;
    let id = session(1);
    server.offer(id, "vnc");
    server.send(&ServerEvent::Command(Command::Session { id }));
    let answer = server.nth(1, Method::POST, &format!("/client/sessions/{id}/answer")).await;
    let error = answer.body["error"].as_str().expect("a refusal");
    assert!(error.contains("WayVNC"), "{error}");
    // And the server learns that there is none.
    server.nth_where(2, "unavailable again", is("unavailable")).await;
    device.stop().await;
}

#[tokio::test]
async fn another_vnc_server_is_chosen_its_password_kept_and_its_absence_explained() {
    let (server, machine, mut vnc, mut device) = linked().await;
    vnc.start();
    device.until("allowed", |status| status.vnc == Feature::Allowed).await;
    let id = session(1);
    server.offer(id, "vnc");
    server.send(&ServerEvent::Command(Command::Session { id }));
    let mut running = device.session().await;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    let password = Some(SecretText::new("canary-8".into()));
    let choice = ScreenChoice { address: address.clone(), password };
    assert_eq!(
        device.ask(Request::Screen { choice: Some(choice), virtual_screen: None }).await,
        Reply::Done { note: None }
    );
    assert!(running.told_to_end().await.contains("Another screen was chosen"));
    running.ended("chosen").await;
    assert_eq!(device.status().await.vnc, Feature::Allowed);
    let kept = machine.state().join("settings.toml");
    assert!(fs::read_to_string(&kept).expect("settings").contains("canary-8"));
    let mode = fs::metadata(&kept).expect("settings").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Nobody but this machine's own: the choice before stays.
    for bad in ["192.0.2.7:5900", "0.0.0.0:5900", "localhost:5900"] {
        let choice = Some(ScreenChoice { address: bad.into(), password: None });
        let Reply::Failed { why } = device.ask(Request::Screen { choice, virtual_screen: None }).await else {
            panic!("{bad}")
        };
        assert!(why.contains("127.0.0.1:5900"), "{why}");
    }
    drop(listener);
    let missing = |seen: &Seen| {
        seen.body["vnc_reason"]
            .as_str()
            .is_some_and(|why| why.contains("No VNC server listens at 127.0.0.1:"))
    };
    let told = server.nth_where(1, "the reason", missing).await;
    assert!(!told.body.to_string().contains("canary"));
    let status = device.status().await;
    assert!(status.vnc_reason.is_some_and(|why| why.contains(&address)));

    // The choice outlives the daemon.
    device.stop().await;
    let own = ScreenSettings::at(&vnc.path);
    let device = machine.start_with(|options| options.screen = Some(own)).await;
    assert_eq!(device.status().await.vnc, Feature::Unavailable);
    assert_eq!(
        device.ask(Request::Screen { choice: None, virtual_screen: None }).await,
        Reply::Done { note: None }
    );
    assert_eq!(device.status().await.vnc, Feature::Allowed);
    assert!(!fs::read_to_string(&kept).expect("settings").contains("canary-8"));
    device.stop().await;
}

#[tokio::test]
async fn a_virtual_screen_is_off_until_it_is_switched_on_and_needs_what_it_is_made_of() {
    let (server, machine, vnc, mut device) = linked().await;
    let reason = |status: &Status| status.vnc_reason.clone().unwrap_or_default();
    let size: ScreenSize = "1024x768".parse().expect("a size");
    let on = Request::Screen { choice: None, virtual_screen: Some(size) };
    let Reply::Done { note: Some(note) } = device.ask(on).await else { panic!("no note") };
    assert!(note.contains("WayVNC is not installed"), "{note}");
    assert_eq!(device.status().await.virtual_screen, Some(size));
    machine.write("root/usr/bin/wayvnc", "");
    let status = device.status().await;
    assert!(status.vnc == Feature::Unavailable && reason(&status).contains("needs sway"), "{status:?}");
    machine.write("root/usr/bin/sway", "");
    assert_eq!(device.status().await.vnc, Feature::Allowed);

    device.stop().await;
    let screen = ScreenSettings::at(&vnc.path);
    device = machine.start_with(|options| options.screen = Some(screen)).await;
    device.subscribed().await;
    server
        .nth_where(1, "enabled", |seen| {
            seen.body["capabilities"]["vnc"] == "enabled" && seen.body["vnc_reason"] == ""
        })
        .await;
    let off = Request::Screen { choice: None, virtual_screen: None };
    assert!(matches!(device.ask(off).await, Reply::Done { note: Some(_) }));
    let status = device.status().await;
    assert!(reason(&status).contains("rpi-connect screen virtual"), "{status:?}");
    assert_eq!(status.virtual_screen, None);
    device.stop().await;
}
