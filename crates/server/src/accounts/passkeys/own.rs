//! Adding, naming and removing one's passkeys.

use super::super::two_factor::hashes;
use super::super::{AccountError, Problems};
use super::{Answer, Opened, Question, Row, open, parse, seal, webauthn};
use crate::app::App;
use crate::auth::SignedIn;
use crate::mail::{self, PasskeyChange};
use bramble_model::text;
use bramble_model::two_factor::RecoveryCode;
use bramble_store::StoreError;
use bramble_wire::PasskeyId;
use webauthn_rs::prelude::{PasskeyRegistration, RegisterPublicKeyCredential};

/// Most passkeys of one person.
const MAX_PASSKEYS: u64 = 20;
/// What a passkey is called whose owner does not say.
const NAMELESS: &str = "Passkey";

/// A passkey was added.
#[derive(Debug)]
pub enum Added {
    /// It is another second factor.
    Another,
    /// It is the first one: these codes get in without it.
    First(Vec<RecoveryCode>),
}

fn purpose(caller: &SignedIn) -> String {
    format!("new passkey {} {}", caller.user, caller.session)
}

/// Asks for a new passkey.
pub async fn ask_new(app: &App, caller: &SignedIn) -> Result<Question, AccountError> {
    let have = app.store.passkeys(caller.user).await?;
    let have = have.into_iter().map(|row| row.credential_id).collect();
    let made =
        webauthn(app)?.start_passkey_registration(caller.user.0, &caller.email, &caller.name, Some(have));
    let (question, state) = made.map_err(|error| {
        tracing::error!(%error, "a question for a new passkey could not be made");
        AccountError::NoPasskeys
    })?;
    let mut options = serde_json::to_value(&question.public_key).unwrap_or_default();
    // One that its authenticator lists signs in without an address being typed.
    options["authenticatorSelection"]["residentKey"] = "preferred".into();
    Ok(Question { options, ceremony: seal(app, &purpose(caller), state)? })
}

/// Adds the passkey that was made.
pub async fn add(app: &App, caller: &SignedIn, answer: &Answer, name: &str) -> Result<Added, AccountError> {
    let name = checked_name(name)?;
    let asked: Opened<PasskeyRegistration> =
        open(app, &purpose(caller), &answer.ceremony).ok_or(AccountError::WrongCredentials)?;
    let given: RegisterPublicKeyCredential = parse(&answer.passkey)?;
    let passkey = webauthn(app)?.finish_passkey_registration(&given, &asked.state).map_err(|error| {
        tracing::info!(%error, user.id = %caller.user, "a new passkey was refused");
        AccountError::WrongCredentials
    })?;
    let row = Row {
        id: app.random.id(),
        user: caller.user,
        credential_id: passkey.cred_id().clone(),
        credential: serde_json::to_string(&passkey).map_err(|_| AccountError::WrongCredentials)?,
        name,
        created_at: app.clock.now(),
        last_used_at: None,
    };
    write(app, caller, &asked, &row).await
}

async fn write(
    app: &App,
    caller: &SignedIn,
    asked: &Opened<PasskeyRegistration>,
    row: &Row,
) -> Result<Added, AccountError> {
    let tx = app.store.begin().await?;
    let person = tx.lock_user(caller.user).await?.ok_or(AccountError::WrongCredentials)?;
    if !tx.spend(&asked.token, asked.until).await? {
        return Err(AccountError::WrongCredentials);
    }
    if tx.count_passkeys(caller.user).await? >= MAX_PASSKEYS {
        return Err(problem(format!("You have {MAX_PASSKEYS} passkeys. Remove one that you do not use.")));
    }
    let first = !tx.has_second_factor(caller.user).await?;
    if !tx.insert_passkey(row).await? {
        return Err(AccountError::Taken);
    }
    let mut added = Added::Another;
    if first {
        let codes = RecoveryCode::generate_all(&*app.random);
        tx.replace_recovery_codes(caller.user, &hashes(&codes)).await?;
        // Without it a sign-in by password alone that began before could still end.
        tx.delete_pending_sign_ins(caller.user).await?;
        added = Added::First(codes);
    }
    mail::queue(app, &tx, mail::passkey_changed(app, &person.email, &row.name, PasskeyChange::Added)).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %caller.user, passkey.id = %row.id, "a person added a passkey");
    Ok(added)
}

fn checked_name(name: &str) -> Result<String, AccountError> {
    let name = text::clean(name);
    if name.chars().count() > text::MAX_NAME {
        return Err(problem(format!("Use a name of at most {} characters.", text::MAX_NAME)));
    }
    Ok(if name.is_empty() { NAMELESS.to_owned() } else { name })
}

fn problem(text: String) -> AccountError {
    AccountError::Invalid(Problems { name: Some(text), ..Problems::default() })
}

/// One of the caller's passkeys.
pub async fn find(app: &App, caller: &SignedIn, id: PasskeyId) -> Result<Option<Row>, StoreError> {
    Ok(app.store.passkeys(caller.user).await?.into_iter().find(|row| row.id == id))
}

/// Gives a passkey another name. `false` if the caller has no such passkey.
pub async fn rename(app: &App, caller: &SignedIn, id: PasskeyId, name: &str) -> Result<bool, AccountError> {
    let name = checked_name(name)?;
    let tx = app.store.begin().await?;
    let renamed = tx.rename_passkey(caller.user, id, &name).await?;
    tx.commit().await?;
    Ok(renamed)
}

/// Removes a passkey. With the last second factor the recovery codes go, too. `false` if the caller has no
/// such passkey.
pub async fn remove(app: &App, caller: &SignedIn, id: PasskeyId) -> Result<bool, AccountError> {
    let Some(row) = find(app, caller, id).await? else { return Ok(false) };
    let tx = app.store.begin().await?;
    let Some(person) = tx.lock_user(caller.user).await? else { return Ok(false) };
    if !tx.delete_passkey(caller.user, id).await? {
        return Ok(false);
    }
    let change = if tx.has_second_factor(caller.user).await? {
        PasskeyChange::Removed
    } else {
        tx.replace_recovery_codes(caller.user, &[]).await?;
        PasskeyChange::RemovedLast
    };
    tx.delete_pending_sign_ins(caller.user).await?;
    mail::queue(app, &tx, mail::passkey_changed(app, &person.email, &row.name, change)).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %caller.user, passkey.id = %id, "a person removed a passkey");
    Ok(true)
}
