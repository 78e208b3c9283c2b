//! Named values of the whole server: generated secrets (sealed by the caller) and marks of what was
//! done once.

use crate::entity::setting::{ActiveModel, Column, Entity};
use crate::{Result, Store, Tx};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

impl Store {
    /// The value of a name.
    pub async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(Entity::find_by_id(name).one(&self.reader).await?.map(|row| row.value))
    }
}

impl Tx {
    /// Sets a name unless it has a value, and returns the value that stands: of two nodes that start
    /// at once both use the first one's.
    pub async fn setting_or(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        let row = ActiveModel { name: Set(name.to_owned()), value: Set(value.clone()) };
        let keep = OnConflict::column(Column::Name).do_nothing().to_owned();
        Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        let stands = Entity::find_by_id(name).one(&self.inner).await?;
        Ok(stands.map_or(value, |row| row.value))
    }

    /// Removes a name. Tells whether it had a value.
    pub async fn remove_setting(&self, name: &str) -> Result<bool> {
        let done = Entity::delete_many().filter(Column::Name.eq(name)).exec(&self.inner).await?;
        Ok(done.rows_affected == 1)
    }
}
