//! What makes finding among very many devices quick, and what waits for a digest of new devices.
//!
//! SQLite reads one index from end to end, in the order of the list, and that index holds everything a
//! query compares. PostgreSQL has an index of the parts of texts, where its extension `pg_trgm` may be
//! made: it comes with the server, and the owner of a database may make it. Without it searches take
//! longer.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, DIGESTS).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(PARTS_OF_TEXTS).await?;
        } else {
            super::run(manager, SQLITE).await?;
        }
        Ok(())
    }
}

const DIGESTS: &str = "
CREATE TABLE device_notices (
    id {uuid} NOT NULL PRIMARY KEY,
    recipient TEXT NOT NULL,
    name TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    place TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX device_notices_recipient ON device_notices (recipient);
CREATE INDEX mails_recipient ON mails (recipient, created_at);
";

// The block is a transaction of its own: what may not be made leaves the rest of the step alone.
const PARTS_OF_TEXTS: &str = "
DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX devices_by_parts ON devices
        USING gin (name_folded gin_trgm_ops, serial_folded gin_trgm_ops, tags gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'searches stay slower without pg_trgm: %', SQLERRM;
END $$
";

const SQLITE: &str = "
DROP INDEX devices_by_name;
CREATE INDEX devices_by_name ON devices
    (account_id, name_folded, id, serial_folded, model_filter, memory_filter, os_filter, tags);
";
