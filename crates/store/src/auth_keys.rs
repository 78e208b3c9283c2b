//! Auth keys: each links one device. Who uses it first is decided by one conditional statement.

use crate::device_tags::{from_column, to_column};
use crate::entity::auth_key::{ActiveModel, Column, Entity, Model};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::auth_key::State;
use bramble_model::tags::Tags;
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::{AccountId, AuthKeyId, DeviceId, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Set};

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthKey {
    /// Id.
    pub id: AuthKeyId,
    /// Whose.
    pub account: AccountId,
    /// What its maker wrote.
    pub description: String,
    /// The name that the device gets, if not its host name.
    pub device_name: Option<String>,
    /// The tags that the device gets.
    pub tags: Vec<String>,
    /// Who made it, if that person still exists.
    pub created_by: Option<UserId>,
    /// That person's name then.
    pub created_by_name: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it may be used.
    pub expires_at: Timestamp,
    /// When it was used.
    pub exchanged_at: Option<Timestamp>,
    /// The serial number that used it.
    pub exchanged_serial: Option<String>,
    /// The device that it linked, if that still exists.
    pub device: Option<DeviceId>,
    /// Hash of the token that was issued for it last.
    pub issued_token: Option<SecretHash>,
}

impl AuthKey {
    /// Where it stands at a moment.
    pub fn state(&self, now: Timestamp) -> State {
        State::of(self.expires_at, self.exchanged_at, self.device, now)
    }

    /// Whether it can link a device at a moment.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.exchanged_at.is_none() && self.expires_at > now
    }
}

/// A key to insert.
#[derive(Debug, Clone)]
pub struct NewAuthKey {
    /// Chosen by the caller.
    pub id: AuthKeyId,
    /// Whose.
    pub account: AccountId,
    /// Hash of its secret.
    pub secret: SecretHash,
    /// What its maker wrote.
    pub description: String,
    /// The name that the device gets, if not its host name.
    pub device_name: Option<String>,
    /// The tags that the device gets.
    pub tags: Tags,
    /// Who makes it.
    pub created_by: Option<UserId>,
    /// That person's name.
    pub created_by_name: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it may be used.
    pub expires_at: Timestamp,
}

impl Store {
    /// The keys of an account, newest first.
    pub async fn auth_keys(&self, account: AccountId, limit: u64) -> Result<Vec<AuthKey>> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .limit(limit)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(auth_key).collect())
    }

    /// A key of this account.
    pub async fn auth_key(&self, account: AccountId, id: AuthKeyId) -> Result<Option<AuthKey>> {
        let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(&self.reader).await?;
        Ok(row.map(auth_key))
    }

    /// The keys of an account that this person made and that can still be used, newest first.
    pub async fn usable_auth_keys_by(
        &self,
        account: AccountId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<AuthKey>> {
        let rows = usable_by(account, user, now).all(&self.reader).await?;
        Ok(rows.into_iter().map(auth_key).collect())
    }

    /// The key with this secret.
    pub async fn auth_key_by_secret(&self, secret: SecretHash) -> Result<Option<AuthKey>> {
        let row = Entity::find().filter(Column::SecretHash.eq(secret.to_vec())).one(&self.reader).await?;
        Ok(row.map(auth_key))
    }
}

impl Tx {
    /// The keys of an account that this person made and that can still be used, newest first.
    pub async fn usable_auth_keys_by(
        &self,
        account: AccountId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<AuthKey>> {
        let rows = usable_by(account, user, now).all(&self.inner).await?;
        Ok(rows.into_iter().map(auth_key).collect())
    }

    /// The keys of an account, newest first.
    pub async fn auth_keys(&self, account: AccountId) -> Result<Vec<AuthKey>> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .all(&self.inner)
            .await?;
        Ok(rows.into_iter().map(auth_key).collect())
    }

    /// The key with this secret.
    pub async fn auth_key_by_secret(&self, secret: SecretHash) -> Result<Option<AuthKey>> {
        let row = Entity::find().filter(Column::SecretHash.eq(secret.to_vec())).one(&self.inner).await?;
        Ok(row.map(auth_key))
    }

    /// Adds a key.
    pub async fn insert_auth_key(&self, new: NewAuthKey) -> Result<()> {
        let row = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            secret_hash: Set(new.secret.to_vec()),
            description: Set(new.description),
            device_name: Set(new.device_name),
            tags: Set(to_column(&new.tags)),
            created_by: Set(new.created_by.map(Into::into)),
            created_by_name: Set(new.created_by_name),
            created_at: Set(to_micros(new.created_at)),
            expires_at: Set(to_micros(new.expires_at)),
            ..ActiveModel::default()
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Uses the key up. `false` if it was used or deleted, or its time is over: of any number of
    /// callers at once exactly one gets `true`.
    pub async fn use_auth_key(&self, id: AuthKeyId, serial: &str, at: Timestamp) -> Result<bool> {
        let row = ActiveModel {
            exchanged_at: Set(Some(to_micros(at))),
            exchanged_serial: Set(Some(serial.to_owned())),
            ..ActiveModel::default()
        };
        let done = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id.0))
            .filter(Column::ExchangedAt.is_null())
            .filter(Column::ExpiresAt.gt(to_micros(at)))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Notes which device the key linked, and the token that was issued for it last.
    pub async fn note_auth_key_device(
        &self,
        id: AuthKeyId,
        device: DeviceId,
        token: SecretHash,
    ) -> Result<()> {
        let row = ActiveModel {
            device_id: Set(Some(device.0)),
            issued_token_hash: Set(Some(token.to_vec())),
            ..ActiveModel::default()
        };
        Entity::update_many().set(row).filter(Column::Id.eq(id.0)).exec(&self.inner).await?;
        Ok(())
    }

    /// Removes a key. Its device is not affected.
    pub async fn delete_auth_key(&self, account: AccountId, id: AuthKeyId) -> Result<bool> {
        let done = Entity::delete_many()
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }
}

fn usable_by(account: AccountId, user: UserId, now: Timestamp) -> Select<Entity> {
    Entity::find()
        .filter(Column::AccountId.eq(account.0))
        .filter(Column::CreatedBy.eq(user.0))
        .filter(Column::ExchangedAt.is_null())
        .filter(Column::ExpiresAt.gt(to_micros(now)))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
}

pub(crate) fn auth_key(row: Model) -> AuthKey {
    AuthKey {
        id: row.id.into(),
        account: row.account_id.into(),
        description: row.description,
        device_name: row.device_name,
        tags: from_column(&row.tags),
        created_by: row.created_by.map(Into::into),
        created_by_name: row.created_by_name,
        created_at: from_micros(row.created_at),
        expires_at: from_micros(row.expires_at),
        exchanged_at: row.exchanged_at.map(from_micros),
        exchanged_serial: row.exchanged_serial,
        device: row.device_id.map(Into::into),
        issued_token: row.issued_token_hash.as_deref().and_then(SecretHash::from_slice),
    }
}
