//! Fetching over SFTP from OpenSSH's own server.

use super::board::{Board, failed, script};
use bramble_agent::update::{artefact::Checksum, record::Outcome};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// An `sshd` with keys of its own, and the settings with which a client gets in.
struct Sshd {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Sshd {
    fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        for key in ["host", "user", "other"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.path().join(key))
                .status();
            assert!(made.expect("ssh-keygen runs").success());
        }
        fs::copy(folder.path().join("user.pub"), folder.path().join("authorized")).expect("copied");
        // Where Debian's sshd, as root, separates its privileges.
        let _ = fs::create_dir_all("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let option = |name: &str, file: &str| format!("{name}={}", folder.path().join(file).display());
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string()])
            .args(["-o", "ListenAddress=127.0.0.1", "-o", "StrictModes=no", "-o", "UsePAM=no"])
            .args(["-o", "PidFile=none", "-o", "PermitRootLogin=prohibit-password"])
            .args(["-o", "Subsystem=sftp internal-sftp"])
            .args(["-o", &option("HostKey", "host"), "-o", &option("AuthorizedKeysFile", "authorized")])
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).expect("a log"))
            .spawn()
            .expect("sshd runs");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "sshd does not answer");
            std::thread::yield_now();
        }
        Self { folder, port, child }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        self.url(&path)
    }

    fn url(&self, path: &Path) -> String {
        format!("sftp://127.0.0.1:{}{}", self.port, path.display()).replace(' ', "%20")
    }

    /// The board logs in with this key, and keeps the hosts it met in a file of its own.
    fn let_in(&self, board: &Board, key: &str) {
        let folder = self.folder.path().display();
        board.write(
            "etc/rpi-connect/ssh_config",
            format!("IdentityFile {folder}/{key}\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\nGlobalKnownHostsFile none\n")
                .as_bytes(),
        );
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn artefact() -> Vec<u8> {
    let ballast = hex::encode(crate::artefact::noise(2_000_000));
    script(&format!("#!/bin/sh\nexit 0\n# {ballast}\n"))
}

#[tokio::test]
async fn sftp_is_spoken_through_the_device_s_own_ssh() {
    let server = Sshd::start();
    let body = artefact();
    let checksum = Checksum::of(&body).to_string();
    let board = Board::single();
    server.let_in(&board, "user");
    let url = server.file("a file.zst", &body);
    let standing = board.apply_from(&board.engine(), 1, &url, &checksum).await;
    assert_eq!(standing.outcome, Some(Outcome::Succeeded));
    let known = fs::read_to_string(server.folder.path().join("known")).expect("the host was noted");
    assert!(known.contains("ssh-ed25519"), "{known}");

    let missing = server.url(&server.folder.path().join("missing"));
    let standing = board.apply_from(&board.engine(), 2, &missing, &checksum).await;
    assert_eq!(failed(&standing), "Download refused by the server: no such file");
    // Somebody else's key.
    server.let_in(&board, "other");
    let standing = board.apply_from(&board.engine(), 3, &url, &checksum).await;
    let words = failed(&standing);
    assert!(
        words.starts_with("Download refused by the server: ") && words.contains("Permission denied"),
        "{words}"
    );
    // The host that was noted has another key now: somebody may be in between.
    let other = fs::read_to_string(server.folder.path().join("other.pub")).expect("a key");
    let claimed = format!("[127.0.0.1]:{} {other}", server.port);
    fs::write(server.folder.path().join("known"), claimed).expect("written");
    server.let_in(&board, "user");
    let standing = board.apply_from(&board.engine(), 4, &url, &checksum).await;
    assert!(failed(&standing).contains("host key is not a known one"), "{}", failed(&standing));
}

#[tokio::test]
async fn a_password_is_given_only_to_a_host_that_is_known() {
    let server = Sshd::start();
    let body = script("#!/bin/sh\nexit 0\n");
    let checksum = Checksum::of(&body).to_string();
    let board = Board::single();
    server.let_in(&board, "user");
    let url = server.file("a.zst", &body).replace("sftp://", "sftp://root:secret@");
    let standing = board.apply_from(&board.engine(), 1, &url, &checksum).await;
    assert!(failed(&standing).contains("host key is not a known one"), "{}", failed(&standing));
    assert!(!server.folder.path().join("known").exists(), "nothing was noted");
}
