//! Linked devices. A device's token is found by its hash alone; a device is shown and changed only
//! together with its account.

use crate::device_tags::from_column;
use crate::entity::device::{ActiveModel, Column, Entity, Model};
use crate::entity::{account, device_tag};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::query::{memory_filter, model_filter};
use bramble_model::tags::Tags;
use bramble_model::text::fold;
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::device_api::{Board, Capabilities, Capability, Me, Os, Pico, Signing};
use bramble_wire::{AccountId, DeviceId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
    UpdateMany,
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
    /// Locks an account until the end of the transaction: rules over its devices and keys hold
    /// between reading and writing. `false` if there is no such account.
    pub async fn lock_account(&self, id: AccountId) -> Result<bool> {
        let count = Expr::col(account::Column::DeviceCount);
        let done = account::Entity::update_many()
            .col_expr(account::Column::DeviceCount, count)
            .filter(account::Column::Id.eq(id.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

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

    /// Adds a device and counts it.
    pub async fn insert_device(&self, new: NewDevice) -> Result<()> {
        let at = to_micros(new.at);
        let (id, account, tags) = (new.id, new.account, new.tags);
        let row = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            name_folded: Set(fold(&new.name)),
            name: Set(new.name),
            serial_folded: Set(fold(&new.serial_number)),
            serial_number: Set(new.serial_number),
            token_issued_at: Set(new.token.map(|_| at)),
            token_hash: Set(new.token.map(SecretHash::to_vec)),
            signing_required: Set(false),
            linked_by_identity: Set(false),
            created_at: Set(at),
            linked_at: Set(at),
            hostname: Set(new.hostname),
            model_filter: Set(new.board_model.as_deref().and_then(model_filter).map(str::to_owned)),
            board_model: Set(new.board_model),
            ..ActiveModel::default()
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        if !tags.is_empty() {
            self.set_device_tags(account, id, &tags).await?;
        }
        self.count_devices(account, 1).await
    }

    /// Links an existing entry again: another token (or none yet), another name if one is given,
    /// nothing required to be signed. Id, name and history stay.
    pub async fn relink_device(
        &self,
        id: DeviceId,
        name: Option<&str>,
        token: Option<SecretHash>,
        at: Timestamp,
    ) -> Result<bool> {
        let at = to_micros(at);
        let mut row = ActiveModel {
            token_hash: Set(token.map(SecretHash::to_vec)),
            token_issued_at: Set(token.map(|_| at)),
            token_used_at: Set(None),
            signing_required: Set(false),
            linked_at: Set(at),
            relinked_at: Set(Some(at)),
            duplicate_seen_at: Set(None),
            ..ActiveModel::default()
        };
        if let Some(name) = name {
            row.name = Set(name.to_owned());
            row.name_folded = Set(fold(name));
        }
        self.update_device(Entity::update_many().set(row).filter(Column::Id.eq(id.0))).await
    }

    /// Notes whether an identity keeps this entry for itself, and the serial number of the board that
    /// it is on now.
    pub async fn bind_device(&self, id: DeviceId, by_identity: bool, serial: &str) -> Result<bool> {
        let row = ActiveModel {
            linked_by_identity: Set(by_identity),
            serial_folded: Set(fold(serial)),
            serial_number: Set(serial.to_owned()),
            ..ActiveModel::default()
        };
        self.update_device(Entity::update_many().set(row).filter(Column::Id.eq(id.0))).await
    }

    /// Gives an approved entry its first token. `false` if it got one already.
    pub async fn issue_device_token(&self, id: DeviceId, token: SecretHash, at: Timestamp) -> Result<bool> {
        self.update_device(
            Entity::update_many()
                .set(fresh_token(token, at))
                .filter(Column::Id.eq(id.0))
                .filter(Column::TokenHash.is_null()),
        )
        .await
    }

    /// Replaces a token whose answer was lost. `false` if it was used, or is not the current one.
    pub async fn replace_unused_device_token(
        &self,
        id: DeviceId,
        former: SecretHash,
        token: SecretHash,
        at: Timestamp,
    ) -> Result<bool> {
        self.update_device(
            Entity::update_many()
                .set(fresh_token(token, at))
                .filter(Column::Id.eq(id.0))
                .filter(Column::TokenHash.eq(former.to_vec()))
                .filter(Column::TokenUsedAt.is_null()),
        )
        .await
    }

    /// Notes that the token arrived. `false` if it was noted before, or is no longer the token.
    pub async fn mark_device_token_used(
        &self,
        id: DeviceId,
        token: SecretHash,
        at: Timestamp,
    ) -> Result<bool> {
        self.update_device(
            Entity::update_many()
                .set(ActiveModel { token_used_at: Set(Some(to_micros(at))), ..ActiveModel::default() })
                .filter(Column::Id.eq(id.0))
                .filter(Column::TokenHash.eq(token.to_vec()))
                .filter(Column::TokenUsedAt.is_null()),
        )
        .await
    }

    /// Takes the token away; the entry stays.
    pub async fn revoke_device_token(&self, account: AccountId, id: DeviceId) -> Result<bool> {
        let row = ActiveModel {
            token_hash: Set(None),
            token_issued_at: Set(None),
            token_used_at: Set(None),
            ..ActiveModel::default()
        };
        self.update_device(
            Entity::update_many()
                .set(row)
                .filter(Column::Id.eq(id.0))
                .filter(Column::AccountId.eq(account.0))
                .filter(Column::TokenHash.is_not_null()),
        )
        .await
    }

    /// Another name.
    pub async fn rename_device(&self, account: AccountId, id: DeviceId, name: &str) -> Result<bool> {
        let row = ActiveModel {
            name: Set(name.to_owned()),
            name_folded: Set(fold(name)),
            ..ActiveModel::default()
        };
        self.update_device(
            Entity::update_many()
                .set(row)
                .filter(Column::Id.eq(id.0))
                .filter(Column::AccountId.eq(account.0)),
        )
        .await
    }

    /// Removes the entry, with its sessions, and counts it out.
    pub async fn delete_device(&self, account: AccountId, id: DeviceId) -> Result<bool> {
        let done = Entity::delete_many()
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .exec(&self.inner)
            .await?;
        if done.rows_affected == 1 {
            self.count_devices(account, -1).await?;
        }
        Ok(done.rows_affected == 1)
    }

    /// Gives a device to another account and counts it there. Its tags go with it only where there are
    /// tags. The caller has locked both accounts. `false` if it is not where it was thought to be.
    pub async fn transfer_device(
        &self,
        from: AccountId,
        to: AccountId,
        id: DeviceId,
        keeps_tags: bool,
    ) -> Result<bool> {
        let mut row = ActiveModel { account_id: Set(to.0), ..ActiveModel::default() };
        if !keeps_tags {
            row.tags = Set("[]".to_owned());
        }
        let update =
            Entity::update_many().set(row).filter(Column::Id.eq(id.0)).filter(Column::AccountId.eq(from.0));
        if !self.update_device(update).await? {
            return Ok(false);
        }
        self.count_devices(from, -1).await?;
        self.count_devices(to, 1).await?;
        let tags = device_tag::Column::DeviceId.eq(id.0);
        if keeps_tags {
            device_tag::Entity::update_many()
                .col_expr(device_tag::Column::AccountId, Expr::value(to.0))
                .filter(tags)
                .exec(&self.inner)
                .await?;
        } else {
            device_tag::Entity::delete_many().filter(tags).exec(&self.inner).await?;
        }
        Ok(true)
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

    /// Merges what a device says of itself; what is absent stays. The caller has checked lengths.
    pub async fn describe_device(&self, id: DeviceId, me: &Me) -> Result<bool> {
        let row = description(me);
        self.update_device(Entity::update_many().set(row).filter(Column::Id.eq(id.0))).await
    }

    /// Notes that devices were online at this moment.
    pub async fn mark_devices_seen(&self, ids: &[DeviceId], at: Timestamp) -> Result<()> {
        Entity::update_many()
            .set(ActiveModel { last_seen_at: Set(Some(to_micros(at))), ..ActiveModel::default() })
            .filter(Column::Id.is_in(ids.iter().map(|id| id.0)))
            .exec(&self.inner)
            .await?;
        Ok(())
    }

    /// Notes that two clients use the token of a device.
    pub async fn mark_device_duplicate(&self, id: DeviceId, at: Timestamp) -> Result<()> {
        let row = ActiveModel { duplicate_seen_at: Set(Some(to_micros(at))), ..ActiveModel::default() };
        self.update_device(Entity::update_many().set(row).filter(Column::Id.eq(id.0))).await?;
        Ok(())
    }

    async fn update_device(&self, update: UpdateMany<Entity>) -> Result<bool> {
        Ok(update.exec(&self.inner).await?.rows_affected == 1)
    }

    async fn count_devices(&self, id: AccountId, by: i64) -> Result<()> {
        account::Entity::update_many()
            .col_expr(account::Column::DeviceCount, Expr::col(account::Column::DeviceCount).add(by))
            .filter(account::Column::Id.eq(id.0))
            .exec(&self.inner)
            .await?;
        Ok(())
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

fn fresh_token(token: SecretHash, at: Timestamp) -> ActiveModel {
    ActiveModel {
        token_hash: Set(Some(token.to_vec())),
        token_issued_at: Set(Some(to_micros(at))),
        token_used_at: Set(None),
        ..ActiveModel::default()
    }
}

fn description(me: &Me) -> ActiveModel {
    let mut row = ActiveModel::default();
    let word = |c: Capability| capability_word(c).to_owned();
    let Capabilities { vnc, shell, ota, files } = me.capabilities;
    if let Some(c) = vnc {
        row.vnc = Set(Some(word(c)));
    }
    if let Some(c) = shell {
        row.shell = Set(Some(word(c)));
    }
    if let Some(c) = ota {
        row.ota = Set(Some(word(c)));
    }
    if let Some(c) = files {
        row.files = Set(Some(word(c)));
    }
    let keep = |column: &mut sea_orm::ActiveValue<Option<String>>, value: Option<&String>| {
        if let Some(value) = value {
            *column = Set(Some(value.clone()));
        }
    };
    keep(&mut row.client_version, me.client_version.as_ref());
    keep(&mut row.vnc_reason, me.vnc_reason.as_ref());
    keep(&mut row.hostname, me.hostname.as_ref());
    keep(&mut row.kernel_architecture, me.kernel_architecture.as_ref());
    if let Some(board) = &me.board {
        keep(&mut row.board_model, board.model.as_ref());
        keep(&mut row.board_revision, board.revision.as_ref());
        keep(&mut row.board_memory, board.memory.as_ref());
        if let Some(model) = &board.model {
            row.model_filter = Set(model_filter(model).map(str::to_owned));
        }
        if let Some(memory) = &board.memory {
            row.memory_filter = Set(memory_filter(memory).map(str::to_owned));
        }
    }
    if let Some(os) = &me.os {
        keep(&mut row.os_name, os.name.as_ref());
        keep(&mut row.os_version, os.version.as_ref());
        keep(&mut row.os_filter, os.filter.as_ref());
    }
    if let Some(pico) = &me.pico {
        row.pico = Set(serde_json::to_string(pico).ok());
    }
    if let Some(off) = me.clock_off {
        row.clock_off = Set(Some(off));
    }
    if me.signing == Some(Signing::Required) {
        row.signing_required = Set(true);
    }
    row
}

fn capability_word(capability: Capability) -> &'static str {
    match capability {
        Capability::Unavailable => "unavailable",
        Capability::Available => "available",
        Capability::Enabled => "enabled",
    }
}

fn capability(word: Option<String>) -> Option<Capability> {
    let all = [Capability::Unavailable, Capability::Available, Capability::Enabled];
    word.and_then(|word| all.into_iter().find(|c| capability_word(*c) == word))
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
