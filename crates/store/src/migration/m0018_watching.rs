//! Sessions that only watch.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SCHEMA).await
    }
}

const SCHEMA: &str = "
ALTER TABLE sessions ADD COLUMN watching {bool} NOT NULL DEFAULT FALSE;
";
