//! Device identities: key pairs that link their devices again and again, each always to the same entry.
//!
//! A program registers one with the device's own signature ([`proof`]); the device exchanges it
//! ([`exchange`]). Deleting one takes its device with it.

pub mod api;
pub mod device_api;
mod exchange;
pub mod proof;

pub use exchange::exchange;

use super::LinkingError;
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::{ApiToken, By, Right, SignedIn};
use crate::devices;
use bramble_model::account::Deed;
use bramble_model::audit::Action;
use bramble_model::phrases;
use bramble_model::tags::Tags;
use bramble_store::device_identities::{DeviceIdentity, NewDeviceIdentity};
use bramble_store::device_search::Slice;
use bramble_store::devices::Device;
use bramble_store::organisation_keys::Change;
use bramble_store::{StoreError, Tx};
use bramble_wire::{AccountId, DeviceIdentityId};
use proof::PublicKey;

/// Somebody who proved that they manage the identities of an organisation.
#[derive(Debug, Clone)]
pub struct Keeper {
    account: AccountId,
    actor: Actor,
    right: Right,
}

impl Keeper {
    /// A program.
    pub fn program(token: &ApiToken) -> Self {
        let by = By::from(token);
        Self { account: token.account, actor: by.actor(), right: by.right() }
    }

    /// A person, if their standing in the account is enough.
    pub async fn person(app: &App, by: &SignedIn, account: AccountId) -> Result<Self, LinkingError> {
        super::keys::may_manage(app, by, account).await?;
        let by = By::from(by);
        Ok(Self { account, actor: by.actor(), right: by.right() })
    }

    /// Begins a change, with the right looked up again under the organisation's lock.
    async fn begin(&self, app: &App) -> Result<Tx, LinkingError> {
        Ok(self.right.begin(app, self.account, Deed::ManageKeys).await?)
    }
}

/// What a new identity should be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Its key.
    pub key: PublicKey,
    /// What it is for.
    pub description: String,
    /// The name of the device, if not its host name.
    pub device_name: Option<String>,
    /// The tags of the device.
    pub tags: Tags,
}

/// Registers an identity, whose key signed the request.
pub async fn create(app: &App, by: &Keeper, wish: Wish) -> Result<DeviceIdentity, LinkingError> {
    let id: DeviceIdentityId = app.random.id();
    let new = NewDeviceIdentity {
        id,
        account: by.account,
        public_key: wish.key.to_pem(),
        key_hash: wish.key.hash(),
        description: wish.description,
        device_name: wish.device_name,
        tags: wish.tags,
        created_by_name: by.actor.name().to_owned(),
        at: app.clock.now(),
    };
    let tx = by.begin(app).await?;
    let subject = audit::device_identity(id, &new.description);
    match tx.insert_device_identity(new).await {
        Err(error) if error.is_conflict() => {
            return Err(LinkingError::Invalid(phrases::PUBLIC_KEY_TAKEN.to_owned()));
        }
        inserted => inserted?,
    }
    let action = Action::DeviceIdentityCreated;
    audit::record(app, &tx, by.account, &by.actor, action, subject, "").await?;
    let made = tx.device_identity(by.account, id).await?.ok_or(LinkingError::NotFound)?;
    tx.commit().await?;
    tracing::info!(device_identity.id = %id, "device identity created");
    Ok(made)
}

/// A part of the organisation's identities, and how many there are.
pub async fn list(app: &App, by: &Keeper, slice: Slice) -> Result<(Vec<DeviceIdentity>, u64), StoreError> {
    app.store.device_identities(by.account, slice).await
}

/// An identity of the organisation.
pub async fn find(app: &App, by: &Keeper, id: DeviceIdentityId) -> Result<DeviceIdentity, LinkingError> {
    app.store.device_identity(by.account, id).await?.ok_or(LinkingError::NotFound)
}

/// Changes an identity. Of one that was exchanged only the description changes: the rest was for the
/// device at its first linking.
pub async fn update(
    app: &App,
    by: &Keeper,
    id: DeviceIdentityId,
    mut change: Change,
) -> Result<DeviceIdentity, LinkingError> {
    let (tx, identity) = lock(app, by, id).await?;
    if identity.exchanged_at.is_some() {
        change = Change { description: change.description, ..Change::default() };
    }
    if change.is_empty() {
        return Ok(identity);
    }
    tx.update_device_identity(by.account, id, &change).await?;
    let changed = tx.device_identity(by.account, id).await?.ok_or(LinkingError::NotFound)?;
    let details = if changed.description == identity.description {
        String::new()
    } else {
        format!("Before: {}", identity.description)
    };
    let subject = audit::device_identity(id, &changed.description);
    audit::record(app, &tx, by.account, &by.actor, Action::DeviceIdentityUpdated, subject, details).await?;
    tx.commit().await?;
    Ok(changed)
}

/// Deletes an identity, and its device with it.
pub async fn delete(app: &App, by: &Keeper, id: DeviceIdentityId) -> Result<DeviceIdentity, LinkingError> {
    let (tx, identity) = lock(app, by, id).await?;
    let device = device_of(&tx, &identity).await?;
    let gone = match &device {
        Some(device) => Some(devices::delete_in(app, &tx, &by.actor, device).await?),
        None => None,
    };
    remove(app, &tx, &by.actor, &identity).await?;
    tx.commit().await?;
    if let Some(gone) = gone {
        devices::tell_gone(app, &gone);
    }
    tracing::info!(device_identity.id = %id, "device identity deleted");
    Ok(identity)
}

/// Frees the key of a board that has another owner now: the identity goes, the device's entry stays and
/// is signed out. `None` if nobody has the key.
pub async fn release(app: &App, key: &PublicKey) -> Result<Option<DeviceIdentity>, LinkingError> {
    let actor = Actor::operator();
    let Some(found) = app.store.device_identity_by_key(key.hash()).await? else { return Ok(None) };
    let by = Keeper { account: found.account, actor, right: Right::Operator };
    let (tx, identity) = match lock(app, &by, found.id).await {
        Err(LinkingError::NotFound) => return Ok(None),
        found => found?,
    };
    let device = device_of(&tx, &identity).await?;
    remove(app, &tx, &by.actor, &identity).await?;
    if let Some(device) = &device {
        tx.bind_device(device.id, false, &device.serial_number).await?;
    }
    tx.commit().await?;
    if let Some(device) = &device {
        devices::end_token(app, app.store.begin().await?, device, &by.actor).await?;
    }
    tracing::info!(device_identity.id = %identity.id, "the key of a device identity was released");
    Ok(Some(identity))
}

/// What becomes of a device's identity when the device moves, in the transaction that moves it: an
/// organisation gets it along, a personal account cannot have one.
pub(crate) async fn transfer_in(
    app: &App,
    tx: &Tx,
    device: &Device,
    to: Option<AccountId>,
    actor: &Actor,
) -> Result<(), StoreError> {
    let Some(identity) = tx.device_identity_of(device.id).await? else { return Ok(()) };
    if let Some(organisation) = to {
        return tx.move_device_identity(identity.id, organisation).await;
    }
    tx.bind_device(device.id, false, &device.serial_number).await?;
    remove(app, tx, actor, &identity).await
}

async fn remove(app: &App, tx: &Tx, actor: &Actor, identity: &DeviceIdentity) -> Result<(), StoreError> {
    tx.delete_device_identity(identity.account, identity.id).await?;
    let subject = audit::device_identity(identity.id, &identity.description);
    audit::record(app, tx, identity.account, actor, Action::DeviceIdentityDeleted, subject, "").await
}

async fn lock(app: &App, by: &Keeper, id: DeviceIdentityId) -> Result<(Tx, DeviceIdentity), LinkingError> {
    let tx = by.begin(app).await?;
    let identity = tx.device_identity(by.account, id).await?.ok_or(LinkingError::NotFound)?;
    Ok((tx, identity))
}

/// Its device, while that is in the same organisation.
async fn device_of(tx: &Tx, identity: &DeviceIdentity) -> Result<Option<Device>, StoreError> {
    match identity.device {
        Some(device) => tx.device(identity.account, device).await,
        None => Ok(None),
    }
}
