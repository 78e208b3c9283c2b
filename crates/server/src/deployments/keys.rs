//! The keys that sign started deployments: Ed25519, the newest one signs, sealed with the master key.
//! A new key is signed by the one before and takes its place: the older secret is forgotten, the
//! older public key stays listed, so that a device which slept through a change can follow.

use super::DeploymentError;
use crate::app::{App, Ctx};
use crate::error::ApiFailure;
use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bramble_store::deployment_keys::DeploymentKey as Record;
use bramble_wire::deployments::{DeploymentKey, DeploymentKeys, KeySignature, signed_key_text};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a key's name.
const NAME_DIGITS: usize = 16;

fn purpose(number: i64) -> String {
    format!("deployment-key {number}")
}

/// A key's name: the beginning of its digest.
fn name(public_key: &[u8]) -> String {
    let mut digits = hex::encode(Sha256::digest(public_key));
    digits.truncate(NAME_DIGITS);
    digits
}

/// The newest key; the first call makes the first one.
async fn newest(app: &App) -> Result<(SigningKey, Record), DeploymentError> {
    let found = match app.store.signing_key().await? {
        Some(found) => found,
        None => first(app).await?,
    };
    let sealed = found.sealed.as_deref().ok_or(DeploymentError::Key("its secret is missing"))?;
    let secret = app.master_key.open(&purpose(found.number), sealed);
    let secret = secret.map_err(|_| DeploymentError::Key("the master key does not open it"))?;
    let secret = zeroize::Zeroizing::new(secret);
    let bytes: &[u8; 32] =
        secret.as_slice().try_into().map_err(|_| DeploymentError::Key("it has another length"))?;
    Ok((SigningKey::from_bytes(bytes), found))
}

async fn first(app: &App) -> Result<Record, DeploymentError> {
    let tx = app.store.begin().await?;
    tx.insert_deployment_key(made(app, 1).1).await?;
    tx.commit().await?;
    // Of two that made one at once, the first one's stands.
    app.store.signing_key().await?.ok_or(DeploymentError::Key("it was not kept"))
}

fn made(app: &App, number: i64) -> (SigningKey, Record) {
    let secret = zeroize::Zeroizing::new(app.random.bytes::<32>());
    let key = SigningKey::from_bytes(&secret);
    let record = Record {
        number,
        public_key: key.verifying_key().to_bytes().to_vec(),
        sealed: Some(app.master_key.seal(&purpose(number), &*secret, &*app.random)),
        signature: None,
        created_at: app.clock.now(),
    };
    (key, record)
}

/// Signs a text with the newest key.
pub(super) async fn sign(app: &App, text: &str) -> Result<String, DeploymentError> {
    let (key, _) = newest(app).await?;
    Ok(STANDARD.encode(key.sign(text.as_bytes()).to_bytes()))
}

/// Makes a new key, signed by the newest one, which signs nothing any more. Answers the new key's name;
/// `None` if somebody else made one at the same moment.
pub async fn rotate(app: &App) -> Result<Option<String>, DeploymentError> {
    let (old, found) = newest(app).await?;
    let (_, mut new) = made(app, found.number + 1);
    let id = name(&new.public_key);
    let text = signed_key_text(&id, &STANDARD.encode(&new.public_key));
    new.signature = Some(old.sign(text.as_bytes()).to_bytes().to_vec());
    let tx = app.store.begin().await?;
    if !tx.insert_deployment_key(new).await? {
        return Ok(None);
    }
    tx.commit().await?;
    tracing::info!(key = id, "deployments are signed with a new key");
    Ok(Some(id))
}

/// Every key, as devices and people may know it. There is always one.
pub async fn list(app: &App) -> Result<DeploymentKeys, DeploymentError> {
    newest(app).await?;
    Ok(published(&app.store.deployment_keys().await?))
}

fn published(keys: &[Record]) -> DeploymentKeys {
    let mut before: Option<String> = None;
    let mut deployment_keys = Vec::with_capacity(keys.len());
    for key in keys {
        let id = name(&key.public_key);
        let signed_by = before.replace(id.clone()).zip(key.signature.as_deref());
        deployment_keys.push(DeploymentKey {
            id,
            key: STANDARD.encode(&key.public_key),
            signed_by: signed_by
                .map(|(id, signature)| KeySignature { id, signature: STANDARD.encode(signature) }),
        });
    }
    DeploymentKeys { deployment_keys }
}

/// `GET /.well-known/bramble`, for everybody.
pub(super) async fn well_known(State(app): State<Ctx>) -> Result<Json<DeploymentKeys>, ApiFailure> {
    Ok(Json(list(&app).await?))
}
