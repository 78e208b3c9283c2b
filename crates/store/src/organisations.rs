//! Organisations: accounts that several people share. Who is in them is in [`crate::memberships`].

use crate::entity::account;
use crate::value::to_micros;
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_wire::{AccountId, UserId};
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
