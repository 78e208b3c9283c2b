//! A key that links one device.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "auth_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub secret_hash: Vec<u8>,
    pub description: String,
    pub device_name: Option<String>,
    pub created_by: Option<Uuid>,
    pub created_by_name: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub exchanged_at: Option<i64>,
    pub exchanged_serial: Option<String>,
    pub device_id: Option<Uuid>,
    pub issued_token_hash: Option<Vec<u8>>,
    pub tags: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
