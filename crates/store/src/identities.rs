//! Who people are at other providers, and browsers that are on their way there.

use crate::entity::{identity, provider_flow};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::UserId;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};

/// Who a person is at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// What the provider calls the person, for ever.
    pub subject: String,
    /// The person here.
    pub user: UserId,
    /// The address that the provider named, for the person to recognise it.
    pub email: String,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it was used last.
    pub last_used_at: Option<Timestamp>,
}

impl From<identity::Model> for Identity {
    fn from(row: identity::Model) -> Self {
        Self {
            issuer: row.issuer,
            subject: row.subject,
            user: UserId(row.user_id),
            email: row.email,
            created_at: from_micros(row.created_at),
            last_used_at: row.last_used_at.map(from_micros),
        }
    }
}

impl Store {
    /// What a person is linked to, the oldest first.
    pub async fn identities(&self, user: UserId) -> Result<Vec<Identity>> {
        let found = identity::Entity::find()
            .filter(identity::Column::UserId.eq(user.0))
            .order_by_asc(identity::Column::CreatedAt)
            .order_by_asc(identity::Column::Subject);
        Ok(found.all(&self.reader).await?.into_iter().map(Into::into).collect())
    }
}

impl Tx {
    /// Whom a provider means.
    pub async fn identity(&self, issuer: &str, subject: &str) -> Result<Option<Identity>> {
        let found = identity::Entity::find_by_id((issuer.to_owned(), subject.to_owned()));
        Ok(found.one(&self.inner).await?.map(Into::into))
    }

    /// What a person is linked to. Meaningful while the person is locked.
    pub async fn identities(&self, user: UserId) -> Result<Vec<Identity>> {
        let found = identity::Entity::find().filter(identity::Column::UserId.eq(user.0));
        Ok(found.all(&self.inner).await?.into_iter().map(Into::into).collect())
    }

    /// Links a person. `false` if the provider's person is linked already, be it to somebody else.
    pub async fn insert_identity(&self, new: &Identity) -> Result<bool> {
        let row = identity::ActiveModel {
            issuer: Set(new.issuer.clone()),
            subject: Set(new.subject.clone()),
            user_id: Set(new.user.0),
            email: Set(new.email.clone()),
            created_at: Set(to_micros(new.created_at)),
            last_used_at: Set(new.last_used_at.map(to_micros)),
        };
        let keep = OnConflict::columns([identity::Column::Issuer, identity::Column::Subject])
            .do_nothing()
            .to_owned();
        let added =
            identity::Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        Ok(added == 1)
    }

    /// Notes that a link was used. `false` if it is gone.
    pub async fn use_identity(&self, was: &Identity, at: Timestamp) -> Result<bool> {
        let done = identity::Entity::update_many()
            .col_expr(identity::Column::LastUsedAt, Expr::value(to_micros(at)))
            .filter(identity::Column::Issuer.eq(was.issuer.as_str()))
            .filter(identity::Column::Subject.eq(was.subject.as_str()))
            .filter(identity::Column::UserId.eq(was.user.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Unlinks a person. `false` if the person is not linked so.
    pub async fn delete_identity(&self, user: UserId, issuer: &str, subject: &str) -> Result<bool> {
        let done = identity::Entity::delete_many()
            .filter(identity::Column::Issuer.eq(issuer))
            .filter(identity::Column::Subject.eq(subject))
            .filter(identity::Column::UserId.eq(user.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Lets a browser go to a provider.
    pub async fn insert_provider_flow(
        &self,
        token: &SecretHash,
        flow: Vec<u8>,
        expires_at: Timestamp,
    ) -> Result<()> {
        let row = provider_flow::ActiveModel {
            token_hash: Set(token.to_vec()),
            flow: Set(flow),
            expires_at: Set(to_micros(expires_at)),
        };
        provider_flow::Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// A browser is back: what it went for, once.
    pub async fn take_provider_flow(&self, token: &SecretHash, now: Timestamp) -> Result<Option<Vec<u8>>> {
        let found = provider_flow::Entity::find_by_id(token.to_vec()).one(&self.inner).await?;
        let gone = provider_flow::Entity::delete_by_id(token.to_vec()).exec(&self.inner).await?;
        let live = found.filter(|row| gone.rows_affected == 1 && row.expires_at > to_micros(now));
        Ok(live.map(|row| row.flow))
    }

    /// Forgets browsers that did not come back.
    pub async fn sweep_provider_flows(&self, now: Timestamp) -> Result<()> {
        let old =
            provider_flow::Entity::delete_many().filter(provider_flow::Column::ExpiresAt.lte(to_micros(now)));
        old.exec(&self.inner).await?;
        Ok(())
    }
}
