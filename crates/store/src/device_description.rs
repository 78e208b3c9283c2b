//! What a device says of itself, and when it was seen.

use crate::entity::device::{ActiveModel, Column, Entity};
use crate::value::to_micros;
use crate::{Result, Tx};
use bramble_model::Timestamp;
use bramble_model::query::{memory_filter, model_filter};
use bramble_wire::DeviceId;
use bramble_wire::device_api::{Capabilities, Capability, Me, Signing};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

impl Tx {
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
        keep(&mut row.os_filter, os.filter.as_deref().map(bramble_model::text::fold).as_ref());
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

pub(crate) fn capability(word: Option<String>) -> Option<Capability> {
    let all = [Capability::Unavailable, Capability::Available, Capability::Enabled];
    word.and_then(|word| all.into_iter().find(|c| capability_word(*c) == word))
}
