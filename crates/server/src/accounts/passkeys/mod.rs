//! Passkeys. Each proves a person by itself, because its authenticator must have verified them (by a PIN, a
//! finger, a face): as second factor after the password, alone at sign-in, and as proof before dangerous
//! things.
//!
//! A ceremony begins with a question, which is sealed for the occasion that it was asked on and handed to the
//! browser; nothing is written until the answer is right. A question is answered once.

mod own;

pub use own::{Added, add, ask_new, find, remove, rename};

use super::{AccountError, Begun, Browser};
use crate::app::App;
use crate::auth::SignedIn;
use crate::auth::throttle::{Scope, address_key};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bramble_model::{Secret, SecretHash, Timestamp};
use bramble_store::passkeys::Passkey as Row;
use bramble_store::{StoreError, Tx};
use bramble_wire::UserId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use time::Duration;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PublicKeyCredential, Webauthn, WebauthnBuilder,
};

/// How long a question may be answered.
const LIFETIME: Duration = Duration::minutes(10);
/// Largest answer of an authenticator, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// Why this server has no passkeys, in a sentence; `None` if it has.
pub fn unavailable(app: &App) -> Option<String> {
    let url = &app.config.public_url;
    match url.host() {
        Some(url::Host::Domain(_)) if !app.config.insecure_http() => None,
        Some(url::Host::Domain(_)) => {
            Some("Passkeys need HTTPS, and this server is reached without it.".to_owned())
        }
        host => {
            let host = host.map(|host| host.to_string()).unwrap_or_default();
            Some(format!(
                "Passkeys belong to a host name, and this server is reached at the IP address {host}. Ask the \
                 person who runs it for a name."
            ))
        }
    }
}

fn webauthn(app: &App) -> Result<Webauthn, AccountError> {
    if unavailable(app).is_some() {
        return Err(AccountError::NoPasskeys);
    }
    let url = &app.config.public_url;
    let host = url.host_str().unwrap_or_default();
    let built = WebauthnBuilder::new(host, url).map(|builder| builder.rp_name("Bramble"));
    built.and_then(WebauthnBuilder::build).map_err(|error| {
        tracing::error!(%error, "passkeys do not work with this public URL");
        AccountError::NoPasskeys
    })
}

/// On which occasion a passkey is asked for. A question of one is worth nothing on another.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'a> {
    /// Signing in with a passkey alone, by whomever it turns out to be.
    SignIn,
    /// After the right password.
    SecondStep(&'a Secret, UserId),
    /// Before something dangerous.
    Proof(&'a SignedIn),
}

impl Occasion<'_> {
    fn purpose(&self) -> String {
        match self {
            Self::SignIn => "passkey sign-in".to_owned(),
            Self::SecondStep(token, user) => format!("passkey {user} {}", hex::encode(token.hash().to_vec())),
            Self::Proof(caller) => format!("passkey {} {}", caller.user, caller.session),
        }
    }

    fn user(&self) -> Option<UserId> {
        match self {
            Self::SignIn => None,
            Self::SecondStep(_, user) => Some(*user),
            Self::Proof(caller) => Some(caller.user),
        }
    }
}

/// What the page's script hands to the browser, and brings back with the answer.
#[derive(Debug, Serialize)]
pub struct Question {
    /// Options of `navigator.credentials`.
    pub options: Value,
    /// What the server will need to know, sealed.
    pub ceremony: String,
}

/// What the page's script brings back.
#[derive(Clone, Deserialize)]
pub struct Answer {
    /// The sealed part of the question.
    #[serde(default)]
    pub ceremony: String,
    /// The authenticator's answer, in JSON.
    #[serde(default)]
    pub passkey: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// What is sealed into a question.
#[derive(Serialize, Deserialize)]
struct Asked<S> {
    until: i64,
    state: S,
}

/// A question that was opened again: its state, and what makes it work once.
struct Opened<S> {
    state: S,
    token: SecretHash,
    until: Timestamp,
}

fn seal<S: Serialize>(app: &App, purpose: &str, state: S) -> Result<String, AccountError> {
    let until = (app.clock.now() + LIFETIME).unix_timestamp();
    let plain = serde_json::to_vec(&Asked { until, state }).map_err(|_| AccountError::NoPasskeys)?;
    Ok(URL_SAFE_NO_PAD.encode(app.master_key.seal(purpose, &plain, &*app.random)))
}

fn open<S: DeserializeOwned>(app: &App, purpose: &str, ceremony: &str) -> Option<Opened<S>> {
    let sealed = URL_SAFE_NO_PAD.decode(ceremony).ok()?;
    let plain = app.master_key.open(purpose, &sealed).ok()?;
    let Asked { until, state } = serde_json::from_slice(&plain).ok()?;
    let digest: [u8; 32] = Sha256::digest(&sealed).into();
    let until = Timestamp::from_unix_timestamp(until).ok()?;
    (app.clock.now() < until).then(|| Opened { state, token: digest.into(), until })
}

/// Asks for a passkey.
pub async fn ask(app: &App, occasion: Occasion<'_>) -> Result<Question, AccountError> {
    let (question, state) = webauthn(app)?.start_discoverable_authentication().map_err(|error| {
        tracing::error!(%error, "a question for a passkey could not be made");
        AccountError::NoPasskeys
    })?;
    let mut options = serde_json::to_value(&question.public_key).unwrap_or_default();
    if let Some(user) = occasion.user() {
        // Authenticators that keep no list of their own find their key by its name.
        let theirs = app.store.passkeys(user).await?;
        options["allowCredentials"] = theirs.iter().map(descriptor).collect();
    }
    Ok(Question { options, ceremony: seal(app, &occasion.purpose(), state)? })
}

/// A passkey as browsers are told of it.
fn descriptor(row: &Row) -> Value {
    let id = URL_SAFE_NO_PAD.encode(&row.credential_id);
    let kept: Value = serde_json::from_str(&row.credential).unwrap_or_default();
    match kept.pointer("/cred/transports") {
        Some(Value::Array(transports)) => json!({ "type": "public-key", "id": id, "transports": transports }),
        _ => json!({ "type": "public-key", "id": id }),
    }
}

/// An answer that was right when it was looked at. It counts once it was accepted in the transaction of what
/// it allows.
#[derive(Debug)]
pub(super) struct Proved {
    row: Row,
    credential: String,
    token: SecretHash,
    until: Timestamp,
}

/// Looks at an answer.
pub(super) async fn check(
    app: &App,
    occasion: Occasion<'_>,
    answer: &Answer,
) -> Result<Proved, AccountError> {
    let webauthn = webauthn(app)?;
    let asked: Opened<DiscoverableAuthentication> =
        open(app, &occasion.purpose(), &answer.ceremony).ok_or(AccountError::WrongCredentials)?;
    let given: PublicKeyCredential = parse(&answer.passkey)?;
    let row = app.store.passkey_by_credential(&given.raw_id).await?;
    let row = row.filter(|row| occasion.user().is_none_or(|user| row.user == user));
    let row = row.ok_or(AccountError::WrongCredentials)?;
    // Who it is for must be said where nobody was named before, and be right wherever it is said.
    match &given.response.user_handle {
        Some(handle) if handle.as_slice() == row.user.0.as_bytes() => {}
        None if occasion.user().is_some() => {}
        _ => return Err(AccountError::WrongCredentials),
    }
    let mut passkey: Passkey = serde_json::from_str(&row.credential).map_err(|error| {
        tracing::error!(%error, passkey.id = %row.id, "a stored passkey cannot be read");
        AccountError::WrongCredentials
    })?;
    let result = webauthn.finish_discoverable_authentication_v2(&given, asked.state, &passkey);
    let result = result.map_err(|error| {
        tracing::info!(%error, passkey.id = %row.id, "a passkey was refused");
        AccountError::WrongCredentials
    })?;
    if !result.user_verified() {
        return Err(AccountError::WrongCredentials);
    }
    passkey.update_credential(&result);
    let credential = serde_json::to_string(&passkey).map_err(|_| AccountError::WrongCredentials)?;
    Ok(Proved { row, credential, token: asked.token, until: asked.until })
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, AccountError> {
    if text.len() > MAX_ANSWER {
        return Err(AccountError::WrongCredentials);
    }
    serde_json::from_str(text).map_err(|_| AccountError::WrongCredentials)
}

/// Uses an answer up, in the transaction of what it allows.
pub(super) async fn accept(app: &App, tx: &Tx, proved: &Proved) -> Result<(), AccountError> {
    let Proved { row, credential, token, until } = proved;
    if tx.spend(token, *until).await? && tx.use_passkey(row, credential, app.clock.now()).await? {
        Ok(())
    } else {
        Err(AccountError::WrongCredentials)
    }
}

/// Signs in with a passkey alone.
pub async fn sign_in(app: &App, answer: &Answer, browser: &Browser) -> Result<Begun, AccountError> {
    let (scope, key) = (Scope::SignInAddress, address_key(browser.address));
    app.throttle.attempt(app.clock.now(), scope, &key)?;
    let proved = check(app, Occasion::SignIn, answer).await?;
    let id = proved.row.user;
    let tx = app.store.begin().await?;
    let user = tx.lock_user(id).await?.filter(|user| user.disabled_at.is_none());
    user.ok_or(AccountError::WrongCredentials)?;
    accept(app, &tx, &proved).await?;
    let begun = super::sign_in::begin(app, &tx, id, browser).await?;
    tx.commit().await?;
    app.outbox.wake();
    app.throttle.take_back(scope, &key);
    tracing::info!(user.id = %id, "a person signed in with a passkey");
    Ok(begun)
}

/// A person's passkeys, the oldest first.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Row>, StoreError> {
    app.store.passkeys(user).await
}
