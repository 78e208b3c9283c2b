//! Fresh databases for tests, on both engines. Only with the feature `testing`, which nothing shipped
//! turns on.

use crate::{Store, Target};
use bramble_model::{OsRandom, Random};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The environment variable with the URL of a PostgreSQL server on which tests may make databases,
/// without a database name: `postgres://postgres@127.0.0.1:5433`. `make test` starts one.
pub const POSTGRES: &str = "BRAMBLE_TEST_POSTGRES";

/// Which engine a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file in a temporary folder.
    Sqlite,
    /// A new database on the server named by [`POSTGRES`].
    Postgres,
}

impl Engine {
    /// Both, for `for engine in Engine::BOTH`.
    pub const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

/// A database of its own for one test.
#[derive(Debug)]
pub struct TestDatabase {
    /// How to open it (again).
    pub target: Target,
    /// Holds the SQLite file; removed when dropped.
    pub folder: tempfile::TempDir,
}

impl TestDatabase {
    /// A new, empty database.
    ///
    /// # Panics
    /// If the engine is not there: a missing engine must not look like a passing test.
    pub async fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = match engine {
            Engine::Sqlite => Target::Sqlite(folder.path().join("bramble.db")),
            Engine::Postgres => {
                let server = std::env::var(POSTGRES)
                    .unwrap_or_else(|_| panic!("{POSTGRES} is not set: run the tests with `make test`"));
                let random: &dyn Random = &OsRandom;
                let name = format!("bramble_test_{:032x}", u128::from_le_bytes(random.bytes()));
                let admin =
                    Database::connect(format!("{server}/postgres")).await.expect("PostgreSQL answers");
                admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a new database");
                admin.close().await.expect("closes");
                Target::Postgres(format!("{server}/{name}"))
            }
        };
        Self { target, folder }
    }

    /// Opens it at the newest schema.
    ///
    /// # Panics
    /// If it does not open.
    pub async fn open(&self) -> Store {
        Store::open(&self.target).await.expect("the database opens")
    }
}

impl Store {
    /// Runs one statement as it is, to bring a database into a state that no code of ours makes.
    ///
    /// # Panics
    /// If the statement fails.
    pub async fn execute_for_tests(&self, sql: &str) {
        self.writer.execute_unprepared(sql).await.expect("the statement runs");
    }

    /// How many writers wait for another one: on SQLite to begin, on PostgreSQL for a lock.
    ///
    /// # Panics
    /// If the database does not say.
    pub async fn writers_waiting(&self) -> usize {
        if self.reader.get_database_backend() != DbBackend::Postgres {
            return self.beginning.load(Ordering::SeqCst);
        }
        let waiting = "SELECT count(*) AS many FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let row = self.reader.query_one_raw(Statement::from_string(DbBackend::Postgres, waiting)).await;
        let many: i64 = row.expect("the server says").expect("a row").try_get("", "many").expect("a number");
        usize::try_from(many).expect("not negative")
    }
}

/// Counts one who waits to begin, until dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    pub(crate) fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
