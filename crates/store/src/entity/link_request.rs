//! A device waiting for its code to be approved.

use sea_orm::entity::prelude::*;

#[expect(clippy::struct_field_names, reason = "fields are columns")]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "link_requests")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub device_code_hash: Vec<u8>,
    pub user_code: String,
    pub serial_number: String,
    pub hostname: String,
    pub model: String,
    pub client_id: String,
    pub address: String,
    pub state: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub decided_by: Option<Uuid>,
    pub decided_at: Option<i64>,
    pub device_id: Option<Uuid>,
    pub issued_at: Option<i64>,
    pub issued_token_hash: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
