//! People: signing up and in, their browsers, and what they are to an account.
//!
//! Operations take values and return values; `pages` turns them into forms. Whether an address has an
//! account is told by mail only, never by an answer: sign-in checks a password in any case, sign-up
//! and the forgotten password answer the same, and in the same time ([`even_out`]).
//!
//! What is not here: organisations.

mod deletion;
mod email_change;
mod export;
mod new_user;
pub mod operator;
pub mod pages;
pub mod passkeys;
mod password_reset;
pub mod providers;
mod sessions;
mod set_up;
mod sign_in;
mod sign_up;
mod two_factor;
mod user_agent;

pub use deletion::{delete_account, in_the_way};
pub use email_change::{change_email, new_email, request_email_change};
pub use export::export;
pub use new_user::{NewUser, create_user, rename};
pub use password_reset::{change_password, request_reset, reset_password, reset_recipient};
pub use sessions::{end_all_sessions, end_other_sessions, end_session, sign_out, sweep};
pub use set_up::{announce_set_up, set_up, set_up_is_open, set_up_link};
pub use sign_in::{Begun, Browser, Entered, Proof, finish_sign_in, prove, sign_in};
pub use sign_up::{
    Applicant, Door, door, gave_password, resend_verification, sign_up, verification_recipient, verify_email,
};
pub use two_factor::{
    Code, Second, SetUp, begin_set_up, continue_set_up, new_recovery_codes, recovery_codes_left,
    status as two_factor_status, turn_off, turn_on,
};
pub use user_agent::describe as describe_browser;

use crate::app::App;
use crate::auth::password::{Busy, Weakness};
use crate::auth::throttle::Wait;
use bramble_model::account::{Deed, Standing};
use bramble_store::StoreError;
use bramble_wire::{AccountId, UserId};
use std::time::Duration;
use tokio::time::Instant;

/// Why something about a person was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many passwords are being checked.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Too many tries.
    #[error(transparent)]
    Throttled(#[from] Wait),
    /// Address and password do not belong together.
    #[error("the address or the password is wrong")]
    WrongCredentials,
    /// The link was used, replaced, or is too old.
    #[error("the link does not work any more")]
    DeadLink,
    /// What was typed cannot be taken.
    #[error("what was typed cannot be taken")]
    Invalid(Problems),
    /// Somebody was first. That an address has an account is told to the operator only.
    #[error("this address has an account already")]
    Taken,
    /// The public URL does not allow passkeys.
    #[error("this server cannot use passkeys")]
    NoPasskeys,
    /// The provider of this name did not say who somebody is.
    #[error("{0} did not confirm who this is")]
    Provider(String),
    /// The provider of this name vouches for no address.
    #[error("{0} vouches for no address")]
    NoAddress(String),
    /// Nothing else would let the person in.
    #[error("nothing else would let this person in")]
    LastWayIn,
    /// An organisation would be left without an administrator.
    #[error("an organisation needs an administrator")]
    LastAdministrator,
    /// Something else changed at the same moment, again and again.
    #[error("it has changed meanwhile")]
    Changed,
    /// Nobody, or only who was invited, may sign up.
    #[error("this server takes no new people")]
    RegistrationClosed,
}

/// What is wrong with the fields of a form, each in a sentence that says what to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    /// The address.
    pub email: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The password.
    pub password: Option<String>,
}

impl From<Weakness> for Problems {
    fn from(weakness: Weakness) -> Self {
        Self { password: Some(weakness.0), ..Self::default() }
    }
}

/// What a person is to an account; `None` if nothing, or if there is no such account (answer 404).
pub async fn standing(app: &App, user: UserId, account: AccountId) -> Result<Option<Standing>, StoreError> {
    app.store.standing(user, account, app.clock.now()).await
}

/// Why a person is not let to something.
#[derive(Debug)]
pub enum NotAdmitted {
    /// The database failed.
    Store(StoreError),
    /// It is not theirs, or their role is not enough: to them it does not exist (answer 404).
    NotFound,
    /// They are in this organisation, which requires a second factor, and have none.
    SecondFactorRequired(AccountId),
}

impl From<StoreError> for NotAdmitted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether a standing is enough for a deed. Whoever is in the organisation, but kept out until they have a
/// second factor, learns that.
pub fn admit(standing: Option<Standing>, deed: Deed) -> Result<Standing, NotAdmitted> {
    match standing {
        Some(standing) if standing.may(deed) => Ok(standing),
        Some(standing) if standing.blocked => Err(NotAdmitted::SecondFactorRequired(standing.account)),
        _ => Err(NotAdmitted::NotFound),
    }
}

/// A person's own account. Every person has one from the first moment; `None` means that the person
/// was deleted meanwhile.
pub async fn personal_account(app: &App, user: UserId) -> Result<Option<AccountId>, StoreError> {
    app.store.personal_account(user).await
}

/// Answers whose work depends on whether an address is known leave at whole multiples of this.
const QUANTUM: Duration = Duration::from_millis(250);

/// Waits for the next multiple of [`QUANTUM`] since `start`, so that how long the answer took does not
/// tell which work was done.
pub(crate) async fn even_out(start: Instant) {
    let elapsed = start.elapsed().as_millis();
    let quanta = u32::try_from(elapsed / QUANTUM.as_millis() + 1).unwrap_or(1);
    tokio::time::sleep_until(start + QUANTUM * quanta).await;
}
