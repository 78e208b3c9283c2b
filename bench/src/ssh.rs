//! The same through OpenSSH, with a server of its own on loopback and keys that live as long as the run.

use crate::report::{median, p99};
use bramble_testkit::{Running, eventually, free_port};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};

/// Bytes of the bulk run.
const BULK: usize = 256 * 1024 * 1024;

/// What ssh reached.
pub struct Measured {
    pub echo_p50: f64,
    pub echo_p99: f64,
    pub bulk: f64,
}

/// A terminal through ssh that is open for as long as the run.
pub struct Peer {
    terminal: Terminal,
    echoes: Vec<f64>,
    rates: Vec<f64>,
    _server: Running,
    _folder: TempDir,
}

impl Peer {
    /// Starts a server and connects to it.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let status = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)])
                .status()
                .await;
            assert!(status.expect("ssh-keygen runs").success());
        }
        std::fs::copy(at("user.pub"), at("authorized")).expect("copied");
        let port = free_port().to_string();
        // Where Debian's sshd separates its privileges.
        let _ = std::fs::create_dir_all("/run/sshd");
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", "/dev/null", "-p", &port, "-h", &at("host")]);
        for option in [
            "ListenAddress=127.0.0.1".to_owned(),
            format!("AuthorizedKeysFile={}", at("authorized")),
            "StrictModes=no".to_owned(),
            "UsePAM=no".to_owned(),
            "PermitRootLogin=prohibit-password".to_owned(),
            "PidFile=none".to_owned(),
            "PrintMotd=no".to_owned(),
            // Nobody's start files, as with the agent's shell beside it.
            format!("SetEnv=HOME={}", folder.path().display()),
        ] {
            command.args(["-o", &option]);
        }
        let server = Running::start(&mut command, &folder.path().join("sshd.log"));
        eventually("sshd answers", Duration::from_secs(10), async || {
            tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.ok()
        })
        .await;
        let mut terminal = Terminal::open(folder.path(), &port);
        terminal.run("PS1=; stty -opost; echo ready-$((6*7))\n", "ready-42").await;
        Self { terminal, echoes: Vec::new(), rates: Vec::new(), _server: server, _folder: folder }
    }

    /// So many keystrokes, one after the other.
    pub async fn type_keys(&mut self, keystrokes: usize) {
        let terminal = &mut self.terminal;
        terminal.run("sh -c 'echo go-$((6*7)); exec cat >/dev/null'\n", "go-42").await;
        for _ in 0..keystrokes {
            let sent = Instant::now();
            terminal.pty.write_all(b"a").await.expect("typed");
            let mut byte = [0; 64];
            let _ = terminal.pty.read(&mut byte).await.expect("the echo");
            self.echoes.push(sent.elapsed().as_secs_f64() * 1000.0);
        }
        // The end of the file and not Ctrl+C, which throws away what is typed ahead: the line was then never run.
        terminal.run("\n\u{4}echo back-$((6*7))\n", "back-42").await;
    }

    /// Three times as much as the page takes in one run.
    pub async fn carry_bulk(&mut self) {
        let terminal = &mut self.terminal;
        for _ in 0..3 {
            let line = format!("head -c {} /dev/zero | tr '\\0' x\n", BULK + 4096);
            terminal.pty.write_all(line.as_bytes()).await.expect("typed");
            let mut buffer = vec![0; 64 * 1024];
            let mut got = 0;
            let mut began = None;
            while got < BULK {
                got += terminal.pty.read(&mut buffer).await.expect("output");
                began.get_or_insert_with(Instant::now);
            }
            #[expect(clippy::cast_precision_loss, reason = "a number of bytes far below 2^52")]
            let megabytes = BULK as f64 / 1_048_576.0;
            self.rates.push(megabytes / began.expect("it began").elapsed().as_secs_f64());
            terminal.run("echo next-$((6*7))\n", "next-42").await;
        }
    }

    /// The medians of all that was measured.
    pub fn measured(self) -> Measured {
        Measured {
            echo_p50: median(self.echoes.clone()),
            echo_p99: p99(self.echoes),
            bulk: median(self.rates),
        }
    }
}

struct Terminal {
    pty: pty_process::Pty,
    _child: tokio::process::Child,
}

impl Terminal {
    fn open(folder: &Path, port: &str) -> Self {
        let (pty, pts) = pty_process::open().expect("a terminal");
        pty.resize(pty_process::Size::new(24, 80)).expect("a size");
        let child = pty_process::Command::new("ssh")
            .args(["-tt", "-F", "/dev/null", "-p", port, "-i"])
            .arg(folder.join("user"))
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "LogLevel=ERROR",
            ])
            .args(["127.0.0.1", "bash", "--norc"])
            .kill_on_drop(true)
            .spawn(pts)
            .expect("ssh runs");
        Self { pty, _child: child }
    }

    /// Types a line and waits for a word of its output.
    async fn run(&mut self, line: &str, word: &str) {
        self.pty.write_all(line.as_bytes()).await.expect("typed");
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains(word) {
            let length = self.pty.read(&mut buffer).await.expect("output");
            seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
            let keep = seen.len().saturating_sub(8192);
            seen = seen.chars().skip(keep).collect();
        }
    }
}
