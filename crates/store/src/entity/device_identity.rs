//! A key pair that links its device again and again.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "device_identities")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub public_key: String,
    pub key_hash: Vec<u8>,
    pub description: String,
    pub description_folded: String,
    pub device_name: Option<String>,
    pub tags: String,
    pub created_by_name: String,
    pub created_at: i64,
    pub exchanged_at: Option<i64>,
    pub last_timestamp: Option<i64>,
    pub device_id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
