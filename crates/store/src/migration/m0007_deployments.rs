//! Remote updates: artefacts, their deployments, the keys that sign them, and rollouts to many devices.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SCHEMA).await
    }
}

// A deployment outlives its device and keeps its name; it holds its artefact. The partial index is the
// rule "one pending per device" in the engine itself. A rollout's devices have an order and a wave:
// today all are of wave 0, and a later version starts the waves one after the other.
const SCHEMA: &str = "
CREATE TABLE artefacts (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    uri TEXT NOT NULL,
    checksum TEXT NOT NULL,
    created_by_name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX artefacts_name ON artefacts (account_id, name);
CREATE INDEX artefacts_by_name ON artefacts (account_id, name_folded, id);

CREATE TABLE rollouts (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    artefact_id {uuid} NOT NULL REFERENCES artefacts (id),
    query TEXT NOT NULL,
    state TEXT NOT NULL,
    wave BIGINT NOT NULL DEFAULT 0,
    total BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    done BIGINT NOT NULL DEFAULT 0,
    created_by {uuid},
    created_by_name TEXT NOT NULL,
    source TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX rollouts_newest ON rollouts (account_id, created_at, id);
CREATE INDEX rollouts_state ON rollouts (state, expires_at);
CREATE INDEX rollouts_artefact ON rollouts (artefact_id);

CREATE TABLE rollout_devices (
    rollout_id {uuid} NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    device_id {uuid} NOT NULL,
    device_name TEXT NOT NULL,
    wave BIGINT NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (rollout_id, position)
);
CREATE INDEX rollout_devices_outcome ON rollout_devices (rollout_id, outcome, position);

CREATE TABLE deployments (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device_id {uuid} NOT NULL,
    device_name TEXT NOT NULL,
    artefact_id {uuid} NOT NULL REFERENCES artefacts (id),
    rollout_id {uuid} REFERENCES rollouts (id) ON DELETE SET NULL,
    state TEXT NOT NULL,
    state_reason TEXT,
    percent BIGINT,
    created_by_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT
);
CREATE UNIQUE INDEX deployments_one_pending ON deployments (device_id) WHERE state = 'pending';
CREATE INDEX deployments_in_progress ON deployments (device_id) WHERE state = 'in_progress';
CREATE INDEX deployments_device ON deployments (device_id, created_at, id);
CREATE INDEX deployments_newest ON deployments (account_id, created_at, id);
CREATE INDEX deployments_artefact ON deployments (artefact_id);
CREATE INDEX deployments_rollout ON deployments (rollout_id, state);

CREATE TABLE deployment_outputs (
    deployment_id {uuid} NOT NULL PRIMARY KEY REFERENCES deployments (id) ON DELETE CASCADE,
    output TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE deployment_keys (
    number BIGINT NOT NULL PRIMARY KEY,
    public_key {bytes} NOT NULL,
    sealed {bytes},
    signature {bytes},
    created_at BIGINT NOT NULL
);
";
