//! The state folder and the files in it.

use super::{Deployments, SecretText, Settings, StoredToken};
use rustix::fs::OFlags;
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Largest file that is read from the folder, in bytes: a token with a chain of authorities.
const MAX_FILE: u64 = 512 * 1024;
/// A file that is emptied and written must be in the folder itself: the folder may have been open to others
/// until [`StateFolder::prepare`] closed it.
pub(crate) const NO_LINK: i32 = OFlags::NOFOLLOW.bits().cast_signed();
/// Opening a pipe that lies there would wait for somebody to write to it.
const NO_WAIT: i32 = OFlags::NONBLOCK.bits().cast_signed();
/// Overrides the folder, for tests and for several agents of one user.
pub const VARIABLE: &str = "RPI_CONNECT_STATE_DIR";

const AUTH_KEY: &str = "auth.key";
const TOKEN: &str = "token";
const SETTINGS: &str = "settings.toml";
const DEPLOYMENTS: &str = "deployments.toml";
const LOCK: &str = "daemon.lock";
const LOG: &str = "daemon.log";
const SERIAL: &str = "serial";
const SOCKET: &str = "rpi-connect.sock";
const VNC_SOCKET: &str = "rpi-connect-wayvnc.sock";

/// What can go wrong with the folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Neither the variable nor a home directory.
    #[error("there is no home directory to keep the sign-in in; set HOME or RPI_CONNECT_STATE_DIR")]
    NoHome,
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another user owns it.
    #[error("{0} belongs to another user; the sign-in is not kept there")]
    Foreign(PathBuf),
    /// It cannot be understood.
    #[error("{path} cannot be read: {why}")]
    Damaged {
        /// Which path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another daemon uses the folder.
    #[error("rpi-connectd is already running for {0}")]
    Locked(PathBuf),
}

/// `~/.config/com.raspberrypi.connect`.
#[derive(Debug, Clone)]
pub struct StateFolder {
    path: PathBuf,
    overridden: bool,
}

/// Held as long as the daemon lives; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl StateFolder {
    /// The folder that the environment names.
    pub fn from_environment() -> Result<Self, FolderError> {
        if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            return Ok(Self::at(path));
        }
        let base = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".config")))
            .ok_or(FolderError::NoHome)?;
        Ok(Self { path: base.join("com.raspberrypi.connect"), overridden: false })
    }

    /// A folder of one's own.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), overridden: true }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is not the user's usual one; then neither its units nor its socket are used.
    pub fn is_overridden(&self) -> bool {
        self.overridden
    }

    /// The local socket: in `$XDG_RUNTIME_DIR`, without that (or for a folder of one's own) in here.
    pub fn socket(&self) -> PathBuf {
        self.socket_in(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from))
    }

    /// The VNC server's socket, beside the local one.
    pub fn vnc_socket(&self) -> PathBuf {
        self.socket().with_file_name(VNC_SOCKET)
    }

    /// A runtime folder that is missing or another user's (`su` and `sudo -E` keep the variable) counts as
    /// none: who owns the folder decides who answers on the socket.
    fn socket_in(&self, runtime: Option<PathBuf>) -> PathBuf {
        match runtime.filter(|path| path.is_absolute() && is_private(path)) {
            Some(runtime) if !self.overridden => runtime.join(SOCKET),
            _ => self.path.join(SOCKET),
        }
    }

    /// Where the log of a daemon without systemd goes.
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Creates the folder, and takes group's and others' rights away from one that is there.
    pub fn prepare(&self) -> Result<(), FolderError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|source| io_error(&self.path, source))?;
        let found = fs::metadata(&self.path).map_err(|source| io_error(&self.path, source))?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(FolderError::Foreign(self.path.clone()));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700))
                .map_err(|source| io_error(&self.path, source))?;
        }
        Ok(())
    }

    /// Makes this process the folder's only daemon.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let path = self.path.join(LOCK);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(NO_LINK)
            .open(&path)
            .map_err(|source| io_error(&path, source))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(FolderError::Locked(self.path.clone())),
            Err(errno) => return Err(io_error(&path, errno.into())),
        }
        let note = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(|source| io_error(&path, source))?;
        Ok(FolderLock { _file: file })
    }

    /// Waits until no daemon uses the folder; it lets go within seconds of being told to stop.
    pub fn wait_until_free(&self) -> Result<(), FolderError> {
        let path = self.path.join(LOCK);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(io_error(&path, source)),
        };
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockShared)
            .map_err(|errno| io_error(&path, errno.into()))
    }

    /// The stored sign-in.
    pub fn token(&self) -> Result<Option<StoredToken>, FolderError> {
        let Some(text) = self.read(TOKEN)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.damaged(TOKEN, &error))
    }

    /// Keeps the sign-in. When this returns, a power cut does not lose it.
    pub fn store_token(&self, token: &StoredToken) -> Result<(), FolderError> {
        let text = serde_json::to_string_pretty(token).map_err(|error| self.damaged(TOKEN, &error))?;
        self.write(TOKEN, text.as_bytes())
    }

    /// Forgets the sign-in.
    pub fn delete_token(&self) -> Result<(), FolderError> {
        self.delete(TOKEN)
    }

    /// The settings; the defaults if there are none.
    pub fn settings(&self) -> Result<Settings, FolderError> {
        let Some(text) = self.read(SETTINGS)? else { return Ok(Settings::default()) };
        toml::from_str(&text).map_err(|error| self.damaged(SETTINGS, &error.message()))
    }

    /// Keeps the settings.
    pub fn store_settings(&self, settings: &Settings) -> Result<(), FolderError> {
        let text = toml::to_string(settings).map_err(|error| self.damaged(SETTINGS, &error))?;
        self.write(SETTINGS, text.as_bytes())
    }

    /// What became of updates.
    pub fn deployments(&self) -> Result<Deployments, FolderError> {
        let Some(text) = self.read(DEPLOYMENTS)? else { return Ok(Deployments::default()) };
        toml::from_str(&text).map_err(|error| self.damaged(DEPLOYMENTS, &error.message()))
    }

    /// Keeps it.
    pub fn store_deployments(&self, deployments: &Deployments) -> Result<(), FolderError> {
        let text = toml::to_string(deployments).map_err(|error| self.damaged(DEPLOYMENTS, &error))?;
        self.write(DEPLOYMENTS, text.as_bytes())
    }

    /// The key that somebody put there. `Err` if there is a file and no key in it.
    pub fn auth_key(&self) -> Result<Option<SecretText>, FolderError> {
        let Some(text) = self.read(AUTH_KEY)? else { return Ok(None) };
        SecretText::from_input(&text)
            .map(Some)
            .ok_or_else(|| self.damaged(AUTH_KEY, &"there is no key in it"))
    }

    /// Takes away the key that was exchanged.
    pub fn delete_auth_key(&self) -> Result<(), FolderError> {
        self.delete(AUTH_KEY)
    }

    /// Whether a file of this name is the key file.
    pub fn is_auth_key(name: &OsStr) -> bool {
        name == AUTH_KEY
    }

    /// The serial number made up for a machine that has none.
    pub fn serial(&self) -> Result<Option<String>, FolderError> {
        Ok(self.read(SERIAL)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Keeps a made-up serial number.
    pub fn store_serial(&self, serial: &str) -> Result<(), FolderError> {
        self.write(SERIAL, serial.as_bytes())
    }

    fn read(&self, name: &str) -> Result<Option<String>, FolderError> {
        let path = self.path.join(name);
        let file = match OpenOptions::new().read(true).custom_flags(NO_WAIT).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error(&path, source)),
        };
        let found = file.metadata().map_err(|source| io_error(&path, source))?;
        if !found.is_file() || found.len() > MAX_FILE {
            return Err(self.damaged(name, &"it is not a small file"));
        }
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(|source| io_error(&path, source))?;
        Ok(Some(text))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.path.join(name);
        let fresh = self.path.join(format!(".{name}.new"));
        let done = || -> io::Result<()> {
            let _ = fs::remove_file(&fresh);
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.path)?.sync_all()
        };
        done().map_err(|source| io_error(&path, source))
    }

    fn delete(&self, name: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(io_error(&path, source)),
        }
        // The entry must be gone after a power cut as well.
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(|source| io_error(&path, source))
    }

    fn damaged(&self, name: &str, why: &dyn std::fmt::Display) -> FolderError {
        FolderError::Damaged { path: self.path.join(name), why: why.to_string() }
    }
}

/// A folder of this user that nobody else can put anything into.
fn is_private(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
    })
}

fn io_error(path: &Path, source: io::Error) -> FolderError {
    FolderError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o777
    }

    #[test]
    fn everything_is_for_the_owner_alone() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = StateFolder::at(place.path().join("state"));
        folder.prepare().expect("prepares");
        folder.store_settings(&Settings { shell: false, ..Settings::default() }).expect("stores");
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&folder.path().join(SETTINGS)), 0o600);
        assert!(!folder.settings().expect("reads").shell);

        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        folder.prepare().expect("prepares again");
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[test]
    fn one_daemon_per_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = StateFolder::at(place.path());
        let held = folder.lock().expect("the first gets it");
        assert!(matches!(folder.lock(), Err(FolderError::Locked(_))));
        drop(held);
        folder.lock().expect("free again");
    }

    #[test]
    fn a_socket_is_put_where_nobody_else_can_put_one() {
        let place = tempfile::tempdir().expect("a folder");
        let own = StateFolder { path: place.path().join("state"), overridden: false };
        let runtime = place.path().join("runtime");
        let beside = own.path().join(SOCKET);
        let chosen = || own.socket_in(Some(runtime.clone()));
        assert_eq!(own.socket_in(None), beside);
        assert_eq!(own.socket_in(Some("relative".into())), beside);
        assert_eq!(chosen(), beside, "it is missing");
        DirBuilder::new().mode(0o700).create(&runtime).expect("a folder");
        assert_eq!(chosen(), runtime.join(SOCKET));
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o777)).expect("chmod");
        assert_eq!(chosen(), beside, "anybody may write there");
        assert_eq!(StateFolder::at(own.path()).socket_in(Some(place.path().into())), beside);
    }

    #[test]
    fn a_link_is_not_followed_to_empty_a_file_elsewhere() {
        let place = tempfile::tempdir().expect("a folder");
        let precious = place.path().join("precious");
        fs::write(&precious, "words").expect("writes");
        let folder = StateFolder::at(place.path().join("state"));
        folder.prepare().expect("prepares");
        std::os::unix::fs::symlink(&precious, folder.path().join(LOCK)).expect("links");
        assert!(folder.lock().is_err());
        assert_eq!(fs::read_to_string(precious).expect("still there"), "words");
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_not_waited_for() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = StateFolder::at(place.path());
        let path = place.path().join(AUTH_KEY);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a pipe");
        assert!(matches!(folder.auth_key(), Err(FolderError::Damaged { .. })));
    }

    #[test]
    fn a_damaged_file_is_reported_and_not_replaced() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = StateFolder::at(place.path());
        fs::write(place.path().join(TOKEN), "{").expect("writes");
        assert!(matches!(folder.token(), Err(FolderError::Damaged { .. })));
        assert_eq!(fs::read_to_string(place.path().join(TOKEN)).expect("still there"), "{");
        fs::write(place.path().join(AUTH_KEY), "\n").expect("writes");
        assert!(folder.auth_key().is_err());
    }
}
