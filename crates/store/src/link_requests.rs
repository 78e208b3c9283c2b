//! Devices that wait for a person to approve their code.

use crate::entity::link_request::{ActiveModel, Column, Entity, Model};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::link_request::UserCode;
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::{DeviceId, LinkRequestId, UserId};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Set};

/// Where a request stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Nobody has decided.
    Open,
    /// Somebody approved it.
    Approved {
        /// The device's entry.
        device: DeviceId,
        /// When.
        at: Timestamp,
        /// The token that was issued for it last, and when the first was.
        issued: Option<(SecretHash, Timestamp)>,
    },
    /// Somebody refused it.
    Denied,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRequest {
    /// Id.
    pub id: LinkRequestId,
    /// What the person types.
    pub user_code: String,
    /// Serial number.
    pub serial_number: String,
    /// Host name, or empty.
    pub hostname: String,
    /// Board model, or empty.
    pub model: String,
    /// Where it asked from; empty once erased.
    pub address: String,
    /// Where it stands.
    pub state: State,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when somebody may decide.
    pub expires_at: Timestamp,
}

/// A request to insert.
#[derive(Debug, Clone)]
pub struct NewLinkRequest {
    /// Chosen by the caller.
    pub id: LinkRequestId,
    /// Hash of what the device polls with.
    pub device_code: SecretHash,
    /// What the person types.
    pub user_code: UserCode,
    /// Serial number.
    pub serial_number: String,
    /// Host name, or empty.
    pub hostname: String,
    /// Board model, or empty.
    pub model: String,
    /// The program's name.
    pub client_id: String,
    /// Where it asks from.
    pub address: String,
    /// Now.
    pub created_at: Timestamp,
    /// Until when somebody may decide.
    pub expires_at: Timestamp,
}

/// Serialises the counting of open requests on PostgreSQL: an advisory lock of this transaction.
const COUNTING: &str = "SELECT pg_advisory_xact_lock(7021792340127481601)";

impl Store {
    /// The open request with this code.
    pub async fn open_link_request(&self, code: &UserCode, now: Timestamp) -> Result<Option<LinkRequest>> {
        let row = Entity::find()
            .filter(Column::UserCode.eq(code.as_str()))
            .filter(Column::State.eq("open"))
            .filter(Column::ExpiresAt.gt(to_micros(now)))
            .one(&self.reader)
            .await?;
        Ok(row.map(link_request))
    }

    /// The request that polls with this code.
    pub async fn link_request_by_device_code(&self, code: SecretHash) -> Result<Option<LinkRequest>> {
        let row = Entity::find().filter(Column::DeviceCodeHash.eq(code.to_vec())).one(&self.reader).await?;
        Ok(row.map(link_request))
    }
}

impl Tx {
    /// Adds a request unless too many are open: `false` if so. Open are those that wait for a
    /// decision.
    pub async fn insert_link_request(
        &self,
        new: NewLinkRequest,
        max_open: u64,
        max_per_address: u64,
    ) -> Result<bool> {
        use sea_orm::{ConnectionTrait, DbBackend};
        if self.inner.get_database_backend() == DbBackend::Postgres {
            self.inner.execute_unprepared(COUNTING).await?;
        }
        let open = Entity::find()
            .filter(Column::State.eq("open"))
            .filter(Column::ExpiresAt.gt(to_micros(new.created_at)));
        let from_here = open.clone().filter(Column::Address.eq(new.address.as_str()));
        if from_here.count(&self.inner).await? >= max_per_address
            || open.count(&self.inner).await? >= max_open
        {
            return Ok(false);
        }
        let row = ActiveModel {
            id: Set(new.id.0),
            device_code_hash: Set(new.device_code.to_vec()),
            user_code: Set(new.user_code.as_str().to_owned()),
            serial_number: Set(new.serial_number),
            hostname: Set(new.hostname),
            model: Set(new.model),
            client_id: Set(new.client_id),
            address: Set(new.address),
            state: Set("open".to_owned()),
            created_at: Set(to_micros(new.created_at)),
            expires_at: Set(to_micros(new.expires_at)),
            ..ActiveModel::default()
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(true)
    }

    /// The request that polls with this code, locked until the end of the transaction: of two polls
    /// at once the second sees what the first issued.
    pub async fn lock_link_request(&self, code: SecretHash) -> Result<Option<LinkRequest>> {
        let found = Entity::find().filter(Column::DeviceCodeHash.eq(code.to_vec()));
        // SQLite has one writer and no such clause; sea-query leaves it out there.
        let row = found.lock_exclusive().one(&self.inner).await?;
        Ok(row.map(link_request))
    }

    /// Decides an open request: for a device, or against. `false` if somebody decided before, or its
    /// time is over.
    pub async fn decide_link_request(
        &self,
        id: LinkRequestId,
        by: UserId,
        device: Option<DeviceId>,
        at: Timestamp,
    ) -> Result<bool> {
        let state = if device.is_some() { "approved" } else { "denied" };
        let row = ActiveModel {
            state: Set(state.to_owned()),
            decided_by: Set(Some(by.into())),
            decided_at: Set(Some(to_micros(at))),
            device_id: Set(device.map(Into::into)),
            ..ActiveModel::default()
        };
        let done = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id.0))
            .filter(Column::State.eq("open"))
            .filter(Column::ExpiresAt.gt(to_micros(at)))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Notes the token that was issued last, and when the first one was.
    pub async fn note_link_request_token(
        &self,
        id: LinkRequestId,
        token: SecretHash,
        first: Timestamp,
    ) -> Result<()> {
        let row = ActiveModel {
            issued_at: Set(Some(to_micros(first))),
            issued_token_hash: Set(Some(token.to_vec())),
            ..ActiveModel::default()
        };
        Entity::update_many().set(row).filter(Column::Id.eq(id.0)).exec(&self.inner).await?;
        Ok(())
    }

    /// Forgets the approvals of a device: it was signed out, or linked again in another way.
    pub async fn forget_link_requests_of(&self, device: DeviceId) -> Result<()> {
        Entity::delete_many().filter(Column::DeviceId.eq(device.0)).exec(&self.inner).await?;
        Ok(())
    }

    /// Erases the addresses of requests made before this moment. Returns how many.
    pub async fn erase_link_request_addresses(&self, made_before: Timestamp) -> Result<u64> {
        let row = ActiveModel { address: Set(String::new()), ..ActiveModel::default() };
        let done = Entity::update_many()
            .set(row)
            .filter(Column::CreatedAt.lt(to_micros(made_before)))
            .filter(Column::Address.ne(""))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected)
    }

    /// Removes requests that expired before this moment. Returns how many.
    pub async fn delete_link_requests(&self, expired_before: Timestamp) -> Result<u64> {
        let done = Entity::delete_many()
            .filter(Column::ExpiresAt.lt(to_micros(expired_before)))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected)
    }
}

fn link_request(row: Model) -> LinkRequest {
    let issued = row.issued_token_hash.as_deref().and_then(SecretHash::from_slice);
    let state = match (row.state.as_str(), row.device_id, row.decided_at) {
        ("approved", Some(device), Some(at)) => State::Approved {
            device: device.into(),
            at: from_micros(at),
            issued: issued.zip(row.issued_at.map(from_micros)),
        },
        ("open", _, _) => State::Open,
        _ => State::Denied,
    };
    LinkRequest {
        id: row.id.into(),
        user_code: row.user_code,
        serial_number: row.serial_number,
        hostname: row.hostname,
        model: row.model,
        address: row.address,
        state,
        created_at: from_micros(row.created_at),
        expires_at: from_micros(row.expires_at),
    }
}
