//! Organisations: their members and invitations, their rule about second factors, their trial, and
//! the tags of their devices and keys.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SCHEMA).await
    }
}

// `tags` columns hold a sorted JSON list, for reading; `device_tags` holds the same for finding.
const SCHEMA: &str = "
ALTER TABLE accounts ADD COLUMN two_factor_required_at BIGINT;
ALTER TABLE accounts ADD COLUMN trial_ends_at BIGINT;
ALTER TABLE accounts ADD COLUMN billing TEXT;
ALTER TABLE accounts ADD COLUMN created_by {uuid};
CREATE INDEX accounts_two_factor ON accounts (two_factor_required_at);

CREATE TABLE memberships (
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE invitations (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    token_hash {bytes} NOT NULL UNIQUE,
    email TEXT NOT NULL,
    email_folded TEXT NOT NULL,
    role TEXT NOT NULL,
    invited_by {uuid} REFERENCES users (id) ON DELETE SET NULL,
    invited_by_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX invitations_address ON invitations (account_id, email_folded);
CREATE INDEX invitations_expiry ON invitations (expires_at);

ALTER TABLE devices ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
CREATE TABLE device_tags (
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    device_id {uuid} NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    PRIMARY KEY (account_id, tag, device_id)
);
CREATE INDEX device_tags_device ON device_tags (device_id);

ALTER TABLE auth_keys ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
";
