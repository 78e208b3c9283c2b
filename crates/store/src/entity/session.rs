//! A remote session.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub account_id: Uuid,
    pub device_id: Uuid,
    pub user_id: Uuid,
    pub web_session_id: Option<Uuid>,
    pub opened_at: i64,
    pub connected_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub path: Option<String>,
    pub reason: Option<String>,
    pub watching: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
