//! Finding devices: one way for the page and for the management API.

use crate::devices::{Device, device};
use crate::entity::device::{Column, Entity};
use crate::entity::{account, device_tag};
use crate::value::contains;
use crate::{Result, Store};
use bramble_model::query::Query;
use bramble_wire::{AccountId, DeviceId};
use sea_orm::sea_query::{Expr, ExprTrait, Query as Sql};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

/// A part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// How many come before it.
    pub offset: u64,
    /// How many it has at most.
    pub limit: u64,
}

impl Store {
    /// A part of an account's devices by name, and how many match. `online` are those that are online
    /// now; it matters to `is:` only.
    pub async fn devices(
        &self,
        account: AccountId,
        query: &Query,
        online: &[DeviceId],
        slice: Slice,
    ) -> Result<(Vec<Device>, u64)> {
        let found = Entity::find().filter(self.matching(account, query, online));
        let total = self.count_matching(account, query, online).await?;
        let rows = found
            .order_by_asc(Column::NameFolded)
            .order_by_asc(Column::Id)
            .offset(slice.offset)
            .limit(slice.limit)
            .all(&self.reader)
            .await?;
        Ok((rows.into_iter().map(device).collect(), total))
    }

    /// The ids of all devices that match, by name: at most so many.
    pub async fn matching_devices(
        &self,
        account: AccountId,
        query: &Query,
        online: &[DeviceId],
        limit: u64,
    ) -> Result<Vec<DeviceId>> {
        let found = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(self.matching(account, query, online))
            .order_by_asc(Column::NameFolded)
            .order_by_asc(Column::Id)
            .limit(limit);
        let ids: Vec<uuid::Uuid> = found.into_tuple().all(&self.reader).await?;
        Ok(ids.into_iter().map(DeviceId).collect())
    }

    /// How many match. Without a query the account's own count, which is kept with every change.
    pub(crate) async fn count_matching(
        &self,
        id: AccountId,
        query: &Query,
        online: &[DeviceId],
    ) -> Result<u64> {
        if query.is_empty() {
            let count: Option<i64> = account::Entity::find_by_id(id.0)
                .select_only()
                .column(account::Column::DeviceCount)
                .into_tuple()
                .one(&self.reader)
                .await?;
            return Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default());
        }
        Ok(Entity::find().filter(self.matching(id, query, online)).count(&self.reader).await?)
    }

    pub(crate) fn matching(&self, account: AccountId, query: &Query, online: &[DeviceId]) -> Condition {
        let mut all = Condition::all().add(Column::AccountId.eq(account.0));
        for word in &query.words {
            let pattern = contains(word);
            all = all.add(
                Condition::any()
                    .add(Expr::col(Column::NameFolded).like(pattern.clone()))
                    .add(Expr::col(Column::SerialFolded).like(pattern)),
            );
        }
        for (column, values) in [
            (Column::ModelFilter, &query.models),
            (Column::MemoryFilter, &query.memories),
            (Column::OsFilter, &query.systems),
        ] {
            if !values.is_empty() {
                all = all.add(column.is_in(values.iter().map(String::as_str)));
            }
        }
        for tag in &query.tags {
            let tagged = Sql::select()
                .column(device_tag::Column::DeviceId)
                .from(device_tag::Entity)
                .and_where(Expr::col(device_tag::Column::AccountId).eq(account.0))
                .and_where(Expr::col(device_tag::Column::Tag).eq(tag.as_str()))
                .to_owned();
            all = all.add(Expr::col(Column::Id).in_subquery(tagged));
        }
        match (query.online, query.offline) {
            (false, false) => all,
            (true, true) => all.add(Expr::val(1).eq(0)),
            (true, false) => all.add(self.one_of(online)),
            (false, true) => all.add(self.one_of(online).not()),
        }
    }

    /// One parameter, however many ids there are: engines bound the number of parameters.
    fn one_of(&self, ids: &[DeviceId]) -> Expr {
        let ids = ids.iter().map(|id| id.0.simple().to_string());
        if self.reader.get_database_backend() == DbBackend::Postgres {
            let list = ids.collect::<Vec<_>>().join(",");
            return Expr::cust_with_values("id = ANY(string_to_array($1, ',')::uuid[])", [list]);
        }
        let list = serde_json::Value::from(ids.collect::<Vec<_>>()).to_string();
        Expr::cust_with_values("id IN (SELECT unhex(value) FROM json_each(?))", [list])
    }
}
