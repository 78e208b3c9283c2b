//! What stands between an empty or restored folder and a running server: the folder's lock, the
//! master key, the database. Every refusal says what to do.

use crate::config::Config;
use bramble_model::Random;
use bramble_model::seal::MasterKey;
use bramble_store::{OpenError, Store, StoreError, Target};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The setting that only the right master key opens.
const KEY_CHECK: &str = "master-key-check";

/// Why the server does not start. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be made or used.
    #[error("the data folder {} cannot be used: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has the folder.
    #[error("another Bramble is running on {}. Stop it first, or use another --data.", .0.display())]
    Running(PathBuf),
    /// Secrets without their database: starting would quietly begin from nothing.
    #[error(
        "{key} exists but the database {database} is missing. Restore both from a backup; or, to begin anew \
         and lose everything, remove the key as well.",
        key = key.display(), database = database.display()
    )]
    DatabaseMissing {
        /// The key.
        key: PathBuf,
        /// The database that should be there.
        database: PathBuf,
    },
    /// A database without its key: what is sealed in it cannot be read.
    #[error(
        "the master key {} is missing, and the database is sealed with it. Restore the key from a backup.",
        .0.display()
    )]
    KeyMissing(PathBuf),
    /// The key's file holds something else.
    #[error("the master key {} is damaged: it must hold 64 hexadecimal digits. Restore it from a backup.", .0.display())]
    KeyDamaged(PathBuf),
    /// The key belongs to another database.
    #[error("the master key {} does not open this database. Restore key and database from the same backup.", .0.display())]
    KeyForeign(PathBuf),
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The mail server's settings.
    #[error(transparent)]
    Mail(#[from] crate::mail::BadSmtp),
    /// The database, after it was opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificate or key.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// The relay.
    #[error("the relay cannot start: {0}")]
    Relay(String),
    /// The operator's socket.
    #[error("the operator's socket {} cannot be made: {source}", path.display())]
    AdminSocket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// While it lives, no other process works on the folder.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Makes the folder if needed and locks it.
    pub fn take(data: &Path) -> Result<Self, StartError> {
        let unusable = |source| StartError::Folder { path: data.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(unusable)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(data.join("bramble.lock"))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Running(data.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

/// Opens the database and its key.
pub async fn open(config: &Config, random: &dyn Random) -> Result<(Store, MasterKey), StartError> {
    let given = config.master_key_file.clone();
    let path = given.clone().unwrap_or_else(|| config.secrets().join("master.key"));
    // The key gets its name only after the database exists, so that a start which was cut short looks
    // neither like a lost database nor like a lost key.
    let unborn = path.with_extension("key.new");
    let database = match &config.database {
        Target::Sqlite(file) => Some(file),
        Target::Postgres(_) => None,
    };
    let has_data = database.is_some_and(|file| file.exists());
    if path.exists()
        && given.is_none()
        && !has_data
        && let Some(file) = database
    {
        return Err(StartError::DatabaseMissing { key: path, database: file.clone() });
    }
    let bytes = if path.exists() {
        read_key(&path)?
    } else if has_data && unborn.exists() {
        read_key(&unborn)?
    } else if has_data || given.is_some() {
        return Err(StartError::KeyMissing(path));
    } else {
        write_key(&unborn, random)?
    };
    let store = Store::open(&config.database).await?;
    if unborn.exists() && !path.exists() {
        let failed = |source| StartError::Folder { path: config.secrets(), source };
        std::fs::rename(&unborn, &path).map_err(failed)?;
    }
    let key = MasterKey::new(&bytes);
    let fits = check_key(&store, &key, random).await.map_err(|error| match database {
        // The first write shows whether somebody else holds the file.
        Some(file) if error.is_locked() => OpenError::Locked(file.clone()).into(),
        _ => StartError::from(error),
    })?;
    fits.ok_or(StartError::KeyForeign(path))?;
    Ok((store, key))
}

#[expect(clippy::single_match_else, reason = "both ways are of the same weight")]
async fn check_key(store: &Store, key: &MasterKey, random: &dyn Random) -> Result<Option<()>, StoreError> {
    let sealed = match store.setting(KEY_CHECK).await? {
        Some(sealed) => sealed,
        None => {
            let tx = store.begin().await?;
            let sealed = tx.setting_or(KEY_CHECK, key.seal(KEY_CHECK, b"bramble", random)).await?;
            tx.commit().await?;
            sealed
        }
    };
    Ok(key.open(KEY_CHECK, &sealed).ok().map(|_| ()))
}

fn read_key(path: &Path) -> Result<[u8; 32], StartError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| StartError::Folder { path: path.to_owned(), source })?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| StartError::KeyDamaged(path.to_owned()))?;
    Ok(bytes)
}

fn write_key(path: &Path, random: &dyn Random) -> Result<[u8; 32], StartError> {
    let failed = |source| StartError::Folder { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let bytes: [u8; 32] = random.bytes();
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(format!("{}\n", hex::encode(bytes)).as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(bytes)
}
