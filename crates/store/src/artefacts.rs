//! The artefact library of an account.

use crate::entity::artefact::{ActiveModel, Column, Entity, Model};
use crate::entity::{deployment, rollout};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::artefact::Description;
use bramble_model::text::fold;
use bramble_wire::{AccountId, ArtefactId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

/// An artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Id.
    pub id: ArtefactId,
    /// Whose.
    pub account: AccountId,
    /// Name, address, checksum.
    pub description: Description,
    /// Who added it.
    pub created_by_name: String,
    /// When.
    pub created_at: Timestamp,
}

/// What became of a wish to delete one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// It was deployed once, or is about to be, and stays.
    Deployed,
    /// There is none.
    NotFound,
}

impl Store {
    /// An artefact of this account.
    pub async fn artefact(&self, account: AccountId, id: ArtefactId) -> Result<Option<Artefact>> {
        find(&self.reader, account, id).await
    }

    /// An artefact of whatever account, for callers that then look up their standing in its account.
    pub async fn artefact_anywhere(&self, id: ArtefactId) -> Result<Option<Artefact>> {
        Ok(Entity::find_by_id(id.0).one(&self.reader).await?.map(artefact))
    }

    /// A page of an account's artefacts by name, and how many begin so. Compared without case.
    pub async fn artefacts(
        &self,
        account: AccountId,
        prefix: &str,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<Artefact>, u64)> {
        // No name has this character, and PostgreSQL does not even take it in a question.
        if prefix.contains('\0') {
            return Ok((Vec::new(), 0));
        }
        let mut found = Entity::find().filter(Column::AccountId.eq(account.0));
        let prefix = fold(prefix);
        if !prefix.is_empty() {
            found = found.filter(Expr::col(Column::NameFolded).like(crate::value::begins(&prefix)));
        }
        let total = found.clone().count(&self.reader).await?;
        let rows = found
            .order_by_asc(Column::NameFolded)
            .order_by_asc(Column::Id)
            .offset(offset)
            .limit(limit)
            .all(&self.reader)
            .await?;
        Ok((rows.into_iter().map(artefact).collect(), total))
    }

    /// Those of the given artefacts that this account has.
    pub async fn artefacts_by_id(&self, account: AccountId, ids: &[ArtefactId]) -> Result<Vec<Artefact>> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::Id.is_in(ids.iter().map(|id| id.0)))
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(artefact).collect())
    }

    /// Those of the given artefacts that were deployed once.
    pub async fn deployed_artefacts(&self, ids: &[ArtefactId]) -> Result<Vec<ArtefactId>> {
        let ids = ids.iter().map(|id| id.0);
        let rows = deployment::Entity::find()
            .select_only()
            .column(deployment::Column::ArtefactId)
            .distinct()
            .filter(deployment::Column::ArtefactId.is_in(ids))
            .into_tuple::<uuid::Uuid>()
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

impl Tx {
    /// An artefact of this account.
    pub async fn artefact(&self, account: AccountId, id: ArtefactId) -> Result<Option<Artefact>> {
        find(&self.inner, account, id).await
    }

    /// Adds an artefact. A conflict ([`crate::StoreError::is_conflict`]) means that the account has one
    /// of this name.
    pub async fn insert_artefact(&self, new: Artefact) -> Result<()> {
        let row = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            name_folded: Set(fold(&new.description.name)),
            name: Set(new.description.name),
            uri: Set(new.description.uri),
            checksum: Set(new.description.checksum),
            created_by_name: Set(new.created_by_name),
            created_at: Set(to_micros(new.created_at)),
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Removes an artefact that was never deployed, with the previews of rollouts that name it. The
    /// caller holds the account's lock, so that no deployment of it begins meanwhile.
    pub async fn delete_artefact(&self, account: AccountId, id: ArtefactId) -> Result<Deletion> {
        if find(&self.inner, account, id).await?.is_none() {
            return Ok(Deletion::NotFound);
        }
        let deployed = deployment::Entity::find().filter(deployment::Column::ArtefactId.eq(id.0));
        let rolled = rollout::Entity::find()
            .filter(rollout::Column::ArtefactId.eq(id.0))
            .filter(rollout::Column::State.ne(crate::rollouts::State::Preview.as_str()));
        if deployed.one(&self.inner).await?.is_some() || rolled.one(&self.inner).await?.is_some() {
            return Ok(Deletion::Deployed);
        }
        rollout::Entity::delete_many().filter(rollout::Column::ArtefactId.eq(id.0)).exec(&self.inner).await?;
        Entity::delete_many().filter(Column::Id.eq(id.0)).exec(&self.inner).await?;
        Ok(Deletion::Deleted)
    }
}

async fn find(
    connection: &impl ConnectionTrait,
    account: AccountId,
    id: ArtefactId,
) -> Result<Option<Artefact>> {
    let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(connection).await?;
    Ok(row.map(artefact))
}

fn artefact(row: Model) -> Artefact {
    Artefact {
        id: row.id.into(),
        account: row.account_id.into(),
        description: Description { name: row.name, uri: row.uri, checksum: row.checksum },
        created_by_name: row.created_by_name,
        created_at: from_micros(row.created_at),
    }
}
