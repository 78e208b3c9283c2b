//! Which node does a job now, and the numbers for `/metrics`.

use crate::entity::setting::{ActiveModel, Column, Entity};
use crate::entity::{device, mail, session};
use crate::value::to_micros;
use crate::{Result, Store};
use bramble_model::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Linked devices.
    pub devices: u64,
    /// Remote sessions that are not over.
    pub sessions: u64,
    /// Mails that were neither sent nor given up.
    pub mails: u64,
}

impl Store {
    /// Claims a job until a moment. `false` if another claim still stands: of many nodes one gets it.
    pub async fn claim_job(&self, name: &str, now: Timestamp, until: Timestamp) -> Result<bool> {
        // Big-endian, so that both engines compare the bytes as the numbers they are.
        let bytes = |at: Timestamp| to_micros(at).to_be_bytes().to_vec();
        let row = ActiveModel { name: Set(format!("job:{name}")), value: Set(bytes(until)) };
        let unless_claimed = OnConflict::column(Column::Name)
            .update_column(Column::Value)
            .action_and_where(Expr::col((Entity, Column::Value)).lte(bytes(now)))
            .to_owned();
        let rows =
            Entity::insert(row).on_conflict(unless_claimed).exec_without_returning(&self.writer).await?;
        Ok(rows == 1)
    }

    /// Counts.
    pub async fn totals(&self) -> Result<Totals> {
        let devices = device::Entity::find().count(&self.reader).await?;
        let sessions = session::Entity::find().filter(session::Column::State.ne("ended"));
        let mails = mail::Entity::find()
            .filter(mail::Column::SentAt.is_null())
            .filter(mail::Column::GaveUpAt.is_null());
        Ok(Totals {
            devices,
            sessions: sessions.count(&self.reader).await?,
            mails: mails.count(&self.reader).await?,
        })
    }
}
