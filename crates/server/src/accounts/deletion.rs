//! Deleting one's account. What the person alone administers must be handed over or deleted first; their
//! devices are signed out, their sessions end, and their name stays in the audit logs of organisations.

use super::AccountError;
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::SignedIn;
use crate::mail;
use crate::organisations::left_behind;
use crate::sessions;
use bramble_model::audit::Action;
use bramble_store::accounts::Account;
use bramble_store::devices::Device;
use bramble_store::sessions::{Session, Which};
use bramble_store::{StoreError, Tx};
use bramble_wire::AccountId;
use bramble_wire::events::Command;

/// What somebody reads whose session ends with the account.
const WHY: &str = "Your account was deleted.";
/// How often deleting begins anew because an organisation was joined or left at the same moment.
const TRIES: usize = 5;

/// What ends with an account, to be told after the commit.
struct Gone {
    sessions: Vec<Session>,
    devices: Vec<Device>,
}

/// Organisations that would have no administrator without the caller, and the caller's devices.
pub async fn in_the_way(app: &App, caller: &SignedIn) -> Result<(Vec<Account>, u64), StoreError> {
    let alone = app.store.administered_alone_by(caller.user).await?;
    let own = match app.store.personal_account(caller.user).await? {
        Some(own) => app.store.account(own).await?,
        None => None,
    };
    Ok((alone, own.map_or(0, |own| own.device_count)))
}

/// Deletes the caller's account with everything that is theirs alone.
pub async fn delete_account(app: &App, caller: &SignedIn) -> Result<(), AccountError> {
    for _ in 0..TRIES {
        let Some(gone) = try_to_delete(app, caller).await? else { continue };
        app.outbox.wake();
        sessions::tell_ended(app, &gone.sessions, WHY);
        for device in &gone.devices {
            sessions::end_trials(app, device.id);
            app.link.disconnect(device.id, Some(Command::SignOut {}));
        }
        let devices = gone.devices.len();
        tracing::info!(user.id = %caller.user, devices, "a person deleted their account");
        return Ok(());
    }
    Err(AccountError::Changed)
}

/// `None` if the person joined or left an organisation meanwhile.
async fn try_to_delete(app: &App, caller: &SignedIn) -> Result<Option<Gone>, AccountError> {
    let user = caller.user;
    let own = app.store.personal_account(user).await?.ok_or(AccountError::DeadLink)?;
    let tx = app.store.begin().await?;
    // Accounts before people, each kind in the order of ids, as everybody locks them.
    let organisations = tx.organisations_of(user).await?;
    let mut locked: Vec<AccountId> = organisations.iter().copied().chain([own]).collect();
    locked.sort_unstable_by_key(|account| account.0);
    for account in locked {
        tx.lock_account(account).await?;
    }
    let person = tx.lock_user(user).await?.ok_or(AccountError::DeadLink)?;
    // From here on nobody joins as this person; what was joined before is seen now.
    if tx.organisations_of(user).await? != organisations {
        return Ok(None);
    }
    if !tx.administered_alone_by(user).await?.is_empty() {
        return Err(AccountError::LastAdministrator);
    }
    let gone = end_everything(app, &tx, caller, own).await?;
    let mut left = Vec::new();
    for organisation in organisations {
        left.push((organisation, left_behind::count(app, &tx, organisation, user).await?));
        let subject = audit::user(user, &person.name);
        let actor = Actor::person(caller);
        let why = "Deleted their account";
        audit::record(app, &tx, organisation, &actor, Action::UserRemoved, subject, why).await?;
    }
    tx.delete_user(user).await?;
    for (organisation, left) in left {
        let what = (left_behind::Gone::Deleted, left);
        left_behind::tell(app, &tx, organisation, &person.name, what).await?;
    }
    mail::queue(app, &tx, mail::account_deleted(app, &person.email)).await?;
    tx.commit().await?;
    Ok(Some(gone))
}

async fn end_everything(app: &App, tx: &Tx, caller: &SignedIn, own: AccountId) -> Result<Gone, StoreError> {
    let now = app.clock.now();
    let mut sessions = tx.end_sessions(Which::User(caller.user), WHY, now).await?;
    sessions.extend(tx.end_sessions(Which::Account(own), WHY, now).await?);
    Ok(Gone { sessions, devices: tx.all_devices(own).await? })
}
