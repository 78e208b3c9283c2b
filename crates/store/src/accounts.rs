//! Accounts: owners of devices and keys.

use crate::entity::{account, user};
use crate::{Result, Store, Tx};
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, UserId};
use sea_orm::{ConnectionTrait, EntityTrait};

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

    /// The addresses of those who are told about new devices of an account.
    pub async fn device_mail_recipients(&self, id: AccountId) -> Result<Vec<String>> {
        let Some(owner) = find(&self.inner, id).await?.and_then(|account| account.owner) else {
            return Ok(Vec::new());
        };
        let person = user::Entity::find_by_id(owner.0).one(&self.inner).await?;
        Ok(person.map(|person| person.email).into_iter().collect())
    }
}

async fn find(connection: &impl ConnectionTrait, id: AccountId) -> Result<Option<Account>> {
    let row = account::Entity::find_by_id(id.0).one(connection).await?;
    Ok(row.map(|row| Account {
        id: row.id.into(),
        kind: if row.kind == "organisation" { AccountKind::Organisation } else { AccountKind::Personal },
        name: row.name,
        owner: row.owner_id.map(Into::into),
        device_count: u64::try_from(row.device_count).unwrap_or_default(),
    }))
}
