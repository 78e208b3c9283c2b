//! The commands that choose what is shared.

use crate::{cli::run, device::Machine};

#[tokio::test]
async fn without_a_daemon_they_say_so_and_the_help_offers_them() {
    let machine = Machine::new();
    let said = run(&machine, &["vnc", "off"]).await;
    let words = "Raspberry Pi Connect is not running, run rpi-connect on\n";
    assert_eq!((said.code, said.err.as_str(), said.out.as_str()), (Some(1), words, ""));
    let help = run(&machine, &["--help"]).await.out;
    assert!(
        help.contains("shell and screen") && help.contains("\n  vnc ") && help.contains("\n  screen "),
        "{help}"
    );
}

#[tokio::test]
async fn the_doctor_looks_at_the_screen_unless_it_is_switched_off() {
    let machine = Machine::new();
    let device = machine.start().await;
    let doctor = run(&machine, &["doctor"]).await;
    let lines: Vec<&str> = doctor.out.lines().collect();
    assert_eq!(lines[0], "Screen sharing is supported by this version of rpi-connect");
    assert!(lines[1].starts_with("✗ Wayland compositor available: "), "{}", lines[1]);
    assert!(lines[2].starts_with("✗ Screen sharing services enabled and active: "), "{}", lines[2]);

    // What is switched off need not work.
    let off = run(&machine, &["vnc", "off"]).await;
    assert_eq!((off.code, off.out.as_str()), (Some(0), "✓ Screen sharing disallowed\n"));
    let doctor = run(&machine, &["doctor"]).await;
    let lines: Vec<&str> = doctor.out.lines().collect();
    assert_eq!(lines[0], "Screen sharing is supported by this version of rpi-connect");
    assert_eq!(lines[1], "Screen sharing is switched off; rpi-connect vnc on allows it");
    assert!(lines[2].contains(" Communication "), "{}", lines[2]);
    device.stop().await;
}

#[tokio::test]
async fn a_screen_of_another_machine_or_an_empty_password_is_not_taken() {
    let machine = Machine::new();
    for address in ["192.0.2.7:5900", "example.org:5900", "0.0.0.0:5900", "x11vnc.sock"] {
        let said = run(&machine, &["screen", "vnc", address]).await;
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains("127.0.0.1:5900"), "{}", said.err);
    }
    machine.write("password", "\n");
    let file = machine.state().with_file_name("password");
    let file = file.to_str().expect("text");
    let said = run(&machine, &["screen", "vnc", "127.0.0.1:5900", "--password-file", file]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("first line must be the password"), "{}", said.err);
    assert_eq!(run(&machine, &["screen"]).await.code, Some(2));
}
