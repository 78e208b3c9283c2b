//! Whom to trust: the system's authorities, or the one from `--ca` alone.

use bramble_model::{Clock, SystemClock};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Where distributions keep the bundle of authorities.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Names a bundle instead, as OpenSSL's tools have it.
const BUNDLE_VARIABLE: &str = "SSL_CERT_FILE";
/// No device runs this program before 2026-01-01: a clock that says so was never set.
pub const EARLIEST_TIME: i64 = 1_767_225_600;

/// Why there is no one to trust.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    /// `--ca` names no certificate.
    #[error("there is no certificate in the CA file; it must be PEM text")]
    NoAuthority,
    /// No bundle.
    #[error("this system has no certificate authorities; install the package ca-certificates")]
    NoBundle,
    /// rustls refused.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The time for checking certificates: the computer's, or, on a board whose clock was never set, what
/// the server said in `GET /up`.
#[derive(Debug, Clone, Default)]
pub struct CertificateTime {
    learned: Arc<Mutex<Option<(i64, Instant)>>>,
}

impl CertificateTime {
    /// Whether the computer's clock cannot be right.
    pub fn clock_is_unset() -> bool {
        SystemClock.unix() < EARLIEST_TIME
    }

    /// Takes the server's word for the time. It is not authenticated, so it counts only while the clock
    /// is known to be wrong, and never leads into the past.
    pub fn learn(&self, unix_seconds: i64) -> bool {
        let fits = unix_seconds >= EARLIEST_TIME;
        if fits {
            *self.learned.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((unix_seconds, Instant::now()));
        }
        fits
    }

    fn now(&self) -> i64 {
        let own = SystemClock.unix();
        match *self.learned.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((then, at)) if own < EARLIEST_TIME => {
                then.saturating_add(i64::try_from(at.elapsed().as_secs()).unwrap_or(0))
            }
            _ => own,
        }
    }
}

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        u64::try_from(self.now()).ok().map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The configuration for one server. Make it once and share it: the authorities are the largest thing
/// that an idle agent holds.
pub fn client_config(ca: Option<&str>, time: &CertificateTime) -> Result<Arc<ClientConfig>, TlsError> {
    client_config_at(ca, Arc::new(time.clone()))
}

/// The same with another idea of the time.
pub(crate) fn client_config_at(
    ca: Option<&str>,
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match ca {
        Some(pem) => authorities(pem.as_bytes()).ok_or(TlsError::NoAuthority)?,
        None => system_authorities().ok_or(TlsError::NoBundle)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn system_authorities() -> Option<RootCertStore> {
    let named = std::env::var_os(BUNDLE_VARIABLE).filter(|path| !path.is_empty());
    let read = |path: &Path| std::fs::read(path).ok().and_then(|pem| authorities(&pem));
    match named {
        Some(path) => read(Path::new(&path)),
        None => BUNDLES.iter().find_map(|path| read(Path::new(path))),
    }
}

fn authorities(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold oddities; each counts for itself.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    (!roots.is_empty()).then_some(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        let time = CertificateTime::default();
        assert!(matches!(client_config(Some("hello"), &time), Err(TlsError::NoAuthority)));
    }

    #[test]
    fn a_learned_time_never_moves_a_clock_that_was_set() {
        let time = CertificateTime::default();
        assert!(!time.learn(EARLIEST_TIME - 1));
        assert!(time.learn(EARLIEST_TIME + 1_000_000_000));
        assert!((time.now() - SystemClock.unix()).abs() <= 1);
    }
}
