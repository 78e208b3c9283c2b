//! Organisations: accounts that several people share.
//!
//! Every operation takes the caller and asks for its [`Deed`]; [`enter`] is how a page of an
//! organisation begins.

pub mod invitations;
pub mod left_behind;
pub mod members;
pub mod operator;
pub mod pages;
pub mod settings;

use crate::accounts::{self, NotAdmitted};
use crate::app::{App, Ctx};
use crate::audit::{self, Actor};
use crate::auth::SignedIn;
use crate::error::ApiFailure;
use crate::mail;
use axum::Router;
use axum::http::StatusCode;
use bramble_model::account::{Deed, Role, Standing};
use bramble_model::audit::Action;
use bramble_model::{phrases, text};
use bramble_store::organisations::NewOrganisation;
use bramble_store::{StoreError, Tx};
use bramble_wire::{AccountId, UserId};

/// Why something was not done to an organisation.
#[derive(Debug, thiserror::Error)]
pub enum OrganisationError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none, or the caller may not do this in it.
    #[error("not found")]
    NotFound,
    /// The organisation requires a second factor, and the caller has none.
    #[error("two-factor authentication is required")]
    SecondFactorRequired(AccountId),
    /// Without this person nobody could administer it.
    #[error("an organisation needs an administrator")]
    LastAdministrator,
    /// It changed since the page was opened.
    #[error("it has changed meanwhile")]
    Changed,
    /// The link was used, revoked, replaced, or is too old.
    #[error("the invitation does not work any more")]
    DeadLink,
    /// The caller is in it already.
    #[error("already a member")]
    AlreadyMember(AccountId),
    /// It requires a second factor of everybody who joins.
    #[error("two-factor authentication first")]
    SecondFactorFirst,
    /// A field has no possible value. Carries the sentence.
    #[error("{0}")]
    Invalid(String),
}

impl From<NotAdmitted> for OrganisationError {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Store(error) => Self::Store(error),
            NotAdmitted::NotFound => Self::NotFound,
            NotAdmitted::SecondFactorRequired(account) => Self::SecondFactorRequired(account),
        }
    }
}

impl From<OrganisationError> for ApiFailure {
    fn from(error: OrganisationError) -> Self {
        match error {
            OrganisationError::Store(error) => error.into(),
            OrganisationError::NotFound
            | OrganisationError::SecondFactorRequired(_)
            | OrganisationError::DeadLink
            | OrganisationError::SecondFactorFirst => Self::not_found(),
            OrganisationError::LastAdministrator
            | OrganisationError::Changed
            | OrganisationError::AlreadyMember(_) => {
                Self::new(StatusCode::CONFLICT, "conflict", error.to_string())
            }
            OrganisationError::Invalid(what) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", what),
        }
    }
}

/// Every URL of this slice.
pub fn routes() -> Router<Ctx> {
    pages::routes()
}

/// What the caller is to the organisation that a path names, if that is enough for a deed. For the
/// personal account there is no such path.
pub async fn enter(app: &App, who: &SignedIn, id: &str, deed: Deed) -> Result<Standing, OrganisationError> {
    let standing = belonging(app, who, id).await?;
    if standing.blocked {
        return Err(OrganisationError::SecondFactorRequired(standing.account));
    }
    if standing.may(deed) { Ok(standing) } else { Err(OrganisationError::NotFound) }
}

/// What the caller is to the organisation that a path names, also if the rule about second factors keeps them out:
/// enough to go.
async fn belonging(app: &App, who: &SignedIn, id: &str) -> Result<Standing, OrganisationError> {
    let id: AccountId = id.parse().map_err(|_| OrganisationError::NotFound)?;
    accounts::standing(app, who.user, id)
        .await?
        .filter(|s| s.kind == bramble_wire::device_api::AccountKind::Organisation)
        .ok_or(OrganisationError::NotFound)
}

/// Makes an organisation; the caller becomes its administrator.
pub async fn create(app: &App, by: &SignedIn, name: &str) -> Result<AccountId, OrganisationError> {
    let name = checked_name(name)?;
    let tx = app.store.begin().await?;
    // Locked, so that nobody is left with an organisation whose only administrator deletes their account or
    // was disabled.
    if tx.lock_user(by.user).await?.is_none_or(|user| user.disabled_at.is_some()) {
        return Err(OrganisationError::NotFound);
    }
    let id = create_in(app, &tx, &Actor::person(by), by.user, Some(by.user), name).await?;
    tx.commit().await?;
    tracing::info!(organisation.id = %id, "organisation created");
    Ok(id)
}

/// Makes an organisation for somebody, by the operator's command line.
pub async fn create_as_operator(
    app: &App,
    administrator: UserId,
    name: &str,
) -> Result<AccountId, OrganisationError> {
    let name = checked_name(name)?;
    let tx = app.store.begin().await?;
    let person = tx.lock_user(administrator).await?.filter(|user| user.disabled_at.is_none());
    let person = person.ok_or(OrganisationError::NotFound)?;
    let id = create_in(app, &tx, &Actor::operator(), administrator, None, name).await?;
    administrators_change(app, &tx, id, &person.name, &person.email).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(organisation.id = %id, "the operator made an organisation");
    Ok(id)
}

async fn create_in(
    app: &App,
    tx: &Tx,
    actor: &Actor,
    administrator: UserId,
    created_by: Option<UserId>,
    name: String,
) -> Result<AccountId, StoreError> {
    let (id, at): (AccountId, _) = (app.random.id(), app.clock.now());
    let subject = audit::organisation(id, &name);
    tx.insert_organisation(NewOrganisation { id, name, created_by, trial_ends_at: None, at }).await?;
    tx.insert_membership(id, administrator, Role::Administrator, at).await?;
    audit::record(app, tx, id, actor, Action::OrganisationCreated, subject, "").await?;
    Ok(id)
}

/// Tells every administrator that there is another one.
async fn administrators_change(
    app: &App,
    tx: &Tx,
    account: AccountId,
    name: &str,
    email: &str,
) -> Result<(), StoreError> {
    let organisation = tx.account(account).await?.map(|account| account.name).unwrap_or_default();
    members::tell_administrators(app, tx, account, |to| {
        mail::new_administrator(app, to, &organisation, name, email)
    })
    .await
}

/// A name as it is kept, or what is wrong with it.
fn checked_name(name: &str) -> Result<String, OrganisationError> {
    let name = text::clean(name);
    if name.is_empty() {
        return Err(OrganisationError::Invalid(phrases::blank("Name")));
    }
    if name.chars().count() > text::MAX_NAME {
        return Err(OrganisationError::Invalid(phrases::too_long("Name")));
    }
    Ok(name)
}
