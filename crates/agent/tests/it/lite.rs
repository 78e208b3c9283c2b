//! The build without screen sharing: what it says, and that the code is not there.

use crate::{
    cli::{command, run},
    device::Machine,
};
use serde_json::Value;
use std::process::Command;

const NO_SCREEN: &str = "Screen sharing is not supported by this version of rpi-connect: it is the Lite build, which \
                         has none. The full one has it\n";

#[tokio::test]
async fn the_commands_say_which_build_this_is() {
    let machine = Machine::new();
    let asked: [&[&str]; 6] = [
        &["vnc", "on"],
        &["vnc", "off"],
        &["screen", "wayland"],
        &["screen", "virtual", "1280x720"],
        &["screen", "vnc", "127.0.0.1:5900", "--password-file", "-"],
        &["screen"],
    ];
    for arguments in asked {
        let said = run(&machine, arguments).await;
        assert_eq!((said.code, said.err.as_str()), (Some(1), NO_SCREEN), "{arguments:?}");
        assert_eq!(said.out, "");
    }
    let said = run(&machine, &["screen", "--help"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), NO_SCREEN));
    // What only the full build's unit runs.
    assert_eq!(run(&machine, &["serve-screen"]).await.code, Some(2));
}

#[tokio::test]
async fn the_help_offers_what_is_there() {
    let help = run(&Machine::new(), &["--help"]).await.out;
    assert!(help.starts_with("Reach this device's shell from a browser\n"), "{help}");
    assert!(help.contains("\n  shell ") && !help.contains("vnc") && !help.contains("screen"), "{help}");
}

/// The real daemon, until this is dropped.
struct Daemon<'a>(&'a Machine);

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = command(self.0).arg("off").output();
    }
}

#[tokio::test]
async fn status_and_doctor_show_no_screen() {
    let machine = Machine::new();
    machine.write("state/settings.toml", "shell = true\nvnc = true\nvirtual_screen = \"800x600\"\n");
    let _daemon = Daemon(&machine);
    assert_eq!(run(&machine, &["on"]).await.code, Some(0));
    assert!(run(&machine, &["status"]).await.out.contains("Screen sharing: unavailable\n"));
    let status: Value = serde_json::from_str(&run(&machine, &["status", "--json"]).await.out).expect("JSON");
    assert_eq!(status["vnc"], "unavailable");
    assert_eq!(status["vnc_reason"], "This version of rpi-connect has no screen sharing.");
    assert_eq!(status["virtual_screen"], Value::Null);
    let doctor = run(&machine, &["doctor"]).await.out;
    assert!(doctor.starts_with(NO_SCREEN), "{doctor}");
    assert!(!doctor.contains("Screen sharing services") && !doctor.contains("compositor"), "{doctor}");
    let doctor: Value = serde_json::from_str(&run(&machine, &["doctor", "--json"]).await.out).expect("JSON");
    assert_eq!(doctor["screen_sharing_supported"], false);
}

#[test]
fn nothing_of_the_screen_is_in_the_programs() {
    // Of each part of it a text, or the name of its module in a symbol.
    let gone = [
        "6screen6stream",
        "6screen3rfb",
        "6screen4desk",
        "6screen8presence",
        "RFB 003.008",
        "wayvnc",
        "HEADLESS-1",
        "wl_output",
        "VNC server",
    ];
    for program in [env!("CARGO_BIN_EXE_rpi-connect"), env!("CARGO_BIN_EXE_rpi-connectd")] {
        // Much faster in a hundred megabytes than a test without optimisation.
        let grep = |text: &str| Command::new("grep").args(["-qaF", text, program]).status().expect("runs");
        let has = |text: &str| grep(text).success();
        assert!(has("13bramble_agent7session") && has("settings.toml"), "this finds what is there");
        let left: Vec<_> = gone.iter().filter(|text| has(text)).collect();
        assert!(left.is_empty(), "{program} has {left:?}");
    }
}
