//! What devices are found by: the values of the filters, and an index that holds all that a search by
//! words reads, in the order of the list.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SCHEMA).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            // SQLite compares bytes; PostgreSQL does so when it is told to.
            super::run(manager, BYTEWISE).await?;
        }
        Ok(())
    }
}

const BYTEWISE: &str = "
ALTER TABLE devices ALTER COLUMN name_folded TYPE TEXT COLLATE \"C\";
ALTER TABLE devices ALTER COLUMN serial_folded TYPE TEXT COLLATE \"C\";
";

const SCHEMA: &str = "
ALTER TABLE devices ADD COLUMN model_filter TEXT;
ALTER TABLE devices ADD COLUMN memory_filter TEXT;
UPDATE devices SET model_filter = lower(replace(substr(board_model, 14), ' ', ''))
    WHERE board_model LIKE 'Raspberry Pi %';
UPDATE devices SET memory_filter = lower(replace(board_memory, ' ', ''));
DROP INDEX devices_by_name;
CREATE INDEX devices_by_name ON devices (account_id, name_folded, id, serial_folded);
CREATE INDEX devices_by_model ON devices (account_id, model_filter, name_folded, id);
CREATE INDEX devices_by_memory ON devices (account_id, memory_filter, name_folded, id);
CREATE INDEX devices_by_os ON devices (account_id, os_filter, name_folded, id);
";
