//! Auth keys for programs: an organisation may have any number of usable ones.

use super::LinkingError;
use super::keys::{self, Wish};
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::{ApiToken, By};
use bramble_model::Secret;
use bramble_model::account::Deed;
use bramble_model::audit::Action;
use bramble_store::auth_keys::AuthKey;
use bramble_store::device_search::Slice;
use bramble_store::organisation_keys::Change;
use bramble_wire::AuthKeyId;

/// Makes a key of the program's organisation.
pub async fn create(app: &App, by: &ApiToken, wish: Wish) -> Result<(AuthKey, Secret), LinkingError> {
    let made = keys::create_as_program(app, by, wish.clone()).await?;
    let key = AuthKey {
        id: made.id,
        account: by.account,
        description: made.description,
        device_name: wish.device_name,
        tags: wish.tags.as_slice().to_vec(),
        created_by: None,
        created_by_name: Actor::program(by).name().to_owned(),
        created_at: made.expires_at - wish.ttl.duration(),
        expires_at: made.expires_at,
        exchanged_at: None,
        exchanged_serial: None,
        device: None,
        issued_token: None,
    };
    Ok((key, made.secret))
}

/// A part of the organisation's keys, and how many there are.
pub async fn list(app: &App, by: &ApiToken, slice: Slice) -> Result<(Vec<AuthKey>, u64), LinkingError> {
    Ok(app.store.auth_key_page(by.account, app.clock.now(), slice).await?)
}

/// One key of the organisation.
pub async fn find(app: &App, by: &ApiToken, id: AuthKeyId) -> Result<AuthKey, LinkingError> {
    app.store.auth_key(by.account, id).await?.ok_or(LinkingError::NotFound)
}

/// Changes a key that can still be used; [`LinkingError::Changed`] of one that cannot.
pub async fn update(
    app: &App,
    by: &ApiToken,
    id: AuthKeyId,
    change: Change,
) -> Result<AuthKey, LinkingError> {
    let now = app.clock.now();
    let tx = By::from(by).begin(app, by.account, Deed::ManageKeys).await?;
    let key = tx.auth_key(by.account, id).await?.ok_or(LinkingError::NotFound)?;
    if !key.is_usable(now) {
        return Err(LinkingError::Changed);
    }
    if change.is_empty() {
        return Ok(key);
    }
    if !tx.update_auth_key(by.account, id, &change, now).await? {
        return Err(LinkingError::Changed);
    }
    let changed = tx.auth_key(by.account, id).await?.ok_or(LinkingError::NotFound)?;
    let subject = audit::auth_key(id, &changed.description);
    let details = if changed.description == key.description {
        String::new()
    } else {
        format!("Before: {}", key.description)
    };
    audit::record(app, &tx, by.account, &Actor::program(by), Action::AuthKeyUpdated, subject, details)
        .await?;
    tx.commit().await?;
    Ok(changed)
}

/// Deletes a key, whatever its state. The device that it linked stays.
pub async fn delete(app: &App, by: &ApiToken, id: AuthKeyId) -> Result<AuthKey, LinkingError> {
    let tx = By::from(by).begin(app, by.account, Deed::ManageKeys).await?;
    let key = tx.auth_key(by.account, id).await?.ok_or(LinkingError::NotFound)?;
    if !tx.delete_auth_key(by.account, id).await? {
        return Err(LinkingError::NotFound);
    }
    let subject = audit::auth_key(id, &key.description);
    audit::record(app, &tx, by.account, &Actor::program(by), Action::AuthKeyDeleted, subject, "").await?;
    tx.commit().await?;
    Ok(key)
}
