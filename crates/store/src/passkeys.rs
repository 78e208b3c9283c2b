//! Passkeys, and tokens that work once and are known only once they were used.

use crate::entity::{passkey, spent_token};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::{PasskeyId, UserId};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, Set};
use std::fmt;

/// A passkey of a person.
#[derive(Clone)]
pub struct Passkey {
    /// Id.
    pub id: PasskeyId,
    /// Whose.
    pub user: UserId,
    /// What its authenticator calls it.
    pub credential_id: Vec<u8>,
    /// What checks its answers, in JSON: public key and counter.
    pub credential: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was used last.
    pub last_used_at: Option<Timestamp>,
}

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passkey").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

impl From<passkey::Model> for Passkey {
    fn from(row: passkey::Model) -> Self {
        Self {
            id: PasskeyId(row.id),
            user: UserId(row.user_id),
            credential_id: row.credential_id,
            credential: row.credential,
            name: row.name,
            created_at: from_micros(row.created_at),
            last_used_at: row.last_used_at.map(from_micros),
        }
    }
}

impl Store {
    /// A person's passkeys, the oldest first.
    pub async fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>> {
        let found = passkey::Entity::find()
            .filter(passkey::Column::UserId.eq(user.0))
            .order_by_asc(passkey::Column::CreatedAt)
            .order_by_asc(passkey::Column::Id);
        Ok(found.all(&self.reader).await?.into_iter().map(Into::into).collect())
    }

    /// The passkey that an authenticator calls so, whosever it is.
    pub async fn passkey_by_credential(&self, credential_id: &[u8]) -> Result<Option<Passkey>> {
        let found = passkey::Entity::find().filter(passkey::Column::CredentialId.eq(credential_id.to_vec()));
        Ok(found.one(&self.reader).await?.map(Into::into))
    }
}

impl Tx {
    /// How many passkeys a person has. Meaningful while the person is locked.
    pub async fn count_passkeys(&self, user: UserId) -> Result<u64> {
        let of = passkey::Entity::find().filter(passkey::Column::UserId.eq(user.0));
        Ok(of.count(&self.inner).await?)
    }

    /// Adds a passkey. `false` if its authenticator's name for it is known already, be it of somebody else.
    pub async fn insert_passkey(&self, new: &Passkey) -> Result<bool> {
        let row = passkey::ActiveModel {
            id: Set(new.id.0),
            user_id: Set(new.user.0),
            credential_id: Set(new.credential_id.clone()),
            credential: Set(new.credential.clone()),
            name: Set(new.name.clone()),
            created_at: Set(to_micros(new.created_at)),
            last_used_at: Set(None),
        };
        let keep = OnConflict::column(passkey::Column::CredentialId).do_nothing().to_owned();
        let added =
            passkey::Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        Ok(added == 1)
    }

    /// Notes that a passkey was used, with what checks its next answer. `false` if it is gone or was used at
    /// the same moment: of two answers with one counter one counts.
    pub async fn use_passkey(&self, was: &Passkey, credential: &str, at: Timestamp) -> Result<bool> {
        let done = passkey::Entity::update_many()
            .col_expr(passkey::Column::Credential, Expr::value(credential))
            .col_expr(passkey::Column::LastUsedAt, Expr::value(to_micros(at)))
            .filter(passkey::Column::Id.eq(was.id.0))
            .filter(passkey::Column::UserId.eq(was.user.0))
            .filter(passkey::Column::Credential.eq(was.credential.as_str()))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Gives a passkey another name. `false` if the person has no such passkey.
    pub async fn rename_passkey(&self, user: UserId, id: PasskeyId, name: &str) -> Result<bool> {
        let done = passkey::Entity::update_many()
            .col_expr(passkey::Column::Name, Expr::value(name))
            .filter(passkey::Column::Id.eq(id.0))
            .filter(passkey::Column::UserId.eq(user.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Removes a passkey. `false` if the person has no such passkey.
    pub async fn delete_passkey(&self, user: UserId, id: PasskeyId) -> Result<bool> {
        let done = passkey::Entity::delete_many()
            .filter(passkey::Column::Id.eq(id.0))
            .filter(passkey::Column::UserId.eq(user.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Removes every passkey of a person. Tells how many.
    pub async fn delete_passkeys(&self, user: UserId) -> Result<u64> {
        let all = passkey::Entity::delete_many().filter(passkey::Column::UserId.eq(user.0));
        Ok(all.exec(&self.inner).await?.rows_affected)
    }

    /// Uses up a token that works once, until it is too old to work anyway. `false` if it was used before: of
    /// any number of requests with the same token one gets it.
    pub async fn spend(&self, token: &SecretHash, expires_at: Timestamp) -> Result<bool> {
        let row = spent_token::ActiveModel {
            token_hash: Set(token.to_vec()),
            expires_at: Set(to_micros(expires_at)),
        };
        let keep = OnConflict::column(spent_token::Column::TokenHash).do_nothing().to_owned();
        let added =
            spent_token::Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        Ok(added == 1)
    }

    /// Forgets used tokens that are too old to work anyway.
    pub async fn sweep_spent_tokens(&self, now: Timestamp) -> Result<()> {
        let old =
            spent_token::Entity::delete_many().filter(spent_token::Column::ExpiresAt.lte(to_micros(now)));
        old.exec(&self.inner).await?;
        Ok(())
    }
}
