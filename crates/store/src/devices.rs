//! Linked devices. A device's token is found by its hash alone; a device is shown and changed only
//! together with its account.

use crate::device_description::capability;
use crate::device_tags::from_column;
use crate::entity::device::{Column, Entity, Model};
use crate::value::from_micros;
use crate::{Result, Store, Tx};
use bramble_model::tags::Tags;
use bramble_model::text::fold;
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::device_api::{Board, Capabilities, Os, Pico};
use bramble_wire::{AccountId, DeviceId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use std::collections::HashMap;

/// A linked device.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Id.
    pub id: DeviceId,
    /// Whose.
    pub account: AccountId,
    /// Name for people.
    pub name: String,
    /// Serial number: an identifier, never a credential.
    pub serial_number: String,
    /// Hash of its token; `None` when signed out, or approved and not yet answered.
    pub token: Option<SecretHash>,
    /// When the token was issued.
    pub token_issued_at: Option<Timestamp>,
    /// When the token was used first.
    pub token_used_at: Option<Timestamp>,
    /// Whether unsigned requests are refused.
    pub signing_required: bool,
    /// Linked by a device identity, which keeps its own device.
    pub linked_by_identity: bool,
    /// When the entry was made.
    pub created_at: Timestamp,
    /// When it was linked last.
    pub linked_at: Timestamp,
    /// When an existing entry was linked again.
    pub relinked_at: Option<Timestamp>,
    /// When it was last online.
    pub last_seen_at: Option<Timestamp>,
    /// When two clients were last seen with its token.
    pub duplicate_seen_at: Option<Timestamp>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Why screen sharing is unavailable, as the device says.
    pub vnc_reason: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// Version of its client.
    pub client_version: Option<String>,
    /// Board.
    pub board: Board,
    /// Operating system.
    pub os: Os,
    /// Architecture of its kernel.
    pub kernel_architecture: Option<String>,
    /// By how many seconds its clock is ahead of the server's, 0 if it is right; `None` from clients that do
    /// not say so.
    pub clock_off: Option<i64>,
    /// A Pico behind it.
    pub pico: Option<Pico>,
    /// Its tags, in alphabetical order.
    pub tags: Vec<String>,
    /// The values of `model:`, `memory:` and `os:` that match it, where known.
    pub filters: Filters,
}

/// By which values a device is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// `model:`
    pub model: Option<String>,
    /// `memory:`
    pub memory: Option<String>,
    /// `os:`
    pub os: Option<String>,
}

/// A device to insert.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Chosen by the caller.
    pub id: DeviceId,
    /// Whose.
    pub account: AccountId,
    /// Name for people.
    pub name: String,
    /// Serial number.
    pub serial_number: String,
    /// Host name, if it told one.
    pub hostname: Option<String>,
    /// Board model, if it told one.
    pub board_model: Option<String>,
    /// Hash of the token, if one is issued at once.
    pub token: Option<SecretHash>,
    /// Tags that its key or identity carries.
    pub tags: Tags,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// The device that holds this token.
    pub async fn device_by_token(&self, token: SecretHash) -> Result<Option<Device>> {
        let row = Entity::find().filter(Column::TokenHash.eq(token.to_vec())).one(&self.reader).await?;
        Ok(row.map(device))
    }

    /// A device of this account.
    pub async fn device(&self, account: AccountId, id: DeviceId) -> Result<Option<Device>> {
        let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(&self.reader).await?;
        Ok(row.map(device))
    }

    /// A device of whatever account, for callers that then look up their standing in its account.
    pub async fn device_anywhere(&self, id: DeviceId) -> Result<Option<Device>> {
        Ok(Entity::find_by_id(id.0).one(&self.reader).await?.map(device))
    }

    /// Those of the given devices that this account has, by name.
    pub async fn devices_by_id(&self, account: AccountId, ids: &[DeviceId]) -> Result<Vec<Device>> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::Id.is_in(ids.iter().map(|id| id.0)))
            .order_by_asc(Column::NameFolded)
            .order_by_asc(Column::Id)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(device).collect())
    }

    /// The devices of this account with this serial number, by name.
    pub async fn devices_with_serial(&self, account: AccountId, serial: &str) -> Result<Vec<Device>> {
        with_serial(&self.reader, account, serial).await
    }
}

impl Tx {
    /// A device of this account.
    pub async fn device(&self, account: AccountId, id: DeviceId) -> Result<Option<Device>> {
        let row = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0)).one(&self.inner).await?;
        Ok(row.map(device))
    }

    /// The names of those of the given devices that this account has.
    pub async fn device_names(
        &self,
        account: AccountId,
        ids: &[DeviceId],
    ) -> Result<HashMap<DeviceId, String>> {
        let rows = Entity::find()
            .select_only()
            .column(Column::Id)
            .column(Column::Name)
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::Id.is_in(ids.iter().map(|id| id.0)))
            .into_tuple::<(uuid::Uuid, String)>()
            .all(&self.inner)
            .await?;
        Ok(rows.into_iter().map(|(id, name)| (id.into(), name)).collect())
    }

    /// The devices of this account with this serial number, by name.
    pub async fn devices_with_serial(&self, account: AccountId, serial: &str) -> Result<Vec<Device>> {
        with_serial(&self.inner, account, serial).await
    }

    /// Whether a device of this account has this name, compared without case.
    pub async fn has_device_named(&self, account: AccountId, name: &str) -> Result<bool> {
        let found = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::NameFolded.eq(fold(name)))
            .count(&self.inner)
            .await?;
        Ok(found > 0)
    }

    /// Every device of this account, by name.
    pub async fn all_devices(&self, account: AccountId) -> Result<Vec<Device>> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .order_by_asc(Column::NameFolded)
            .order_by_asc(Column::Id)
            .all(&self.inner)
            .await?;
        Ok(rows.into_iter().map(device).collect())
    }
}

/// Sorted here: asked to sort, SQLite walks the whole account by name instead of looking the number up.
async fn with_serial(
    connection: &impl ConnectionTrait,
    account: AccountId,
    serial: &str,
) -> Result<Vec<Device>> {
    let mut rows = Entity::find()
        .filter(Column::AccountId.eq(account.0))
        .filter(Column::SerialNumber.eq(serial))
        .all(connection)
        .await?;
    rows.sort_by(|one, other| (&one.name_folded, one.id).cmp(&(&other.name_folded, other.id)));
    Ok(rows.into_iter().map(device).collect())
}

pub(crate) fn device(row: Model) -> Device {
    Device {
        id: row.id.into(),
        account: row.account_id.into(),
        name: row.name,
        serial_number: row.serial_number,
        token: row.token_hash.as_deref().and_then(SecretHash::from_slice),
        token_issued_at: row.token_issued_at.map(from_micros),
        token_used_at: row.token_used_at.map(from_micros),
        signing_required: row.signing_required,
        linked_by_identity: row.linked_by_identity,
        created_at: from_micros(row.created_at),
        linked_at: from_micros(row.linked_at),
        relinked_at: row.relinked_at.map(from_micros),
        last_seen_at: row.last_seen_at.map(from_micros),
        duplicate_seen_at: row.duplicate_seen_at.map(from_micros),
        capabilities: Capabilities {
            vnc: capability(row.vnc),
            shell: capability(row.shell),
            ota: capability(row.ota),
            files: capability(row.files),
        },
        vnc_reason: row.vnc_reason.filter(|text| !text.is_empty()),
        hostname: row.hostname,
        client_version: row.client_version,
        board: Board { model: row.board_model, revision: row.board_revision, memory: row.board_memory },
        os: Os { name: row.os_name, version: row.os_version, filter: row.os_filter.clone() },
        kernel_architecture: row.kernel_architecture,
        clock_off: row.clock_off,
        tags: from_column(&row.tags),
        filters: Filters { model: row.model_filter, memory: row.memory_filter, os: row.os_filter },
        pico: row.pico.and_then(|text| serde_json::from_str(&text).ok()),
    }
}
