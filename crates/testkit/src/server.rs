//! The `bramble` program on a folder and ports of its own.

use crate::{
    Authority, Finished, Running, SHORT, eventually,
    programs::{finish, free_port, program},
};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitStatus,
};
use tempfile::TempDir;
use tokio::process::Command;

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Person {
    /// Address.
    pub email: String,
    /// Password.
    pub password: String,
}

/// How a server is to be.
#[derive(Debug, Default)]
pub struct ServerBuilder {
    tls: bool,
    relay: bool,
    data: Option<PathBuf>,
    public_url: Option<String>,
    flags: Vec<String>,
}

impl ServerBuilder {
    /// With HTTPS, under an authority of its own.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// With the relay, on a free port of loopback for UDP and TCP.
    #[must_use]
    pub fn relay(mut self) -> Self {
        self.relay = true;
        self
    }

    /// On this data folder instead of an empty one.
    #[must_use]
    pub fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// Reached through something else, such as a proxy.
    #[must_use]
    pub fn public_url(mut self, url: &str) -> Self {
        self.public_url = Some(url.to_owned());
        self
    }

    /// One more flag with its value.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Prepares everything and starts nothing.
    ///
    /// # Panics
    /// If there is no room for its files.
    pub fn prepare(self) -> TestServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = self.data.unwrap_or_else(|| folder.path().join("data"));
        let port = free_port();
        let authority = self.tls.then(|| Authority::new(folder.path()));
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{port}");
        let public_url = self.public_url.unwrap_or_else(|| url.clone());
        let mut flags = vec![
            "--data".to_owned(),
            data.display().to_string(),
            "--listen".to_owned(),
            format!("127.0.0.1:{port}"),
            "--public-url".to_owned(),
            public_url,
        ];
        if let Some(authority) = &authority {
            flags.extend(["--tls-cert".to_owned(), authority.cert.display().to_string()]);
            flags.extend(["--tls-key".to_owned(), authority.key.display().to_string()]);
        }
        if self.relay {
            let relay = format!("127.0.0.1:{}", free_port());
            flags.extend(["--relay-udp".to_owned(), relay.clone(), "--relay-tcp".to_owned(), relay]);
        } else {
            flags.extend(["--relay".to_owned(), "off".to_owned()]);
        }
        flags.extend(self.flags);
        TestServer { folder, data, port, url, authority, flags, running: None }
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> TestServer {
        let mut server = self.prepare();
        server.start_again().await;
        server
    }
}

/// The `bramble` program.
#[derive(Debug)]
pub struct TestServer {
    folder: TempDir,
    data: PathBuf,
    port: u16,
    url: String,
    authority: Option<Authority>,
    flags: Vec<String>,
    running: Option<Running>,
}

impl TestServer {
    /// One with the defaults: plain HTTP on loopback, no relay.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// One that is to be described.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address for a socket.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its authority, if it speaks HTTPS.
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the server runs").pid()
    }

    /// Where its log is.
    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Starts the process and does not wait: for servers that must not come up.
    pub fn spawn(&mut self) -> &mut Running {
        let mut command = Command::new(program("bramble"));
        command.arg("serve").args(&self.flags).current_dir(self.folder.path());
        self.running.insert(Running::start(&mut command, &self.log_path()))
    }

    /// Starts it (again) on the same folder and port and waits until it is ready.
    ///
    /// # Panics
    /// If it does not get ready.
    pub async fn start_again(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// If it does not get ready.
    pub async fn ready(&mut self) {
        let http = self.http();
        let url = format!("{}/ready", self.url);
        let log = self.log_path();
        let running = self.running.as_mut().expect("the server was started");
        eventually("the server is ready", SHORT, async || {
            if let Some(status) = running.ended() {
                panic!("the server ended with {status}:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Kills it as a power cut would.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn kill(&mut self) {
        self.running.take().expect("the server runs").kill().await;
    }

    /// Asks it to end and waits for that.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) -> ExitStatus {
        self.running.take().expect("the server runs").stop().await
    }

    /// A client that trusts it, keeps no cookies and follows no redirects.
    ///
    /// # Panics
    /// If there can be none.
    pub fn http(&self) -> reqwest::Client {
        // Several tests of one process may each be the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(SHORT);
        let builder = match &self.authority {
            Some(authority) => {
                let pem = fs::read(&authority.ca).expect("the authority's file");
                let certificate = reqwest::Certificate::from_pem(&pem).expect("a certificate");
                builder.tls_certs_only([certificate])
            }
            None => builder.tls_certs_only([]),
        };
        builder.build().expect("a client")
    }

    /// Runs an operator's command on its data folder.
    pub async fn bramble(&self, arguments: &[&str], stdin: &str) -> Finished {
        let mut command = Command::new(program("bramble"));
        command.args(arguments).arg("--data").arg(&self.data).current_dir(self.folder.path());
        finish(&mut command, stdin).await
    }

    /// Somebody whose address is verified.
    ///
    /// # Panics
    /// If the command fails.
    pub async fn person(&self, name: &str) -> Person {
        let person = Person {
            email: format!("{}@example.org", name.to_lowercase()),
            password: "correct horse battery staple 7".to_owned(),
        };
        let arguments =
            ["user", "create", "--email", &person.email, "--name", name, "--password-stdin", "--verified"];
        self.bramble(&arguments, &person.password).await.success();
        person
    }

    /// An auth key of somebody's personal account.
    ///
    /// # Panics
    /// If the command fails.
    pub async fn auth_key(&self, person: &Person) -> String {
        let arguments = ["auth-key", "create", "--user", &person.email, "--description", "test", "--json"];
        let output = self.bramble(&arguments, "").await.success();
        let start = output.find("rpuak_").expect("a key is printed");
        output[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    }
}
