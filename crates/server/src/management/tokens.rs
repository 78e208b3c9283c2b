//! API access tokens: making, listing and revoking them. Only organisations have them, and only their
//! administrators and the operator make them; a token cannot make another one.

use crate::accounts::{self, NotAdmitted};
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::{By, SignedIn};
use crate::mail;
use crate::organisations::members::tell_administrators;
use bramble_model::account::Deed;
use bramble_model::audit::Action;
use bramble_model::{Secret, SecretKind, phrases, text};
use bramble_store::StoreError;
use bramble_store::api_tokens::{ApiToken, NewApiToken};
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, ApiTokenId, UserId};

/// Tokens of one organisation.
pub const MAX_TOKENS: u64 = 100;

/// Why something was not done to a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none, or the caller may not do this there.
    #[error("not found")]
    NotFound,
    /// A field has no possible value. Carries the sentence.
    #[error("{0}")]
    Invalid(String),
    /// The organisation has as many as it can have.
    #[error(
        "This organisation has {MAX_TOKENS} API access tokens already. Revoke one that is not used any more."
    )]
    TooMany,
}

/// A token that was just made, with the secret that nobody sees again.
#[derive(Debug)]
pub struct MadeToken {
    /// Its id.
    pub id: ApiTokenId,
    /// Its secret.
    pub secret: Secret,
    /// What its maker wrote.
    pub description: String,
}

/// Makes a token. Every administrator hears of it by mail.
pub async fn create(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    description: &str,
) -> Result<MadeToken, TokenError> {
    may_manage(app, by, account).await?;
    make(app, &Actor::person(by), Some(by.user), account, description).await
}

/// Makes a token, by the operator's command line.
pub async fn create_as_operator(
    app: &App,
    account: AccountId,
    description: &str,
) -> Result<MadeToken, TokenError> {
    make(app, &Actor::operator(), None, account, description).await
}

async fn make(
    app: &App,
    actor: &Actor,
    created_by: Option<UserId>,
    account: AccountId,
    description: &str,
) -> Result<MadeToken, TokenError> {
    let description = text::clean(description);
    if description.is_empty() {
        return Err(TokenError::Invalid(phrases::blank("Description")));
    }
    if description.chars().count() > text::MAX_NAME {
        return Err(TokenError::Invalid(phrases::too_long("Description")));
    }
    let secret = Secret::generate(SecretKind::ApiToken, &*app.random);
    let (id, at): (ApiTokenId, _) = (app.random.id(), app.clock.now());
    let tx = app.store.begin().await?;
    if !tx.lock_account(account).await? {
        return Err(TokenError::NotFound);
    }
    if let Some(person) = created_by {
        // Again under the lock, so that whoever was removed a moment ago makes none.
        let standing = tx.standing(person, account, at).await?;
        standing.filter(|it| it.may(Deed::ManageKeys)).ok_or(TokenError::NotFound)?;
    }
    let organisation = tx.account(account).await?.filter(|it| it.kind == AccountKind::Organisation);
    let organisation = organisation.ok_or(TokenError::NotFound)?.name;
    if tx.count_api_tokens(account).await? >= MAX_TOKENS {
        return Err(TokenError::TooMany);
    }
    tx.insert_api_token(NewApiToken {
        id,
        account,
        hash: secret.hash(),
        description: description.clone(),
        created_by,
        created_by_name: actor.name().to_owned(),
        at,
    })
    .await?;
    let subject = audit::api_token(id, &description);
    audit::record(app, &tx, account, actor, Action::ApiTokenCreated, subject, "").await?;
    tell_administrators(app, &tx, account, |to| {
        mail::new_api_token(app, to, &organisation, &description, actor.name())
    })
    .await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(api_token.id = %id, "API access token created");
    Ok(MadeToken { id, secret, description })
}

/// The tokens of an organisation, newest first.
pub async fn list(app: &App, by: &SignedIn, account: AccountId) -> Result<Vec<ApiToken>, TokenError> {
    may_manage(app, by, account).await?;
    Ok(app.store.api_tokens(account, MAX_TOKENS).await?)
}

/// One token of an organisation.
pub async fn find(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    id: ApiTokenId,
) -> Result<ApiToken, TokenError> {
    may_manage(app, by, account).await?;
    app.store.api_token(account, id).await?.ok_or(TokenError::NotFound)
}

/// Revokes a token: its next request is refused, on every node.
pub async fn revoke(app: &App, by: &SignedIn, account: AccountId, id: ApiTokenId) -> Result<(), TokenError> {
    let tx = By::from(by).begin(app, account, Deed::ManageKeys).await?;
    let token = tx.api_token(account, id).await?.ok_or(TokenError::NotFound)?;
    if !tx.delete_api_token(account, id).await? {
        return Err(TokenError::NotFound);
    }
    let subject = audit::api_token(id, &token.description);
    audit::record(app, &tx, account, &Actor::person(by), Action::ApiTokenRevoked, subject, "").await?;
    tx.commit().await?;
    tracing::info!(api_token.id = %id, "API access token revoked");
    Ok(())
}

impl From<NotAdmitted> for TokenError {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Store(error) => Self::Store(error),
            NotAdmitted::NotFound | NotAdmitted::SecondFactorRequired(_) => Self::NotFound,
        }
    }
}

async fn may_manage(app: &App, by: &SignedIn, account: AccountId) -> Result<(), TokenError> {
    let standing = accounts::standing(app, by.user, account).await?;
    let standing = standing.filter(|it| it.kind == AccountKind::Organisation && it.may(Deed::ManageKeys));
    standing.map(|_| ()).ok_or(TokenError::NotFound)
}
