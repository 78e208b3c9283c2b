//! TLS of the main listener and of the relay's own port: certificate and key, read again on SIGHUP.

use crate::config::TlsFiles;
use crate::start::StartError;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt::Display;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Protocols offered by the main listener, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A listener's certificate. Clones are the same.
#[derive(Clone)]
pub struct Certificates {
    files: TlsFiles,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The certificate in use: each handshake asks for it.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Certificates {
    /// Reads both files for the main listener.
    pub fn load(files: &TlsFiles) -> Result<Self, StartError> {
        Self::speaking(files, &PROTOCOLS)
    }

    /// The same for a port that speaks TURN only.
    pub fn for_relay(files: &TlsFiles) -> Result<Self, StartError> {
        Self::speaking(files, &[])
    }

    fn speaking(files: &TlsFiles, protocols: &[&[u8]]) -> Result<Self, StartError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = Arc::new(Current(RwLock::new(read(files, &provider)?)));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(&current);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        // Resumption without memory per client; the keys change by themselves.
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| wrong(&error))?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        Ok(Self { files: files.clone(), current, config: Arc::new(config) })
    }

    /// Reads both files again. If they are not good, the former certificate stays in use.
    pub fn reload(&self) -> Result<(), StartError> {
        let fresh = read(&self.files, self.config.crypto_provider())?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// For somebody else's listener. It follows [`Self::reload`].
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config()).accept(stream).await
    }
}

fn wrong(what: &dyn Display) -> StartError {
    StartError::Certificate(what.to_string())
}

fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, StartError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(&format_args!("{}: {error}", files.cert.display())))?;
    if chain.is_empty() {
        return Err(wrong(&format_args!("{} holds no certificate", files.cert.display())));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| wrong(&format_args!("{}: {error}", files.key.display())))?;
    let certified = CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| wrong(&format_args!("certificate and key do not fit together: {error}")))?;
    Ok(Arc::new(certified))
}
