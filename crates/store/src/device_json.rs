//! The management API's list of devices, written by SQLite itself.
//!
//! Handing over a hundred rows costs several times as much as finding them, because each crosses from
//! the engine's thread to ours on its own. So SQLite writes the JSON of a page, in one row. PostgreSQL
//! writes JSON with other white space and needs no such help: there rows are read as everywhere.

use crate::device_search::Slice;
use crate::entity::device::{Column, Entity};
use crate::{Result, Store};
use bramble_model::query::Query;
use bramble_wire::{AccountId, DeviceId};
use sea_orm::sea_query::{Alias, Expr, Query as Sql};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

/// A device as `bramble_wire::management::Device` writes it; a test compares them.
const DEVICE: &str = "json_object(\
    'id', lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' \
        || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)), \
    'name', name, 'serial_number', serial_number, 'tags', json(tags), \
    'board', json(CASE WHEN coalesce(board_model, board_revision, board_memory) IS NOT NULL THEN \
        json_object('model', board_model, 'revision', board_revision, 'memory', board_memory) END), \
    'os', json(CASE WHEN coalesce(os_name, os_version) IS NOT NULL THEN \
        json_object('name', os_name, 'version', os_version) END), \
    'kernel_architecture', kernel_architecture, \
    'filters', json_patch('{}', json_object('model', model_filter, 'memory', memory_filter, 'os', os_filter)))";

impl Store {
    /// A part of an account's devices by name as a JSON array, and how many match. `None` if this engine
    /// has no quicker way than [`Store::devices`].
    pub async fn devices_json(
        &self,
        account: AccountId,
        query: &Query,
        online: &[DeviceId],
        slice: Slice,
    ) -> Result<Option<(String, u64)>> {
        let backend = self.reader.get_database_backend();
        if backend != DbBackend::Sqlite {
            return Ok(None);
        }
        let total = self.count_matching(account, query, online).await?;
        let page = Entity::find()
            .select_only()
            .expr_as(Expr::cust(DEVICE), "device")
            .filter(self.matching(account, query, online))
            .order_by_asc(Column::NameFolded)
            .order_by_asc(Column::Id)
            .offset(slice.offset)
            .limit(slice.limit)
            .into_query();
        let all = Sql::select()
            .expr(Expr::cust("'[' || coalesce(group_concat(device, ','), '') || ']'"))
            .from_subquery(page, Alias::new("page"))
            .to_owned();
        let row = self.reader.query_one(&all).await?;
        let json = row.map(|row| row.try_get_by_index::<String>(0)).transpose()?;
        Ok(Some((json.unwrap_or_else(|| "[]".to_owned()), total)))
    }
}
