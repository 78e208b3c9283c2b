//! Signing in with another provider: who people are there, and sign-ins that are on their way.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SCHEMA).await
    }
}

// People are found by issuer and subject alone; `email` is for them to recognise the entry. A sign-in that
// is on its way belongs to one browser, by its cookie; `flow` is sealed.
const SCHEMA: &str = "
CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id);

CREATE TABLE provider_flows (
    token_hash {bytes} NOT NULL PRIMARY KEY,
    flow {bytes} NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX provider_flows_expiry ON provider_flows (expires_at);
";
