//! The real agent as a device of its own.

use crate::{
    Finished, LONG, Running, SHORT, TestServer, eventually,
    programs::{finish, program},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
};
use tempfile::TempDir;
use tokio::process::Command;

/// `rpi-connectd` with a home of its own, and `rpi-connect` to talk to it.
#[derive(Debug)]
pub struct TestDevice {
    home: TempDir,
    /// More of the daemon's environment.
    variables: Vec<(String, String)>,
    running: Option<Running>,
}

impl TestDevice {
    /// Starts the daemon and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more in its environment.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn start_with(variables: &[(&str, String)]) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        for folder in ["run", ".config"] {
            fs::create_dir(home.path().join(folder)).expect("a folder");
        }
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut device = Self { home, variables, running: None };
        device.start_again().await;
        device
    }

    /// A device that is linked to a server and online.
    pub async fn linked(server: &TestServer, key: &str) -> Self {
        let device = Self::start().await;
        device.sign_in(server, key).await.success();
        device.online().await;
        device
    }

    /// Its home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where its log is.
    pub fn log_path(&self) -> PathBuf {
        self.home.path().join("rpi-connectd.log")
    }

    /// The daemon's process id.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the daemon runs").pid()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        // Nothing of the person who runs the tests: no session bus, no agent of theirs, no proxy.
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path().join(".config"))
            .env("XDG_RUNTIME_DIR", self.home.path().join("run"))
            .env("LANG", "C.UTF-8")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path());
        command
    }

    /// Starts the daemon (again) on the same home and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub async fn start_again(&mut self) {
        let mut command = self.command("rpi-connectd");
        command.arg("-v");
        self.running = Some(Running::start(&mut command, &self.log_path()));
        eventually("the daemon answers", SHORT, async || {
            let status = self.rpi_connect(&["status"]).await;
            status.stdout.contains("Signed in:").then_some(())
        })
        .await;
    }

    /// Runs `rpi-connect`.
    pub async fn rpi_connect(&self, arguments: &[&str]) -> Finished {
        finish(self.command("rpi-connect").args(arguments), "").await
    }

    /// Links it with a key, handed over in a file as a person would.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub async fn sign_in(&self, server: &TestServer, key: &str) -> Finished {
        self.sign_in_at(server.url(), server, key).await
    }

    /// The same through another address, such as a proxy's.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub async fn sign_in_at(&self, url: &str, server: &TestServer, key: &str) -> Finished {
        let file = self.home.path().join("key");
        fs::write(&file, key).expect("the key is written");
        let argument = format!("--auth-key=@{}", file.display());
        let mut arguments = vec!["signin", "--server", url, &argument];
        let ca = server.authority().map(|authority| authority.ca.display().to_string());
        if let Some(ca) = &ca {
            arguments.extend(["--ca", ca]);
        }
        let finished = self.rpi_connect(&arguments).await;
        // It may have been deleted once it was exchanged.
        let _ = fs::remove_file(&file);
        finished
    }

    /// Waits until it hears the server.
    ///
    /// # Panics
    /// If it does not within a minute.
    pub async fn online(&self) {
        eventually("the device is subscribed to events", LONG, async || {
            let status = self.rpi_connect(&["status"]).await;
            status.stdout.contains("Subscribed to events: yes").then_some(())
        })
        .await;
    }

    /// Kills the daemon as the kernel would when memory runs out.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn kill(&mut self) {
        self.running.take().expect("the daemon runs").kill().await;
    }

    /// Asks the daemon to end and waits for that.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) -> ExitStatus {
        self.running.take().expect("the daemon runs").stop().await
    }
}
