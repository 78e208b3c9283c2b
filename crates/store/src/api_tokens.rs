//! Tokens of the management API. Each belongs to one organisation and is found by its hash alone.

use crate::entity::api_token::{ActiveModel, Column, Entity, Model};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::{AccountId, ApiTokenId, UserId};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select, Set,
};

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Id.
    pub id: ApiTokenId,
    /// Whose.
    pub account: AccountId,
    /// What its maker wrote.
    pub description: String,
    /// Who made it, if that person still exists.
    pub created_by: Option<UserId>,
    /// That person's name then.
    pub created_by_name: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A token to insert.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// Chosen by the caller.
    pub id: ApiTokenId,
    /// Whose.
    pub account: AccountId,
    /// Hash of its secret.
    pub hash: SecretHash,
    /// What its maker wrote.
    pub description: String,
    /// Who makes it; `None` for the operator.
    pub created_by: Option<UserId>,
    /// That person's name.
    pub created_by_name: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// The token with this secret.
    pub async fn api_token_by_hash(&self, hash: SecretHash) -> Result<Option<ApiToken>> {
        let row = Entity::find().filter(Column::TokenHash.eq(hash.to_vec())).one(&self.reader).await?;
        Ok(row.map(api_token))
    }

    /// A token of this account.
    pub async fn api_token(&self, account: AccountId, id: ApiTokenId) -> Result<Option<ApiToken>> {
        let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(&self.reader).await?;
        Ok(row.map(api_token))
    }

    /// The tokens of an account, newest first.
    pub async fn api_tokens(&self, account: AccountId, limit: u64) -> Result<Vec<ApiToken>> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .limit(limit)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(api_token).collect())
    }

    /// The tokens of an account that this person made, newest first.
    pub async fn api_tokens_by(&self, account: AccountId, user: UserId) -> Result<Vec<ApiToken>> {
        let rows = made_by(account, user).all(&self.reader).await?;
        Ok(rows.into_iter().map(api_token).collect())
    }
}

impl Tx {
    /// One token of an account.
    pub async fn api_token(&self, account: AccountId, id: ApiTokenId) -> Result<Option<ApiToken>> {
        let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(&self.inner).await?;
        Ok(row.map(api_token))
    }

    /// How many tokens an account has.
    pub async fn count_api_tokens(&self, account: AccountId) -> Result<u64> {
        Ok(Entity::find().filter(Column::AccountId.eq(account.0)).count(&self.inner).await?)
    }

    /// The tokens of an account that this person made, newest first.
    pub async fn api_tokens_by(&self, account: AccountId, user: UserId) -> Result<Vec<ApiToken>> {
        let rows = made_by(account, user).all(&self.inner).await?;
        Ok(rows.into_iter().map(api_token).collect())
    }

    /// Adds a token.
    pub async fn insert_api_token(&self, new: NewApiToken) -> Result<()> {
        let row = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            token_hash: Set(new.hash.to_vec()),
            description: Set(new.description),
            created_by: Set(new.created_by.map(Into::into)),
            created_by_name: Set(new.created_by_name),
            created_at: Set(to_micros(new.at)),
            last_used_at: Set(None),
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Notes that a token was used, unless somebody noted that after `since`.
    pub async fn mark_api_token_used(&self, id: ApiTokenId, at: Timestamp, since: Timestamp) -> Result<bool> {
        let row = ActiveModel { last_used_at: Set(Some(to_micros(at))), ..ActiveModel::default() };
        let long_ago =
            Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lte(to_micros(since)));
        let done = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id.0))
            .filter(long_ago)
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Removes a token: it proves nothing from the commit on.
    pub async fn delete_api_token(&self, account: AccountId, id: ApiTokenId) -> Result<bool> {
        let done = Entity::delete_many()
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }
}

fn made_by(account: AccountId, user: UserId) -> Select<Entity> {
    Entity::find()
        .filter(Column::AccountId.eq(account.0))
        .filter(Column::CreatedBy.eq(user.0))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
}

fn api_token(row: Model) -> ApiToken {
    ApiToken {
        id: row.id.into(),
        account: row.account_id.into(),
        description: row.description,
        created_by: row.created_by.map(Into::into),
        created_by_name: row.created_by_name,
        created_at: from_micros(row.created_at),
        last_used_at: row.last_used_at.map(from_micros),
    }
}
