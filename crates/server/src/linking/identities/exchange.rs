//! Linking with a device identity.

use super::proof::{Proof, PublicKey};
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::throttle::{Scope, address_key};
use crate::linking::{Claim, LinkingError, add_device, fits, relink, tell, tell_by_mail};
use bramble_model::audit::Action;
use bramble_model::tags::Tags;
use bramble_model::{Secret, SecretKind};
use bramble_store::device_identities::DeviceIdentity;
use bramble_store::devices::Device;
use bramble_store::{StoreError, Tx};
use bramble_wire::device_api::{IdentityExchange, Linked, MAX_STRING};
use std::net::IpAddr;

/// Exchanges an identity for its device's entry and a new token, as often as it asks. Once a request
/// carried a time, each must carry a later one; a request without one is taken only while the device is
/// offline, so that a copy of an old request does not cut off a device that works.
///
/// Refused exchanges count against the address, and a good one against its identity.
pub async fn exchange(
    app: &App,
    address: IpAddr,
    request: &IdentityExchange,
    proof: &Proof,
) -> Result<Linked, LinkingError> {
    let place = address_key(address);
    app.throttle.attempt(app.clock.now(), Scope::IdentityAddress, &place)?;
    let linked = exchange_in(app, address, request, proof).await;
    // Neither good ones nor our own failures: all devices of a factory have one address.
    if matches!(&linked, Ok(_) | Err(LinkingError::Store(_))) {
        app.throttle.take_back(Scope::IdentityAddress, &place);
    }
    linked
}

async fn exchange_in(
    app: &App,
    address: IpAddr,
    request: &IdentityExchange,
    proof: &Proof,
) -> Result<Linked, LinkingError> {
    let claim = Claim::new(&request.serial_number, &request.hostname, None)?;
    fits("client_id", &request.client_id, MAX_STRING)?;
    let key = PublicKey::parse(&request.public_key).ok_or(LinkingError::UnusableIdentity)?;
    // Strangers' keys stop here, without holding up the writers.
    let found = app.store.device_identity_by_key(key.hash()).await?;
    let mut found = found.ok_or(LinkingError::UnusableIdentity)?;
    if !proof.is_by(&key) {
        return refuse(app, None, address, (&found, &claim), "The signature does not fit").await;
    }
    loop {
        let tx = app.store.begin().await?;
        if !tx.lock_account(found.account).await? {
            return Err(LinkingError::UnusableIdentity);
        }
        let account = found.account;
        found = tx.device_identity_by_key(key.hash()).await?.ok_or(LinkingError::UnusableIdentity)?;
        // It moved to another organisation meanwhile, whose lock is the one that counts.
        if found.account == account {
            return link(app, tx, address, &found, &claim, proof.timestamp).await;
        }
    }
}

async fn link(
    app: &App,
    tx: Tx,
    address: IpAddr,
    identity: &DeviceIdentity,
    claim: &Claim,
    timestamp: Option<i64>,
) -> Result<Linked, LinkingError> {
    let now = app.clock.now();
    let existing = match identity.device {
        Some(device) => tx.device(identity.account, device).await?,
        None => None,
    };
    if let Some(why) = replayed(app, identity, existing.as_ref(), timestamp) {
        return refuse(app, Some(tx), address, (identity, claim), why).await;
    }
    app.throttle.attempt(now, Scope::IdentityExchanges, &identity.id.to_string())?;
    let token = Secret::generate(SecretKind::DeviceToken, &*app.random);
    let country = app.countries.of_address(address);
    let actor = Actor::device_identity(identity.id, &identity.description).from(country);
    let done = if let Some(existing) = &existing {
        let nothing = (None, &Tags::default());
        relink(app, &tx, existing, nothing, Some(token.hash()), &actor).await?
    } else {
        // They were checked when the identity was made.
        let tags = Tags::new(&identity.tags).unwrap_or_default();
        let name = identity.device_name.as_deref().unwrap_or(claim.default_name());
        add_device(app, &tx, identity.account, claim, name, (Some(&token), &tags), &actor).await?
    };
    tx.bind_device(done.device, true, &claim.serial_number).await?;
    if !tx.note_identity_exchange(identity.id, done.device, timestamp, now).await? {
        return Err(LinkingError::UnusableIdentity);
    }
    let actor = Actor::device(done.device, &done.name).from(country);
    let subject = audit::device_identity(identity.id, &identity.description);
    audit::record(app, &tx, identity.account, &actor, Action::DeviceIdentityExchanged, subject, "").await?;
    tell_by_mail(app, &tx, &done, &claim.serial_number, Some(address), now).await?;
    tx.commit().await?;
    tell(app, &done);
    Ok(Linked { device_id: done.device, access_token: token.expose().to_owned() })
}

/// Why a request may be a copy of an older one.
fn replayed(
    app: &App,
    identity: &DeviceIdentity,
    device: Option<&Device>,
    timestamp: Option<i64>,
) -> Option<&'static str> {
    match (timestamp, identity.last_timestamp) {
        (Some(timestamp), Some(last)) if timestamp <= last => {
            Some("The request is not newer than one that was answered before")
        }
        (Some(_), _) => None,
        (None, Some(_)) => Some("The request carries no time, and an earlier one did"),
        (None, None) => device
            .is_some_and(|device| app.link.is_online(device.id))
            .then_some("The request carries no time, and the device is online"),
    }
}

async fn refuse<T>(
    app: &App,
    tx: Option<Tx>,
    address: IpAddr,
    (identity, claim): (&DeviceIdentity, &Claim),
    why: &str,
) -> Result<T, LinkingError> {
    tracing::info!(device_identity.id = %identity.id, why, "a device identity was refused");
    note_refusal(app, tx, address, (identity, claim), why).await?;
    Err(LinkingError::UnusableIdentity)
}

async fn note_refusal(
    app: &App,
    tx: Option<Tx>,
    address: IpAddr,
    (identity, claim): (&DeviceIdentity, &Claim),
    why: &str,
) -> Result<(), StoreError> {
    if !app.linking.audit_refusal(identity.id.0, app.clock.now()) {
        return Ok(());
    }
    let tx = match tx {
        Some(tx) => tx,
        None => app.store.begin().await?,
    };
    let country = app.countries.of_address(address);
    let actor = Actor::unknown_device(&claim.serial_number).from(country);
    let subject = audit::device_identity(identity.id, &identity.description);
    audit::record(app, &tx, identity.account, &actor, Action::DeviceIdentityRefused, subject, why).await?;
    tx.commit().await
}
