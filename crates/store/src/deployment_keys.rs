//! The keys that sign deployments. The newest signs; of an older one only what others may know is left.

use crate::entity::deployment_key::{ActiveModel, Column, Entity, Model};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub struct DeploymentKey {
    /// 1 for the first, and so on: the key before vouches for it.
    pub number: i64,
    /// 32 bytes.
    pub public_key: Vec<u8>,
    /// The secret key, sealed; `None` once a newer key signs.
    pub sealed: Option<Vec<u8>>,
    /// The signature of the key before; `None` for the first.
    pub signature: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for DeploymentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeploymentKey").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Store {
    /// Every key, the first one first.
    pub async fn deployment_keys(&self) -> Result<Vec<DeploymentKey>> {
        let rows = Entity::find().order_by_asc(Column::Number).all(&self.reader).await?;
        Ok(rows.into_iter().map(key).collect())
    }

    /// The newest key.
    pub async fn signing_key(&self) -> Result<Option<DeploymentKey>> {
        Ok(Entity::find().order_by_desc(Column::Number).one(&self.reader).await?.map(key))
    }
}

impl Tx {
    /// Adds a key and forgets the secrets of those before. `false` if there is one of this number:
    /// another node was first.
    pub async fn insert_deployment_key(&self, new: DeploymentKey) -> Result<bool> {
        let number = new.number;
        let row = ActiveModel {
            number: Set(number),
            public_key: Set(new.public_key),
            sealed: Set(new.sealed),
            signature: Set(new.signature),
            created_at: Set(to_micros(new.created_at)),
        };
        let keep = OnConflict::column(Column::Number).do_nothing().to_owned();
        let done = Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        if done == 1 {
            let without = ActiveModel { sealed: Set(None), ..ActiveModel::default() };
            Entity::update_many().set(without).filter(Column::Number.lt(number)).exec(&self.inner).await?;
        }
        Ok(done == 1)
    }
}

fn key(row: Model) -> DeploymentKey {
    DeploymentKey {
        number: row.number,
        public_key: row.public_key,
        sealed: row.sealed,
        signature: row.signature,
        created_at: from_micros(row.created_at),
    }
}
