//! Operating systems are found whatever their letters' case, like everything else.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, LOWER).await
    }
}

const LOWER: &str = "UPDATE devices SET os_filter = lower(os_filter) WHERE os_filter <> lower(os_filter)";
