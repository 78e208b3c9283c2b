//! The real agent with the real updater, on a bus and below a root folder of its own.

use crate::{
    LONG, Running, SHORT, TestDevice, TestServer, eventually,
    programs::{finish, program},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::process::Command;

const POLICY: &str = include_str!("../../../packaging/dbus/com.raspberrypi.ota.conf");

/// Where a device with two systems has what it needs, below its root.
const TREE: &str = "proc/device-tree/chosen/bootloader";
const SLOTS: &str = "dev/disk/by-slot";
const REBOOTS: &str = "reboots";

/// A device that takes remote updates: `rpi-connectd`, `rpi-ota-connector` and a bus between them.
#[derive(Debug)]
pub struct UpdatableDevice {
    /// The device.
    pub device: TestDevice,
    place: TempDir,
    variables: Vec<(&'static str, String)>,
    updater: Running,
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
        symlink(program("rpi-ota-connector"), root.join("usr/bin/rpi-ota-connector")).expect("a link");
        let (bus, address) = start_bus(place.path()).await;
        let variables =
            vec![("RPI_CONNECT_ROOT", root.display().to_string()), ("DBUS_SYSTEM_BUS_ADDRESS", address)];
        let device = TestDevice::start_with(&variables).await;
        device.sign_in(server, key).await.success();
        device.online().await;
        let updater = start_updater(place.path(), &variables).await;
        device.rpi_connect(&["ota", "on"]).await.success();
        Self { device, place, variables, updater, _bus: bus }
    }

    /// The folder below which it finds its own system's files.
    pub fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    /// Gives it two systems made of files, of which partition 2 runs, and a `reboot` that is only noted:
    /// [`UpdatableDevice::restart`] is the firmware.
    ///
    /// # Panics
    /// If the files cannot be written.
    pub async fn with_two_systems(mut self, partition_size: u64) -> Self {
        let root = self.root();
        for folder in ["bootfs", "sbin", "slots/2", "slots/3", TREE, "proc/sys/kernel/random", SLOTS] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        let autoboot = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";
        fs::write(root.join("bootfs/autoboot.txt"), autoboot).expect("a file");
        for (slot, name) in [(2, "boot"), (2, "system"), (3, "boot"), (3, "system")] {
            let partition = fs::File::create(root.join(format!("slots/{slot}/{name}"))).expect("a file");
            partition.set_len(partition_size).expect("a partition");
        }
        let noted = root.join(REBOOTS);
        let reboot = root.join("sbin/reboot");
        fs::write(&reboot, format!("#!/bin/sh\necho \"$*\" >> {}\n", noted.display())).expect("a file");
        fs::set_permissions(&reboot, fs::Permissions::from_mode(0o755)).expect("chmod");
        self.start_system(2, false);
        self.updater.kill().await;
        self.updater = start_updater(self.place.path(), &self.variables).await;
        self
    }

    /// Waits until an update restarts it, and starts what the firmware would then. Gives back its partition.
    ///
    /// # Panics
    /// If it is not restarted.
    pub async fn restart(&mut self) -> u32 {
        let noted = self.root().join(REBOOTS);
        let tryboot = eventually("an update restarts the device", LONG, async || {
            let text = fs::read_to_string(&noted).ok().filter(|text| text.ends_with('\n'))?;
            Some(text.trim() == "0 tryboot")
        })
        .await;
        self.device.kill().await;
        self.updater.kill().await;
        fs::remove_file(&noted).expect("it was there");
        let text = fs::read_to_string(self.root().join("bootfs/autoboot.txt")).expect("always there");
        let named = |section: &str| -> u32 {
            let rest = text.split(section).nth(1).and_then(|rest| rest.split("boot_partition=").nth(1));
            rest.and_then(|rest| rest.lines().next()?.trim().parse().ok())
                .expect("the firmware finds a system")
        };
        let partition = named(if tryboot { "[tryboot]" } else { "[all]" });
        self.start_system(partition, tryboot);
        self.updater = start_updater(self.place.path(), &self.variables).await;
        self.device.start_again().await;
        partition
    }

    /// What the firmware and the kernel say about the system that runs.
    fn start_system(&self, partition: u32, tried: bool) {
        let root = self.root();
        let tree = root.join(TREE);
        fs::write(tree.join("tryboot"), u32::from(tried).to_be_bytes()).expect("a file");
        fs::write(tree.join("partition"), partition.to_be_bytes()).expect("a file");
        let boot = root.join("proc/sys/kernel/random/boot_id");
        let before = fs::read_to_string(&boot).unwrap_or_default();
        fs::write(&boot, format!("{}+\n", before.trim())).expect("a file");
        for (name, slot) in [("active", partition), ("other", 5 - partition)] {
            let link = root.join(SLOTS).join(name);
            let _ = fs::remove_file(&link);
            symlink(root.join(format!("slots/{slot}")), link).expect("a link");
        }
    }

    /// A folder whose files it can be told to fetch.
    pub fn files(&self) -> PathBuf {
        self.place.path().to_owned()
    }
}

/// `rpi-ota-connector`, once it answers.
async fn start_updater(place: &Path, variables: &[(&str, String)]) -> Running {
    let root = place.join("root");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program("rpi-ota-connector"));
    command.arg("--root").arg(&root).envs(variables.iter().map(|(name, value)| (name, value)));
    command.env("PATH", format!("{}/sbin:{path}", root.display()));
    let updater = Running::start(&mut command, &place.join("updater.log"));
    let bus = variables.iter().find(|(name, _)| *name == "DBUS_SYSTEM_BUS_ADDRESS").expect("a bus");
    eventually("the updater is on the bus", SHORT, async || {
        let mut ask = Command::new("dbus-send");
        ask.arg(format!("--bus={}", bus.1))
            .args(["--print-reply", "--dest=com.raspberrypi.ota", "/com/raspberrypi/ota"])
            .arg("com.raspberrypi.ota.GetStatus");
        finish(&mut ask, "").await.stdout.contains("method return").then_some(())
    })
    .await;
    updater
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
