//! The second factor: an authenticator app or a passkey, and recovery codes for the day on which they are gone.
//!
//! Turning it on takes a code of the new app. Until then the seed is nowhere but in the page, sealed for
//! the session that it was made for. A forgotten password leaves the second factor as it is: only the
//! person, freshly signed in, and the operator turn it off.

use super::AccountError;
use super::passkeys::{self, Answer, Occasion};
use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::throttle::Scope;
use crate::mail::{self, TurnedOff};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bramble_model::two_factor::{RecoveryCode, Seed};
use bramble_model::{SecretHash, Timestamp};
use bramble_store::two_factors::TwoFactor;
use bramble_store::{StoreError, Tx};
use bramble_wire::UserId;
use time::Duration;

/// How long the page that turns it on may stay open.
const SET_UP_LIFETIME: Duration = Duration::hours(1);
/// Bytes of the moment before a seed that is being set up.
const MOMENT: usize = 8;

/// What somebody typed as their second factor. Never printed.
#[derive(Clone, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Code(String);

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code")
    }
}

/// What somebody gives as their second factor.
#[derive(Debug, Clone, Copy)]
pub enum Second<'a> {
    /// A code of the app, or a recovery code.
    Code(&'a Code),
    /// A passkey.
    Passkey(&'a Answer),
}

/// A second factor that was right when it was looked at. It counts once it was accepted in the
/// transaction of what it allows.
#[derive(Debug)]
pub(super) enum Proved {
    /// The code of a step.
    Step(i64),
    /// A recovery code.
    Recovery(SecretHash),
    /// A passkey.
    Passkey(Box<passkeys::Proved>),
}

/// A seed that is being set up.
#[derive(Debug)]
pub struct SetUp {
    /// What the app and the server will share.
    pub seed: Seed,
    /// The same, sealed, for the form.
    pub sealed: String,
}

/// How things are.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// Since when it is on.
    pub since: Timestamp,
    /// Recovery codes left.
    pub codes_left: u64,
}

/// Whether and how the second factor of a person is on.
pub async fn status(app: &App, user: UserId) -> Result<Option<Status>, StoreError> {
    let Some(on) = app.store.two_factor(user).await? else { return Ok(None) };
    let codes_left = app.store.recovery_codes_left(user).await?;
    Ok(Some(Status { since: on.turned_on_at, codes_left }))
}

/// Makes a seed for the page that turns the second factor on.
pub fn begin_set_up(app: &App, caller: &SignedIn) -> SetUp {
    let seed = Seed::generate(&*app.random);
    let until = (app.clock.now() + SET_UP_LIFETIME).unix_timestamp();
    let plain = [&until.to_be_bytes(), seed.expose()].concat();
    let sealed = app.master_key.seal(&set_up_purpose(caller), &plain, &*app.random);
    SetUp { seed, sealed: URL_SAFE_NO_PAD.encode(sealed) }
}

/// The seed that a form brings back; `None` if it is not of this session or too old.
pub fn continue_set_up(app: &App, caller: &SignedIn, sealed: &str) -> Option<SetUp> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let plain = app.master_key.open(&set_up_purpose(caller), &bytes).ok()?;
    let (until, seed) = plain.split_at_checked(MOMENT)?;
    let until = i64::from_be_bytes(until.try_into().ok()?);
    let seed = Seed::from_slice(seed)?;
    (app.clock.unix() < until).then(|| SetUp { seed, sealed: sealed.to_owned() })
}

fn set_up_purpose(caller: &SignedIn) -> String {
    format!("two-factor-set-up {} {}", caller.user, caller.session)
}

fn seed_purpose(user: UserId) -> String {
    format!("two-factor {user}")
}

/// Turns the second factor on with a code of the new app. Gives the recovery codes.
pub async fn turn_on(
    app: &App,
    caller: &SignedIn,
    set_up: &SetUp,
    code: &Code,
) -> Result<Vec<RecoveryCode>, AccountError> {
    let now = app.clock.now();
    let step = set_up.seed.accept(&code.0, now, None).ok_or(AccountError::WrongCredentials)?;
    let codes = RecoveryCode::generate_all(&*app.random);
    let new = TwoFactor {
        seed_sealed: app.master_key.seal(&seed_purpose(caller.user), set_up.seed.expose(), &*app.random),
        last_step: step,
        turned_on_at: now,
    };
    let tx = app.store.begin().await?;
    let user = tx.lock_user(caller.user).await?.ok_or(AccountError::WrongCredentials)?;
    if !tx.turn_on_two_factor(caller.user, &new).await? {
        return Err(AccountError::Taken);
    }
    tx.replace_recovery_codes(caller.user, &hashes(&codes)).await?;
    mail::queue(app, &tx, mail::two_factor_on(app, &user.email)).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %caller.user, "a person turned two-factor authentication on");
    Ok(codes)
}

/// New recovery codes in place of all old ones.
pub async fn new_recovery_codes(app: &App, caller: &SignedIn) -> Result<Vec<RecoveryCode>, AccountError> {
    let codes = RecoveryCode::generate_all(&*app.random);
    let tx = app.store.begin().await?;
    let person = tx.lock_user(caller.user).await?.ok_or(AccountError::DeadLink)?;
    if !tx.has_second_factor(caller.user).await? {
        return Err(AccountError::DeadLink);
    }
    tx.replace_recovery_codes(caller.user, &hashes(&codes)).await?;
    mail::queue(app, &tx, mail::new_recovery_codes(app, &person.email)).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %caller.user, "a person made new recovery codes");
    Ok(codes)
}

pub(super) fn hashes(codes: &[RecoveryCode]) -> Vec<SecretHash> {
    codes.iter().map(RecoveryCode::hash).collect()
}

/// How many recovery codes a person has left; `None` without a second factor.
pub async fn recovery_codes_left(app: &App, user: UserId) -> Result<Option<u64>, StoreError> {
    if !app.store.has_second_factor(user).await? {
        return Ok(None);
    }
    app.store.recovery_codes_left(user).await.map(Some)
}

/// Removes every second factor of a person, for the operator. `false` if there was none.
pub async fn remove_all(app: &App, user: UserId) -> Result<bool, AccountError> {
    let tx = app.store.begin().await?;
    let Some(person) = tx.lock_user(user).await? else { return Ok(false) };
    // The recovery codes go with the last one.
    let passkeys = tx.delete_passkeys(user).await?;
    if !tx.turn_off_two_factor(user).await? && passkeys == 0 {
        return Ok(false);
    }
    mail::queue(app, &tx, mail::two_factor_off(app, &person.email, TurnedOff::ByOperator)).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %user, passkeys, "the operator removed a person's second factors");
    Ok(true)
}

/// Turns the app off, for the person, who just proved who they are. `false` if it was off already.
pub async fn turn_off(app: &App, user: UserId) -> Result<bool, AccountError> {
    let tx = app.store.begin().await?;
    let Some(person) = tx.lock_user(user).await? else { return Ok(false) };
    if !tx.turn_off_two_factor(user).await? {
        return Ok(false);
    }
    let how = if tx.has_second_factor(user).await? { TurnedOff::BesidePasskeys } else { TurnedOff::Alone };
    mail::queue(app, &tx, mail::two_factor_off(app, &person.email, how)).await?;
    tx.commit().await?;
    app.outbox.wake();
    tracing::info!(user.id = %user, "two-factor authentication was turned off");
    Ok(true)
}

/// Looks at what a person who has a second factor gives.
pub(super) async fn check(
    app: &App,
    user: UserId,
    second: Second<'_>,
    occasion: Occasion<'_>,
) -> Result<Proved, AccountError> {
    match second {
        Second::Passkey(answer) => {
            passkeys::check(app, occasion, answer).await.map(|proved| Proved::Passkey(Box::new(proved)))
        }
        Second::Code(code) => check_code(app, user, app.store.two_factor(user).await?.as_ref(), code),
    }
}

fn check_code(app: &App, user: UserId, on: Option<&TwoFactor>, code: &Code) -> Result<Proved, AccountError> {
    if let Some(recovery) = RecoveryCode::parse(&code.0) {
        return Ok(Proved::Recovery(recovery.hash()));
    }
    let on = on.ok_or(AccountError::WrongCredentials)?;
    let seed = app.master_key.open(&seed_purpose(user), &on.seed_sealed).ok();
    let Some(seed) = seed.as_deref().and_then(Seed::from_slice) else {
        tracing::error!(user.id = %user, "the seed of a second factor does not open: is this the right master key?");
        return Err(AccountError::WrongCredentials);
    };
    let step = seed.accept(&code.0, app.clock.now(), Some(on.last_step));
    step.map(Proved::Step).ok_or(AccountError::WrongCredentials)
}

/// Uses the second factor up, in the transaction of what it allows. Of any number of requests with the
/// same code one gets through.
pub(super) async fn accept(
    app: &App,
    tx: &Tx,
    user: UserId,
    email: &str,
    proved: &Proved,
) -> Result<(), AccountError> {
    match proved {
        Proved::Step(step) => {
            if !tx.accept_two_factor_step(user, *step).await? {
                return Err(AccountError::WrongCredentials);
            }
        }
        Proved::Recovery(code) => {
            let left = tx.use_recovery_code(user, code).await?.ok_or(AccountError::WrongCredentials)?;
            mail::queue(app, tx, mail::recovery_code_used(app, email, left)).await?;
        }
        Proved::Passkey(proved) => passkeys::accept(app, tx, proved).await?,
    }
    Ok(())
}

/// What tries of a second factor count against: a browser that signed in to this account before has a
/// budget of its own.
pub(super) fn budget(user: UserId, known: Option<&str>) -> (Scope, String) {
    let key = known.map_or_else(|| user.to_string(), |known| format!("{user} {known}"));
    (Scope::SecondFactor, key)
}
