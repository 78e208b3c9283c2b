//! Screen sessions of an X11 desktop: a real X server and a real x11vnc, on a port and on a socket, with and
//! without a password.

use crate::device::Machine;
use crate::visit::{Visit, settings};
use bramble_agent::{
    session::{ScreenSettings, SessionSettings},
    state::{ScreenChoice, SecretText, Settings, StateFolder},
};
use std::{io::Read as _, net::TcpListener, path::Path, process::Stdio, time::Duration};
use tokio::process::{Child, Command};

const GREETING: &[u8] = b"RFB 003.008\n";
const PASSWORD: &str = "canary-8";

/// A screen of 640 × 480 with nothing on it, and the number of its display.
pub fn x_server() -> (Child, String) {
    let (mut told, tell) = std::io::pipe().expect("a pipe");
    let server = Command::new("Xvfb")
        .args(["-displayfd", "0", "-screen", "0", "640x480x24", "-nolisten", "tcp"])
        .stdin(tell)
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("Xvfb runs");
    let mut number = Vec::new();
    let mut byte = [0];
    while told.read(&mut byte).expect("reads") == 1 && byte != *b"\n" {
        number.push(byte[0]);
    }
    (server, format!(":{}", String::from_utf8(number).expect("a number")))
}

fn x11vnc(display: &str, arguments: &[&str]) -> Child {
    Command::new("x11vnc")
        .args(["-display", display, "-shared", "-forever", "-quiet", "-noipv6", "-nolookup"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("x11vnc runs")
}

fn screen(address: &str, password: Option<&str>) -> ScreenSettings {
    let screen = ScreenSettings::at("/nonexistent/vnc.sock");
    let password = password.map(|password| SecretText::new(password.to_owned()));
    screen.choose(Some(ScreenChoice { address: address.to_owned(), password }));
    screen
}

async fn listens(screen: &ScreenSettings) {
    let there = async {
        while screen.look().is_err() {
            tokio::task::yield_now().await;
        }
    };
    let came = tokio::time::timeout(Duration::from_secs(20), there).await;
    assert!(came.is_ok(), "{:?}", screen.look());
}

async fn visit(screen: &ScreenSettings) -> Visit {
    Visit::to_screen(SessionSettings { screen: Some(screen.clone()), ..settings() }).await
}

/// Goes through the handshake as a viewer does that knows no password, up to the size of the screen.
pub async fn sees_the_screen(visit: &mut Visit) {
    visit.until("the greeting", |it| it.bytes.len() == 12).await;
    assert_eq!(visit.bytes, GREETING);
    visit.send_screen(GREETING);
    visit.until("no security", |it| it.bytes.len() == 14).await;
    assert_eq!(visit.bytes[12..], [1, 1]);
    visit.send_screen(&[1]);
    // Shared, at once: what follows the handshake belongs to the server.
    visit.send_screen(&[1]);
    visit.until("the screen's size", |it| it.bytes.len() >= 22).await;
    assert_eq!(visit.bytes[14..22], [0, 0, 0, 0, 2, 128, 1, 224]);
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("bound").port()
}

fn password_file(place: &Path) -> String {
    let path = place.join("password");
    std::fs::write(&path, format!("{PASSWORD}\n")).expect("file");
    path.to_str().expect("text").to_owned()
}

#[tokio::test]
async fn an_x11_desktop_on_a_port_with_a_password_which_stays_on_the_device() {
    let place = tempfile::tempdir().expect("a folder");
    let (_x, display) = x_server();
    let port = free_port();
    let file = password_file(place.path());
    let _vnc =
        x11vnc(&display, &["-rfbport", &port.to_string(), "-listen", "127.0.0.1", "-passwdfile", &file]);
    let address = format!("127.0.0.1:{port}");
    let right = screen(&address, Some(PASSWORD));
    listens(&right).await;
    assert!(!format!("{right:?}").contains("canary"));
    sees_the_screen(&mut visit(&right).await).await;

    let mut refused = visit(&screen(&address, Some("canary-9"))).await;
    let reason = refused.until_ended().await;
    assert!(reason.contains("does not take the password"), "{reason}");
    // The server's own bytes, with its challenge, are nothing for the browser.
    assert!(refused.bytes.is_empty(), "{:?}", refused.bytes);
    // A wrong one does no harm to the next.
    sees_the_screen(&mut visit(&right).await).await;
}

#[tokio::test]
async fn an_x11_desktop_on_a_socket_without_a_password() {
    let place = tempfile::tempdir().expect("a folder");
    let (_x, display) = x_server();
    let socket = place.path().join("x.sock");
    let path = socket.to_str().expect("text");
    let _vnc = x11vnc(&display, &["-rfbport", "0", "-unixsock", path, "-nopw"]);
    let open = screen(path, None);
    listens(&open).await;
    sees_the_screen(&mut visit(&open).await).await;

    // One that asks for no password is not the one that the password is for.
    let mut other = visit(&screen(path, Some(PASSWORD))).await;
    let reason = other.until_ended().await;
    assert!(reason.contains("does not ask for the password"), "{reason}");
}

#[tokio::test]
async fn a_server_that_the_network_reaches_is_refused() {
    let (_x, display) = x_server();
    let port = free_port();
    let _vnc = x11vnc(&display, &["-rfbport", &port.to_string(), "-nopw"]);
    let exposed = screen(&format!("127.0.0.1:{port}"), None);
    let noticed = async {
        while !exposed.look().is_err_and(|why| why.to_string().contains("listens to the whole network")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noticed).await.expect("it is found out");
    let mut visit = visit(&exposed).await;
    visit.until("a refusal", |it| it.refused.is_some()).await;
    assert!(visit.refused.as_deref().is_some_and(|why| why.contains("whole network")), "{:?}", visit.refused);
}

/// What `rpi-connect doctor` says about this choice.
fn doctor(choice: ScreenChoice) -> String {
    let machine = Machine::with_server("http://localhost:1");
    let folder = StateFolder::at(machine.state());
    folder.prepare().expect("a folder");
    let settings = Settings { screen: Some(choice), ..folder.settings().expect("settings") };
    folder.store_settings(&settings).expect("stored");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rpi-connect"));
    command.arg("doctor").env("RPI_CONNECT_STATE_DIR", machine.state());
    let output = command.env("RPI_CONNECT_ROOT", machine.root()).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.contains("canary"), "{text}");
    text.lines().find(|line| line.contains("Screen sharing services")).expect("the line").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tries_the_password() {
    let place = tempfile::tempdir().expect("a folder");
    let (_x, display) = x_server();
    let file = password_file(place.path());
    let at = |name: &str| place.path().join(name).to_str().expect("text").to_owned();
    let (asks, open) = (at("asks.sock"), at("open.sock"));
    let _asks = x11vnc(&display, &["-rfbport", "0", "-unixsock", &asks, "-passwdfile", &file]);
    let _open = x11vnc(&display, &["-rfbport", "0", "-unixsock", &open, "-nopw"]);
    for address in [&asks, &open] {
        listens(&screen(address, None)).await;
    }
    let said = |address: &str, password: Option<&str>| {
        let password = password.map(|password| SecretText::new(password.to_owned()));
        doctor(ScreenChoice { address: address.to_owned(), password })
    };
    let well = "✓ Screen sharing services enabled and active";
    assert_eq!(said(&asks, Some(PASSWORD)), well);
    assert_eq!(said(&open, None), well);
    for (address, password, why) in [
        (&asks, Some("canary-9"), "does not take the password"),
        (&asks, None, "asks for a password, and this device has none"),
        (&open, Some(PASSWORD), "does not ask for the password"),
    ] {
        let said = said(address, password);
        assert!(said.starts_with('✗') && said.contains(why), "{said}");
    }
    // It is let in again afterwards.
    assert_eq!(said(&asks, Some(PASSWORD)), well);
}
