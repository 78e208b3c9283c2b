//! What the operator does with people: `bramble user list|disable|enable|reset-2fa`.

use super::{AccountError, two_factor};
use crate::app::App;
use crate::sessions;
use bramble_model::text;
use bramble_store::StoreError;
use bramble_store::users::User;
use serde::Serialize;

/// People read at a time.
const PAGE: u64 = 500;
/// People that one answer lists; its line must fit the socket's limit.
const MAX_LISTED: usize = 1000;
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

/// Everybody by address, and whether there are more than one answer lists.
pub async fn list_people(app: &App) -> Result<(Vec<Person>, bool), StoreError> {
    let mut people = Vec::new();
    let mut after = String::new();
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

/// Keeps a person out: every browser is signed out and every remote session ends. `false` if they were
/// kept out already; what is open ends in any case.
pub async fn disable(app: &App, user: &User) -> Result<bool, StoreError> {
    let organisations = app.store.accounts_of(user.id).await?;
    let tx = app.store.begin().await?;
    // Their organisations first, in the order of all who lock several: who counts as an administrator
    // does not change while another one leaves.
    let mut ids: Vec<_> = organisations.into_iter().map(|entry| entry.account.id).collect();
    ids.sort_unstable();
    for id in ids {
        tx.lock_account(id).await?;
    }
    // Locked, so that a sign-in at the same moment ends before or finds the account disabled.
    tx.lock_user(user.id).await?;
    let changed = tx.set_user_disabled(user.id, Some(app.clock.now())).await?;
    tx.delete_web_sessions(user.id, None).await?;
    tx.delete_pending_sign_ins(user.id).await?;
    tx.commit().await?;
    sessions::end_for_user(app, user.id, DISABLED).await?;
    tracing::info!(user.id = %user.id, "the operator disabled an account");
    Ok(changed)
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
