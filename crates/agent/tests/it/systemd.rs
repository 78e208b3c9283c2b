//! `on`, `off` and `restart` where systemd's user manager runs: what the person's `systemctl` is told. And
//! what the manager hears from the daemon.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A home, and programs in the place of systemd's that write down what they are told.
struct Systemd {
    place: tempfile::TempDir,
}

impl Systemd {
    fn new() -> Self {
        let this = Self { place: tempfile::tempdir().expect("a folder") };
        for folder in ["root/run/systemd/system", "root/var/lib/systemd/linger", "home", "run", "bin"] {
            fs::create_dir_all(this.path(folder)).expect("a folder");
        }
        fs::set_permissions(this.path("run"), fs::Permissions::from_mode(0o700)).expect("set");
        for program in ["systemctl", "loginctl"] {
            this.program(program, "exit 0");
        }
        this
    }

    fn path(&self, below: &str) -> PathBuf {
        self.place.path().join(below)
    }

    fn program(&self, name: &str, then: &str) {
        let (file, told) = (self.path("bin").join(name), self.path("told"));
        fs::write(&file, format!("#!/bin/sh\necho {name} \"$@\" >>'{}'\n{then}\n", told.display()))
            .expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("set");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("HOME", self.path("home")).env("XDG_RUNTIME_DIR", self.path("run"));
        command.env("RPI_CONNECT_ROOT", self.path("root")).env("USER", "ada");
        command
    }

    fn run(&self, arguments: &str) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_rpi-connect"));
        command.args(arguments.split(' ')).output().expect("it runs")
    }

    /// The daemon that the unit would run, once it is on this bus.
    fn daemon(&self, bus: &str) -> Daemon {
        // Nobody answers there.
        fs::create_dir_all(self.path("root/etc/rpi-connect")).expect("a folder");
        fs::write(self.path("root/etc/rpi-connect/config.toml"), "server = \"http://localhost:1\"\n")
            .expect("written");
        let mut command = self.command(env!("CARGO_BIN_EXE_rpi-connectd"));
        command.arg("--socket").arg(self.path("run/rpi-connect-wayvnc.sock"));
        command.env("DBUS_SESSION_BUS_ADDRESS", bus).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Daemon(command.spawn().expect("it starts"));
        let mut wait = self.command("gdbus");
        wait.args(["wait", "--session", "--timeout", "20", "com.raspberrypi.Connect"]);
        let there = wait.env("DBUS_SESSION_BUS_ADDRESS", bus).status().expect("gdbus runs");
        assert!(there.success(), "the daemon is not on the bus");
        daemon
    }

    /// Calls a method as the desktop's panel does; what it answered, and whether it worked.
    fn panel(&self, bus: &str, method: &str) -> (bool, String) {
        let mut call = self.command("gdbus");
        call.args(["call", "--session", "-d", "com.raspberrypi.Connect", "-o", "/com/raspberrypi/Connect"]);
        call.args(["-m", &format!("com.raspberrypi.Connect.{method}")]);
        let output = call.env("DBUS_SESSION_BUS_ADDRESS", bus).output().expect("gdbus runs");
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    /// What was told since the last look.
    fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.path("told")).unwrap_or_default();
        let _ = fs::remove_file(self.path("told"));
        told.lines().map(str::to_owned).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const ASKED: &str = "systemctl --user --quiet cat rpi-connect.service";
const ASKED_SCREEN: &str = "systemctl --user --quiet cat rpi-connect-wayvnc.service";
const SCREEN_ON: &str = "systemctl --user enable --now rpi-connect-wayvnc.service";
const SCREEN_OFF: &str = "systemctl --user disable --now rpi-connect-wayvnc.service";

#[test]
fn on_off_and_restart_go_through_the_units() {
    let systemd = Systemd::new();
    let on = systemd.run("on");
    assert!(on.status.success(), "{}", text(&on.stderr));
    assert!(text(&on.stdout).starts_with("✓ Raspberry Pi Connect started\n"), "{}", text(&on.stdout));
    let enabled = "systemctl --user enable --now rpi-connect.service rpi-connect-signin.path";
    // Nobody is there to answer a question, so none may be asked.
    let linger = "loginctl --no-ask-password enable-linger ada";
    assert_eq!(systemd.told(), [ASKED, enabled, ASKED_SCREEN, SCREEN_ON, linger]);

    assert!(systemd.run("restart").status.success());
    assert_eq!(systemd.told(), [ASKED, "systemctl --user restart rpi-connect.service"]);

    fs::write(systemd.path("root/var/lib/systemd/linger/ada"), "").expect("written");
    let off = systemd.run("off");
    assert!(off.status.success(), "{}", text(&off.stderr));
    let disabled = "systemctl --user disable --now rpi-connect-signin.path rpi-connect.service";
    assert_eq!(systemd.told(), [ASKED, ASKED_SCREEN, SCREEN_OFF, disabled]);
    assert!(text(&off.stdout).contains("sudo loginctl disable-linger ada"), "{}", text(&off.stdout));
}

#[test]
fn somebody_who_lingers_already_is_not_made_to_again() {
    let systemd = Systemd::new();
    fs::write(systemd.path("root/var/lib/systemd/linger/ada"), "").expect("written");
    assert!(systemd.run("on").status.success());
    assert!(systemd.told().iter().all(|it| !it.starts_with("loginctl")));
}

#[test]
fn a_manager_that_refuses_is_a_failure_that_says_where_to_look() {
    let systemd = Systemd::new();
    systemd.program("systemctl", "case \"$*\" in *cat*) exit 0 ;; *) exit 1 ;; esac");
    for argument in ["on", "off", "restart"] {
        let said = systemd.run(argument);
        assert_eq!(said.status.code(), Some(1), "{argument}");
        let error = text(&said.stderr);
        assert!(error.contains("journalctl --user -u rpi-connect.service"), "{argument}: {error}");
        assert!(!text(&said.stdout).contains('✓'), "{argument}");
    }
}

#[test]
fn without_the_unit_off_does_without_systemd() {
    let systemd = Systemd::new();
    systemd.program("systemctl", "exit 1");
    let off = systemd.run("off");
    assert!(off.status.success(), "{}", text(&off.stderr));
    assert_eq!(systemd.told(), [ASKED]);
}

#[test]
fn a_screen_that_is_switched_off_stays_off() {
    let systemd = Systemd::new();
    let state = systemd.path("home/.config/com.raspberrypi.connect");
    fs::create_dir_all(&state).expect("a folder");
    fs::write(state.join("settings.toml"), "vnc = false\n").expect("written");
    assert!(systemd.run("on").status.success());
    assert!(systemd.told().iter().all(|it| !it.contains("wayvnc")));
}

/// `rpi-connect vnc` and the panel do the same: the switch, and the unit.
#[tokio::test]
async fn the_screens_switch_takes_its_unit_along_from_the_command_and_from_the_panel() {
    let systemd = Systemd::new();
    let (_bus, address) = super::bus::session(systemd.place.path()).await;
    let _daemon = systemd.daemon(&address);
    assert_eq!(systemd.told(), <[&str; 0]>::default());
    let settings = systemd.path("home/.config/com.raspberrypi.connect/settings.toml");
    let kept = || fs::read_to_string(&settings).expect("settings");

    for _ in 0..2 {
        let off = systemd.run("vnc off");
        assert!(off.status.success(), "{}", text(&off.stderr));
        assert_eq!(systemd.told(), [ASKED_SCREEN, SCREEN_OFF]);
        assert!(kept().contains("vnc = false"));
        let (worked, said) = systemd.panel(&address, "VncOn");
        assert!(worked, "{said}");
        assert_eq!(systemd.told(), [ASKED_SCREEN, SCREEN_ON]);
        assert!(kept().contains("vnc = true"));
        let (worked, said) = systemd.panel(&address, "VncOff");
        assert!(worked, "{said}");
        assert_eq!(systemd.told(), [ASKED_SCREEN, SCREEN_OFF]);
        let on = systemd.run("vnc on");
        assert!(on.status.success(), "{}", text(&on.stderr));
        // The unit was only just started: why there is no screen yet says nothing.
        assert_eq!(text(&on.stdout), "✓ Screen sharing allowed\n");
        assert_eq!(systemd.told(), [ASKED_SCREEN, SCREEN_ON]);
    }

    systemd.program("systemctl", "case \"$*\" in *cat*) exit 0 ;; *) exit 1 ;; esac");
    let (worked, said) = systemd.panel(&address, "VncOff");
    assert!(!worked && said.contains("journalctl --user -u rpi-connect.service"), "{said}");
    let off = systemd.run("vnc off");
    assert_eq!(off.status.code(), Some(1));
    // What was forbidden is, whatever systemd says.
    assert!(kept().contains("vnc = false"));
}

#[tokio::test]
async fn doctor_says_when_the_screen_will_not_be_there_after_a_restart() {
    let systemd = Systemd::new();
    let (_bus, address) = super::bus::session(systemd.place.path()).await;
    let _daemon = systemd.daemon(&address);
    let _compositor = UnixListener::bind(systemd.path("run/wayland-1")).expect("binds");
    let _vnc = UnixListener::bind(systemd.path("run/rpi-connect-wayvnc.sock")).expect("binds");
    let doctor = text(&systemd.run("doctor").stdout);
    assert!(doctor.contains("✓ Wayland compositor available\n"), "{doctor}");
    assert!(doctor.contains("✓ Screen sharing services enabled and active\n"), "{doctor}");
    for missing in ["is-enabled", "is-active"] {
        systemd.program("systemctl", &format!("case \"$*\" in *{missing}*) exit 1 ;; esac"));
        let doctor = text(&systemd.run("doctor").stdout);
        let why = "✗ Screen sharing services enabled and active: rpi-connect-wayvnc.service is not enabled and \
                   active; run rpi-connect vnc on\n";
        assert!(doctor.contains(why), "{missing}: {doctor}");
    }
}

#[test]
fn wayvnc_of_the_unit_and_that_of_the_person_do_not_meet() {
    let systemd = Systemd::new();
    fs::create_dir_all(systemd.path("root/usr/bin")).expect("a folder");
    fs::write(systemd.path("root/usr/bin/wayvnc"), "").expect("written");
    let _compositor = UnixListener::bind(systemd.path("run/wayland-1")).expect("binds");
    // The person's own, where all later versions listen for commands.
    let _theirs = UnixListener::bind(systemd.path("run/wayvncctl")).expect("binds");
    systemd.program(
        "wayvnc",
        "[ -e \"$XDG_RUNTIME_DIR/wayvncctl\" ] && { echo Another wayvnc process is already running; exit 1; }
         echo \"$XDG_RUNTIME_DIR $WAYLAND_DISPLAY $(stat -c %a \"$XDG_RUNTIME_DIR\")\"",
    );
    let own = systemd.path("run/rpi-connect-wayvnc.own");
    // The second time the folder is there.
    for _ in 0..2 {
        let said = systemd.run("serve-screen");
        assert!(said.status.success(), "{}", text(&said.stdout));
        let display = systemd.path("run/wayland-1");
        assert_eq!(text(&said.stdout), format!("{} {} 700\n", own.display(), display.display()));
    }
    // One that others can open is not used.
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).expect("set");
    let said = systemd.run("serve-screen");
    assert_eq!(said.status.code(), Some(1), "{}", text(&said.stdout));
    assert!(text(&said.stderr).contains("only this user can open"), "{}", text(&said.stderr));
}

/// Ended with the test, however that ends.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_manager_hears_that_the_daemon_is_ready_once_it_takes_commands() {
    let systemd = Systemd::new();
    let path = systemd.path("notify");
    let name = format!("bramble-test-{}", std::process::id());
    let of_path = SocketAddr::from_pathname(&path).expect("an address");
    let of_name = SocketAddr::from_abstract_name(&name).expect("an address");
    for (told, address) in [(path.display().to_string(), of_path), (format!("@{name}"), of_name)] {
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        manager.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        let mut command = Command::new(env!("CARGO_BIN_EXE_rpi-connectd"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("NOTIFY_SOCKET", told);
        command.env("HOME", systemd.path("home")).env("XDG_RUNTIME_DIR", systemd.path("run"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = Daemon(command.spawn().expect("it starts"));
        let mut heard = [0; 64];
        let length = manager.recv(&mut heard).expect("a word in time");
        assert_eq!(text(&heard[..length]), "READY=1\n");
        let status = systemd.run("status");
        assert!(text(&status.stdout).starts_with("Signed in: no\n"), "{}", text(&status.stderr));

        let pid = rustix::process::Pid::from_child(&daemon.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        assert!(daemon.0.wait().expect("it ends").success());
    }
}
