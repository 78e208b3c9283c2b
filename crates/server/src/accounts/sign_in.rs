//! Signing in with a password, and proving again who one is.

use super::AccountError;
use super::passkeys::{self, Answer, Occasion};
use super::providers;
use super::two_factor::{self, Code, Proved, Second};
use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::cookies::{PENDING_LIFETIME, SESSION_LIFETIME};
use crate::auth::password::{Password, Verdict};
use crate::auth::throttle::{Scope, address_key};
use crate::mail;
use bramble_model::{Secret, SecretKind, text};
use bramble_store::Tx;
use bramble_store::users::{PasswordHash, User};
use bramble_store::web_sessions::WebSession;
use bramble_wire::UserId;
use std::net::IpAddr;

/// Longest user agent that is kept, in characters: what is needed to tell browsers apart.
const MAX_USER_AGENT: usize = 400;

/// The browser that asks.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Where it is.
    pub address: IpAddr,
    /// What it calls itself.
    pub user_agent: String,
    /// By which it is known again.
    pub known: Option<Secret>,
    /// The session that it had until now: signing in ends it.
    pub session: Option<SignedIn>,
}

/// A session that began: what the cookies hold.
#[derive(Debug)]
pub struct Begun {
    /// The session's cookie.
    pub session: Secret,
    /// The browser's cookie.
    pub browser: Secret,
}

/// What the right password leads to.
#[derive(Debug)]
pub enum Entered {
    /// A session.
    Begun(Begun),
    /// The question for the second factor; what the cookie of the waiting sign-in holds.
    Pending(Secret),
}

/// Checks a password and begins a session, or asks for the second factor.
pub async fn sign_in(
    app: &App,
    email: &str,
    password: &Password,
    browser: &Browser,
) -> Result<Entered, AccountError> {
    // An address that cannot be one is treated like one that nobody has.
    let folded = text::email(email).unwrap_or_else(|| text::fold(&text::clip(email, text::MAX_EMAIL)));
    let user = app.store.user_by_email(&folded).await?.filter(|user| user.disabled_at.is_none());
    let budget = Budget::of(app, &folded, user.as_ref(), browser).await?;
    budget.take(app)?;
    let kept = user.as_ref().and_then(|user| user.password_hash.clone());
    let verdict = app.passwords.verify(&*app.random, password, kept.as_ref()).await?;
    let (Some(user), Some(kept), Verdict::Right { rehashed }) = (user, kept, verdict) else {
        return Err(AccountError::WrongCredentials);
    };
    let tx = app.store.begin().await?;
    confirm(&tx, user.id, &kept, rehashed.as_ref()).await?;
    let entered = if tx.has_second_factor(user.id).await? {
        let token = Secret::generate(SecretKind::PendingSignIn, &*app.random);
        let until = app.clock.now() + PENDING_LIFETIME;
        tx.insert_pending_sign_in(&token.hash(), user.id, until).await?;
        Entered::Pending(token)
    } else {
        Entered::Begun(begin(app, &tx, user.id, browser).await?)
    };
    tx.commit().await?;
    app.outbox.wake();
    budget.give_back(app);
    if matches!(entered, Entered::Begun(_)) {
        tracing::info!(user.id = %user.id, "a person signed in");
    }
    Ok(entered)
}

/// Checks the second factor of a sign-in that waits for it, and begins the session.
pub async fn finish_sign_in(
    app: &App,
    token: &Secret,
    second: Second<'_>,
    browser: &Browser,
) -> Result<Begun, AccountError> {
    let now = app.clock.now();
    let id = app.store.pending_sign_in(&token.hash(), now).await?.ok_or(AccountError::DeadLink)?;
    let known = match &browser.known {
        Some(known) if app.store.is_known_browser(&known.hash(), id).await? => Some(known.expose()),
        _ => None,
    };
    let (scope, key) = two_factor::budget(id, known);
    app.throttle.attempt(now, scope, &key)?;
    let proved = two_factor::check(app, id, second, Occasion::SecondStep(token, id)).await?;
    let tx = app.store.begin().await?;
    let user = tx.lock_user(id).await?.filter(|user| user.disabled_at.is_none());
    let user = user.ok_or(AccountError::DeadLink)?;
    if !tx.use_pending_sign_in(&token.hash(), id, now).await? {
        return Err(AccountError::DeadLink);
    }
    two_factor::accept(app, &tx, id, &user.email, &proved).await?;
    let begun = begin(app, &tx, id, browser).await?;
    tx.commit().await?;
    app.outbox.wake();
    app.throttle.succeeded(scope, &key);
    tracing::info!(user.id = %id, "a person signed in with a second factor");
    Ok(begun)
}

/// What somebody who is signed in proves who they are with.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// The password, and a code if they have a second factor.
    Password(&'a Password, &'a Code),
    /// A passkey, alone.
    Passkey(&'a Answer),
    /// What a provider vouched for, sealed, and a code if the provider asked for none.
    Vouched(&'a str, &'a Code),
}

/// Checks who somebody is who is signed in; their session gets a new cookie and is fresh.
pub async fn prove(app: &App, caller: &SignedIn, proof: Proof<'_>) -> Result<Secret, AccountError> {
    let key = caller.user.to_string();
    app.throttle.attempt(app.clock.now(), Scope::Proof, &key)?;
    let mut complete = false;
    let (tx, proved) = match proof {
        Proof::Password(password, code) => prove_by_password(app, caller, password, code).await?,
        Proof::Passkey(answer) => {
            let proved = passkeys::check(app, Occasion::Proof(caller), answer).await?;
            let tx = app.store.begin().await?;
            let person = tx.lock_user(caller.user).await?.filter(|user| user.disabled_at.is_none());
            person.ok_or(AccountError::WrongCredentials)?;
            (tx, Some(Proved::Passkey(Box::new(proved))))
        }
        Proof::Vouched(vouch, code) => {
            complete = providers::check_vouch(app, caller, vouch)?;
            let proved = if complete { None } else { check_code(app, caller, code).await? };
            let tx = app.store.begin().await?;
            let person = tx.lock_user(caller.user).await?.filter(|user| user.disabled_at.is_none());
            person.ok_or(AccountError::WrongCredentials)?;
            (tx, proved)
        }
    };
    if !complete {
        second(app, &tx, caller, proved.as_ref()).await?;
    }
    let cookie = Secret::generate(SecretKind::WebSession, &*app.random);
    let now = app.clock.now();
    if !tx.rotate_web_session(caller.session, &caller.token, &cookie.hash(), now).await? {
        return Err(AccountError::WrongCredentials);
    }
    tx.commit().await?;
    app.outbox.wake();
    app.throttle.succeeded(Scope::Proof, &key);
    Ok(cookie)
}

async fn prove_by_password(
    app: &App,
    caller: &SignedIn,
    password: &Password,
    code: &Code,
) -> Result<(Tx, Option<Proved>), AccountError> {
    let user = app.store.user(caller.user).await?;
    let kept = user.and_then(|user| user.password_hash);
    let verdict = app.passwords.verify(&*app.random, password, kept.as_ref()).await?;
    let (Some(kept), Verdict::Right { rehashed }) = (kept, verdict) else {
        return Err(AccountError::WrongCredentials);
    };
    let proved = check_code(app, caller, code).await?;
    let tx = app.store.begin().await?;
    confirm(&tx, caller.user, &kept, rehashed.as_ref()).await?;
    Ok((tx, proved))
}

/// Looks at the code of somebody who has a second factor.
async fn check_code(app: &App, caller: &SignedIn, code: &Code) -> Result<Option<Proved>, AccountError> {
    if !app.store.has_second_factor(caller.user).await? {
        return Ok(None);
    }
    let code = Second::Code(code);
    two_factor::check(app, caller.user, code, Occasion::Proof(caller)).await.map(Some)
}

/// The second factor that was checked outside of the transaction, or that none was needed, still counts
/// inside.
async fn second(app: &App, tx: &Tx, caller: &SignedIn, proved: Option<&Proved>) -> Result<(), AccountError> {
    let needed = tx.has_second_factor(caller.user).await?;
    match proved {
        Some(proved) => two_factor::accept(app, tx, caller.user, &caller.email, proved).await,
        None if needed => Err(AccountError::WrongCredentials),
        None => Ok(()),
    }
}

/// The password that was checked outside of the transaction still counts inside.
async fn confirm(
    tx: &Tx,
    user: UserId,
    checked: &PasswordHash,
    rehashed: Option<&PasswordHash>,
) -> Result<(), AccountError> {
    let current = tx.lock_user(user).await?;
    let stands = current
        .is_some_and(|user| user.disabled_at.is_none() && user.password_hash.as_ref() == Some(checked));
    if !stands {
        return Err(AccountError::WrongCredentials);
    }
    if let Some(new) = rehashed {
        tx.rehash_password(user, checked, new).await?;
    }
    Ok(())
}

/// Begins a session of a person who proved who they are, ends the one that the browser had, and
/// writes the mail about a browser that was not seen before.
pub(super) async fn begin(
    app: &App,
    tx: &Tx,
    user: UserId,
    browser: &Browser,
) -> Result<Begun, AccountError> {
    let now = app.clock.now();
    let session = Secret::generate(SecretKind::WebSession, &*app.random);
    let known = browser.known.clone();
    let known = known.unwrap_or_else(|| Secret::generate(SecretKind::KnownBrowser, &*app.random));
    if let Some(old) = &browser.session {
        tx.delete_web_session(old.user, old.session).await?;
    }
    let first = !tx.has_known_browser(user).await?;
    let new_browser = tx.remember_browser(&known.hash(), user, now).await?;
    let user_agent = text::clip(&browser.user_agent, MAX_USER_AGENT);
    let row = WebSession {
        id: app.random.id(),
        user,
        user_agent: user_agent.clone(),
        created_at: now,
        last_seen_at: now,
        fresh_at: now,
        expires_at: now + SESSION_LIFETIME,
    };
    tx.insert_web_session(&session.hash(), &row).await?;
    if new_browser
        && !first
        && let Some(person) = tx.lock_user(user).await?
    {
        let what = super::describe_browser(&user_agent);
        mail::queue(app, tx, mail::new_browser(app, &person.email, &what, browser.address)).await?;
    }
    Ok(Begun { session, browser: known })
}

/// What this try counts against.
struct Budget(Vec<(Scope, String)>);

impl Budget {
    /// A browser that signed in to this account before has a budget of its own, so that nobody can
    /// lock its owner out by guessing from elsewhere.
    async fn of(
        app: &App,
        folded: &str,
        user: Option<&User>,
        browser: &Browser,
    ) -> Result<Self, AccountError> {
        if let (Some(user), Some(known)) = (user, &browser.known)
            && app.store.is_known_browser(&known.hash(), user.id).await?
        {
            return Ok(Self(vec![(Scope::SignInBrowser, format!("{} {}", user.id, known.expose()))]));
        }
        let address = (Scope::SignInAddress, address_key(browser.address));
        Ok(Self(vec![address, (Scope::SignInAccount, folded.to_owned())]))
    }

    fn take(&self, app: &App) -> Result<(), AccountError> {
        let now = app.clock.now();
        for (scope, key) in &self.0 {
            app.throttle.attempt(now, *scope, key)?;
        }
        Ok(())
    }

    /// An address keeps the count of its wrong tries: somebody who guesses may have one account of
    /// their own. The right ones of an office behind one address do not count.
    fn give_back(&self, app: &App) {
        for (scope, key) in &self.0 {
            if *scope == Scope::SignInAddress {
                app.throttle.take_back(*scope, key);
            } else {
                app.throttle.succeeded(*scope, key);
            }
        }
    }
}
