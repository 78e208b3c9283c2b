//! Values of filters in the order of their bytes, on PostgreSQL as on SQLite: suggestions go on from a
//! beginning, and that is a range only then.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            super::run(manager, BYTEWISE).await?;
        }
        Ok(())
    }
}

const BYTEWISE: &str = "
ALTER TABLE devices ALTER COLUMN model_filter TYPE TEXT COLLATE \"C\";
ALTER TABLE devices ALTER COLUMN memory_filter TYPE TEXT COLLATE \"C\";
ALTER TABLE devices ALTER COLUMN os_filter TYPE TEXT COLLATE \"C\";
ALTER TABLE device_tags ALTER COLUMN tag TYPE TEXT COLLATE \"C\";
";
