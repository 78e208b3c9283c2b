//! Who is in an organisation, and as what. An organisation always keeps an administrator: whoever
//! changes that locks the account first, so that of two who remove each other one stays.

use super::left_behind::{self, Gone};
use super::{OrganisationError, administrators_change};
use crate::accounts;
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::{By, SignedIn};
use crate::mail;
use crate::sessions;
use bramble_model::account::{Deed, Role};
use bramble_model::audit::Action;
use bramble_store::api_tokens::ApiToken;
use bramble_store::auth_keys::AuthKey;
use bramble_store::memberships::Member;
use bramble_store::sessions::{Session, Which};
use bramble_store::{StoreError, Tx};
use bramble_wire::{AccountId, UserId};

/// Members of one page of the list.
pub const PAGE: u64 = 100;
/// What somebody reads whose session ends with the membership.
pub const NO_LONGER_A_MEMBER: &str = "You no longer have access to this device.";
/// What somebody reads whose session ends with their role.
const ANOTHER_ROLE: &str = "Your role in the organisation changed. Open the session again.";

/// A member as the list shows it, and who asks.
#[derive(Debug)]
pub struct Listed {
    /// The members of this page.
    pub members: Vec<Member>,
    /// Members in all.
    pub total: u64,
}

/// A page of the members.
pub async fn list(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    page: u64,
) -> Result<Listed, OrganisationError> {
    allowed(app, by, account, Deed::ViewMembers).await?;
    let offset = page.saturating_sub(1).saturating_mul(PAGE);
    let (members, total) = app.store.members(account, offset, PAGE).await?;
    Ok(Listed { members, total })
}

/// What a member made that outlives their role.
#[derive(Debug)]
pub struct Made {
    /// Auth keys that can still be used.
    pub keys: Vec<AuthKey>,
    /// API access tokens.
    pub tokens: Vec<ApiToken>,
    /// Invitations that wait.
    pub invitations: u64,
}

/// One member, for the page that asks before something is done to them, with what they made.
pub async fn find(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    user: UserId,
) -> Result<(Member, Made), OrganisationError> {
    allowed(app, by, account, Deed::ManageMembers).await?;
    let member = app.store.member(account, user).await?.ok_or(OrganisationError::NotFound)?;
    let keys = app.store.usable_auth_keys_by(account, user, app.clock.now()).await?;
    let tokens = app.store.api_tokens_by(account, user).await?;
    let invitations = app.store.count_invitations_by(account, user, app.clock.now()).await?;
    Ok((member, Made { keys, tokens, invitations }))
}

/// Gives a member another role. `from` is what the caller saw: if it changed meanwhile, nothing happens.
/// Their sessions to the organisation's devices end: each was opened with the role before.
pub async fn change_role(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    user: UserId,
    (from, to): (Role, Role),
    revoke_keys: bool,
) -> Result<(), OrganisationError> {
    let tx = begin(app, by, account).await?;
    let member = tx.member(account, user).await?.ok_or(OrganisationError::NotFound)?;
    if member.role != from {
        return Err(OrganisationError::Changed);
    }
    if from == to {
        return Ok(());
    }
    if from == Role::Administrator {
        keeps_an_administrator(&tx, account, user).await?;
    }
    tx.set_role(account, user, to).await?;
    let actor = Actor::person(by);
    if to != Role::Administrator {
        revoke_invitations_of(app, &tx, &actor, account, user).await?;
    }
    let details = format!("{} → {}", from.title(), to.title());
    let subject = audit::user(user, &member.name);
    audit::record(app, &tx, account, &actor, Action::UserRoleChanged, subject, details).await?;
    if to == Role::Administrator {
        administrators_change(app, &tx, account, &member.name, &member.email).await?;
    } else if revoke_keys {
        revoke_keys_of(app, &tx, &actor, account, user).await?;
    }
    let ended = tx.end_sessions(Which::Member(account, user), ANOTHER_ROLE, app.clock.now()).await?;
    tx.commit().await?;
    sessions::tell_ended(app, &ended, ANOTHER_ROLE);
    app.outbox.wake();
    tracing::info!(organisation.id = %account, user.id = %user, role = to.as_str(), "role changed");
    Ok(())
}

/// Takes a member out. Their sessions to the organisation's devices end at once.
pub async fn remove(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    user: UserId,
    revoke_keys: bool,
) -> Result<(), OrganisationError> {
    let tx = begin(app, by, account).await?;
    let member = tx.member(account, user).await?.ok_or(OrganisationError::NotFound)?;
    let ended = take_out(app, &tx, &Actor::person(by), account, &member).await?;
    revoke_invitations_of(app, &tx, &Actor::person(by), account, user).await?;
    if revoke_keys {
        revoke_keys_of(app, &tx, &Actor::person(by), account, user).await?;
    }
    tx.commit().await?;
    sessions::tell_ended(app, &ended, NO_LONGER_A_MEMBER);
    tracing::info!(organisation.id = %account, user.id = %user, "member removed");
    Ok(())
}

/// Leaves an organisation.
pub async fn leave(app: &App, by: &SignedIn, account: AccountId) -> Result<(), OrganisationError> {
    let tx = app.store.begin().await?;
    if !tx.lock_account(account).await? {
        return Err(OrganisationError::NotFound);
    }
    let member = tx.member(account, by.user).await?.ok_or(OrganisationError::NotFound)?;
    let left = left_behind::count(app, &tx, account, by.user).await?;
    let ended = take_out(app, &tx, &Actor::person(by), account, &member).await?;
    left_behind::tell(app, &tx, account, &member.name, (Gone::Left, left)).await?;
    tx.commit().await?;
    app.outbox.wake();
    sessions::tell_ended(app, &ended, NO_LONGER_A_MEMBER);
    tracing::info!(organisation.id = %account, user.id = %by.user, "member left");
    Ok(())
}

async fn take_out(
    app: &App,
    tx: &Tx,
    actor: &Actor,
    account: AccountId,
    member: &Member,
) -> Result<Vec<Session>, OrganisationError> {
    if member.role == Role::Administrator {
        keeps_an_administrator(tx, account, member.user).await?;
    }
    if !tx.delete_membership(account, member.user).await? {
        return Err(OrganisationError::NotFound);
    }
    let which = Which::Member(account, member.user);
    let ended = tx.end_sessions(which, NO_LONGER_A_MEMBER, app.clock.now()).await?;
    let subject = audit::user(member.user, &member.name);
    audit::record(app, tx, account, actor, Action::UserRemoved, subject, member.role.title()).await?;
    Ok(ended)
}

/// Begins a change by somebody who manages members: looked up again under the lock, so that an
/// administrator who was removed a moment ago removes nobody.
pub(super) async fn begin(app: &App, by: &SignedIn, account: AccountId) -> Result<Tx, OrganisationError> {
    Ok(By::from(by).begin(app, account, Deed::ManageMembers).await?)
}

/// Refuses what would take the last administrator away who can sign in. The account is locked.
async fn keeps_an_administrator(
    tx: &Tx,
    account: AccountId,
    without: UserId,
) -> Result<(), OrganisationError> {
    if tx.count_administrators_beside(account, without).await? > 0 {
        Ok(())
    } else {
        Err(OrganisationError::LastAdministrator)
    }
}

const NO_ADMINISTRATOR: &str = "Made by somebody who is no longer an administrator";

/// Whoever was trusted to decide who joins is not any more: what they sent lets nobody in, least of all
/// themselves under another address.
pub(super) async fn revoke_invitations_of(
    app: &App,
    tx: &Tx,
    actor: &Actor,
    account: AccountId,
    user: UserId,
) -> Result<(), StoreError> {
    for taken in tx.take_invitations_by(account, user).await? {
        let subject = audit::invitation(taken.id, &taken.email);
        let action = Action::InvitationRevoked;
        audit::record(app, tx, account, actor, action, subject, NO_ADMINISTRATOR).await?;
    }
    Ok(())
}

async fn revoke_keys_of(
    app: &App,
    tx: &Tx,
    actor: &Actor,
    account: AccountId,
    user: UserId,
) -> Result<(), StoreError> {
    for key in tx.usable_auth_keys_by(account, user, app.clock.now()).await? {
        tx.delete_auth_key(account, key.id).await?;
        let subject = audit::auth_key(key.id, &key.description);
        let action = Action::AuthKeyDeleted;
        audit::record(app, tx, account, actor, action, subject, NO_ADMINISTRATOR).await?;
    }
    for token in tx.api_tokens_by(account, user).await? {
        tx.delete_api_token(account, token.id).await?;
        let subject = audit::api_token(token.id, &token.description);
        let action = Action::ApiTokenRevoked;
        audit::record(app, tx, account, actor, action, subject, NO_ADMINISTRATOR).await?;
    }
    Ok(())
}

/// Whether somebody may do something in an organisation; others see that it does not exist.
pub(super) async fn allowed(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    deed: Deed,
) -> Result<(), OrganisationError> {
    let standing = accounts::standing(app, by.user, account).await?;
    standing.filter(|s| s.may(deed)).map(|_| ()).ok_or(OrganisationError::NotFound)
}

/// Ends the sessions of members who are kept out because they have no second factor. Called every few
/// seconds on every node: it only reads unless there is something to end.
pub async fn end_kept_out(app: &App) -> Result<(), StoreError> {
    const WHY: &str =
        "The organisation requires two-factor authentication. Set it up, then open the session again.";
    let now = app.clock.now();
    for (account, user) in app.store.sessions_kept_out(now).await? {
        let tx = app.store.begin().await?;
        let ended = tx.end_sessions(Which::Member(account, user), WHY, now).await?;
        tx.commit().await?;
        sessions::tell_ended(app, &ended, WHY);
    }
    Ok(())
}

/// Tells the administrators, in the transaction that it tells of.
pub(crate) async fn tell_administrators(
    app: &App,
    tx: &Tx,
    account: AccountId,
    message: impl Fn(&str) -> mail::Message,
) -> Result<(), StoreError> {
    for recipient in tx.notice_recipients(account).await? {
        mail::queue(app, tx, message(&recipient)).await?;
    }
    Ok(())
}
