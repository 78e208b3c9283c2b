//! Entries of devices: made, changed, moved, removed, and counted.

use crate::devices::NewDevice;
use crate::entity::device::{ActiveModel, Column, Entity};
use crate::entity::{account, device_tag};
use crate::value::to_micros;
use crate::{Result, Tx};
use bramble_model::query::model_filter;
use bramble_model::text::fold;
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::{AccountId, DeviceId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set, UpdateMany};

impl Tx {
    /// Locks an account until the end of the transaction: rules over its devices and keys hold
    /// between reading and writing. `false` if there is no such account.
    pub async fn lock_account(&self, id: AccountId) -> Result<bool> {
        let count = Expr::col(account::Column::DeviceCount);
        let done = account::Entity::update_many()
            .col_expr(account::Column::DeviceCount, count)
            .filter(account::Column::Id.eq(id.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Adds a device and counts it.
    pub async fn insert_device(&self, new: NewDevice) -> Result<()> {
        let at = to_micros(new.at);
        let (id, account, tags) = (new.id, new.account, new.tags);
        let row = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            name_folded: Set(fold(&new.name)),
            name: Set(new.name),
            serial_folded: Set(fold(&new.serial_number)),
            serial_number: Set(new.serial_number),
            token_issued_at: Set(new.token.map(|_| at)),
            token_hash: Set(new.token.map(SecretHash::to_vec)),
            signing_required: Set(false),
            linked_by_identity: Set(false),
            created_at: Set(at),
            linked_at: Set(at),
            hostname: Set(new.hostname),
            model_filter: Set(new.board_model.as_deref().and_then(model_filter).map(str::to_owned)),
            board_model: Set(new.board_model),
            ..ActiveModel::default()
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        if !tags.is_empty() {
            self.set_device_tags(account, id, &tags).await?;
        }
        self.count_devices(account, 1).await
    }

    /// Links an existing entry again: another token (or none yet), another name if one is given,
    /// nothing required to be signed. Id, name and history stay.
    pub async fn relink_device(
        &self,
        id: DeviceId,
        name: Option<&str>,
        token: Option<SecretHash>,
        at: Timestamp,
    ) -> Result<bool> {
        let at = to_micros(at);
        let mut row = ActiveModel {
            token_hash: Set(token.map(SecretHash::to_vec)),
            token_issued_at: Set(token.map(|_| at)),
            token_used_at: Set(None),
            signing_required: Set(false),
            linked_at: Set(at),
            relinked_at: Set(Some(at)),
            duplicate_seen_at: Set(None),
            ..ActiveModel::default()
        };
        if let Some(name) = name {
            row.name = Set(name.to_owned());
            row.name_folded = Set(fold(name));
        }
        self.update_device(Entity::update_many().set(row).filter(Column::Id.eq(id.0))).await
    }

    /// Notes whether an identity keeps this entry for itself, and the serial number of the board that
    /// it is on now.
    pub async fn bind_device(&self, id: DeviceId, by_identity: bool, serial: &str) -> Result<bool> {
        let row = ActiveModel {
            linked_by_identity: Set(by_identity),
            serial_folded: Set(fold(serial)),
            serial_number: Set(serial.to_owned()),
            ..ActiveModel::default()
        };
        self.update_device(Entity::update_many().set(row).filter(Column::Id.eq(id.0))).await
    }

    /// Another name.
    pub async fn rename_device(&self, account: AccountId, id: DeviceId, name: &str) -> Result<bool> {
        let row = ActiveModel {
            name: Set(name.to_owned()),
            name_folded: Set(fold(name)),
            ..ActiveModel::default()
        };
        self.update_device(
            Entity::update_many()
                .set(row)
                .filter(Column::Id.eq(id.0))
                .filter(Column::AccountId.eq(account.0)),
        )
        .await
    }

    /// Removes the entry, with its sessions, and counts it out.
    pub async fn delete_device(&self, account: AccountId, id: DeviceId) -> Result<bool> {
        let done = Entity::delete_many()
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .exec(&self.inner)
            .await?;
        if done.rows_affected == 1 {
            self.count_devices(account, -1).await?;
        }
        Ok(done.rows_affected == 1)
    }

    /// Gives a device to another account and counts it there. Its tags go with it only where there are
    /// tags. The caller has locked both accounts. `false` if it is not where it was thought to be.
    pub async fn transfer_device(
        &self,
        from: AccountId,
        to: AccountId,
        id: DeviceId,
        keeps_tags: bool,
    ) -> Result<bool> {
        let mut row = ActiveModel { account_id: Set(to.0), ..ActiveModel::default() };
        if !keeps_tags {
            row.tags = Set("[]".to_owned());
        }
        let update =
            Entity::update_many().set(row).filter(Column::Id.eq(id.0)).filter(Column::AccountId.eq(from.0));
        if !self.update_device(update).await? {
            return Ok(false);
        }
        self.count_devices(from, -1).await?;
        self.count_devices(to, 1).await?;
        let tags = device_tag::Column::DeviceId.eq(id.0);
        if keeps_tags {
            device_tag::Entity::update_many()
                .col_expr(device_tag::Column::AccountId, Expr::value(to.0))
                .filter(tags)
                .exec(&self.inner)
                .await?;
        } else {
            device_tag::Entity::delete_many().filter(tags).exec(&self.inner).await?;
        }
        Ok(true)
    }

    pub(crate) async fn update_device(&self, update: UpdateMany<Entity>) -> Result<bool> {
        Ok(update.exec(&self.inner).await?.rows_affected == 1)
    }

    async fn count_devices(&self, id: AccountId, by: i64) -> Result<()> {
        account::Entity::update_many()
            .col_expr(account::Column::DeviceCount, Expr::col(account::Column::DeviceCount).add(by))
            .filter(account::Column::Id.eq(id.0))
            .exec(&self.inner)
            .await?;
        Ok(())
    }
}
