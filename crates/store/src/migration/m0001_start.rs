//! Accounts, devices, keys, codes, sessions, audit log and outbox.
//!
//! Times are whole microseconds since the Unix epoch in a BIGINT: the same order and precision on
//! both engines. `*_folded` columns hold NFKC lower-case text made in Rust. `*_hash` columns hold
//! SHA-256 digests. JSON is text.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SCHEMA).await
    }
}

const SCHEMA: &str = "
CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value {bytes} NOT NULL
);

CREATE TABLE users (
    id {uuid} NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    email_folded TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT,
    is_operator {bool} NOT NULL,
    verified_at BIGINT,
    disabled_at BIGINT,
    password_changed_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE accounts (
    id {uuid} NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    owner_id {uuid} UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    device_count BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);

CREATE TABLE web_sessions (
    id {uuid} NOT NULL PRIMARY KEY,
    token_hash {bytes} NOT NULL UNIQUE,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    fresh_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX web_sessions_user ON web_sessions (user_id);
CREATE INDEX web_sessions_expiry ON web_sessions (expires_at);

CREATE TABLE known_browsers (
    token_hash {bytes} NOT NULL,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    PRIMARY KEY (token_hash, user_id)
);
CREATE INDEX known_browsers_user ON known_browsers (user_id);

CREATE TABLE mail_links (
    id {uuid} NOT NULL PRIMARY KEY,
    token_hash {bytes} NOT NULL UNIQUE,
    purpose TEXT NOT NULL,
    user_id {uuid} REFERENCES users (id) ON DELETE CASCADE,
    email_folded TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX mail_links_user ON mail_links (user_id, purpose);

CREATE TABLE mails (
    id {uuid} NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    text_body TEXT NOT NULL,
    html_body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    claimed_until BIGINT,
    sent_at BIGINT,
    gave_up_at BIGINT,
    last_error TEXT
);
CREATE INDEX mails_due ON mails (sent_at, next_attempt_at);
CREATE INDEX mails_created ON mails (created_at);

CREATE TABLE devices (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    serial_folded TEXT NOT NULL,
    token_hash {bytes} UNIQUE,
    token_issued_at BIGINT,
    token_used_at BIGINT,
    signing_required {bool} NOT NULL,
    linked_by_identity {bool} NOT NULL,
    created_at BIGINT NOT NULL,
    linked_at BIGINT NOT NULL,
    relinked_at BIGINT,
    last_seen_at BIGINT,
    duplicate_seen_at BIGINT,
    shell TEXT,
    vnc TEXT,
    ota TEXT,
    files TEXT,
    hostname TEXT,
    client_version TEXT,
    board_model TEXT,
    board_revision TEXT,
    board_memory TEXT,
    os_name TEXT,
    os_version TEXT,
    os_filter TEXT,
    kernel_architecture TEXT,
    pico TEXT
);
CREATE INDEX devices_by_name ON devices (account_id, name_folded, id);
CREATE INDEX devices_by_serial ON devices (account_id, serial_number);

CREATE TABLE auth_keys (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    secret_hash {bytes} NOT NULL UNIQUE,
    description TEXT NOT NULL,
    device_name TEXT,
    created_by {uuid} REFERENCES users (id) ON DELETE SET NULL,
    created_by_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    exchanged_at BIGINT,
    exchanged_serial TEXT,
    device_id {uuid} REFERENCES devices (id) ON DELETE SET NULL,
    issued_token_hash {bytes}
);
CREATE INDEX auth_keys_account ON auth_keys (account_id, created_at);

CREATE TABLE link_requests (
    id {uuid} NOT NULL PRIMARY KEY,
    device_code_hash {bytes} NOT NULL UNIQUE,
    user_code TEXT NOT NULL UNIQUE,
    serial_number TEXT NOT NULL,
    hostname TEXT NOT NULL,
    model TEXT NOT NULL,
    client_id TEXT NOT NULL,
    address TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_by {uuid} REFERENCES users (id) ON DELETE SET NULL,
    decided_at BIGINT,
    device_id {uuid} REFERENCES devices (id) ON DELETE CASCADE,
    issued_at BIGINT,
    issued_token_hash {bytes}
);
CREATE INDEX link_requests_expiry ON link_requests (expires_at);
CREATE INDEX link_requests_address ON link_requests (address, expires_at);

CREATE TABLE sessions (
    id {uuid} NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device_id {uuid} NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    web_session_id {uuid} REFERENCES web_sessions (id) ON DELETE SET NULL,
    opened_at BIGINT NOT NULL,
    connected_at BIGINT,
    ended_at BIGINT,
    path TEXT,
    reason TEXT
);
CREATE INDEX sessions_device ON sessions (device_id, state);
CREATE INDEX sessions_user ON sessions (user_id, state);
CREATE INDEX sessions_ended ON sessions (ended_at);

CREATE TABLE audit_events (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    source TEXT NOT NULL,
    action TEXT NOT NULL,
    details TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id {uuid},
    subject_name TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id {uuid},
    actor_name TEXT NOT NULL,
    country TEXT
);
CREATE INDEX audit_events_newest ON audit_events (account_id, at, id);
";
