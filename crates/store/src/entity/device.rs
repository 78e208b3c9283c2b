//! A linked device.

use sea_orm::entity::prelude::*;

#[expect(clippy::struct_field_names, reason = "fields are columns")]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "devices")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub name: String,
    pub name_folded: String,
    pub serial_number: String,
    pub serial_folded: String,
    pub token_hash: Option<Vec<u8>>,
    pub token_issued_at: Option<i64>,
    pub token_used_at: Option<i64>,
    pub signing_required: bool,
    pub linked_by_identity: bool,
    pub created_at: i64,
    pub linked_at: i64,
    pub relinked_at: Option<i64>,
    pub last_seen_at: Option<i64>,
    pub duplicate_seen_at: Option<i64>,
    pub shell: Option<String>,
    pub vnc: Option<String>,
    pub vnc_reason: Option<String>,
    pub ota: Option<String>,
    pub files: Option<String>,
    pub hostname: Option<String>,
    pub client_version: Option<String>,
    pub board_model: Option<String>,
    pub board_revision: Option<String>,
    pub board_memory: Option<String>,
    pub os_name: Option<String>,
    pub os_version: Option<String>,
    pub os_filter: Option<String>,
    pub kernel_architecture: Option<String>,
    pub pico: Option<String>,
    pub tags: String,
    pub model_filter: Option<String>,
    pub memory_filter: Option<String>,
    pub clock_off: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
