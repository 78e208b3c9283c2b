//! Auth keys: making and deleting them. A personal account has one usable key at a time, an organisation
//! as many as it likes; those carry a name and tags for the device that they link.

use super::LinkingError;
use crate::accounts;
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::{ApiToken, By, Right, SignedIn};
use bramble_model::account::{Deed, Standing};
use bramble_model::audit::Action;
use bramble_model::auth_key::TtlDays;
use bramble_model::tags::Tags;
use bramble_model::{Secret, SecretKind, Timestamp, phrases, text};
use bramble_store::auth_keys::{AuthKey, NewAuthKey};
use bramble_store::device_search::Slice;
use bramble_store::{StoreError, Tx};
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, AuthKeyId, UserId};
use time::Duration;

/// How long a personal account's used and expired keys stay in the list.
const KEPT: Duration = Duration::days(90);
/// Keys of one page of the list.
pub const PAGE: u64 = 50;

/// What a new key should be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What it is for.
    pub description: String,
    /// How long it can be used.
    pub ttl: TtlDays,
    /// The name of the device, if not its host name. Organisations only.
    pub device_name: Option<String>,
    /// The tags of the device. Organisations only.
    pub tags: Tags,
}

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
    pub expires_at: Timestamp,
}

/// Makes a key for somebody who may manage keys there. In a personal account it replaces the usable one.
pub async fn create_auth_key(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    wish: Wish,
) -> Result<MadeKey, LinkingError> {
    let standing = may_manage(app, by, account).await?;
    make(app, &Actor::person(by), By::from(by).right(), (account, standing.kind), wish).await
}

/// Makes a personal key for a person, by the operator's command line.
pub async fn create_auth_key_as_operator(
    app: &App,
    person: UserId,
    description: &str,
    ttl: TtlDays,
) -> Result<MadeKey, LinkingError> {
    let account = accounts::personal_account(app, person).await?.ok_or(LinkingError::NotFound)?;
    let wish = Wish { description: description.to_owned(), ttl, device_name: None, tags: Tags::default() };
    make(app, &Actor::operator(), Right::Operator, (account, AccountKind::Personal), wish).await
}

/// Makes a key for an organisation, by the operator's command line.
pub async fn create_organisation_key_as_operator(
    app: &App,
    organisation: AccountId,
    wish: Wish,
) -> Result<MadeKey, LinkingError> {
    make(app, &Actor::operator(), Right::Operator, (organisation, AccountKind::Organisation), wish).await
}

/// Makes a key for the organisation of a program.
pub(super) async fn create_as_program(app: &App, by: &ApiToken, wish: Wish) -> Result<MadeKey, LinkingError> {
    let right = By::from(by).right();
    make(app, &Actor::program(by), right, (by.account, AccountKind::Organisation), wish).await
}

async fn make(
    app: &App,
    actor: &Actor,
    right: Right,
    (account, kind): (AccountId, AccountKind),
    wish: Wish,
) -> Result<MadeKey, LinkingError> {
    let description = checked("Description", &wish.description)?;
    if description.is_empty() {
        return Err(LinkingError::Invalid(phrases::blank("Description")));
    }
    let device_name = checked("Device name", wish.device_name.as_deref().unwrap_or_default())?;
    let secret_kind = match kind {
        AccountKind::Personal => SecretKind::PersonalAuthKey,
        AccountKind::Organisation => SecretKind::OrganisationAuthKey,
    };
    let now = app.clock.now();
    let made = MadeKey {
        id: app.random.id(),
        secret: Secret::generate(secret_kind, &*app.random),
        description: description.clone(),
        expires_at: now + wish.ttl.duration(),
    };
    let tx = right.begin(app, account, Deed::ManageKeys).await?;
    if kind == AccountKind::Personal {
        make_room(app, &tx, account, actor).await?;
    }
    tx.insert_auth_key(NewAuthKey {
        id: made.id,
        account,
        secret: made.secret.hash(),
        description: description.clone(),
        device_name: Some(device_name).filter(|name| !name.is_empty()),
        tags: wish.tags,
        created_by: match right {
            Right::Person(user) => Some(user),
            Right::Program(..) | Right::Operator => None,
        },
        created_by_name: actor.name().to_owned(),
        created_at: now,
        expires_at: made.expires_at,
    })
    .await?;
    let days = wish.ttl.duration().whole_days();
    let details = format!("Valid for {days} day{}", if days == 1 { "" } else { "s" });
    let subject = audit::auth_key(made.id, &description);
    audit::record(app, &tx, account, actor, Action::AuthKeyCreated, subject, details).await?;
    tx.commit().await?;
    tracing::info!(auth_key.id = %made.id, "auth key created");
    Ok(made)
}

fn checked(field: &str, typed: &str) -> Result<String, LinkingError> {
    let text = text::clean(typed);
    if text.chars().count() > text::MAX_NAME {
        return Err(LinkingError::Invalid(phrases::too_long(field)));
    }
    Ok(text)
}

/// Takes the usable key of a personal account away, and those that are long over.
async fn make_room(app: &App, tx: &Tx, account: AccountId, actor: &Actor) -> Result<(), StoreError> {
    let now = app.clock.now();
    for old in tx.auth_keys(account).await? {
        let usable = old.is_usable(now);
        if usable || old.expires_at < now - KEPT || old.exchanged_at.is_some_and(|at| at < now - KEPT) {
            tx.delete_auth_key(account, old.id).await?;
        }
        if usable {
            let subject = audit::auth_key(old.id, &old.description);
            audit::record(app, tx, account, actor, Action::AuthKeyDeleted, subject, "Replaced by a new key")
                .await?;
        }
    }
    Ok(())
}

/// A page of an account's keys, and how many there are: the usable first, then the expired, then the used;
/// newest first in each group.
pub async fn list_auth_keys(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    page: u64,
) -> Result<(Vec<AuthKey>, u64), LinkingError> {
    may_manage(app, by, account).await?;
    let slice = Slice { offset: page.saturating_sub(1).saturating_mul(PAGE), limit: PAGE };
    Ok(app.store.auth_key_page(account, app.clock.now(), slice).await?)
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
    let tx = By::from(by).begin(app, account, Deed::ManageKeys).await?;
    let key = tx.auth_key(account, id).await?.ok_or(LinkingError::NotFound)?;
    if !tx.delete_auth_key(account, id).await? {
        return Err(LinkingError::NotFound);
    }
    let subject = audit::auth_key(id, &key.description);
    audit::record(app, &tx, account, &Actor::person(by), Action::AuthKeyDeleted, subject, "").await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn may_manage(
    app: &App,
    by: &SignedIn,
    account: AccountId,
) -> Result<Standing, LinkingError> {
    let standing = accounts::standing(app, by.user, account).await?;
    standing.filter(|s| s.may(Deed::ManageKeys)).ok_or(LinkingError::NotFound)
}
