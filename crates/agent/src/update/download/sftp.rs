//! `sftp:`, resumed by position.
//!
//! The connection is OpenSSH's `ssh`: keys, known hosts and settings are then root's own, in the places that
//! every administrator knows, and no second list of them is kept. `russh-sftp` speaks the protocol over its
//! standard input and output (draft-ietf-secsh-filexfer-02).

use super::{Opened, Origin, Trouble, address::text};
use crate::update::artefact::Workspace;
use futures_util::StreamExt;
use russh_sftp::{
    client::{SftpSession, error::Error, fs::File},
    protocol::StatusCode,
};
use std::{
    io::{self, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    process::{Child, ChildStderr, Command},
};
use tokio_util::io::ReaderStream;
use url::Url;

const READ_AT_ONCE: usize = 256 * 1024;
/// Bytes of what `ssh` complains about that are kept.
const MOST_WORDS: u64 = 4096;
/// Names the variable through which `ssh` asks for the password.
const PASSWORD: &str = "BRAMBLE_SFTP_PASSWORD";
const ASKPASS: &str = "#!/bin/sh\nprintf '%s\\n' \"$BRAMBLE_SFTP_PASSWORD\"\n";

/// Where `ssh` finds what is this device's own.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// Settings as in ssh_config(5), read instead of root's own where the file exists.
    pub config: PathBuf,
    /// A folder that only root may enter, for the moment in which a password is handed over.
    pub scratch: PathBuf,
}

pub(super) async fn open(origin: &Origin, offset: u64) -> Result<Opened, Trouble> {
    let login = Login::of(&origin.url)?;
    let (mut child, askpass) = login.connect(&origin.ssh)?;
    let (Some(input), Some(output), Some(complaints)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Trouble::Later("ssh has no pipes".to_owned()));
    };
    let words = tokio::spawn(first_words(complaints));
    let path = login.path;
    let opened = tokio::select! {
        opened = open_file(tokio::io::join(output, input), &path, offset) => opened,
        // Without this an unanswered request would be waited for.
        _ = child.wait() => Err(Trouble::Later("ssh ended".to_owned())),
    };
    match opened {
        Ok((session, file, total)) => {
            let body = ReaderStream::with_capacity(file, READ_AT_ONCE)
                .map(move |piece| {
                    // They live as long as the stream; then `ssh` is killed.
                    let _ = (&session, &child, &askpass);
                    piece
                })
                .boxed();
            Ok(Opened { body, starts_at: offset, total })
        }
        Err(trouble) if matches!(child.try_wait(), Ok(Some(_))) => {
            Err(said(&words.await.unwrap_or_default()).unwrap_or(trouble))
        }
        Err(trouble) => Err(trouble),
    }
}

async fn open_file<S>(stream: S, path: &str, offset: u64) -> Result<(SftpSession, File, Option<u64>), Trouble>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let session = SftpSession::new(stream).await.map_err(|error| refused(&error))?;
    let mut file = session.open(path).await.map_err(|error| refused(&error))?;
    let total = file.metadata().await.map_err(|error| refused(&error))?.size;
    file.seek(SeekFrom::Start(offset)).await.map_err(|error| Trouble::Later(error.to_string()))?;
    Ok((session, file, total))
}

/// What an address says about where to go.
struct Login {
    host: String,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    path: String,
}

impl Login {
    fn of(url: &Url) -> Result<Self, Trouble> {
        let host = text(url.host_str().unwrap_or_default())?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let user = Some(text(url.username())?).filter(|user| !user.is_empty());
        // Both become arguments of `ssh`, and parts of its settings' patterns.
        let plain = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:_-@+".contains(&byte))
        };
        if !plain(&host) || !user.as_deref().is_none_or(plain) {
            return Err(Trouble::Final("the address names no host or user that ssh could take".to_owned()));
        }
        let path = text(url.path())?;
        // As curl has it: what follows is below the user's home.
        let path = path.strip_prefix("/~/").map_or_else(|| path.clone(), str::to_owned);
        let password = url.password().map(text).transpose()?;
        Ok(Self { host, port: url.port(), user, password, path })
    }

    /// Starts `ssh`, without a terminal and without anything but the one channel.
    fn connect(&self, ssh: &Ssh) -> Result<(Child, Option<Workspace>), Trouble> {
        let mut command = Command::new("ssh");
        command.args(["-x", "-a", "-T", "-e", "none"]);
        if ssh.config.is_file() {
            command.arg("-F").arg(&ssh.config);
        }
        let mut options = vec![
            "LogLevel=ERROR",
            "ConnectTimeout=20",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=3",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "ControlMaster=no",
            "ControlPath=none",
            "NumberOfPasswordPrompts=1",
        ];
        let askpass = match &self.password {
            // The artefact is verified whoever sends it, so that a new host may be met; a password is given only
            // to a host that is known.
            None => {
                options.extend(["BatchMode=yes", "StrictHostKeyChecking=accept-new"]);
                None
            }
            Some(password) => {
                options.extend(["BatchMode=no", "StrictHostKeyChecking=yes"]);
                options.push("PreferredAuthentications=publickey,keyboard-interactive,password");
                let (folder, program) = askpass(&ssh.scratch).map_err(|error| {
                    Trouble::Later(format!("the password cannot be handed over: {error}"))
                })?;
                command.env("SSH_ASKPASS", program).env("SSH_ASKPASS_REQUIRE", "force");
                command.env(PASSWORD, password);
                Some(folder)
            }
        };
        for option in options {
            command.arg("-o").arg(option);
        }
        if let Some(port) = self.port {
            command.arg("-p").arg(port.to_string());
        }
        if let Some(user) = &self.user {
            command.arg("-l").arg(user);
        }
        command.args(["-s", "--", &self.host, "sftp"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        match command.spawn() {
            Ok(child) => Ok((child, askpass)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Trouble::Final("this device has no ssh: install openssh-client".to_owned()))
            }
            Err(error) => Err(Trouble::Later(format!("ssh could not be started: {error}"))),
        }
    }
}

/// The program that `ssh` asks for a password, in a folder that is removed with the connection. The password
/// itself is in no file.
fn askpass(scratch: &Path) -> io::Result<(Workspace, PathBuf)> {
    let folder = Workspace::new(scratch)?;
    let (mut file, path) = folder.create("askpass", 0o700)?;
    file.write_all(ASKPASS.as_bytes())?;
    Ok((folder, path))
}

async fn first_words(complaints: ChildStderr) -> String {
    let mut words = Vec::new();
    let _ = complaints.take(MOST_WORDS).read_to_end(&mut words).await;
    String::from_utf8_lossy(&words).into_owned()
}

/// What the complaints of an `ssh` that ended mean.
fn said(words: &str) -> Option<Trouble> {
    let last = words.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let last = bramble_model::text::clip(last, 200);
    Some(if words.contains("Host key verification failed") {
        let cure = "add it to /etc/ssh/ssh_known_hosts";
        Trouble::Final(format!("Download refused: the SSH server's host key is not a known one; {cure}"))
    } else if words.contains("Permission denied") {
        Trouble::Final(format!("Download refused by the server: {last}"))
    } else if words.contains("subsystem request failed") {
        Trouble::Final("Download refused by the server: it offers no SFTP".to_owned())
    } else {
        Trouble::Later(last)
    })
}

fn refused(error: &Error) -> Trouble {
    let Error::Status(status) = error else { return Trouble::Later(error.to_string()) };
    match status.status_code {
        StatusCode::NoSuchFile => Trouble::Final("Download refused by the server: no such file".to_owned()),
        StatusCode::PermissionDenied => {
            Trouble::Final("Download refused by the server: permission denied".to_owned())
        }
        _ => Trouble::Later(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(address: &str) -> Result<Login, Trouble> {
        Login::of(&Url::parse(address).expect("an address"))
    }

    #[test]
    fn an_address_cannot_become_an_option_or_a_command() {
        for bad in [
            "sftp://-oProxyCommand=x/a",
            "sftp://host%20-x/a",
            "sftp://-lroot@host/a",
            "sftp://a%3Bb@host/a",
            "sftp://a%25h@host/a",
            "sftp:///a",
            "sftp://host/a%0Ab",
        ] {
            assert!(login(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_names_host_port_user_and_path() {
        let found =
            login("sftp://ada:pass%20word@[::1]:2222/srv/a%20file").unwrap_or_else(|_| panic!("fits"));
        assert_eq!(
            (found.host.as_str(), found.port, found.path.as_str()),
            ("::1", Some(2222), "/srv/a file")
        );
        assert_eq!((found.user.as_deref(), found.password.as_deref()), (Some("ada"), Some("pass word")));
        let found = login("sftp://kiosk.example/~/a").unwrap_or_else(|_| panic!("fits"));
        assert_eq!((found.path.as_str(), found.user), ("a", None));
    }

    #[test]
    fn complaints_are_put_into_words() {
        let told = |words: &str| match said(words) {
            Some(Trouble::Final(why)) => format!("final: {why}"),
            Some(Trouble::Later(why) | Trouble::CertificateTime(why)) => format!("later: {why}"),
            None => "nothing".to_owned(),
        };
        assert!(told("x\nHost key verification failed.\n").starts_with("final: Download refused: the SSH"));
        assert!(
            told("a@b: Permission denied (publickey).\n")
                .starts_with("final: Download refused by the server: a@b")
        );
        assert_eq!(told("ssh: connect to host x port 22: Connection refused\n").get(..5), Some("later"));
        assert_eq!(told("\n"), "nothing");
    }
}
