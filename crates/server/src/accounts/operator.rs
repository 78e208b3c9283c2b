//! What the operator does with people: `bramble user list|disable|enable|reset-2fa`.

use super::{AccountError, two_factor};
use crate::app::App;
use crate::organisations::left_behind::{self, LeftBehind};
use crate::sessions;
use bramble_model::text;
use bramble_store::StoreError;
use bramble_store::accounts::Account;
use bramble_store::users::User;
use serde::Serialize;

/// People read at a time.
const PAGE: u64 = 500;
/// People that one answer lists; its line must fit the socket's limit.
const MAX_LISTED: usize = 1000;
/// How often disabling begins anew because an organisation was joined or left at the same moment.
const TRIES: usize = 5;
/// Why remote sessions end.
const DISABLED: &str = "Your account was disabled.";

/// A person as the operator sees them.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other, for JSON")]
pub struct Person {
    /// Address.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Whether the address is proved.
    pub verified: bool,
    /// Whether the operator keeps them out.
    pub disabled: bool,
    /// Whether they are the operator.
    pub operator: bool,
    /// Whether they have a second factor.
    pub two_factor: bool,
    /// When they signed up, in Unix seconds.
    pub created_at: i64,
}

/// Everybody by address, or those who come after an address, and whether there are more than one answer lists.
pub async fn list_people(app: &App, after: &str) -> Result<(Vec<Person>, bool), StoreError> {
    let mut people = Vec::new();
    let mut after = text::fold(after);
    loop {
        let users = app.store.users(&after, PAGE).await?;
        let Some(last) = users.last() else { return Ok((people, false)) };
        after.clone_from(&last.email_folded);
        for user in users {
            if people.len() == MAX_LISTED {
                return Ok((people, true));
            }
            let two_factor = app.store.has_second_factor(user.id).await?;
            people.push(Person {
                verified: user.verified_at.is_some(),
                disabled: user.disabled_at.is_some(),
                operator: user.is_operator,
                two_factor,
                created_at: user.created_at.unix_timestamp(),
                email: user.email,
                name: user.name,
            });
        }
    }
}

/// The person with an address; `None` if nobody has it.
pub async fn find_person(app: &App, email: &str) -> Result<Option<User>, StoreError> {
    match text::email(email) {
        Some(folded) => app.store.user_by_email(&folded).await,
        None => Ok(None),
    }
}

/// What became of a person who is kept out.
#[derive(Debug)]
pub struct Disabled {
    /// Whether they could sign in before.
    pub changed: bool,
    /// The organisations that nobody who can sign in administers now.
    pub without_administrator: Vec<Account>,
    /// What they made there and goes on working, by organisation.
    pub left: Vec<(Account, LeftBehind)>,
}

/// Why somebody was not kept out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DisableError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody who can sign in would administer these organisations.
    #[error("organisations would be left without an administrator who can sign in")]
    LastAdministrator(Vec<Account>),
    /// They deleted their account, or joined and left organisations all the time.
    #[error("the account changed meanwhile")]
    Changed,
}

/// Keeps a person out: every browser is signed out and every remote session ends; what is open ends also
/// if they were kept out already. Where that leaves an organisation without an administrator who can sign
/// in, it is done only with `force`.
pub async fn disable(app: &App, user: &User, force: bool) -> Result<Disabled, DisableError> {
    for _ in 0..TRIES {
        let Some(done) = try_to_disable(app, user, force).await? else { continue };
        sessions::end_for_user(app, user.id, DISABLED).await?;
        tracing::info!(user.id = %user.id, "the operator disabled an account");
        return Ok(done);
    }
    Err(DisableError::Changed)
}

/// `None` if the person joined or left an organisation meanwhile.
async fn try_to_disable(app: &App, user: &User, force: bool) -> Result<Option<Disabled>, DisableError> {
    let tx = app.store.begin().await?;
    // Their organisations first, in the order of all who lock several: who counts as an administrator
    // does not change while another one leaves.
    let organisations = tx.organisations_of(user.id).await?;
    for organisation in &organisations {
        tx.lock_account(*organisation).await?;
    }
    // Locked, so that a sign-in at the same moment ends before or finds the account disabled.
    let person = tx.lock_user(user.id).await?.ok_or(DisableError::Changed)?;
    // From here on nobody joins as this person; what was joined before is seen now.
    if tx.organisations_of(user.id).await? != organisations {
        return Ok(None);
    }
    let without_administrator = tx.administered_alone_by(user.id).await?;
    if person.disabled_at.is_none() && !without_administrator.is_empty() && !force {
        return Err(DisableError::LastAdministrator(without_administrator));
    }
    let changed = tx.set_user_disabled(user.id, Some(app.clock.now())).await?;
    tx.delete_web_sessions(user.id, None).await?;
    tx.delete_pending_sign_ins(user.id).await?;
    let mut left = Vec::new();
    for organisation in organisations {
        let behind = left_behind::by_disabled(app, &tx, organisation, &person, changed).await?;
        if let (Some(behind), Some(account)) = (behind, tx.account(organisation).await?) {
            left.push((account, behind));
        }
    }
    tx.commit().await?;
    app.outbox.wake();
    Ok(Some(Disabled { changed, without_administrator, left }))
}

/// Lets a person in again. `false` if they could already.
pub async fn enable(app: &App, user: &User) -> Result<bool, StoreError> {
    let tx = app.store.begin().await?;
    let changed = tx.set_user_disabled(user.id, None).await?;
    tx.commit().await?;
    tracing::info!(user.id = %user.id, "the operator enabled an account");
    Ok(changed)
}

/// Removes a person's second factors, passkeys included, after they lost them. `false` if they had none.
pub async fn reset_two_factor(app: &App, user: &User) -> Result<bool, AccountError> {
    two_factor::remove_all(app, user.id).await
}
