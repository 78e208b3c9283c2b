//! When devices were seen, as the live link tells in batches.

use crate::entity::device::{Column, Entity};
use crate::value::to_micros;
use crate::{Result, Store};
use bramble_model::Timestamp;
use bramble_wire::DeviceId;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

/// Devices in one statement, well below the number of parameters that both engines take.
const BATCH: usize = 500;

impl Store {
    /// These devices are, or were a moment ago, connected.
    pub async fn devices_seen(&self, devices: &[DeviceId], at: Timestamp) -> Result<()> {
        self.mark(devices, Column::LastSeenAt, at).await
    }

    /// Two clients use the token of each of these devices.
    pub async fn duplicates_seen(&self, devices: &[DeviceId], at: Timestamp) -> Result<()> {
        self.mark(devices, Column::DuplicateSeenAt, at).await
    }

    async fn mark(&self, devices: &[DeviceId], column: Column, at: Timestamp) -> Result<()> {
        for batch in devices.chunks(BATCH) {
            Entity::update_many()
                .col_expr(column, Expr::value(to_micros(at)))
                .filter(Column::Id.is_in(batch.iter().map(|id| Uuid::from(*id))))
                .exec(&self.writer)
                .await?;
        }
        Ok(())
    }
}
