//! The real agent with the real updater, on a bus and below a root folder of its own.

use crate::{
    Running, SHORT, TestDevice, TestServer, eventually,
    programs::{finish, program},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::process::Command;

const POLICY: &str = include_str!("../../../packaging/dbus/com.raspberrypi.ota.conf");

/// A device that takes remote updates: `rpi-connectd`, `rpi-ota-connector` and a bus between them.
#[derive(Debug)]
pub struct UpdatableDevice {
    /// The device.
    pub device: TestDevice,
    place: TempDir,
    _updater: Running,
    _bus: Running,
}

impl UpdatableDevice {
    /// One that is linked, online, and allows remote updates. Whoever runs the test plays root.
    ///
    /// # Panics
    /// If it does not get so far.
    pub async fn linked(server: &TestServer, key: &str) -> Self {
        let place = tempfile::tempdir().expect("a temporary folder");
        let root = place.path().join("root");
        for folder in ["usr/bin", "proc/device-tree"] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        fs::write(root.join("proc/device-tree/serial-number"), "10000000abcdef01").expect("a file");
        let updater = program("rpi-ota-connector");
        std::os::unix::fs::symlink(&updater, root.join("usr/bin/rpi-ota-connector")).expect("a link");
        let (bus, address) = start_bus(place.path()).await;
        let variables =
            [("RPI_CONNECT_ROOT", root.display().to_string()), ("DBUS_SYSTEM_BUS_ADDRESS", address.clone())];
        let device = TestDevice::start_with(&variables).await;
        device.sign_in(server, key).await.success();
        device.online().await;
        let mut command = Command::new(&updater);
        command.arg("--root").arg(&root).envs(variables);
        let updater = Running::start(&mut command, &place.path().join("updater.log"));
        eventually("the updater is on the bus", SHORT, async || {
            let mut ask = Command::new("dbus-send");
            ask.arg(format!("--bus={address}"))
                .args(["--print-reply", "--dest=com.raspberrypi.ota", "/com/raspberrypi/ota"])
                .arg("com.raspberrypi.ota.GetStatus");
            finish(&mut ask, "").await.stdout.contains("idle").then_some(())
        })
        .await;
        device.rpi_connect(&["ota", "on"]).await.success();
        Self { device, place, _updater: updater, _bus: bus }
    }

    /// A folder whose files it can be told to fetch.
    pub fn files(&self) -> PathBuf {
        self.place.path().to_owned()
    }
}

/// A bus with the packaged policy and nothing else.
async fn start_bus(folder: &Path) -> (Running, String) {
    let uid = rustix::process::geteuid().as_raw();
    let policy = POLICY.replace("user=\"root\"", &format!("user=\"{uid}\""));
    fs::write(folder.join("policy.conf"), policy).expect("a file");
    let place = folder.display();
    let configuration = format!(
        "<busconfig><listen>unix:path={place}/bus</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow user=\"*\"/><deny own=\"*\"/><deny send_type=\"method_call\"/>\
         <allow send_type=\"method_return\"/><allow send_type=\"error\"/><allow send_type=\"signal\"/>\
         <allow send_destination=\"org.freedesktop.DBus\"/><allow receive_type=\"method_call\"/>\
         <allow receive_type=\"method_return\"/><allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\
         </policy><include>{place}/policy.conf</include></busconfig>"
    );
    let (path, log) = (folder.join("bus.conf"), folder.join("bus.log"));
    fs::write(&path, configuration).expect("a file");
    let mut command = Command::new("dbus-daemon");
    command.arg(format!("--config-file={}", path.display())).args(["--nofork", "--print-address"]);
    let running = Running::start(&mut command, &log);
    let address = eventually("the bus says where it is", SHORT, async || {
        // It may complain about limits, too.
        let said = fs::read_to_string(&log).unwrap_or_default();
        let whole = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(str::trim).find(|line| line.starts_with("unix:")).map(str::to_owned)
    })
    .await;
    (running, address)
}
