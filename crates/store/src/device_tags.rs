//! Tags of devices. They are kept twice, in one transaction: as a list in the device's row, for reading,
//! and one by one in `device_tags`, for finding.

use crate::entity::{device, device_tag};
use crate::{Result, Tx};
use bramble_model::tags::Tags;
use bramble_wire::{AccountId, DeviceId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// The list as its column has it.
pub(crate) fn to_column(tags: &Tags) -> String {
    serde_json::to_string(tags.as_slice()).unwrap_or_else(|_| "[]".to_owned())
}

/// The list from its column.
pub(crate) fn from_column(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_default()
}

impl Tx {
    /// Gives a device these tags in the place of those it has. `false` if the account has no such device.
    pub async fn set_device_tags(&self, account: AccountId, id: DeviceId, tags: &Tags) -> Result<bool> {
        let row = device::ActiveModel { tags: Set(to_column(tags)), ..device::ActiveModel::default() };
        let done = device::Entity::update_many()
            .set(row)
            .filter(device::Column::Id.eq(id.0))
            .filter(device::Column::AccountId.eq(account.0))
            .exec(&self.inner)
            .await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        device_tag::Entity::delete_many()
            .filter(device_tag::Column::DeviceId.eq(id.0))
            .exec(&self.inner)
            .await?;
        let rows = tags.as_slice().iter().map(|tag| device_tag::ActiveModel {
            account_id: Set(account.0),
            tag: Set(tag.clone()),
            device_id: Set(id.0),
        });
        if !tags.is_empty() {
            device_tag::Entity::insert_many(rows).exec_without_returning(&self.inner).await?;
        }
        Ok(true)
    }
}
