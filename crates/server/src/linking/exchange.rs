//! Linking with an auth key.

use super::{Claim, LinkingError, add_device, fits, relink, tell, tell_by_mail};
use crate::app::App;
use crate::audit::{self, Actor};
use bramble_model::audit::Action;
use bramble_model::auth_key::{LOST_ANSWER, State};
use bramble_model::tags::Tags;
use bramble_model::{Secret, SecretHash, SecretKind};
use bramble_store::auth_keys::AuthKey;
use bramble_store::{StoreError, Tx};
use bramble_wire::device_api::{AuthKeyExchange, Linked, MAX_STRING};
use std::net::IpAddr;

/// Exchanges a key for an entry and its token. Of any number of exchanges of one key at once exactly
/// one links; the same serial number is answered again as long as its token was never used.
pub async fn exchange_auth_key(
    app: &App,
    address: IpAddr,
    request: &AuthKeyExchange,
) -> Result<Linked, LinkingError> {
    let claim = Claim::new(&request.serial_number, &request.hostname, None)?;
    fits("client_id", &request.client_id, MAX_STRING)?;
    let kinds = [SecretKind::PersonalAuthKey, SecretKind::OrganisationAuthKey];
    let secret = kinds.into_iter().find_map(|kind| Secret::parse(kind, &request.auth_key));
    let secret = secret.ok_or(LinkingError::UnusableKey)?.hash();
    // Strangers' keys stop here, without holding up the writers.
    let account = app.store.auth_key_by_secret(secret).await?.ok_or(LinkingError::UnusableKey)?.account;

    let token = Secret::generate(SecretKind::DeviceToken, &*app.random);
    let tx = app.store.begin().await?;
    // The account comes first, as in every transaction, so that two of them never wait for each other.
    if !tx.lock_account(account).await? {
        return Err(LinkingError::UnusableKey);
    }
    let key = tx.auth_key_by_secret(secret).await?.ok_or(LinkingError::UnusableKey)?;
    match key.state(app.clock.now()) {
        State::Usable { .. } => link(app, tx, address, &key, &claim, &token).await,
        State::Exchanged { .. } => answer_again(app, tx, address, &key, &claim, &token).await,
        State::Expired { .. } => {
            refuse(app, tx, address, (&key, &claim), "The key had expired").await?;
            Err(LinkingError::UnusableKey)
        }
    }
}

async fn link(
    app: &App,
    tx: Tx,
    address: IpAddr,
    key: &AuthKey,
    claim: &Claim,
    token: &Secret,
) -> Result<Linked, LinkingError> {
    let now = app.clock.now();
    if !tx.use_auth_key(key.id, &claim.serial_number, now).await? {
        return Err(LinkingError::UnusableKey);
    }
    let country = app.countries.of_address(address);
    let actor = Actor::auth_key(key.id, &key.description).from(country);
    let same_serial = tx.devices_with_serial(key.account, &claim.serial_number).await?;
    let reusable = same_serial.iter().find(|d| !d.linked_by_identity && !app.link.is_online(d.id));
    // They were checked when the key was made.
    let tags = Tags::new(&key.tags).unwrap_or_default();
    let done = if let Some(existing) = reusable {
        relink(app, &tx, existing, (key.device_name.as_deref(), &tags), Some(token.hash()), &actor).await?
    } else {
        let name = key.device_name.as_deref().unwrap_or(claim.default_name());
        add_device(app, &tx, key.account, claim, name, (Some(token), &tags), &actor).await?
    };
    tx.note_auth_key_device(key.id, done.device, token.hash()).await?;
    let actor = Actor::device(done.device, &done.name).from(country);
    let subject = audit::auth_key(key.id, &key.description);
    audit::record(app, &tx, key.account, &actor, Action::AuthKeyUsed, subject, "").await?;
    tell_by_mail(app, &tx, &done, &claim.serial_number, Some(address), now).await?;
    tx.commit().await?;
    tell(app, &done);
    Ok(Linked { device_id: done.device, access_token: token.expose().to_owned() })
}

/// The answer may have been lost on its way: the same serial number gets it again, with a new token,
/// as long as nobody has used the former one.
async fn answer_again(
    app: &App,
    tx: Tx,
    address: IpAddr,
    key: &AuthKey,
    claim: &Claim,
    token: &Secret,
) -> Result<Linked, LinkingError> {
    let now = app.clock.now();
    let in_time = key.exchanged_at.is_some_and(|at| now < at + LOST_ANSWER);
    let same = key.exchanged_serial.as_deref() == Some(claim.serial_number.as_str());
    if let (true, true, Some(device), Some(former)) = (in_time, same, key.device, key.issued_token)
        && replaced(&tx, key, device, former, token.hash(), now).await?
    {
        tx.commit().await?;
        tracing::info!(device.id = %device, "the answer to a linking was lost and is given again");
        return Ok(Linked { device_id: device, access_token: token.expose().to_owned() });
    }
    refuse(app, tx, address, (key, claim), "The key was used before").await?;
    Err(LinkingError::UnusableKey)
}

async fn replaced(
    tx: &Tx,
    key: &AuthKey,
    device: bramble_wire::DeviceId,
    former: SecretHash,
    token: SecretHash,
    now: bramble_model::Timestamp,
) -> Result<bool, StoreError> {
    let replaced = tx.replace_unused_device_token(device, former, token, now).await?;
    if replaced {
        tx.note_auth_key_device(key.id, device, token).await?;
    }
    Ok(replaced)
}

async fn refuse(
    app: &App,
    tx: Tx,
    address: IpAddr,
    (key, claim): (&AuthKey, &Claim),
    why: &str,
) -> Result<(), StoreError> {
    if app.linking.audit_refusal(key.id.0, app.clock.now()) {
        let country = app.countries.of_address(address);
        let actor = Actor::unknown_device(&claim.serial_number).from(country);
        let subject = audit::auth_key(key.id, &key.description);
        audit::record(app, &tx, key.account, &actor, Action::AuthKeyRefused, subject, why).await?;
        tx.commit().await?;
    }
    tracing::info!(auth_key.id = %key.id, why, "an auth key was refused");
    Ok(())
}
