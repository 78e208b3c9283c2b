//! Accounts: owners of devices and keys.

use crate::entity::{account, membership, user};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::account::{Billing, Role};
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, UserId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Id.
    pub id: AccountId,
    /// Kind.
    pub kind: AccountKind,
    /// Name for people.
    pub name: String,
    /// Whose it is, if it is a personal one.
    pub owner: Option<UserId>,
    /// How many devices it has.
    pub device_count: u64,
    /// Since when members must have a second factor, if they must.
    pub two_factor_required_at: Option<Timestamp>,
    /// When its trial is over, where trials exist.
    pub trial_ends_at: Option<Timestamp>,
    /// How it pays, where that matters; `None` before anything was set up.
    pub billing: Option<Billing>,
    /// An administrator has switched file transfer off.
    pub files_forbidden: bool,
    /// Since when it exists.
    pub created_at: Timestamp,
}

impl Store {
    /// An account.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        find(&self.reader, id).await
    }
}

impl Tx {
    /// An account.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        find(&self.inner, id).await
    }

    /// The addresses of those who are told about what matters to an account: its owner, or its
    /// administrators. Nobody who was disabled: they can do nothing about it.
    pub async fn notice_recipients(&self, id: AccountId) -> Result<Vec<String>> {
        let Some(account) = find(&self.inner, id).await? else { return Ok(Vec::new()) };
        let people = match account.owner {
            Some(owner) => vec![owner.0],
            None => self.administrators(id).await?,
        };
        let people = user::Entity::find()
            .filter(user::Column::Id.is_in(people))
            .filter(user::Column::DisabledAt.is_null())
            .all(&self.inner)
            .await?;
        Ok(people.into_iter().map(|person| person.email).collect())
    }

    async fn administrators(&self, id: AccountId) -> Result<Vec<Uuid>> {
        let rows = membership::Entity::find()
            .filter(membership::Column::AccountId.eq(id.0))
            .filter(membership::Column::Role.eq(Role::Administrator.as_str()))
            .all(&self.inner)
            .await?;
        Ok(rows.into_iter().map(|row| row.user_id).collect())
    }
}

async fn find(connection: &impl ConnectionTrait, id: AccountId) -> Result<Option<Account>> {
    Ok(account::Entity::find_by_id(id.0).one(connection).await?.map(Into::into))
}
