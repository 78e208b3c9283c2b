//! The management API: its tokens, and device identities.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SCHEMA).await
    }
}

// `key_hash` is the SHA-256 of the key in DER: the same key may be written in many ways.
// `last_timestamp` is the newest X-Connect-Timestamp of an exchange, in seconds: replays are older.
const SCHEMA: &str = "
CREATE TABLE api_tokens (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    token_hash {bytes} NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created_by {uuid} REFERENCES users (id) ON DELETE SET NULL,
    created_by_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX api_tokens_account ON api_tokens (account_id, created_at);
CREATE INDEX api_tokens_maker ON api_tokens (created_by);

CREATE TABLE device_identities (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    public_key TEXT NOT NULL,
    key_hash {bytes} NOT NULL UNIQUE,
    description TEXT NOT NULL,
    description_folded TEXT NOT NULL,
    device_name TEXT,
    tags TEXT NOT NULL DEFAULT '[]',
    created_by_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    exchanged_at BIGINT,
    last_timestamp BIGINT,
    device_id {uuid} REFERENCES devices (id) ON DELETE SET NULL
);
CREATE INDEX device_identities_list ON device_identities (account_id, description_folded, id);
CREATE INDEX device_identities_device ON device_identities (device_id);
";
