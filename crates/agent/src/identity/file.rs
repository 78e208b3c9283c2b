//! A private key in a PEM file.

use super::KeyError;
use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use std::{fs::File, io::Read, os::unix::fs::MetadataExt, path::Path};
use zeroize::Zeroizing;

/// Largest file, in bytes.
const MAX_FILE: u64 = 16 * 1024;

/// A key pair on P-256.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    public_key: Vec<u8>,
}

impl Key {
    /// Reads PKCS#8 (`BEGIN PRIVATE KEY`) or SEC 1 (`BEGIN EC PRIVATE KEY`), not encrypted.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let wrong = |why: &str| KeyError::Unusable(format!("{}: {why}", path.display()));
        let mut text = Zeroizing::new(Vec::new());
        let mut file = File::open(path).map_err(|error| wrong(&error.to_string()))?;
        if file.metadata().is_ok_and(|about| about.mode() & 0o007 != 0) {
            tracing::warn!(path = %path.display(), "everybody on this machine can read its private key; chmod o= it");
        }
        let read = file.by_ref().take(MAX_FILE).read_to_end(&mut text);
        read.map_err(|error| wrong(&error.to_string()))?;
        let der =
            PrivateKeyDer::from_pem_slice(&text).map_err(|_| wrong("it is not a private key in PEM"))?;
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der.secret_der())
            .map_err(|_| wrong("it is not a key on the curve P-256"))?;
        let public_key = pair
            .public_key()
            .as_der()
            .map_err(|_| wrong("its public key cannot be computed"))?
            .as_ref()
            .to_vec();
        Ok(Self { pair, public_key })
    }

    pub(super) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signed = self.pair.sign(&SystemRandom::new(), text);
        let failed = |_| KeyError::Unusable("the key did not sign".to_owned());
        Ok(signed.map_err(failed)?.as_ref().to_vec())
    }
}
