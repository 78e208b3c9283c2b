//! Finding devices: one way for the page and for the management API.

use crate::devices::{Device, device};
use crate::entity::account;
use crate::entity::device::{Column, Entity};
use crate::value::contains;
use crate::{Result, Store};
use bramble_model::query::Query;
use bramble_model::tags::Tags;
use bramble_wire::{AccountId, DeviceId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, IdenStatic, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
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
        let rows = Entity::find()
            .filter(self.matching(account, query, online))
            .order_by_asc(Column::NameFolded)
            .order_by_asc(Column::Id)
            .offset(slice.offset)
            .limit(slice.limit)
            .all(&self.reader)
            .await?;
        let here = rows.len() as u64;
        // A part that is not full is the last: then nothing needs to be counted.
        let last = here < slice.limit && (here > 0 || slice.offset == 0) && !query.is_empty();
        let total =
            if last { slice.offset + here } else { self.count_matching(account, query, online).await? };
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

    /// How many match. Of all devices, and of those that are online or not, it is known without looking:
    /// an account's count is kept with every change.
    pub(crate) async fn count_matching(
        &self,
        id: AccountId,
        query: &Query,
        online: &[DeviceId],
    ) -> Result<u64> {
        let (wants_online, wants_offline) = (query.online, query.offline);
        let others = Query { online: false, offline: false, ..query.clone() };
        if !others.is_empty() || (wants_online && wants_offline) {
            return Ok(Entity::find().filter(self.matching(id, query, online)).count(&self.reader).await?);
        }
        let count: Option<i64> = account::Entity::find_by_id(id.0)
            .select_only()
            .column(account::Column::DeviceCount)
            .into_tuple()
            .one(&self.reader)
            .await?;
        let all = count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        let here = Ord::min(all, online.len() as u64);
        Ok(if wants_online {
            here
        } else if wants_offline {
            all - here
        } else {
            all
        })
    }

    pub(crate) fn matching(&self, account: AccountId, query: &Query, online: &[DeviceId]) -> Condition {
        let mut all = Condition::all().add(Column::AccountId.eq(account.0));
        for word in &query.words {
            all = all.add(
                Condition::any()
                    .add(self.has(Column::NameFolded, word))
                    .add(self.has(Column::SerialFolded, word)),
            );
        }
        // One filter alone is a range of its own index. Anything more is one pass over the index by name,
        // which holds all that is compared: looking up each device of a filter would take longer.
        let alone = query.words.is_empty()
            && query.tags.is_empty()
            && !(query.online || query.offline)
            && [&query.models, &query.memories, &query.systems].iter().filter(|it| !it.is_empty()).count()
                == 1;
        for (column, values) in [
            (Column::ModelFilter, &query.models),
            (Column::MemoryFilter, &query.memories),
            (Column::OsFilter, &query.systems),
        ] {
            if !values.is_empty() {
                let values = values.iter().map(String::as_str);
                // A sign before a column keeps SQLite from choosing its index.
                let by_name = !alone && self.reader.get_database_backend() == DbBackend::Sqlite;
                let column =
                    if by_name { format!("+{}", column.as_str()) } else { column.as_str().to_owned() };
                all = all.add(Expr::cust(column).is_in(values));
            }
        }
        for tag in &query.tags {
            // The column is a list in JSON. What is no tag could reach over its commas.
            let listed = Tags::new([tag]).ok().map(|_| self.has(Column::Tags, &format!("\"{tag}\"")));
            all = all.add(listed.unwrap_or_else(nothing));
        }
        match (query.online, query.offline) {
            (false, false) => all,
            (true, true) => all.add(nothing()),
            (true, false) => all.add(self.one_of(online)),
            (false, true) => all.add(self.one_of(online).not()),
        }
    }

    /// Whether a text contains another. PostgreSQL has an index for LIKE; on SQLite, where none of them
    /// helps, searching for bytes is quicker than matching a pattern.
    fn has(&self, column: Column, text: &str) -> Expr {
        if self.reader.get_database_backend() == DbBackend::Postgres {
            return Expr::col(column).like(contains(text));
        }
        Expr::cust_with_values(format!("instr({}, ?) > 0", column.as_str()), [text])
    }

    /// One parameter, however many ids there are: engines bound the number of parameters.
    fn one_of(&self, ids: &[DeviceId]) -> Expr {
        let ids = ids.iter().map(|id| id.0.simple().to_string());
        if self.reader.get_database_backend() == DbBackend::Postgres {
            let list = ids.collect::<Vec<_>>().join(",");
            return Expr::cust_with_values("id = ANY(string_to_array($1, ',')::uuid[])", [list]);
        }
        let list = serde_json::Value::from(ids.collect::<Vec<_>>()).to_string();
        Expr::cust_with_values("+id IN (SELECT unhex(value) FROM json_each(?))", [list])
    }
}

/// What no device is.
fn nothing() -> Expr {
    Expr::val(1).eq(0)
}
