//! Opening a database: which engine, with which settings, at which schema.

use crate::Store;
use crate::migration::Migrator;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use sqlx::{Executor, PgConnection, sqlite::SqliteConnectOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Connections that read at the same time on SQLite: more than cores gain nothing.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL for reads and for writes, each.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a request waits for a connection before the answer is 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process's lock on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a file that another node is opening is tried again.
const LOCKED_RETRY: Duration = Duration::from_millis(20);
/// Names the advisory lock that keeps two starting nodes from migrating at once.
const MIGRATION_LOCK: i64 = 0x6272_616d_626c_6501;

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file; made if it does not exist.
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(String),
}

/// Why a database cannot be used. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer version of Bramble.
    #[error(
        "the database was written by a newer version of Bramble (it has the step {0}, which this version \
         does not know). Nothing was changed. Start the newer version, or restore a backup from before."
    )]
    Newer(String),
    /// The file or its folder cannot be written.
    #[error(
        "{} cannot be written. Give the user that runs Bramble write access to the file and its folder.", .0.display()
    )]
    ReadOnly(PathBuf),
    /// Another process holds the file.
    #[error("{} is locked by another process. Stop the other Bramble, or whatever has the file open.", .0.display())]
    Locked(PathBuf),
    /// The file is something else.
    #[error("{} is not a Bramble database. Restore it from a backup.", .0.display())]
    NotADatabase(PathBuf),
    /// Anything else.
    #[error("the database cannot be opened: {0}")]
    Other(DbErr),
}

impl Store {
    /// Opens the database and brings it to this version's schema, under a lock, so that several nodes
    /// may start at once.
    pub async fn open(target: &Target) -> Result<Self, OpenError> {
        match target {
            Target::Sqlite(path) => open_sqlite(path).await.map_err(|e| explain(path, e)),
            Target::Postgres(url) => open_postgres(url).await,
        }
    }
}

impl Store {
    fn of(reader: DatabaseConnection, writer: DatabaseConnection) -> Self {
        Self {
            reader,
            writer,
            #[cfg(feature = "testing")]
            beginning: std::sync::Arc::default(),
        }
    }
}

/// Tries again while another node is opening the same file: the switch to WAL answers "locked" at once,
/// without the wait that SQLite grants to every other statement.
async fn open_sqlite(path: &Path) -> Result<Store, OpenError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match try_open_sqlite(path).await {
            Err(OpenError::Other(e)) if says_locked(&e.to_string()) && Instant::now() < deadline => {
                tokio::time::sleep(LOCKED_RETRY).await;
            }
            done => return done,
        }
    }
}

async fn try_open_sqlite(path: &Path) -> Result<Store, OpenError> {
    if path.exists() {
        // Looked at before anything is written, the switch to WAL included.
        let looked = sqlite(path, 1, |o| o.read_only(true)).await?;
        let newer = unknown_step(&looked).await;
        looked.close().await.map_err(OpenError::Other)?;
        newer?;
        let file = std::fs::OpenOptions::new().write(true).open(path);
        if file.is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied) {
            return Err(OpenError::ReadOnly(path.to_owned()));
        }
    }
    let writer = sqlite(path, 1, |o| {
        o.create_if_missing(true)
            .pragma("journal_mode", "WAL")
            // A commit is on the disk before it is acknowledged.
            .pragma("synchronous", "FULL")
            .pragma("foreign_keys", "ON")
    })
    .await?;
    migrate(&writer).await?;
    let reader = sqlite(path, SQLITE_READERS, |o| o.pragma("query_only", "ON")).await?;
    Ok(Store::of(reader, writer))
}

async fn sqlite(
    path: &Path,
    connections: u32,
    set: fn(SqliteConnectOptions) -> SqliteConnectOptions,
) -> Result<DatabaseConnection, OpenError> {
    let path = path.to_owned();
    // The path goes in below: in a URL it would need escaping.
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |o| {
            set(o.filename(&path).in_memory(false).shared_cache(false)).busy_timeout(BUSY_TIMEOUT)
        })
        .map_sqlx_sqlite_pool_opts(|o| o.test_before_acquire(false).idle_timeout(None).max_lifetime(None));
    Database::connect(options).await.map_err(OpenError::Other)
}

async fn open_postgres(url: &str) -> Result<Store, OpenError> {
    let connect = async || {
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(POSTGRES_CONNECTIONS)
            .min_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_timeout(ACQUIRE_TIMEOUT)
            .sqlx_logging(false)
            .map_sqlx_postgres_pool_opts(|o| {
                o.after_connect(|connection, _| Box::pin(plan_each(connection)))
            });
        Database::connect(options).await.map_err(OpenError::Other)
    };
    let writer = connect().await?;
    unknown_step(&writer).await?;
    migrate(&writer).await?;
    Ok(Store::of(connect().await?, writer))
}

/// Every query is planned with what it asks for. By itself PostgreSQL goes over to one plan for all after five times, and
/// what is right for a word of four letters takes twice as long for a single one.
async fn plan_each(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute("SET plan_cache_mode = force_custom_plan").await.map(drop)
}

/// All steps in one transaction, under a lock: either the whole new schema stands or the old one.
async fn migrate(connection: &DatabaseConnection) -> Result<(), OpenError> {
    // IMMEDIATE: a transaction that reads first and writes later is refused when another node wrote between.
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = connection.begin_with_options(options).await.map_err(OpenError::Other)?;
    if tx.get_database_backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        tx.execute_unprepared(&lock).await.map_err(OpenError::Other)?;
    }
    Migrator::up(&tx, None).await.map_err(OpenError::Other)?;
    tx.commit().await.map_err(OpenError::Other)
}

/// Refuses a database with a step that this version does not know.
async fn unknown_step(connection: &DatabaseConnection) -> Result<(), OpenError> {
    let backend = connection.get_database_backend();
    let exists = match backend {
        DbBackend::Postgres => {
            "SELECT 1 AS one FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'seaql_migrations'"
        }
        _ => "SELECT 1 AS one FROM sqlite_master WHERE name = 'seaql_migrations'",
    };
    if connection
        .query_one_raw(Statement::from_string(backend, exists))
        .await
        .map_err(OpenError::Other)?
        .is_none()
    {
        return Ok(());
    }
    let all = Statement::from_string(backend, "SELECT version FROM seaql_migrations");
    let known: Vec<String> = Migrator::migrations().iter().map(|m| m.name().to_owned()).collect();
    for row in connection.query_all_raw(all).await.map_err(OpenError::Other)? {
        let version: String = row.try_get("", "version").map_err(OpenError::Other)?;
        if !known.contains(&version) {
            return Err(OpenError::Newer(version));
        }
    }
    Ok(())
}

fn says_locked(text: &str) -> bool {
    text.contains("database is locked") || text.contains("(code: 5)")
}

/// Puts SQLite's words into ours.
fn explain(path: &Path, error: OpenError) -> OpenError {
    let OpenError::Other(inner) = &error else { return error };
    let text = inner.to_string();
    let has = |needle: &str| text.contains(needle);
    if has("readonly") || has("unable to open") || has("(code: 14)") {
        OpenError::ReadOnly(path.to_owned())
    } else if says_locked(&text) {
        OpenError::Locked(path.to_owned())
    } else if has("not a database") || has("malformed") {
        OpenError::NotADatabase(path.to_owned())
    } else {
        error
    }
}
