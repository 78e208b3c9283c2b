//! Forgotten and changed passwords.
//!
//! A request for an address without an account causes no mail: it would let anybody make this server
//! write to strangers. The answer and its time are the same.

use super::{AccountError, even_out};
use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::password::Password;
use crate::auth::throttle::{Scope, address_key};
use crate::mail;
use crate::sessions;
use bramble_model::session::FRESH;
use bramble_model::{Secret, SecretKind, text};
use bramble_store::StoreError;
use bramble_store::mail_links::{MailLink, NewMailLink, Purpose};
use bramble_store::users::User;
use std::net::IpAddr;
use time::Duration;
use tokio::time::Instant;

/// Why remote sessions end with the password that they were opened under.
const PASSWORD_CHANGED: &str = "Your password was changed.";

/// How long the link that sets a new password works.
pub const RESET_LIFETIME: Duration = Duration::hours(1);

/// Sends a link that sets a new password, if the address has an account.
pub async fn request_reset(app: &App, email: &str, address: IpAddr) -> Result<(), AccountError> {
    let start = Instant::now();
    app.throttle.attempt(app.clock.now(), Scope::RequestAddress, &address_key(address))?;
    let result = match text::email(email) {
        Some(folded) => send_link(app, &folded).await,
        None => Ok(()),
    };
    app.outbox.wake();
    even_out(start).await;
    result
}

async fn send_link(app: &App, folded: &str) -> Result<(), AccountError> {
    let now = app.clock.now();
    let may_mail = app.throttle.attempt(now, Scope::ResetRecipient, folded).is_ok();
    let user = app.store.user_by_email(folded).await?;
    let Some(user) = user.filter(|user| may_mail && user.disabled_at.is_none()) else { return Ok(()) };
    let token = Secret::generate(SecretKind::MailLink, &*app.random);
    let link = NewMailLink {
        id: app.random.id(),
        purpose: Purpose::ResetPassword,
        user: Some(user.id),
        email_folded: Some(folded.to_owned()),
        email: None,
        created_at: now,
        expires_at: now + RESET_LIFETIME,
    };
    let tx = app.store.begin().await?;
    // Locked, so that of two requests at once the later one's link is the one that works, and that none
    // goes to an address that was given up this moment.
    if tx.lock_user(user.id).await?.is_none_or(|locked| locked.email_folded != folded) {
        return Ok(());
    }
    tx.insert_mail_link(&token.hash(), link).await?;
    mail::queue(app, &tx, mail::reset_password(app, &user.email, &token)).await?;
    Ok(tx.commit().await?)
}

/// Whose password a link sets, if it still works. It stays usable.
pub async fn reset_recipient(app: &App, token: &Secret) -> Result<Option<String>, StoreError> {
    let link = app.store.mail_link(&token.hash(), Purpose::ResetPassword, app.clock.now()).await?;
    let Some((id, link)) = link.and_then(|link| Some((link.user?, link))) else { return Ok(None) };
    let user = app.store.user(id).await?.filter(|user| is_to(&link, user));
    Ok(user.map(|user| user.email))
}

/// A link that was sent to an address is worth nothing once the account has another.
fn is_to(link: &MailLink, user: &User) -> bool {
    link.email_folded.as_ref() == Some(&user.email_folded)
}

/// Sets a new password through a link, which also proves the address. Every session ends, and no
/// browser is known any more.
pub async fn reset_password(app: &App, token: &Secret, password: &Password) -> Result<(), AccountError> {
    let now = app.clock.now();
    let link = app.store.mail_link(&token.hash(), Purpose::ResetPassword, now).await?;
    let (id, link) = link.and_then(|link| Some((link.user?, link))).ok_or(AccountError::DeadLink)?;
    let user = app.store.user(id).await?.ok_or(AccountError::DeadLink)?;
    let about = [user.name.as_str(), user.email.as_str()];
    let hash = app.passwords.hash_new(&*app.random, password, &about).await?;
    let hash = hash.map_err(|weakness| AccountError::Invalid(weakness.into()))?;
    let tx = app.store.begin().await?;
    let locked = tx.lock_user(id).await?.filter(|locked| is_to(&link, locked));
    if locked.is_none() || tx.use_mail_link(&token.hash(), Purpose::ResetPassword, now).await?.is_none() {
        return Err(AccountError::DeadLink);
    }
    tx.set_password(id, &hash, now).await?;
    tx.verify_user(id, now).await?;
    for purpose in [Purpose::VerifyEmail, Purpose::ChangeEmail] {
        tx.revoke_mail_links(purpose, Some(id)).await?;
    }
    tx.delete_web_sessions(id, None).await?;
    tx.forget_browsers(id).await?;
    mail::queue(app, &tx, mail::password_changed(app, &user.email)).await?;
    tx.commit().await?;
    app.outbox.wake();
    sessions::end_for_user(app, id, PASSWORD_CHANGED).await?;
    app.throttle.succeeded(Scope::SignInAccount, &user.email_folded);
    tracing::info!(user.id = %id, "a forgotten password was replaced");
    Ok(())
}

/// Sets a new password for somebody who just proved who they are. Every other session ends, and this one
/// goes on under another cookie, which is returned: whoever copied the old one is out, too.
pub async fn change_password(
    app: &App,
    caller: &SignedIn,
    password: &Password,
) -> Result<Secret, AccountError> {
    let about = [caller.name.as_str(), caller.email.as_str()];
    let hash = app.passwords.hash_new(&*app.random, password, &about).await?;
    let hash = hash.map_err(|weakness| AccountError::Invalid(weakness.into()))?;
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    if tx.lock_user(caller.user).await?.is_none() {
        return Err(AccountError::WrongCredentials);
    }
    tx.set_password(caller.user, &hash, now).await?;
    for purpose in [Purpose::ResetPassword, Purpose::ChangeEmail] {
        tx.revoke_mail_links(purpose, Some(caller.user)).await?;
    }
    tx.delete_web_sessions(caller.user, Some(caller.session)).await?;
    let cookie = Secret::generate(SecretKind::WebSession, &*app.random);
    // Nothing was proved here: what was fresh stays fresh for as long as it was.
    let proved_at = caller.fresh_until - FRESH;
    if !tx.rotate_web_session(caller.session, &caller.token, &cookie.hash(), proved_at).await? {
        return Err(AccountError::WrongCredentials);
    }
    mail::queue(app, &tx, mail::password_changed(app, &caller.email)).await?;
    tx.commit().await?;
    app.outbox.wake();
    sessions::end_for_user(app, caller.user, PASSWORD_CHANGED).await?;
    tracing::info!(user.id = %caller.user, "a person changed their password");
    Ok(cookie)
}
