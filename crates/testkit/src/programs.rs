//! The programs under test: where they are, how they are run, how they end.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// Names the folder with the programs where it is not the one that this test was built into.
const VARIABLE: &str = "BRAMBLE_BIN_DIR";

/// Where a program of ours is.
///
/// # Panics
/// If it was not built.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os(VARIABLE).map_or_else(
        || {
            // …/target/debug/deps/it-0123456789abcdef, or …/target/release/bramble-bench
            let own = std::env::current_exe().expect("a running program has a path");
            let folder = own.parent().expect("a folder");
            if folder.ends_with("deps") {
                folder.parent().expect("a folder").to_owned()
            } else {
                folder.to_owned()
            }
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(path.exists(), "{} was not built; run `cargo build --workspace --bins --tests`", path.display());
    path
}

/// A TCP port on loopback that was free a moment ago.
///
/// # Panics
/// If the system has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Memory of a process that is in RAM, in KiB.
pub fn resident_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What a program that ran to its end left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Finished {
    /// Its output, if it succeeded.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a command to its end.
///
/// # Panics
/// If it does not start.
pub(crate) async fn finish(command: &mut Command, stdin: &str) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    // A program that takes no input may have closed it.
    let _ = pipe.write_all(stdin.as_bytes()).await;
    drop(pipe);
    let output = child.wait_with_output().await.expect("the program ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A program that goes on until it is stopped. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts it; what it says is added to the log.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).expect("the log opens");
        let err = out.try_clone().expect("the log opens twice");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        Self { child }
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it ended already.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it still runs")
    }

    /// Whether it ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child is known")
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If the process is not there any more.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("the signal is sent");
    }

    /// Kills it as a power cut would: nothing is said, nothing is written.
    ///
    /// # Panics
    /// If the system refuses.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the program is killed");
    }

    /// Asks it to end and waits for that.
    ///
    /// # Panics
    /// If it was gone already.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().await.expect("the program ends")
    }
}
