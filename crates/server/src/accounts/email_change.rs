//! Another email address for an account. The link goes to the new address and works for whoever asked for
//! it, signed in: so nobody can have the owner of an address prove it for somebody else's account.
//!
//! Whether somebody has the address already is told to that address alone. Both addresses are told what
//! happens, the old one from the beginning: its owner may still stop it.

use super::{AccountError, Problems, even_out};
use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::throttle::Scope;
use crate::mail;
use bramble_model::{Secret, SecretKind, text};
use bramble_store::mail_links::{MailLink, NewMailLink, Purpose};
use bramble_store::{StoreError, Tx};
use bramble_wire::UserId;
use time::Duration;
use tokio::time::Instant;

/// How long the link that changes an address works.
pub const CHANGE_LIFETIME: Duration = Duration::hours(24);

/// Sends a link to the new address, if nobody has it. The answer is the same in any case.
pub async fn request_email_change(app: &App, caller: &SignedIn, typed: &str) -> Result<(), AccountError> {
    let start = Instant::now();
    let folded = checked(caller, typed)?;
    app.throttle.attempt(app.clock.now(), Scope::RequestAddress, &caller.user.to_string())?;
    let result = send_link(app, caller.user, typed.trim(), &folded).await;
    app.outbox.wake();
    even_out(start).await;
    result
}

fn checked(caller: &SignedIn, typed: &str) -> Result<String, AccountError> {
    let problem = match text::email(typed) {
        None => "This is not an email address. Write it like ada@example.org.",
        Some(folded) if text::email(&caller.email).as_ref() == Some(&folded) => {
            "This is the address that your account has. Enter another one."
        }
        Some(folded) => return Ok(folded),
    };
    Err(AccountError::Invalid(Problems { email: Some(problem.to_owned()), ..Problems::default() }))
}

async fn send_link(app: &App, user: UserId, email: &str, folded: &str) -> Result<(), AccountError> {
    let now = app.clock.now();
    let may_mail = app.throttle.attempt(now, Scope::ChangeRecipient, folded).is_ok();
    let occupied = app.store.user_by_email(folded).await?.is_some_and(|other| other.verified_at.is_some());
    let tx = app.store.begin().await?;
    let person = tx.lock_user(user).await?.ok_or(AccountError::DeadLink)?;
    // In any case: whether the link before still works must not tell whose the new address is.
    tx.revoke_mail_links(Purpose::ChangeEmail, Some(user)).await?;
    if may_mail && occupied {
        mail::queue(app, &tx, mail::email_taken(app, email)).await?;
    } else if may_mail {
        let token = Secret::generate(SecretKind::MailLink, &*app.random);
        let link = NewMailLink {
            id: app.random.id(),
            purpose: Purpose::ChangeEmail,
            user: Some(user),
            email_folded: Some(folded.to_owned()),
            email: Some(email.to_owned()),
            created_at: now,
            expires_at: now + CHANGE_LIFETIME,
        };
        tx.insert_mail_link(&token.hash(), link).await?;
        mail::queue(app, &tx, mail::change_email(app, email, &token)).await?;
    }
    mail::queue(app, &tx, mail::email_change_asked(app, &person.email, email)).await?;
    Ok(tx.commit().await?)
}

/// The new address of a link that still works, if it is the caller's. It stays usable.
pub async fn new_email(app: &App, caller: &SignedIn, token: &Secret) -> Result<Option<String>, StoreError> {
    let link = app.store.mail_link(&token.hash(), Purpose::ChangeEmail, app.clock.now()).await?;
    Ok(link.and_then(|link| of(caller, link)).map(|(email, _)| email))
}

/// The new address as it was typed, and as it is compared.
fn of(caller: &SignedIn, link: MailLink) -> Option<(String, String)> {
    if link.user != Some(caller.user) {
        return None;
    }
    link.email.zip(link.email_folded)
}

/// Gives the account its new address. Links that went to the old one stop working.
pub async fn change_email(app: &App, caller: &SignedIn, token: &Secret) -> Result<(), AccountError> {
    let tx = app.store.begin().await?;
    let person = tx.lock_user(caller.user).await?.ok_or(AccountError::DeadLink)?;
    let link = tx.use_mail_link(&token.hash(), Purpose::ChangeEmail, app.clock.now()).await?;
    let (email, folded) = link.and_then(|link| of(caller, link)).ok_or(AccountError::DeadLink)?;
    free(&tx, caller.user, &folded).await?;
    match tx.set_email(caller.user, &email, &folded).await {
        // Somebody took it this moment.
        Err(error) if error.is_conflict() => return Err(AccountError::Taken),
        other => other?,
    }
    for purpose in [Purpose::ResetPassword, Purpose::VerifyEmail] {
        tx.revoke_mail_links(purpose, Some(caller.user)).await?;
    }
    for recipient in [&person.email, &email] {
        mail::queue(app, &tx, mail::email_changed(app, recipient, &person.email, &email)).await?;
    }
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %caller.user, "a person changed their address");
    Ok(())
}

/// Whoever proved an address gets it before somebody who only signed up with it.
async fn free(tx: &Tx, user: UserId, folded: &str) -> Result<(), AccountError> {
    match tx.user_by_email(folded).await? {
        Some(other) if other.id == user => Ok(()),
        Some(other) if other.verified_at.is_none() && tx.delete_unverified_user(other.id).await? => Ok(()),
        Some(_) => Err(AccountError::Taken),
        None => Ok(()),
    }
}
