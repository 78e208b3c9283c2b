//! Whether an organisation's devices may transfer files.

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
ALTER TABLE accounts ADD COLUMN files_forbidden_at BIGINT;
";
