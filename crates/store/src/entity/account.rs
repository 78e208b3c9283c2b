//! An owner of devices and keys.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    pub name: String,
    pub owner_id: Option<Uuid>,
    pub device_count: i64,
    pub created_at: i64,
    pub two_factor_required_at: Option<i64>,
    pub trial_ends_at: Option<i64>,
    pub billing: Option<String>,
    pub created_by: Option<Uuid>,
    pub files_forbidden_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
