//! TLS of the main listener: certificate and key, read again on SIGHUP.

use crate::config::TlsFiles;
use crate::start::StartError;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Protocols offered, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate in use. Clones are the same.
#[derive(Clone)]
pub struct Certificates {
    files: TlsFiles,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads both files.
    pub fn load(files: &TlsFiles) -> Result<Self, StartError> {
        let current = Arc::new(RwLock::new(read(files, &PROTOCOLS)?));
        Ok(Self { files: files.clone(), current })
    }

    /// Reads both files again. If they are not good, the former certificate stays in use.
    pub fn reload(&self) -> Result<(), StartError> {
        let fresh = read(&self.files, &PROTOCOLS)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(current).accept(stream).await
    }
}

/// A configuration for a port that speaks TURN only.
pub fn for_relay(files: &TlsFiles) -> Result<Arc<ServerConfig>, StartError> {
    read(files, &[])
}

fn read(files: &TlsFiles, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, StartError> {
    let wrong = |what: &dyn std::fmt::Display| StartError::Certificate(what.to_string());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(&format_args!("{}: {error}", files.cert.display())))?;
    if chain.is_empty() {
        return Err(wrong(&format_args!("{} holds no certificate", files.cert.display())));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| wrong(&format_args!("{}: {error}", files.key.display())))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&format_args!("certificate and key do not fit together: {error}")))?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    // Resumption without memory per client; the keys change by themselves.
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| wrong(&error))?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}
