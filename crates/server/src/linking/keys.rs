//! Auth keys: making and deleting them. A personal account has one usable key at a time.

use super::LinkingError;
use crate::accounts;
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::SignedIn;
use bramble_model::account::Deed;
use bramble_model::audit::Action;
use bramble_model::auth_key::TtlDays;
use bramble_model::tags::Tags;
use bramble_model::{Secret, SecretKind, phrases, text};
use bramble_store::auth_keys::{AuthKey, NewAuthKey};
use bramble_wire::{AccountId, AuthKeyId, UserId};
use time::Duration;

/// How long used and expired keys stay in the list.
const KEPT: Duration = Duration::days(90);
/// Keys that the settings page shows.
const SHOWN: u64 = 20;

/// A key that was just made, with the secret that nobody sees again.
#[derive(Debug)]
pub struct MadeKey {
    /// Its id.
    pub id: AuthKeyId,
    /// Its secret.
    pub secret: Secret,
    /// What its maker wrote.
    pub description: String,
    /// Until when it may be used.
    pub expires_at: bramble_model::Timestamp,
}

/// Makes a personal key for somebody who may manage keys there. It replaces the usable one.
pub async fn create_auth_key(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    description: &str,
    ttl: TtlDays,
) -> Result<MadeKey, LinkingError> {
    may_manage(app, by, account).await?;
    make(app, &Actor::person(by), Some(by.user), account, description, ttl).await
}

/// Makes a personal key for a person, by the operator's command line.
pub async fn create_auth_key_as_operator(
    app: &App,
    person: UserId,
    description: &str,
    ttl: TtlDays,
) -> Result<MadeKey, LinkingError> {
    let account = accounts::personal_account(app, person).await?.ok_or(LinkingError::NotFound)?;
    make(app, &Actor::operator(), None, account, description, ttl).await
}

async fn make(
    app: &App,
    actor: &Actor,
    created_by: Option<UserId>,
    account: AccountId,
    description: &str,
    ttl: TtlDays,
) -> Result<MadeKey, LinkingError> {
    let description = text::clean(description);
    if description.is_empty() {
        return Err(LinkingError::Invalid(phrases::blank("Description")));
    }
    if description.chars().count() > text::MAX_NAME {
        return Err(LinkingError::Invalid(phrases::too_long("Description")));
    }
    let secret = Secret::generate(SecretKind::PersonalAuthKey, &*app.random);
    let now = app.clock.now();
    let made = MadeKey {
        id: app.random.id(),
        secret,
        description: description.clone(),
        expires_at: now + ttl.duration(),
    };
    let tx = app.store.begin().await?;
    if !tx.lock_account(account).await? {
        return Err(LinkingError::NotFound);
    }
    for old in tx.auth_keys(account).await? {
        let usable = old.exchanged_at.is_none() && old.expires_at > now;
        if usable || old.expires_at < now - KEPT || old.exchanged_at.is_some_and(|at| at < now - KEPT) {
            tx.delete_auth_key(account, old.id).await?;
        }
        if usable {
            let subject = audit::auth_key(old.id, &old.description);
            audit::record(app, &tx, account, actor, Action::AuthKeyDeleted, subject, "Replaced by a new key")
                .await?;
        }
    }
    tx.insert_auth_key(NewAuthKey {
        id: made.id,
        account,
        secret: made.secret.hash(),
        description: description.clone(),
        device_name: None,
        tags: Tags::default(),
        created_by,
        created_by_name: actor.name().to_owned(),
        created_at: now,
        expires_at: made.expires_at,
    })
    .await?;
    let days = ttl.duration().whole_days();
    let details = format!("Valid for {days} day{}", if days == 1 { "" } else { "s" });
    let subject = audit::auth_key(made.id, &description);
    audit::record(app, &tx, account, actor, Action::AuthKeyCreated, subject, details).await?;
    tx.commit().await?;
    tracing::info!(auth_key.id = %made.id, "auth key created");
    Ok(made)
}

/// The keys of an account, newest first.
pub async fn list_auth_keys(
    app: &App,
    by: &SignedIn,
    account: AccountId,
) -> Result<Vec<AuthKey>, LinkingError> {
    may_manage(app, by, account).await?;
    Ok(app.store.auth_keys(account, SHOWN).await?)
}

/// One key of an account.
pub async fn auth_key(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    id: AuthKeyId,
) -> Result<AuthKey, LinkingError> {
    may_manage(app, by, account).await?;
    app.store.auth_key(account, id).await?.ok_or(LinkingError::NotFound)
}

/// Deletes a key. The device that it linked stays.
pub async fn delete_auth_key(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    id: AuthKeyId,
) -> Result<(), LinkingError> {
    let key = auth_key(app, by, account, id).await?;
    let tx = app.store.begin().await?;
    if !tx.delete_auth_key(account, id).await? {
        return Err(LinkingError::NotFound);
    }
    let subject = audit::auth_key(id, &key.description);
    audit::record(app, &tx, account, &Actor::person(by), Action::AuthKeyDeleted, subject, "").await?;
    tx.commit().await?;
    Ok(())
}

async fn may_manage(app: &App, by: &SignedIn, account: AccountId) -> Result<(), LinkingError> {
    let standing = accounts::standing(app, by.user, account).await?;
    standing.filter(|s| s.may(Deed::ManageKeys)).map(|_| ()).ok_or(LinkingError::NotFound)
}
