//! Whom the updater believes: the file `/etc/rpi-connect/ota-trust`, which only root can write.
//!
//! A deployment is applied only if a key of this file signed it for the device of this file. A new key is
//! taken only when one that is trusted already vouches for it, wherever the list of keys came from.

use super::files;
use crate::state::ServerUrl;
use base64::{Engine, engine::general_purpose::STANDARD};
use bramble_wire::{
    DeploymentId, DeviceId,
    deployments::{DeploymentKeys, signed_key_text, signed_text},
};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Where it is, below the root.
pub const PATH: &str = "etc/rpi-connect/ota-trust";
/// Largest one that is read: a chain of authorities and some keys.
const MAX_LENGTH: u64 = 512 * 1024;
/// Most keys in a list that is looked at.
const MAX_KEYS: usize = 64;

/// A key that signs deployments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKey {
    /// Its name on the server.
    pub id: String,
    /// Base64 of its 32 bytes.
    pub key: String,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The server that orders updates.
    pub server: ServerUrl,
    /// This device there.
    pub device_id: DeviceId,
    /// The user whose daemon may pass orders on.
    pub uid: u32,
    /// PEM of the only authority that is trusted for `server`, where sign-in named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Whose signature counts.
    pub keys: Vec<TrustedKey>,
}

/// Why there is nobody to believe.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("remote updates are not allowed on this device; allow them with rpi-connect ota on")]
    Missing,
    #[error("{path} must belong to root and be writable by nobody else")]
    Exposed { path: PathBuf },
    #[error("{path} cannot be used: {why}; write it anew with rpi-connect ota on")]
    Damaged { path: PathBuf, why: String },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// What the server ordered, as the daemon passes it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub deployment: DeploymentId,
    pub uri: String,
    pub checksum: String,
    pub timestamp: i64,
}

impl Trust {
    /// Reads the file below `root`. It must be the business of this process's user alone, which is root.
    pub fn load(root: &Path) -> Result<Self, TrustError> {
        let path = root.join(PATH);
        let own = rustix::process::geteuid().as_raw();
        let (text, found) = match files::read_small(&path, MAX_LENGTH) {
            Ok(Some(read)) => read,
            Ok(None) => return Err(TrustError::Missing),
            Err(source) => return Err(TrustError::Io { path, source }),
        };
        if found.uid() != own || found.mode() & 0o022 != 0 {
            return Err(TrustError::Exposed { path });
        }
        Self::parse(&text).map_err(|why| TrustError::Damaged { path, why })
    }

    /// What the file says, for whoever only shows it: nobody's word is taken because of it.
    pub fn peek(root: &Path) -> Option<Self> {
        let (text, _) = files::read_small(&root.join(PATH), MAX_LENGTH).ok()??;
        toml::from_str(&text).ok()
    }

    /// Reads its text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trust: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if trust.keys.is_empty() || trust.keys.len() > MAX_KEYS {
            return Err("it must name between 1 and 64 keys".to_owned());
        }
        match trust.keys.iter().find(|key| public(&key.key).is_none()) {
            Some(bad) => Err(format!("the key {:?} is none", bramble_model::text::clip(&bad.id, 64))),
            None => Ok(trust),
        }
    }

    /// Writes it below `root`: readable by all, since nothing in it is secret and the daemon looks.
    pub fn store(&self, root: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let path = root.join(PATH);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        files::replace(&path, text.as_bytes(), 0o644)
    }

    /// Takes the file away; that there was none is fine.
    pub fn remove(root: &Path) -> io::Result<()> {
        files::remove(&root.join(PATH))
    }

    /// Whether a trusted key signed this order for this device.
    pub fn has_signed(&self, order: &Order, signature: &str) -> bool {
        // The signed text is lines: a line feed inside would make two readings of one signature.
        if order.uri.contains('\n') || order.checksum.contains('\n') {
            return false;
        }
        let text =
            signed_text(order.deployment, self.device_id, &order.uri, &order.checksum, order.timestamp);
        self.keys.iter().any(|key| signed(&key.key, &text, signature))
    }

    /// Follows a server that changed its key: takes each key that a trusted one vouches for. The newest of
    /// them is trusted alone from then on, because a key is changed when the old one may be known to
    /// others. True if something changed.
    pub fn follow(&mut self, offered: &DeploymentKeys) -> bool {
        let mut changed = false;
        for new in offered.deployment_keys.iter().take(MAX_KEYS) {
            let known = self.keys.iter().any(|old| old.key == new.key);
            let Some(by) = new.signed_by.as_ref().filter(|_| !known && public(&new.key).is_some()) else {
                continue;
            };
            let text = signed_key_text(&new.id, &new.key);
            if self.keys.iter().any(|old| old.id == by.id && signed(&old.key, &text, &by.signature)) {
                self.keys = vec![TrustedKey { id: new.id.clone(), key: new.key.clone() }];
                changed = true;
            }
        }
        changed
    }
}

fn public(key: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(key).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

fn signed(key: &str, text: &str, signature: &str) -> bool {
    let check = || {
        let signature = Signature::from_slice(&STANDARD.decode(signature).ok()?).ok()?;
        public(key)?.verify_strict(text.as_bytes(), &signature).ok()
    };
    check().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_wire::deployments::{DeploymentKey, KeySignature};
    use ed25519_dalek::{Signer, SigningKey};

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn public_text(n: u8) -> String {
        STANDARD.encode(key(n).verifying_key().to_bytes())
    }

    fn sign(n: u8, text: &str) -> String {
        STANDARD.encode(key(n).sign(text.as_bytes()).to_bytes())
    }

    fn trust() -> Trust {
        Trust {
            server: ServerUrl::parse("https://x.example").expect("a server"),
            device_id: DeviceId(uuid::Uuid::from_u128(7)),
            uid: 1000,
            ca: None,
            keys: vec![TrustedKey { id: "1".into(), key: public_text(1) }],
        }
    }

    fn listed(id: &str, n: u8, by: Option<(&str, u8)>) -> DeploymentKey {
        let key = public_text(n);
        let signed_by = by.map(|(by, old)| KeySignature {
            id: by.to_owned(),
            signature: sign(old, &signed_key_text(id, &key)),
        });
        DeploymentKey { id: id.to_owned(), key, signed_by }
    }

    #[test]
    fn only_the_servers_signature_for_this_device_counts() {
        let it = trust();
        let order = Order {
            deployment: DeploymentId(uuid::Uuid::from_u128(1)),
            uri: "https://x.example/a".into(),
            checksum: "00".into(),
            timestamp: 17,
        };
        let signed_for = |device: u128, order: &Order, n| {
            let device = DeviceId(uuid::Uuid::from_u128(device));
            sign(n, &signed_text(order.deployment, device, &order.uri, &order.checksum, order.timestamp))
        };
        let good = signed_for(7, &order, 1);
        assert!(it.has_signed(&order, &good));
        assert!(!it.has_signed(&order, &signed_for(8, &order, 1)), "another device's");
        assert!(!it.has_signed(&order, &signed_for(7, &order, 2)), "another key");
        assert!(!it.has_signed(&order, ""));
        for changed in [
            Order { deployment: DeploymentId(uuid::Uuid::from_u128(2)), ..order.clone() },
            Order { uri: "https://y.example/a".into(), ..order.clone() },
            Order { checksum: "01".into(), ..order.clone() },
            Order { timestamp: 18, ..order.clone() },
        ] {
            assert!(!it.has_signed(&changed, &good), "{changed:?}");
        }
        // The same signed text with its lines cut elsewhere.
        let split = Order { uri: "a\nb".into(), checksum: "c".into(), ..order };
        assert!(!it.has_signed(&split, &signed_for(7, &split, 1)));
    }

    #[test]
    fn a_new_key_needs_the_word_of_a_trusted_one() {
        let mut it = trust();
        let foreign = DeploymentKeys { deployment_keys: vec![listed("1", 1, None), listed("2", 2, None)] };
        assert!(!it.follow(&foreign), "nobody vouches");
        let liar =
            DeploymentKeys { deployment_keys: vec![listed("9", 9, None), listed("2", 2, Some(("9", 9)))] };
        assert!(!it.follow(&liar), "one that is not trusted vouches");
        let forged = DeploymentKeys { deployment_keys: vec![listed("2", 2, Some(("1", 9)))] };
        assert!(!it.follow(&forged), "in the name of a trusted one");
        assert_eq!(it, trust());

        // Two changes were missed; the chain leads to the last.
        let chain = DeploymentKeys {
            deployment_keys: vec![
                listed("1", 1, None),
                listed("2", 2, Some(("1", 1))),
                listed("3", 3, Some(("2", 2))),
            ],
        };
        assert!(it.follow(&chain));
        assert_eq!(it.keys, [TrustedKey { id: "3".into(), key: public_text(3) }]);
        assert!(!it.follow(&chain), "and there it stays: the old ones are not taken back");
        assert_eq!(Trust::parse(&toml::to_string(&it).expect("text")), Ok(it));
    }

    #[test]
    fn a_file_that_others_can_write_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("a folder");
        assert!(matches!(Trust::load(root.path()), Err(TrustError::Missing)));
        trust().store(root.path()).expect("writes");
        assert_eq!(Trust::load(root.path()).expect("reads"), trust());
        let path = root.path().join(PATH);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("chmod");
        assert!(matches!(Trust::load(root.path()), Err(TrustError::Exposed { .. })));
        std::fs::write(&path, "keys = []").expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(matches!(Trust::load(root.path()), Err(TrustError::Damaged { .. })));
    }
}
