//! Signing up and proving the address.
//!
//! A sign-up for an address that has no proof yet replaces the one before: the newest name and
//! password count. The link in the mail asks for the password of that sign-up, unless it is opened in
//! the browser that signed up or signed in with it: so nobody can prepare an account for somebody
//! else's address and have its owner prove it for them.
//!
//! Where a server takes people by invitation only, an organisation's invitation lets its address in, and no
//! other one: the page that leads here carries the invitation's link as the place to go on to.

use super::new_user::Identity;
use super::{AccountError, Begun, Browser, Problems, even_out};
use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::password::{Password, Verdict};
use crate::auth::return_to::ReturnTo;
use crate::auth::throttle::{Scope, address_key};
use crate::config::Registration;
use crate::mail;
use bramble_model::{Secret, SecretHash, SecretKind, text};
use bramble_store::invitations::Invitation;
use bramble_store::mail_links::{NewMailLink, Purpose};
use bramble_store::users::PasswordHash;
use bramble_store::{StoreError, Tx};
use bramble_wire::UserId;
use time::Duration;
use tokio::time::Instant;

/// How long the link that proves an address works.
pub const VERIFY_LIFETIME: Duration = Duration::hours(24);

/// Somebody who signs up.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// Display name.
    pub name: String,
    /// Address.
    pub email: String,
    /// Password.
    pub password: Password,
    /// Where to go once the address is proved; on a server for the invited, the invitation.
    pub return_to: ReturnTo,
}

/// Who may sign up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// Anybody.
    Open,
    /// Whoever this address is, because of the invitation that the person came with.
    Invited(String),
    /// Nobody.
    Closed,
}

/// Who may sign up of those who want to go on there.
pub async fn door(app: &App, return_to: &ReturnTo) -> Result<Door, StoreError> {
    let invited = match app.config.registration {
        Registration::Open => return Ok(Door::Open),
        Registration::Closed => None,
        Registration::Invitation => match invitation(return_to) {
            Some(token) => app.store.invitation_by_token(token).await?,
            None => None,
        },
    };
    let invited = invited.filter(|it| works(app, it));
    Ok(invited.map_or(Door::Closed, |it| Door::Invited(it.email)))
}

/// The invitation that somebody wants to go on to.
fn invitation(return_to: &ReturnTo) -> Option<SecretHash> {
    let token = return_to.as_str().strip_prefix("/invitations/")?;
    Secret::parse(SecretKind::MailLink, token).map(|token| token.hash())
}

fn works(app: &App, invitation: &Invitation) -> bool {
    invitation.expires_at > app.clock.now()
}

/// Whether an address that somebody else vouches for may have a new account: of those who want to go on
/// to an invitation, the person whom it was sent to. Read in the transaction that makes the account.
pub(super) async fn lets_in(
    app: &App,
    tx: &Tx,
    return_to: &ReturnTo,
    folded: &str,
) -> Result<bool, StoreError> {
    match app.config.registration {
        Registration::Open => Ok(true),
        Registration::Closed => Ok(false),
        Registration::Invitation => {
            let Some(token) = invitation(return_to) else { return Ok(false) };
            let found = tx.invitation_by_token(token).await?;
            Ok(found.is_some_and(|it| works(app, &it) && it.email_folded == folded))
        }
    }
}

/// Signs up. The answer is the same whether the address has an account or not; its owner gets a mail
/// either way. Returns what the browser is known by from now on, if it signed up for an account.
pub async fn sign_up(app: &App, new: Applicant, browser: &Browser) -> Result<Secret, AccountError> {
    let start = Instant::now();
    let door = door(app, &new.return_to).await?;
    if door == Door::Closed {
        return Err(AccountError::RegistrationClosed);
    }
    let mut identity = Identity::check(&new.name, &new.email);
    if let (Door::Invited(email), Ok(found)) = (&door, &identity)
        && text::email(email).as_ref() != Some(&found.email_folded)
    {
        let why = format!("The invitation was sent to {email}. Sign up with that address.");
        identity = Err(Problems { email: Some(why), ..Problems::default() });
    }
    let about = [new.name.as_str(), new.email.as_str()];
    app.throttle.attempt(app.clock.now(), Scope::RequestAddress, &address_key(browser.address))?;
    let hash = app.passwords.hash_new(&*app.random, &new.password, &about).await?;
    let (identity, hash) = match (identity, hash) {
        (Ok(identity), Ok(hash)) => (identity, hash),
        (identity, hash) => {
            let mut problems = identity.err().unwrap_or_default();
            problems.password = hash.err().map(|weakness| weakness.0);
            return Err(AccountError::Invalid(problems));
        }
    };
    let known = browser.known.clone();
    let known = known.unwrap_or_else(|| Secret::generate(SecretKind::KnownBrowser, &*app.random));
    let result = write(app, identity, hash, &known, &new.return_to).await;
    app.outbox.wake();
    even_out(start).await;
    result.map(|()| known)
}

async fn write(
    app: &App,
    identity: Identity,
    hash: PasswordHash,
    browser: &Secret,
    return_to: &ReturnTo,
) -> Result<(), AccountError> {
    let now = app.clock.now();
    let folded = identity.email_folded.clone();
    let may_mail = app.throttle.attempt(now, Scope::SignUpRecipient, &folded).is_ok();
    let tx = app.store.begin().await?;
    if app.config.registration != Registration::Open {
        // It may have been accepted or taken back meanwhile.
        let found = match invitation(return_to) {
            Some(token) => tx.invitation_by_token(token).await?,
            None => None,
        };
        found.filter(|it| works(app, it)).ok_or(AccountError::RegistrationClosed)?;
    }
    match tx.lock_user_by_email(&folded).await? {
        Some(user) if user.verified_at.is_some() => {
            if may_mail {
                mail::queue(app, &tx, mail::already_registered(app, &user.email)).await?;
            }
        }
        // The mail would not leave: what its owner can still prove is not replaced either.
        Some(_) if !may_mail => {}
        Some(user) => {
            tx.set_user_name(user.id, &identity.name).await?;
            tx.set_password(user.id, &hash, now).await?;
            tx.delete_web_sessions(user.id, None).await?;
            tx.forget_browsers(user.id).await?;
            tx.remember_browser(&browser.hash(), user.id, now).await?;
            send_link(app, &tx, user.id, &user.email, &folded, return_to).await?;
        }
        None => {
            let (email, row) = (identity.email.clone(), identity.row(app, hash, false, false));
            let id = row.id;
            // Taken meanwhile: whoever was faster gets the mail.
            if tx.insert_user(row).await? && may_mail {
                tx.remember_browser(&browser.hash(), id, now).await?;
                send_link(app, &tx, id, &email, &folded, return_to).await?;
            }
        }
    }
    Ok(tx.commit().await?)
}

async fn send_link(
    app: &App,
    tx: &Tx,
    user: UserId,
    email: &str,
    folded: &str,
    return_to: &ReturnTo,
) -> Result<(), StoreError> {
    let token = Secret::generate(SecretKind::MailLink, &*app.random);
    let now = app.clock.now();
    let link = NewMailLink {
        id: app.random.id(),
        purpose: Purpose::VerifyEmail,
        user: Some(user),
        email_folded: Some(folded.to_owned()),
        email: None,
        created_at: now,
        expires_at: now + VERIFY_LIFETIME,
    };
    tx.insert_mail_link(&token.hash(), link).await?;
    mail::queue(app, tx, mail::verify_email(app, email, &token, return_to)).await
}

/// Sends the link again; it goes on to `return_to`. Earlier links stop working.
pub async fn resend_verification(
    app: &App,
    caller: &SignedIn,
    return_to: &ReturnTo,
) -> Result<(), AccountError> {
    let Some(user) = app.store.user(caller.user).await?.filter(|user| user.verified_at.is_none()) else {
        return Ok(());
    };
    app.throttle.attempt(app.clock.now(), Scope::SignUpRecipient, &user.email_folded)?;
    let tx = app.store.begin().await?;
    send_link(app, &tx, user.id, &user.email, &user.email_folded, return_to).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Whose address a link proves, if it still works. It stays usable.
pub async fn verification_recipient(
    app: &App,
    token: &Secret,
) -> Result<Option<(UserId, String)>, StoreError> {
    let link = app.store.mail_link(&token.hash(), Purpose::VerifyEmail, app.clock.now()).await?;
    let Some(user) = link.and_then(|link| link.user) else { return Ok(None) };
    Ok(app.store.user(user).await?.map(|user| (user.id, user.email)))
}

/// Whether this browser signed up for the account or is signed in to it: then it gave the password.
pub async fn gave_password(app: &App, user: UserId, browser: &Browser) -> Result<bool, StoreError> {
    if browser.session.as_ref().is_some_and(|session| session.user == user) {
        return Ok(true);
    }
    match &browser.known {
        Some(known) => app.store.is_known_browser(&known.hash(), user).await,
        None => Ok(false),
    }
}

/// Proves the address and signs in. A browser that gave the password before is not asked for it.
pub async fn verify_email(
    app: &App,
    token: &Secret,
    password: &Password,
    browser: &Browser,
) -> Result<Begun, AccountError> {
    let now = app.clock.now();
    let link = app.store.mail_link(&token.hash(), Purpose::VerifyEmail, now).await?;
    let id = link.and_then(|link| link.user).ok_or(AccountError::DeadLink)?;
    let user = app.store.user(id).await?.ok_or(AccountError::DeadLink)?;
    if !gave_password(app, id, browser).await? {
        app.throttle.attempt(now, Scope::Proof, &id.to_string())?;
        let kept = user.password_hash.as_ref();
        if app.passwords.verify(&*app.random, password, kept).await? == Verdict::Wrong {
            return Err(AccountError::WrongCredentials);
        }
    }
    let tx = app.store.begin().await?;
    let current = tx.lock_user(id).await?.filter(|current| current.password_hash == user.password_hash);
    if current.is_none() || tx.use_mail_link(&token.hash(), Purpose::VerifyEmail, now).await?.is_none() {
        return Err(AccountError::DeadLink);
    }
    // A link proves the address and no second factor.
    if tx.has_second_factor(id).await? {
        return Err(AccountError::DeadLink);
    }
    tx.verify_user(id, now).await?;
    let begun = super::sign_in::begin(app, &tx, id, browser).await?;
    tx.commit().await?;
    app.throttle.succeeded(Scope::Proof, &id.to_string());
    tracing::info!(user.id = %id, "a person proved their address");
    Ok(begun)
}
