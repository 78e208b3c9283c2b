//! Signing in with another provider (OpenID Connect). People are found by issuer and subject alone; an
//! address only helps to find what a new one may be linked to ([`linking`]).
//!
//! A browser that goes to a provider gets a cookie; what it went for is kept in the store, sealed, and taken
//! once when it comes back. So an answer that somebody else's browser got is worth nothing.

mod client;
mod linking;

pub use client::Providers;
pub use linking::{Invited, link, linked, open_invitation, unlink};

use super::{AccountError, Begun, Browser};
use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::return_to::ReturnTo;
use crate::auth::throttle::{Scope, address_key};
use crate::config::providers::Provider;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bramble_model::{Secret, SecretKind, Timestamp};
use bramble_wire::{UserId, WebSessionId};
use client::{Journey, Vouched};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use subtle::ConstantTimeEq;
use time::Duration;
use url::Url;

/// How long a browser may stay away, and what it brings back is worth something.
pub const LIFETIME: Duration = Duration::minutes(15);
/// How far a provider's clock may be from ours.
const SKEW: Duration = Duration::minutes(1);

/// What a browser goes to a provider for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Purpose {
    /// To sign in, as whomever the provider names.
    SignIn,
    /// To link what the provider names to this person.
    Link {
        /// Who.
        user: UserId,
        /// In which session.
        session: WebSessionId,
    },
    /// To prove again who one is.
    Proof {
        /// Who.
        user: UserId,
        /// In which session.
        session: WebSessionId,
    },
}

/// What is kept while a browser is away.
#[derive(Serialize, Deserialize)]
struct Flow {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    purpose: Purpose,
    return_to: String,
    kept: String,
    since: i64,
}

impl Flow {
    fn journey(&self) -> Journey<'_> {
        Journey { state: &self.state, nonce: &self.nonce, verifier: &self.verifier }
    }
}

const SEAL: &str = "provider-flow";

/// What a browser brings back from a provider, in the address.
#[derive(Clone, Default, Deserialize)]
pub struct Back {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    iss: String,
}

impl fmt::Debug for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Back")
    }
}

/// What coming back leads to.
#[derive(Debug)]
pub enum Arrived {
    /// A session.
    Begun(Begun),
    /// The question for the second factor; what the cookie of the waiting sign-in holds.
    Pending(Secret),
    /// The address has an account: its owner signs in to it, which leads to the page that links, with this.
    SignInToLink(String),
    /// The caller is linked now.
    Linked,
    /// The provider vouches for the caller: this, sealed, proves who they are.
    Vouched(String),
}

/// Where a journey ends.
#[derive(Debug)]
pub struct Arrival {
    /// What it led to.
    pub arrived: Arrived,
    /// Where the person wanted to go.
    pub return_to: String,
    /// The form that waits for a proof.
    pub kept: String,
}

/// The provider with an id.
pub fn find<'a>(app: &'a App, id: &str) -> Option<&'a Provider> {
    app.config.providers.iter().find(|provider| provider.id == id)
}

/// Sends a browser to a provider: what its cookie holds, and where it goes.
pub async fn begin(
    app: &App,
    id: &str,
    purpose: Purpose,
    (return_to, kept): (&str, &str),
    address: IpAddr,
) -> Result<(Secret, Url), AccountError> {
    let provider = find(app, id).ok_or(AccountError::DeadLink)?;
    let now = app.clock.now();
    app.throttle.attempt(now, Scope::ProviderFlow, &address_key(address))?;
    let chance = || Secret::generate(SecretKind::ProviderFlow, &*app.random);
    let cookie = chance();
    let flow = Flow {
        provider: id.to_owned(),
        state: chance().expose().to_owned(),
        nonce: chance().expose().to_owned(),
        verifier: chance().expose().to_owned(),
        purpose,
        return_to: return_to.to_owned(),
        kept: kept.to_owned(),
        since: now.unix_timestamp(),
    };
    let again = matches!(purpose, Purpose::Proof { .. });
    let to = app.providers.authorize(app, provider, &flow.journey(), again).await.map_err(|error| {
        tracing::warn!(provider = %id, %error, "a provider cannot be reached");
        AccountError::Provider(provider.name.clone())
    })?;
    let plain = serde_json::to_vec(&flow).map_err(|_| AccountError::DeadLink)?;
    let sealed = app.master_key.seal(SEAL, &plain, &*app.random);
    let tx = app.store.begin().await?;
    tx.insert_provider_flow(&cookie.hash(), sealed, now + LIFETIME).await?;
    tx.commit().await?;
    Ok((cookie, to))
}

/// Takes a browser that comes back.
pub async fn finish(
    app: &App,
    id: &str,
    cookie: &Secret,
    back: Back,
    browser: &Browser,
) -> Result<Arrival, AccountError> {
    let provider = find(app, id).ok_or(AccountError::DeadLink)?;
    let flow = take(app, cookie).await?;
    let same_state = bool::from(flow.state.as_bytes().ct_eq(back.state.as_bytes()));
    // Whose answer it is, where the provider says so (RFC 9207).
    let same_issuer = back.iss.is_empty() || back.iss == provider.issuer;
    if flow.provider != id || !same_state || !same_issuer {
        tracing::warn!(provider = %id, "a browser came back from a provider with somebody else's answer");
        return Err(AccountError::DeadLink);
    }
    let refused = || AccountError::Provider(provider.name.clone());
    if back.code.is_empty() {
        tracing::info!(provider = %id, error = %bramble_model::text::clip(&back.error, 100), "a provider refused");
        return Err(refused());
    }
    let vouched = app.providers.exchange(app, provider, back.code, &flow.journey()).await;
    let vouched = vouched.map_err(|error| {
        tracing::warn!(provider = %id, %error, "a provider's answer is worth nothing");
        refused()
    })?;
    let arrived = match flow.purpose {
        Purpose::SignIn => {
            let return_to = ReturnTo::new(&flow.return_to);
            linking::sign_in(app, provider, &vouched, &return_to, browser).await?
        }
        Purpose::Link { user, session } => {
            let caller = same_browser(browser, user, session)?;
            linking::link_vouched(app, provider, &vouched, caller).await?;
            Arrived::Linked
        }
        Purpose::Proof { user, session } => {
            let caller = same_browser(browser, user, session)?;
            prove(app, provider, &vouched, caller, flow.since).await?
        }
    };
    Ok(Arrival { arrived, return_to: flow.return_to, kept: flow.kept })
}

async fn take(app: &App, cookie: &Secret) -> Result<Flow, AccountError> {
    let tx = app.store.begin().await?;
    let sealed = tx.take_provider_flow(&cookie.hash(), app.clock.now()).await?;
    tx.commit().await?;
    let plain = sealed.and_then(|sealed| app.master_key.open(SEAL, &sealed).ok());
    let flow = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
    flow.ok_or(AccountError::DeadLink)
}

/// Whoever began is still signed in, in the same session.
fn same_browser(browser: &Browser, user: UserId, session: WebSessionId) -> Result<&SignedIn, AccountError> {
    let caller = browser.session.as_ref();
    caller
        .filter(|caller| caller.user == user && caller.session == session)
        .ok_or(AccountError::WrongCredentials)
}

/// What a provider vouched for, for a few minutes in one session.
#[derive(Serialize, Deserialize)]
struct Vouch {
    until: i64,
    /// The provider asked for a second factor itself.
    second: bool,
}

fn vouch_purpose(caller: &SignedIn) -> String {
    format!("provider-proof {} {}", caller.user, caller.session)
}

/// The caller was asked by the provider just now, and is linked to whom it names.
async fn prove(
    app: &App,
    provider: &Provider,
    vouched: &Vouched,
    caller: &SignedIn,
    since: i64,
) -> Result<Arrived, AccountError> {
    let theirs = app.store.identities(caller.user).await?;
    let linked = theirs.iter().any(|it| it.issuer == provider.issuer && it.subject == vouched.subject);
    let now = app.clock.now();
    let asked_since = Timestamp::from_unix_timestamp(since).map_or(now, |since| since - SKEW);
    let just_now = vouched.auth_time.is_some_and(|at| at >= asked_since && at <= now + SKEW);
    if !linked || !just_now {
        tracing::warn!(provider = %provider.id, linked, just_now, "a provider's proof was refused");
        return Err(AccountError::WrongCredentials);
    }
    let vouch = Vouch { until: (now + LIFETIME).unix_timestamp(), second: provider.provides_2fa };
    let plain = serde_json::to_vec(&vouch).map_err(|_| AccountError::WrongCredentials)?;
    let sealed = app.master_key.seal(&vouch_purpose(caller), &plain, &*app.random);
    Ok(Arrived::Vouched(URL_SAFE_NO_PAD.encode(sealed)))
}

/// Whether a sealed proof is the caller's, and whether a second factor was asked for elsewhere.
pub(super) fn check_vouch(app: &App, caller: &SignedIn, sealed: &str) -> Result<bool, AccountError> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| AccountError::WrongCredentials)?;
    let plain = app.master_key.open(&vouch_purpose(caller), &bytes);
    let plain = plain.map_err(|_| AccountError::WrongCredentials)?;
    let vouch: Vouch = serde_json::from_slice(&plain).map_err(|_| AccountError::WrongCredentials)?;
    if app.clock.unix() < vouch.until { Ok(vouch.second) } else { Err(AccountError::WrongCredentials) }
}

/// Whether a proof of a provider still needs a code.
pub async fn needs_code(app: &App, caller: &SignedIn, sealed: &str) -> Result<bool, AccountError> {
    Ok(!check_vouch(app, caller, sealed)? && app.store.has_second_factor(caller.user).await?)
}
