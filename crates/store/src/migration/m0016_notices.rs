//! Which account a device of the next digest is of, and who transferred it there, if it was not linked. By
//! how many seconds a device's clock is wrong, as its client says.

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
ALTER TABLE device_notices ADD COLUMN account_id {uuid};
ALTER TABLE device_notices ADD COLUMN transferred_by TEXT;
ALTER TABLE devices ADD COLUMN clock_off BIGINT;
";
