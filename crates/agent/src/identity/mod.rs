//! The machine's own key pair, with which it links itself without anybody: a PEM file that
//! `/etc/rpi-connect/config.toml` names, or else the key in the one-time programmable memory of a
//! Raspberry Pi, which only its firmware can use.
//!
//! What it is not: a secret that proves a person. The server must have been told the public key.

mod file;
mod firmware;

use crate::{
    CLIENT_ID,
    control::{
        api::{CallError, OpenApi},
        sign_in::DeviceIdentity,
    },
    platform::Platform,
    state::{ServerUrlError, configured_identity},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bramble_wire::{
    device_api::{IdentityExchange, Linked},
    signature::{IDENTITY_HEADER, TIMESTAMP_HEADER, identity_message},
};
use sha2::{Digest, Sha256};
use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// Where it is exchanged.
const PATH: &str = "/client/device-identity-exchange";

/// Where the private key is.
#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Firmware(PathBuf),
}

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// This machine has none.
    #[error("this machine has no key of its own")]
    None,
    /// It has one that is not usable.
    #[error("{0}")]
    Unusable(String),
}

/// A key that is ready to sign.
enum Key {
    File(file::Key),
    Firmware { program: PathBuf, public_key: Vec<u8> },
}

impl Key {
    fn public_key(&self) -> &[u8] {
        match self {
            Self::File(key) => key.public_key(),
            Self::Firmware { public_key, .. } => public_key,
        }
    }

    async fn sign(&self, text: &str) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::File(key) => key.sign(text.as_bytes()),
            Self::Firmware { program, .. } => firmware::sign(program, text.as_bytes()).await,
        }
    }
}

/// The machine's key pair.
#[derive(Debug)]
pub struct OwnKey {
    place: Place,
    /// The time of the newest request: the server takes only later ones.
    last: AtomicI64,
}

impl OwnKey {
    /// The key that is configured, or that the firmware may hold.
    pub fn of(platform: &Platform) -> Result<Option<Arc<dyn DeviceIdentity>>, ServerUrlError> {
        let configured = configured_identity(platform.root())?.map(Place::File);
        let place = configured.or_else(|| firmware::program(platform.root()).map(Place::Firmware));
        Ok(place.map(|place| Arc::new(Self { place, last: AtomicI64::new(0) }) as Arc<dyn DeviceIdentity>))
    }

    async fn open(&self) -> Result<Key, KeyError> {
        match &self.place {
            Place::File(path) => file::Key::read(path).map(Key::File),
            Place::Firmware(program) => {
                let public_key = firmware::public_key(program).await?;
                Ok(Key::Firmware { program: program.clone(), public_key })
            }
        }
    }

    /// The server's time, or ours if it does not tell, and later than that of the request before.
    async fn time(&self, api: &OpenApi) -> i64 {
        let now = api.time().await.unwrap_or_else(|| bramble_model::Clock::unix(&bramble_model::SystemClock));
        let after = self.last.load(Ordering::Relaxed) + 1;
        let time = now.max(after);
        self.last.store(time, Ordering::Relaxed);
        time
    }

    async fn exchange(&self, api: &OpenApi, serial: &str, hostname: &str) -> Result<Linked, CallError> {
        let key = self.open().await?;
        let body = IdentityExchange {
            client_id: CLIENT_ID.to_owned(),
            public_key: pem(key.public_key()),
            hostname: hostname.to_owned(),
            serial_number: serial.to_owned(),
        };
        let body = serde_json::to_vec(&body).map_err(|error| CallError::Nonsense(error.to_string()))?;
        let mut linked = self.ask(api, &key, body.clone()).await;
        // An earlier run of this program may have asked in the very same second.
        if linked.as_ref().is_err_and(CallError::is_unknown_identity) {
            linked = self.ask(api, &key, body).await;
        }
        match (linked, &self.place) {
            // A board may have a key that nobody registered here.
            (Err(error), Place::Firmware(_)) if error.is_unknown_identity() => {
                Err(CallError::NoIdentity(error.to_string()))
            }
            (linked, _) => linked,
        }
    }

    async fn ask(&self, api: &OpenApi, key: &Key, body: Vec<u8>) -> Result<Linked, CallError> {
        let time = self.time(api).await.to_string();
        let url = format!("{}{PATH}", api.client().server().origin());
        let headers =
            [("Content-Type", "application/json"), ("Accept", "application/json"), (TIMESTAMP_HEADER, &time)];
        let text = identity_message("POST", &url, &headers, &hex::encode(Sha256::digest(&body)));
        let signature = BASE64_STANDARD.encode(key.sign(&text).await?);
        let proof = [(TIMESTAMP_HEADER, time.as_str()), (IDENTITY_HEADER, signature.as_str())];
        api.prove(PATH, body, &proof).await
    }
}

impl DeviceIdentity for OwnKey {
    fn link<'a>(
        &'a self,
        api: &'a OpenApi,
        serial_number: &'a str,
        hostname: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Linked, CallError>> + Send + 'a>> {
        Box::pin(self.exchange(api, serial_number, hostname))
    }
}

impl From<KeyError> for CallError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::None => Self::NoIdentity(error.to_string()),
            KeyError::Unusable(why) => Self::Identity(why),
        }
    }
}

/// A public key in the form in which it is sent.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    pem
}
