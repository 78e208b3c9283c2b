//! A real message bus of a test's own.

use std::{fs, path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Starts a bus that listens in this folder under these rules. It goes with what is returned, beside its address.
pub async fn start(place: &Path, rules: &str) -> (Child, String) {
    let configuration =
        format!("<busconfig><listen>unix:path={}/bus</listen>{rules}</busconfig>", place.display());
    let path = place.join("bus.conf");
    fs::write(&path, configuration).expect("file");
    let mut process = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", path.display()))
        .args(["--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("dbus-daemon runs");
    let mut address = String::new();
    let mut out = BufReader::new(process.stdout.take().expect("its output"));
    out.read_line(&mut address).await.expect("an address");
    (process, address.trim().to_owned())
}

/// A session bus, and its address.
pub async fn session(place: &Path) -> (Child, String) {
    let rules = "<type>session</type><policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
                 <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>";
    start(place, rules).await
}
