//! Inviting people by mail. A link is single-use: its GET only shows what it is about, so that a mail
//! scanner accepts nothing, and whoever posts first joins. Any verified account may accept; if its
//! address is not the one invited, the administrators and the audit log name both.

use super::members::{allowed, begin, tell_administrators};
use super::{OrganisationError, administrators_change};
use crate::accounts::even_out;
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::SignedIn;
use crate::auth::throttle::{Scope, Wait};
use crate::mail;
use bramble_model::account::{Deed, Role};
use bramble_model::audit::Action;
use bramble_model::{Secret, SecretHash, SecretKind, text};
use bramble_store::accounts::Account;
use bramble_store::invitations::{Invitation, NewInvitation};
use bramble_store::{StoreError, Tx};
use bramble_wire::{AccountId, InvitationId};
use time::Duration;
use tokio::time::Instant;

/// How long a link works.
pub const LIFETIME: Duration = Duration::days(7);
/// How long an expired invitation stays in the list, so that it can be sent again.
const KEPT: Duration = Duration::days(30);
/// Invitations that wait at once: what a small team never reaches and a spammer does.
const MOST: u64 = 500;

/// The invitations that wait, the newest first.
pub async fn list(
    app: &App,
    by: &SignedIn,
    account: AccountId,
) -> Result<Vec<Invitation>, OrganisationError> {
    allowed(app, by, account, Deed::ManageMembers).await?;
    Ok(app.store.invitations(account, MOST).await?)
}

/// One of them.
pub async fn find(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    id: InvitationId,
) -> Result<Invitation, OrganisationError> {
    allowed(app, by, account, Deed::ManageMembers).await?;
    app.store.invitation(account, id).await?.ok_or(OrganisationError::NotFound)
}

/// Invites somebody. An earlier invitation of the same address stops working. The answer does not depend
/// on whether the address has an account.
pub async fn invite(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    email: &str,
    role: Role,
) -> Result<(), OrganisationError> {
    let folded = text::email(email).ok_or_else(|| {
        OrganisationError::Invalid("Enter an email address, for example name@example.org.".to_owned())
    })?;
    let start = Instant::now();
    let tx = begin(app, by, account).await?;
    let sent = send(app, tx, by, account, app.random.id(), (email.trim(), folded, role)).await;
    even_out(start).await;
    sent
}

/// Sends an invitation again, with a new link and another seven days. The old link stops working.
pub async fn resend(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    id: InvitationId,
) -> Result<(), OrganisationError> {
    let start = Instant::now();
    let tx = begin(app, by, account).await?;
    // Under the lock: one that was accepted or revoked a moment ago is not sent again.
    let old = tx.invitation(account, id).await?.ok_or(OrganisationError::NotFound)?;
    let sent = send(app, tx, by, account, id, (&old.email, old.email_folded, old.role)).await;
    even_out(start).await;
    sent
}

async fn send(
    app: &App,
    tx: Tx,
    by: &SignedIn,
    account: AccountId,
    id: InvitationId,
    (email, folded, role): (&str, String, Role),
) -> Result<(), OrganisationError> {
    let now = app.clock.now();
    if tx.is_member_by_email(account, &folded).await? {
        return Err(OrganisationError::Invalid("This person is a member already.".to_owned()));
    }
    // One that takes the place of another is no more.
    if tx.count_invitations_beside(account, &folded).await? >= MOST {
        let why = "Too many invitations are waiting. Revoke some that nobody will accept, then try again.";
        return Err(OrganisationError::Invalid(why.to_owned()));
    }
    take_budget(app, by, account, &folded)?;
    let organisation = tx.account(account).await?.ok_or(OrganisationError::NotFound)?;
    let token = Secret::generate(SecretKind::MailLink, &*app.random);
    tx.put_invitation(NewInvitation {
        id,
        account,
        token: token.hash(),
        email: email.to_owned(),
        email_folded: folded,
        role,
        invited_by: by.user,
        invited_by_name: by.name.clone(),
        at: now,
        expires_at: now + LIFETIME,
    })
    .await?;
    let subject = audit::invitation(id, email);
    audit::record(app, &tx, account, &Actor::person(by), Action::UserInvited, subject, role.title()).await?;
    mail::queue(app, &tx, mail::invitation(app, email, &organisation.name, &by.name, role, &token)).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Counts an invitation against those who send it and never against the address alone. The inviter first:
/// whoever is over that limit makes the server remember no further address.
fn take_budget(app: &App, by: &SignedIn, account: AccountId, folded: &str) -> Result<(), OrganisationError> {
    let now = app.clock.now();
    let inviter = by.user.to_string();
    let too_many = |wait: Wait, what: &str| {
        OrganisationError::Invalid(format!("{what} within an hour. Wait {}, then try again.", wait.words()))
    };
    app.throttle
        .attempt(now, Scope::Inviter, &inviter)
        .map_err(|wait| too_many(wait, "You sent very many invitations"))?;
    let both = [
        (Scope::OrganisationRecipient, format!("{account} {folded}")),
        (Scope::InviterRecipient, format!("{inviter} {folded}")),
    ];
    for (scope, key) in both {
        if let Err(wait) = app.throttle.attempt(now, scope, &key) {
            app.throttle.take_back(Scope::Inviter, &inviter);
            return Err(too_many(wait, "This address got several invitations from here"));
        }
    }
    Ok(())
}

/// Takes an invitation back: its link stops working.
pub async fn revoke(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    id: InvitationId,
) -> Result<(), OrganisationError> {
    let tx = begin(app, by, account).await?;
    let taken = tx.take_invitation(account, id).await?.ok_or(OrganisationError::NotFound)?;
    let subject = audit::invitation(id, &taken.email);
    audit::record(app, &tx, account, &Actor::person(by), Action::InvitationRevoked, subject, "").await?;
    tx.commit().await?;
    Ok(())
}

/// What a link is about, for the person who opened it. Changes nothing.
pub async fn look(app: &App, token: &str) -> Result<(Invitation, Account), OrganisationError> {
    let token = parse(token)?;
    let invitation = app.store.invitation_by_token(token).await?.ok_or(OrganisationError::DeadLink)?;
    if invitation.expires_at <= app.clock.now() {
        return Err(OrganisationError::DeadLink);
    }
    let account = app.store.account(invitation.account).await?.ok_or(OrganisationError::DeadLink)?;
    Ok((invitation, account))
}

/// Accepts: the caller becomes a member, and the link is used up. Of two people at once one joins.
pub async fn accept(app: &App, by: &SignedIn, token: &str) -> Result<AccountId, OrganisationError> {
    let (seen, _) = look(app, token).await?;
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    if !tx.lock_account(seen.account).await? {
        return Err(OrganisationError::DeadLink);
    }
    // Somebody who is deleting their account, or was disabled a moment ago, joins nothing, and keeps the second
    // factor that joining asks for.
    if tx.lock_user(by.user).await?.is_none_or(|user| user.disabled_at.is_some()) {
        return Err(OrganisationError::NotFound);
    }
    // Read again under the lock: somebody may have used it up, or an administrator revoked it.
    let invitation = tx.invitation_by_token(parse(token)?).await?.ok_or(OrganisationError::DeadLink)?;
    let account = tx.account(invitation.account).await?.ok_or(OrganisationError::DeadLink)?;
    if account.two_factor_required_at.is_some() && !tx.has_second_factor(by.user).await? {
        return Err(OrganisationError::SecondFactorFirst);
    }
    if !tx.insert_membership(account.id, by.user, invitation.role, now).await? {
        return Err(OrganisationError::AlreadyMember(account.id));
    }
    tx.take_invitation(account.id, invitation.id).await?.ok_or(OrganisationError::DeadLink)?;
    join_tells(app, &tx, by, &account, &invitation).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(organisation.id = %account.id, user.id = %by.user, "member joined");
    Ok(account.id)
}

async fn join_tells(
    app: &App,
    tx: &Tx,
    by: &SignedIn,
    account: &Account,
    invitation: &Invitation,
) -> Result<(), OrganisationError> {
    let same = text::email(&by.email).as_deref() == Some(invitation.email_folded.as_str());
    let details = if same {
        format!("{}, invited by {}", invitation.role.title(), invitation.invited_by)
    } else {
        let (invited, joined) = (&invitation.email, &by.email);
        format!("{}, invited as {invited}, joined as {joined}", invitation.role.title())
    };
    let subject = audit::user(by.user, &by.name);
    audit::record(app, tx, account.id, &Actor::person(by), Action::UserJoined, subject, details).await?;
    if !same {
        let addresses = (invitation.email.as_str(), by.email.as_str());
        tell_administrators(app, tx, account.id, |to| {
            mail::joined_as_other(app, to, &account.name, addresses)
        })
        .await?;
    }
    if invitation.role == Role::Administrator {
        administrators_change(app, tx, account.id, &by.name, &by.email).await?;
    }
    Ok(())
}

/// Forgets invitations that nobody accepted. Called every hour.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let tx = app.store.begin().await?;
    tx.delete_expired_invitations(app.clock.now() - KEPT).await?;
    tx.commit().await
}

fn parse(token: &str) -> Result<SecretHash, OrganisationError> {
    Secret::parse(SecretKind::MailLink, token).map(|token| token.hash()).ok_or(OrganisationError::DeadLink)
}
