//! Who somebody is whom a provider vouches for.
//!
//! An address that a provider names counts only if the provider calls it verified and the operator trusts
//! it in that. Even then it signs nobody in to an account that exists: its owner does that, and links. An
//! account that never proved the address may be a trap that a stranger prepared: it goes.

use super::{AccountError, Arrived, Vouched};
use crate::accounts::Browser;
use crate::accounts::sign_in::begin;
use crate::accounts::sign_up::lets_in;
use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::cookies::PENDING_LIFETIME;
use crate::auth::return_to::ReturnTo;
use crate::config::providers::Provider;
use crate::mail;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bramble_model::{Secret, SecretKind, text};
use bramble_store::identities::Identity;
use bramble_store::users::{NewUser, User};
use bramble_store::{StoreError, Tx};
use bramble_wire::UserId;
use serde::{Deserialize, Serialize};
use time::Duration;

/// How long somebody may take to sign in to the account that a provider's person shall be linked to.
const INVITATION_LIFETIME: Duration = Duration::minutes(30);

/// Signs in whomever a provider names.
pub(super) async fn sign_in(
    app: &App,
    provider: &Provider,
    vouched: &Vouched,
    return_to: &ReturnTo,
    browser: &Browser,
) -> Result<Arrived, AccountError> {
    let tx = app.store.begin().await?;
    let (user, first) = match tx.identity(&provider.issuer, &vouched.subject).await? {
        Some(identity) => {
            let user = tx.lock_user(identity.user).await?.filter(|user| user.disabled_at.is_none());
            let user = user.ok_or(AccountError::WrongCredentials)?;
            // Unlinked while this waited.
            if !tx.use_identity(&identity, app.clock.now()).await? {
                return Err(AccountError::WrongCredentials);
            }
            (user.id, false)
        }
        None => match newcomer(app, &tx, provider, vouched, return_to).await? {
            Newcomer::Made(user) => (user, true),
            Newcomer::HasAccount(user) => {
                return Ok(Arrived::SignInToLink(invite(app, provider, vouched, &user)?));
            }
        },
    };
    let arrived = if !provider.provides_2fa && tx.has_second_factor(user).await? {
        let token = Secret::generate(SecretKind::PendingSignIn, &*app.random);
        tx.insert_pending_sign_in(&token.hash(), user, app.clock.now() + PENDING_LIFETIME).await?;
        Arrived::Pending(token)
    } else {
        Arrived::Begun(begin(app, &tx, user, browser).await?)
    };
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %user, provider = %provider.id, first, "a person came from a provider");
    Ok(arrived)
}

enum Newcomer {
    /// A new account.
    Made(UserId),
    /// Nothing was done: the address is that of this person.
    HasAccount(User),
}

async fn newcomer(
    app: &App,
    tx: &Tx,
    provider: &Provider,
    vouched: &Vouched,
    return_to: &ReturnTo,
) -> Result<Newcomer, AccountError> {
    let not_vouched = || AccountError::NoAddress(provider.name.clone());
    let email = vouched.email.as_deref().filter(|_| vouched.email_verified && provider.trust_email);
    let email = email.ok_or_else(not_vouched)?;
    let folded = text::email(email).ok_or_else(not_vouched)?;
    match tx.lock_user_by_email(&folded).await? {
        Some(user) if user.verified_at.is_some() => return Ok(Newcomer::HasAccount(user)),
        Some(user) if !tx.delete_unverified_user(user.id).await? => return Err(AccountError::Taken),
        _ => {}
    }
    if !provider.sign_up && !lets_in(app, tx, return_to, &folded).await? {
        return Err(AccountError::RegistrationClosed);
    }
    let now = app.clock.now();
    let row = NewUser {
        id: app.random.id(),
        account: app.random.id(),
        name: name_of(vouched, email),
        email: email.trim().to_owned(),
        email_folded: folded,
        password_hash: None,
        is_operator: false,
        verified_at: Some(now),
        created_at: now,
    };
    let user = row.id;
    // Somebody was faster: of two journeys of one person one makes the account.
    if !tx.insert_user(row).await? || !tx.insert_identity(&identity(app, provider, vouched, user)).await? {
        return Err(AccountError::Taken);
    }
    Ok(Newcomer::Made(user))
}

fn name_of(vouched: &Vouched, email: &str) -> String {
    let name = text::clip(vouched.name.as_deref().unwrap_or_default(), text::MAX_NAME);
    if name.is_empty() { email.split('@').next().unwrap_or_default().to_owned() } else { name }
}

fn identity(app: &App, provider: &Provider, vouched: &Vouched, user: UserId) -> Identity {
    let now = app.clock.now();
    Identity {
        issuer: provider.issuer.clone(),
        subject: vouched.subject.clone(),
        user,
        email: text::clip(vouched.email.as_deref().unwrap_or_default(), text::MAX_EMAIL),
        created_at: now,
        last_used_at: Some(now),
    }
}

/// Somebody at a provider who may be linked to one account.
#[derive(Debug, Serialize, Deserialize)]
pub struct Invited {
    /// The provider's id here.
    pub provider: String,
    /// The address that it named.
    pub email: String,
    subject: String,
    until: i64,
}

fn purpose(user: UserId) -> String {
    format!("provider-link {user}")
}

fn invite(app: &App, provider: &Provider, vouched: &Vouched, user: &User) -> Result<String, AccountError> {
    let invited = Invited {
        provider: provider.id.clone(),
        email: vouched.email.clone().unwrap_or_default(),
        subject: vouched.subject.clone(),
        until: (app.clock.now() + INVITATION_LIFETIME).unix_timestamp(),
    };
    let plain = serde_json::to_vec(&invited).map_err(|_| AccountError::DeadLink)?;
    Ok(URL_SAFE_NO_PAD.encode(app.master_key.seal(&purpose(user.id), &plain, &*app.random)))
}

/// Who is to be linked to the caller.
pub fn open_invitation(app: &App, caller: &SignedIn, sealed: &str) -> Option<Invited> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let plain = app.master_key.open(&purpose(caller.user), &bytes).ok()?;
    let invited: Invited = serde_json::from_slice(&plain).ok()?;
    (app.clock.unix() < invited.until).then_some(invited)
}

/// Links the caller, who is signed in to the account that the address belongs to.
pub async fn link(app: &App, caller: &SignedIn, sealed: &str) -> Result<(), AccountError> {
    let invited = open_invitation(app, caller, sealed).ok_or(AccountError::DeadLink)?;
    let provider = super::find(app, &invited.provider).ok_or(AccountError::DeadLink)?;
    let vouched = Vouched {
        subject: invited.subject,
        email: Some(invited.email),
        email_verified: true,
        name: None,
        auth_time: None,
    };
    link_vouched(app, provider, &vouched, caller).await
}

/// Links the caller to whom a provider names.
pub(super) async fn link_vouched(
    app: &App,
    provider: &Provider,
    vouched: &Vouched,
    caller: &SignedIn,
) -> Result<(), AccountError> {
    let tx = app.store.begin().await?;
    let person = tx.lock_user(caller.user).await?.ok_or(AccountError::DeadLink)?;
    if !tx.insert_identity(&identity(app, provider, vouched, caller.user)).await? {
        let known = tx.identity(&provider.issuer, &vouched.subject).await?;
        // Linked already: what was wanted is so.
        return if known.is_some_and(|it| it.user == caller.user) {
            Ok(())
        } else {
            Err(AccountError::Taken)
        };
    }
    mail::queue(app, &tx, mail::provider_changed(app, &person.email, &provider.name, true)).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %caller.user, provider = %provider.id, "a person linked a provider");
    Ok(())
}

/// What a person is linked to.
pub async fn linked(app: &App, user: UserId) -> Result<Vec<Identity>, StoreError> {
    app.store.identities(user).await
}

/// Unlinks the caller, unless nothing else would let them in. `false` if they are not linked so.
pub async fn unlink(app: &App, caller: &SignedIn, issuer: &str, subject: &str) -> Result<bool, AccountError> {
    // PostgreSQL takes no such text, and nobody is linked so.
    if [issuer, subject].iter().any(|text| text.contains('\0')) {
        return Ok(false);
    }
    let tx = app.store.begin().await?;
    let Some(person) = tx.lock_user(caller.user).await? else { return Ok(false) };
    if !tx.delete_identity(caller.user, issuer, subject).await? {
        return Ok(false);
    }
    let way_in = person.password_hash.is_some()
        || tx.count_passkeys(caller.user).await? > 0
        || !tx.identities(caller.user).await?.is_empty();
    if !way_in {
        return Err(AccountError::LastWayIn);
    }
    let provider = app.config.providers.iter().find(|provider| provider.issuer == issuer);
    let name = provider.map_or(issuer, |provider| provider.name.as_str());
    mail::queue(app, &tx, mail::provider_changed(app, &person.email, name, false)).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %caller.user, "a person unlinked a provider");
    Ok(true)
}
