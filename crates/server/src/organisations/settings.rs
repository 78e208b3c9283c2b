//! What administrators decide about an organisation as a whole.

use super::members::tell_administrators;
use super::{OrganisationError, checked_name};
use crate::accounts;
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::SignedIn;
use crate::live::Change;
use crate::mail;
use crate::sessions;
use bramble_model::account::{Deed, TWO_FACTOR_GRACE};
use bramble_model::audit::Action;
use bramble_store::Tx;
use bramble_store::accounts::Account;
use bramble_store::sessions::Which;
use bramble_wire::AccountId;
use bramble_wire::events::Command;
use bramble_wire::signalling::SessionKind;

/// The organisation, for somebody who may change it.
pub async fn find(app: &App, by: &SignedIn, account: AccountId) -> Result<Account, OrganisationError> {
    super::members::allowed(app, by, account, Deed::ManageSettings).await?;
    app.store.account(account).await?.ok_or(OrganisationError::NotFound)
}

/// Gives it another name.
pub async fn rename(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    name: &str,
) -> Result<(), OrganisationError> {
    let name = checked_name(name)?;
    let (tx, before) = begin(app, by, account).await?;
    if before.name == name {
        return Ok(());
    }
    tx.rename_organisation(account, &name).await?;
    let details = format!("Before: {}", before.name);
    let subject = audit::organisation(account, &name);
    audit::record(app, &tx, account, &Actor::person(by), Action::OrganisationRenamed, subject, details)
        .await?;
    Ok(tx.commit().await?)
}

/// Requires two-factor authentication of every member, or no longer. Requiring it again begins the days
/// of grace anew.
pub async fn require_two_factor(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    required: bool,
) -> Result<(), OrganisationError> {
    let (tx, before) = begin(app, by, account).await?;
    if before.two_factor_required_at.is_some() == required {
        return Ok(());
    }
    let now = app.clock.now();
    tx.require_second_factor(account, required.then_some(now)).await?;
    let action = if required { Action::TwoFactorRequired } else { Action::TwoFactorNotRequired };
    let days = TWO_FACTOR_GRACE.whole_days();
    let details = if required { format!("Members have {days} days to set it up") } else { String::new() };
    let subject = audit::organisation(account, &before.name);
    audit::record(app, &tx, account, &Actor::person(by), action, subject, details).await?;
    let (name, who) = (before.name.as_str(), by.name.as_str());
    tell_administrators(app, &tx, account, |to| mail::two_factor_rule(app, to, name, who, required)).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Allows file transfer to its devices, or forbids it and ends what runs.
pub async fn allow_files(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    allowed: bool,
) -> Result<(), OrganisationError> {
    let (tx, before) = begin(app, by, account).await?;
    if before.files_forbidden != allowed {
        return Ok(());
    }
    let now = app.clock.now();
    tx.forbid_files(account, (!allowed).then_some(now)).await?;
    let ended = if allowed {
        Vec::new()
    } else {
        let which = Which::AccountKind(account, SessionKind::Files);
        tx.end_sessions(which, sessions::FILES_FORBIDDEN, now).await?
    };
    let action = if allowed { Action::FilesAllowed } else { Action::FilesForbidden };
    let subject = audit::organisation(account, &before.name);
    audit::record(app, &tx, account, &Actor::person(by), action, subject, "").await?;
    tx.commit().await?;
    sessions::tell_ended(app, &ended, sessions::FILES_FORBIDDEN);
    app.live.tell(Change { account, device: None });
    Ok(())
}

/// Deletes it with its devices, keys, members and audit log. Its devices are signed out. What remains is
/// a mail to each of its administrators, and a line in the audit log of the caller's own account.
pub async fn delete(app: &App, by: &SignedIn, account: AccountId) -> Result<(), OrganisationError> {
    const WHY: &str = "The organisation was deleted.";
    let own = accounts::personal_account(app, by.user).await?;
    let (tx, before) = begin(app, by, account).await?;
    let gone = (before.name.as_str(), before.device_count);
    tell_administrators(app, &tx, account, |to| mail::organisation_deleted(app, to, gone, &by.name)).await?;
    if let Some(own) = own {
        let subject = audit::organisation(account, &before.name);
        let details = match before.device_count {
            1 => "With a device".to_owned(),
            many => format!("With {many} devices"),
        };
        let (actor, action) = (Actor::person(by), Action::OrganisationDeleted);
        audit::record(app, &tx, own, &actor, action, subject, details).await?;
    }
    let ended = tx.end_sessions(Which::Account(account), WHY, app.clock.now()).await?;
    let devices = tx.all_devices(account).await?;
    if !tx.delete_organisation(account).await? {
        return Err(OrganisationError::NotFound);
    }
    tx.commit().await?;
    app.outbox.wake();
    sessions::tell_ended(app, &ended, WHY);
    for device in &devices {
        sessions::end_trials(app, device.id);
        app.link.disconnect(device.id, Some(Command::SignOut {}));
    }
    tracing::info!(organisation.id = %account, user.id = %by.user, devices = devices.len(), "organisation deleted");
    Ok(())
}

async fn begin(app: &App, by: &SignedIn, account: AccountId) -> Result<(Tx, Account), OrganisationError> {
    let tx = app.store.begin().await?;
    if !tx.lock_account(account).await? {
        return Err(OrganisationError::NotFound);
    }
    let standing = tx.standing(by.user, account, app.clock.now()).await?;
    standing.filter(|s| s.may(Deed::ManageSettings)).ok_or(OrganisationError::NotFound)?;
    let found = tx.account(account).await?.ok_or(OrganisationError::NotFound)?;
    Ok((tx, found))
}
