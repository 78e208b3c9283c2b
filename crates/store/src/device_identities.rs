//! Device identities: a public key for which its device gets an entry, again and again. A key is found by
//! its digest and is there once on the whole server.

use crate::device_search::Slice;
use crate::device_tags::{from_column, to_column};
use crate::entity::device_identity::{ActiveModel, Column, Entity, Model};
use crate::organisation_keys::Change;
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::tags::Tags;
use bramble_model::text::fold;
use bramble_wire::{AccountId, DeviceId, DeviceIdentityId};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

/// A device identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// Id.
    pub id: DeviceIdentityId,
    /// Whose.
    pub account: AccountId,
    /// PEM.
    pub public_key: String,
    /// What its maker wrote.
    pub description: String,
    /// The name that the device gets, if not its host name.
    pub device_name: Option<String>,
    /// The tags that the device gets.
    pub tags: Vec<String>,
    /// Who made it.
    pub created_by_name: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was exchanged first.
    pub exchanged_at: Option<Timestamp>,
    /// The newest time that an exchange carried, in Unix seconds.
    pub last_timestamp: Option<i64>,
    /// Its device, while that exists.
    pub device: Option<DeviceId>,
}

/// A device identity to insert.
#[derive(Debug, Clone)]
pub struct NewDeviceIdentity {
    /// Chosen by the caller.
    pub id: DeviceIdentityId,
    /// Whose.
    pub account: AccountId,
    /// PEM.
    pub public_key: String,
    /// SHA-256 of the key in DER.
    pub key_hash: [u8; 32],
    /// What its maker wrote.
    pub description: String,
    /// The name that the device gets, if not its host name.
    pub device_name: Option<String>,
    /// The tags that the device gets.
    pub tags: Tags,
    /// Who makes it.
    pub created_by_name: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// The identity with this key, whosever it is.
    pub async fn device_identity_by_key(&self, key_hash: [u8; 32]) -> Result<Option<DeviceIdentity>> {
        let row = Entity::find().filter(Column::KeyHash.eq(key_hash.to_vec())).one(&self.reader).await?;
        Ok(row.map(identity))
    }

    /// An identity of this account.
    pub async fn device_identity(
        &self,
        account: AccountId,
        id: DeviceIdentityId,
    ) -> Result<Option<DeviceIdentity>> {
        let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(&self.reader).await?;
        Ok(row.map(identity))
    }

    /// A part of an account's identities by description, and how many there are.
    pub async fn device_identities(
        &self,
        account: AccountId,
        slice: Slice,
    ) -> Result<(Vec<DeviceIdentity>, u64)> {
        let found = Entity::find().filter(Column::AccountId.eq(account.0));
        let total = found.clone().count(&self.reader).await?;
        let rows = found
            .order_by_asc(Column::DescriptionFolded)
            .order_by_asc(Column::Id)
            .offset(slice.offset)
            .limit(slice.limit)
            .all(&self.reader)
            .await?;
        Ok((rows.into_iter().map(identity).collect(), total))
    }
}

impl Tx {
    /// The identity with this key, whosever it is.
    pub async fn device_identity_by_key(&self, key_hash: [u8; 32]) -> Result<Option<DeviceIdentity>> {
        let row = Entity::find().filter(Column::KeyHash.eq(key_hash.to_vec())).one(&self.inner).await?;
        Ok(row.map(identity))
    }

    /// An identity of this account.
    pub async fn device_identity(
        &self,
        account: AccountId,
        id: DeviceIdentityId,
    ) -> Result<Option<DeviceIdentity>> {
        let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(&self.inner).await?;
        Ok(row.map(identity))
    }

    /// The identity that linked a device.
    pub async fn device_identity_of(&self, device: DeviceId) -> Result<Option<DeviceIdentity>> {
        let row = Entity::find().filter(Column::DeviceId.eq(device.0)).one(&self.inner).await?;
        Ok(row.map(identity))
    }

    /// Adds an identity. A conflict ([`crate::StoreError::is_conflict`]) means that somebody has the key.
    pub async fn insert_device_identity(&self, new: NewDeviceIdentity) -> Result<()> {
        let row = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            public_key: Set(new.public_key),
            key_hash: Set(new.key_hash.to_vec()),
            description_folded: Set(fold(&new.description)),
            description: Set(new.description),
            device_name: Set(new.device_name),
            tags: Set(to_column(&new.tags)),
            created_by_name: Set(new.created_by_name),
            created_at: Set(to_micros(new.at)),
            exchanged_at: Set(None),
            last_timestamp: Set(None),
            device_id: Set(None),
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Changes an identity of this account. The caller holds the account's lock and leaves out what an
    /// exchanged one keeps.
    pub async fn update_device_identity(
        &self,
        account: AccountId,
        id: DeviceIdentityId,
        change: &Change,
    ) -> Result<bool> {
        let mut row = ActiveModel::default();
        if let Some(description) = &change.description {
            row.description = Set(description.clone());
            row.description_folded = Set(fold(description));
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
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Notes an exchange. `false` if the identity is gone, or if an exchange of this time or a later one
    /// was noted before, or any time and this one has none.
    pub async fn note_identity_exchange(
        &self,
        id: DeviceIdentityId,
        device: DeviceId,
        timestamp: Option<i64>,
        at: Timestamp,
    ) -> Result<bool> {
        let mut newer = Condition::any().add(Column::LastTimestamp.is_null());
        if let Some(timestamp) = timestamp {
            newer = newer.add(Column::LastTimestamp.lt(timestamp));
        }
        let row = ActiveModel {
            device_id: Set(Some(device.0)),
            exchanged_at: Set(Some(to_micros(at))),
            last_timestamp: Set(timestamp),
            ..ActiveModel::default()
        };
        let done = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id.0))
            .filter(newer)
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Moves the identity of a device along with it.
    pub async fn move_device_identity(&self, id: DeviceIdentityId, to: AccountId) -> Result<()> {
        let row = ActiveModel { account_id: Set(to.0), ..ActiveModel::default() };
        Entity::update_many().set(row).filter(Column::Id.eq(id.0)).exec(&self.inner).await?;
        Ok(())
    }

    /// Removes an identity. Its device is not affected.
    pub async fn delete_device_identity(&self, account: AccountId, id: DeviceIdentityId) -> Result<bool> {
        let done = Entity::delete_many()
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }
}

fn identity(row: Model) -> DeviceIdentity {
    DeviceIdentity {
        id: row.id.into(),
        account: row.account_id.into(),
        public_key: row.public_key,
        description: row.description,
        device_name: row.device_name,
        tags: from_column(&row.tags),
        created_by_name: row.created_by_name,
        created_at: from_micros(row.created_at),
        exchanged_at: row.exchanged_at.map(from_micros),
        last_timestamp: row.last_timestamp,
        device: row.device_id.map(Into::into),
    }
}
