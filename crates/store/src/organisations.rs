//! Organisations: accounts that several people share. Who is in them is in [`crate::memberships`].

use crate::entity::account;
use crate::value::to_micros;
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::account::Billing;
use bramble_wire::{AccountId, UserId};
use sea_orm::Value;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use crate::accounts::Account;

/// The column's word for an organisation.
const ORGANISATION: &str = "organisation";

/// An organisation to insert.
#[derive(Debug, Clone)]
pub struct NewOrganisation {
    /// Chosen by the caller.
    pub id: AccountId,
    /// Name for people.
    pub name: String,
    /// Who made it; `None` for the operator.
    pub created_by: Option<UserId>,
    /// When its trial is over, where trials exist.
    pub trial_ends_at: Option<Timestamp>,
    /// Now.
    pub at: Timestamp,
}

impl Store {
    /// Whether a person has created an organisation before, be it gone or not: only the first has a
    /// trial.
    pub async fn has_created_organisation(&self, user: UserId) -> Result<bool> {
        let made = account::Entity::find()
            .filter(account::Column::Kind.eq(ORGANISATION))
            .filter(account::Column::CreatedBy.eq(user.0));
        Ok(made.count(&self.reader).await? > 0)
    }

    /// Organisations by id, for the operator: at most so many, after an id.
    pub async fn organisations(&self, after: Option<AccountId>, limit: u64) -> Result<Vec<Account>> {
        let mut found = account::Entity::find().filter(account::Column::Kind.eq(ORGANISATION));
        if let Some(after) = after {
            found = found.filter(account::Column::Id.gt(after.0));
        }
        let rows = found.order_by_asc(account::Column::Id).limit(limit).all(&self.reader).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

impl Tx {
    /// Another name. `false` if there is no such organisation.
    pub async fn rename_organisation(&self, id: AccountId, name: &str) -> Result<bool> {
        self.update_organisation(id, account::Column::Name, name.into()).await
    }

    /// Requires a second factor from this moment on, or no longer.
    pub async fn require_second_factor(&self, id: AccountId, since: Option<Timestamp>) -> Result<bool> {
        let value = since.map(to_micros).into();
        self.update_organisation(id, account::Column::TwoFactorRequiredAt, value).await
    }

    /// Forbids file transfer to its devices from this moment on, or no longer.
    pub async fn forbid_files(&self, id: AccountId, since: Option<Timestamp>) -> Result<bool> {
        let value = since.map(to_micros).into();
        self.update_organisation(id, account::Column::FilesForbiddenAt, value).await
    }

    /// Notes how an organisation pays. `false` if there is no such organisation.
    pub async fn set_billing(&self, id: AccountId, billing: Billing) -> Result<bool> {
        self.update_organisation(id, account::Column::Billing, billing.as_str().into()).await
    }

    /// Removes an organisation with everything in it.
    pub async fn delete_organisation(&self, id: AccountId) -> Result<bool> {
        let done = account::Entity::delete_many()
            .filter(account::Column::Id.eq(id.0))
            .filter(account::Column::Kind.eq(ORGANISATION))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    async fn update_organisation(
        &self,
        id: AccountId,
        column: account::Column,
        value: Value,
    ) -> Result<bool> {
        let done = account::Entity::update_many()
            .col_expr(column, Expr::value(value))
            .filter(account::Column::Id.eq(id.0))
            .filter(account::Column::Kind.eq(ORGANISATION))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Adds an organisation, with nobody in it.
    pub async fn insert_organisation(&self, new: NewOrganisation) -> Result<()> {
        let row = account::ActiveModel {
            id: Set(new.id.0),
            kind: Set(ORGANISATION.to_owned()),
            name: Set(new.name),
            owner_id: Set(None),
            created_at: Set(to_micros(new.at)),
            trial_ends_at: Set(new.trial_ends_at.map(to_micros)),
            created_by: Set(new.created_by.map(|user| user.0)),
            ..account::ActiveModel::default()
        };
        account::Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }
}
