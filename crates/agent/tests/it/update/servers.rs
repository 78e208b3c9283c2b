//! Servers that others wrote, on loopback: nginx for HTTP and HTTPS, vsftpd for FTP with and without TLS. Each
//! can die in the middle of a download and come back.

use crate::artefact::noise;
use crate::update::board::script;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use time::OffsetDateTime;

/// How long a server may take to start, and a line to get into its log.
const SOON: Duration = Duration::from_secs(20);
/// The path of the artefact on each of them.
pub const NAME: &str = "a file.zst";

/// A script with ballast: about 2 MB that take two seconds at the rate to which the servers are held.
pub fn artefact() -> Vec<u8> {
    script(&format!("#!/bin/sh\nexit 0\n# {}\n", hex::encode(noise(2_000_000))))
}

/// A certificate for `localhost` and the authority that vouches for it.
pub struct Certificates {
    pub authority: String,
    leaf: String,
    key: String,
}

impl Certificates {
    pub fn new() -> Self {
        Self::valid(None)
    }

    /// Valid for a day around this moment only.
    pub fn around(moment: OffsetDateTime) -> Self {
        Self::valid(Some(moment))
    }

    fn valid(moment: Option<OffsetDateTime>) -> Self {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).expect("an authority");
        let issuer = rcgen::Issuer::new(parameters, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        if let Some(moment) = moment {
            leaf.not_before = moment - time::Duration::hours(12);
            leaf.not_after = moment + time::Duration::hours(12);
        }
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
        Self { authority: authority.pem(), leaf: leaf.pem(), key: key.serialize_pem() }
    }
}

/// When an FTP server speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FtpTls {
    Never,
    /// When it is asked to.
    Asked,
    /// Always.
    FirstByte,
}

/// A server and its folder. What is below `files` can be fetched.
pub struct Server {
    folder: TempDir,
    program: &'static str,
    arguments: Vec<String>,
    pub port: u16,
    pub tls_port: u16,
    child: Option<Child>,
}

impl Server {
    /// nginx. `/plain` redirects from TLS to plain HTTP, `/again` to the artefact.
    pub fn nginx(certificates: &Certificates) -> Self {
        let mut this = Self::new("/usr/sbin/nginx", certificates);
        let folder = this.folder.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {folder}/{name};"))
            .join(" ");
        let text = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}
             http {{ {temporary}
               log_format ranges '$request_uri $status $http_range';
               access_log {folder}/log ranges;
               root {folder}/files;
               limit_rate 1m;
               server {{ listen 127.0.0.1:{port}; }}
               server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {folder}/leaf.pem; ssl_certificate_key {folder}/key.pem;
                 location /plain {{ return 302 http://localhost:{port}/x; }}
                 location /again {{ return 302 /a%20file.zst; }} }}
             }}",
            port = this.port,
            tls = this.tls_port,
        );
        fs::write(this.folder.path().join("conf"), text).expect("written");
        this.arguments = vec!["-c".into(), this.file("conf"), "-e".into(), "stderr".into()];
        this.start();
        this
    }

    /// vsftpd with its usual rule that a data connection resumes the TLS session of the control connection.
    pub fn vsftpd(certificates: &Certificates, tls: FtpTls) -> Self {
        let mut this = Self::new("/usr/sbin/vsftpd", certificates);
        let word = |yes: bool| if yes { "YES" } else { "NO" };
        let (secured, implicit) = (word(tls != FtpTls::Never), word(tls == FtpTls::FirstByte));
        let text = format!(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nrun_as_launching_user=YES\n\
             anonymous_enable=YES\nlocal_enable=NO\nanon_root={folder}/files\nanon_max_rate=1000000\n\
             ssl_enable={secured}\nimplicit_ssl={implicit}\nallow_anon_ssl={secured}\nforce_anon_logins_ssl={secured}\n\
             force_anon_data_ssl={secured}\nssl_ciphers=HIGH\nrsa_cert_file={folder}/leaf.pem\n\
             rsa_private_key_file={folder}/key.pem\nseccomp_sandbox=NO\nxferlog_enable=YES\n\
             vsftpd_log_file={folder}/log\n",
            port = this.port,
            folder = this.folder.path().display(),
        );
        fs::write(this.folder.path().join("conf"), text).expect("written");
        this.arguments = vec![this.file("conf")];
        this.start();
        this
    }

    fn new(program: &'static str, certificates: &Certificates) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::create_dir(folder.path().join("files")).expect("a folder");
        for (name, text) in [("leaf.pem", &certificates.leaf), ("key.pem", &certificates.key)] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        // Both are held until both are known, so that they differ.
        let free = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let listeners = [free(), free()];
        let [port, tls_port] = listeners.map(|listener| listener.local_addr().expect("an address").port());
        Self { folder, program, arguments: Vec::new(), port, tls_port, child: None }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn offer(&self, bytes: &[u8]) {
        fs::write(self.folder.path().join("files").join(NAME), bytes).expect("written");
    }

    /// Starts it, the first time or again.
    pub fn start(&mut self) {
        let complaints = fs::File::create(self.folder.path().join("complaints")).expect("a file");
        let mut command = Command::new(self.program);
        // A group of its own: vsftpd has a process for each connection, and they are to die together.
        command.args(&self.arguments).stdin(Stdio::null()).stderr(complaints).process_group(0);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program)));
        let until = Instant::now() + SOON;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "{} does not answer: {}", self.program, self.read("complaints"));
            std::thread::yield_now();
        }
    }

    /// Nothing of it is left, connections included.
    pub fn die(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("not zero");
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait();
        }
    }

    fn read(&self, name: &str) -> String {
        let path: PathBuf = Path::new(self.folder.path()).join(name);
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The lines of its log, once one of them fits.
    pub async fn logged(&self, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let until = Instant::now() + SOON;
        loop {
            let log = self.read("log");
            if log.lines().any(&fits) {
                return log.lines().map(str::to_owned).collect();
            }
            assert!(Instant::now() < until, "the log has only: {log}\n{}", self.read("complaints"));
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.die();
    }
}
