//! Deployments to many devices at once.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "rollouts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub artefact_id: Uuid,
    pub query: String,
    pub state: String,
    pub wave: i64,
    pub total: i64,
    pub skipped: i64,
    pub done: i64,
    pub created_by: Option<Uuid>,
    pub created_by_name: String,
    pub source: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
