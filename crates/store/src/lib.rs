//! The only room with SQL: entities, migrations and queries behind one [`Store`], on SQLite and
//! PostgreSQL from the same code.
//!
//! What it is not: it decides nothing about who may do what and never speaks HTTP. Absence is
//! `Option`, a lost race is a returned value, and [`StoreError`] means that the database failed.
//!
//! How to add to it: one file per noun with an `impl Store` (for reads) and an `impl Tx` (for writes
//! and for reads that a write depends on). Queries take and return typed ids, `Timestamp`s and
//! plain structs; entities stay inside. A change of state is one conditional statement whose affected
//! rows are checked, or a transaction that locks the parent row first. Each noun's races are tested on both engines.

pub mod accounts;
pub mod api_tokens;
pub mod artefacts;
pub mod audit;
pub mod auth_keys;
mod connect;
pub mod deployment_keys;
pub mod deployments;
mod device_description;
pub mod device_identities;
mod device_json;
pub mod device_notices;
pub mod device_search;
mod device_tags;
mod device_tokens;
mod device_writes;
pub mod devices;
mod entity;
mod filter_values;
pub mod identities;
pub mod invitations;
pub mod jobs;
pub mod link_requests;
pub mod mail_links;
pub mod mails;
pub mod memberships;
mod migration;
pub mod organisation_keys;
pub mod organisations;
pub mod passkeys;
pub mod rollouts;
pub mod sessions;
pub mod settings;
#[cfg(feature = "testing")]
pub mod testing;
pub mod two_factors;
pub mod users;
mod value;
pub mod web_sessions;

pub use connect::{OpenError, Target};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, SqlErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

/// The database failed. What the caller can do is to answer 503 and try again.
#[derive(Debug, thiserror::Error)]
#[error("the database failed: {0}")]
pub struct StoreError(#[from] DbErr);

impl StoreError {
    /// Whether a unique index refused the write: somebody else was first.
    pub fn is_conflict(&self) -> bool {
        matches!(self.0.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
    }

    /// Whether another process holds the SQLite file.
    pub fn is_locked(&self) -> bool {
        self.0.to_string().contains("database is locked")
    }
}

/// The result of every query.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// Reads. On SQLite several connections; they see the last commit and never wait for a writer.
    reader: DatabaseConnection,
    /// Writes. On SQLite one connection, so that writers queue in the process and not on the file.
    writer: DatabaseConnection,
    /// Calls of [`Self::begin`] that wait for their turn.
    #[cfg(feature = "testing")]
    beginning: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

/// A running write transaction. Dropped without commit it leaves no trace.
#[derive(Debug)]
pub struct Tx {
    inner: DatabaseTransaction,
}

impl Store {
    /// Begins a write transaction.
    ///
    /// SQLite begins IMMEDIATE, so whoever is inside is the only writer: no other work (hashing,
    /// network) between `begin` and `commit`. PostgreSQL runs READ COMMITTED: rules over several rows
    /// lock the parent row first.
    pub async fn begin(&self) -> Result<Tx> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        #[cfg(feature = "testing")]
        let _waiting = testing::Waiting::new(&self.beginning);
        Ok(Tx { inner: self.writer.begin_with_options(options).await? })
    }

    /// Whether the database answers. For `/ready`.
    pub async fn ping(&self) -> Result<()> {
        self.reader.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Closes the connections, after which SQLite has merged its log.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await?;
        self.writer.close().await?;
        Ok(())
    }
}

impl Tx {
    /// Commits. Without it nothing of the transaction stays.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }
}
