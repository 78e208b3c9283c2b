//! Auth keys as the management API lists and changes them.

use crate::auth_keys::{AuthKey, auth_key};
use crate::device_search::Slice;
use crate::device_tags::to_column;
use crate::entity::auth_key::{ActiveModel, Column, Entity};
use crate::value::to_micros;
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::tags::Tags;
use bramble_wire::{AccountId, AuthKeyId};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set};

/// What changes of a key or an identity; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Another description.
    pub description: Option<String>,
    /// Another name for the device, or none.
    pub device_name: Option<Option<String>>,
    /// Other tags for the device.
    pub tags: Option<Tags>,
}

impl Change {
    /// Whether everything stays.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// A part of an account's keys, and how many there are: the usable first, then the expired, then the
    /// exchanged; newest first in each group.
    pub async fn auth_key_page(
        &self,
        account: AccountId,
        now: Timestamp,
        slice: Slice,
    ) -> Result<(Vec<AuthKey>, u64)> {
        let found = Entity::find().filter(Column::AccountId.eq(account.0));
        let total = found.clone().count(&self.reader).await?;
        let group: Expr = Expr::case(Column::ExchangedAt.is_not_null(), 2)
            .case(Column::ExpiresAt.lte(to_micros(now)), 1)
            .finally(0)
            .into();
        let rows = found
            .order_by(group, Order::Asc)
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .offset(slice.offset)
            .limit(slice.limit)
            .all(&self.reader)
            .await?;
        Ok((rows.into_iter().map(auth_key).collect(), total))
    }
}

impl Tx {
    /// A key of this account.
    pub async fn auth_key(&self, account: AccountId, id: AuthKeyId) -> Result<Option<AuthKey>> {
        let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(&self.inner).await?;
        Ok(row.map(auth_key))
    }

    /// Changes a key that can still be used. `false` if it cannot, or is not there.
    pub async fn update_auth_key(
        &self,
        account: AccountId,
        id: AuthKeyId,
        change: &Change,
        now: Timestamp,
    ) -> Result<bool> {
        let mut row = ActiveModel::default();
        if let Some(description) = &change.description {
            row.description = Set(description.clone());
        }
        if let Some(name) = &change.device_name {
            row.device_name = Set(name.clone());
        }
        if let Some(tags) = &change.tags {
            row.tags = Set(to_column(tags));
        }
        let done = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::ExchangedAt.is_null())
            .filter(Column::ExpiresAt.gt(to_micros(now)))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }
}
