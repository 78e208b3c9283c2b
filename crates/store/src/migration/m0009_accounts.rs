//! What accounts have beside a password: another address on its way, and passkeys.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SCHEMA).await
    }
}

// `mail_links.email` is the new address as it was typed. `passkeys.credential` is what checks a passkey's
// answers: its public key and counter, in JSON. `spent_tokens` are things that work once and that the server
// need not know before they are used: the challenges of passkeys.
const SCHEMA: &str = "
ALTER TABLE mail_links ADD COLUMN email TEXT;

CREATE TABLE passkeys (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id {bytes} NOT NULL UNIQUE,
    credential TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkeys_user ON passkeys (user_id, created_at);

CREATE TABLE spent_tokens (
    token_hash {bytes} NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX spent_tokens_expiry ON spent_tokens (expires_at);
";
