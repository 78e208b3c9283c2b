//! Signing in and out.

use super::{
    api::{CallError, OpenApi},
    attempts::Attempts,
    shared::{Credential, Shared},
};
use crate::{
    CLIENT_ID,
    http::{Client, HttpError, tls::TlsError},
    state::{FolderError, SecretText, ServerUrl, StoredToken},
};
use bramble_wire::device_api::{CodeAnswer, CodeRequest, Linked, error};
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::time::Instant;
use url::Url;

/// How long a person waits for a server that does not answer a key.
const EXCHANGE_TIME: Duration = Duration::from_secs(30);
/// The shortest time between two questions about a code, whatever the server says.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// The longest, so that an approval is noticed.
const MOST_INTERVAL: Duration = Duration::from_mins(1);
/// RFC 8628, 3.5: `slow_down` adds five seconds.
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest life of a code that is believed.
const LONGEST_CODE: Duration = Duration::from_hours(1);
/// How long signing out waits for the server.
const SIGN_OUT_TIME: Duration = Duration::from_secs(10);

/// Where to sign in.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub server: ServerUrl,
    /// PEM of the only authority to trust.
    pub ca: Option<String>,
}

/// Why it did not work. The words are for people and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// 401 `invalid_auth_key`.
    #[error("the auth key is unknown, expired or already used; create a new one on the server's web pages")]
    InvalidKey,
    /// Nobody approved in time.
    #[error("the code expired before somebody approved it; run rpi-connect signin again")]
    Expired,
    /// Somebody refused.
    #[error("the request was refused on the server's web pages")]
    Denied,
    /// The server.
    #[error(transparent)]
    Call(#[from] CallError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The disk.
    #[error("the sign-in could not be kept: {0}")]
    Folder(#[from] FolderError),
}

impl SignInError {
    /// Whether the key itself may still be good.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Call(error) => error.is_temporary(),
            Self::Tls(_) | Self::Folder(_) => true,
            Self::InvalidKey | Self::Expired | Self::Denied => false,
        }
    }
}

/// Something in the machine that can link it without a person. [`crate::identity`] has the keys of files
/// and of the firmware; the daemon takes one as an option.
pub trait DeviceIdentity: Send + Sync + std::fmt::Debug {
    /// Asks the server for a sign-in in the name of the identity.
    fn link<'a>(
        &'a self,
        api: &'a OpenApi,
        serial_number: &'a str,
        hostname: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Linked, CallError>> + Send + 'a>>;
}

/// Signs in with a key.
pub async fn with_key(shared: &Shared, target: &Target, key: &SecretText) -> Result<(), SignInError> {
    let api = open(shared, target)?;
    let hostname = shared.platform.hostname();
    // The same key from the same serial number is answered again after a lost answer, so trying again
    // is safe.
    let linked = patiently(shared, &api, || api.exchange(key, &shared.serial_number, &hostname)).await;
    match linked {
        Ok(linked) => keep(shared, target, &api, linked),
        Err(failed) if failed.code() == Some(error::INVALID_AUTH_KEY) => Err(SignInError::InvalidKey),
        Err(failed) => Err(failed.into()),
    }
}

/// Signs in with what the machine itself can prove.
pub async fn with_identity(
    shared: &Shared,
    target: &Target,
    identity: &dyn DeviceIdentity,
) -> Result<(), SignInError> {
    let api = open(shared, target)?;
    let hostname = shared.platform.hostname();
    let linked = identity.link(&api, &shared.serial_number, &hostname).await?;
    keep(shared, target, &api, linked)
}

/// A code that waits for a person.
#[derive(Debug)]
pub struct PendingCode {
    api: OpenApi,
    target: Target,
    code: CodeAnswer,
    page: Url,
}

/// Asks for a code that a person approves in a browser.
pub async fn request_code(shared: &Shared, target: &Target) -> Result<PendingCode, SignInError> {
    let api = open(shared, target)?;
    let request = CodeRequest {
        client_id: CLIENT_ID.to_owned(),
        login_hint: shared.serial_number.clone(),
        hostname: Some(shared.platform.hostname()),
        model: shared.platform.board().and_then(|board| board.model),
    };
    let code = patiently(shared, &api, || api.request_code(&request)).await?;
    let page = web_address(&code.verification_uri_complete)?;
    Ok(PendingCode { api, target: target.clone(), code, page })
}

impl PendingCode {
    /// The page where it is approved.
    pub fn page(&self) -> &str {
        self.page.as_str()
    }
}

/// What a person is asked to open, written so that it cannot disturb the terminal.
fn web_address(text: &str) -> Result<Url, CallError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    url.ok_or_else(|| CallError::Nonsense("the page to open is no web address".to_owned()))
}

/// Signs in once somebody approved the code.
pub async fn with_code(shared: &Shared, pending: PendingCode) -> Result<(), SignInError> {
    let PendingCode { api, target, code, .. } = pending;
    let device_code = SecretText::new(code.device_code.clone());
    let deadline = Instant::now() + Duration::from_secs(code.expires_in).min(LONGEST_CODE);
    let mut interval = Duration::from_secs(code.interval).clamp(LEAST_INTERVAL, MOST_INTERVAL);
    loop {
        tokio::time::sleep(interval).await;
        let failed = match api.poll_code(&device_code).await {
            Ok(linked) => return keep(shared, &target, &api, linked),
            Err(failed) => failed,
        };
        match failed.code() {
            Some(error::AUTHORIZATION_PENDING) => {}
            Some(error::SLOW_DOWN) => interval = (interval + SLOW_DOWN).min(MOST_INTERVAL),
            Some(error::EXPIRED_TOKEN | error::INVALID_GRANT) => return Err(SignInError::Expired),
            Some(error::ACCESS_DENIED) => return Err(SignInError::Denied),
            // RFC 8628, 3.5: slower after a connection that timed out.
            _ if failed.is_temporary() => {
                interval = failed.retry_after().unwrap_or(interval * 2).clamp(interval, MOST_INTERVAL);
            }
            _ => return Err(failed.into()),
        }
        if Instant::now() >= deadline {
            return Err(SignInError::Expired);
        }
    }
}

/// Signs out here and, if it can be reached, on the server. `Ok(false)` if only here.
pub async fn out(shared: &Shared) -> Result<bool, FolderError> {
    let Some(credential) = shared.credential.borrow().clone() else {
        shared.set_problem(None);
        return Ok(true);
    };
    shared.sessions.end_all("The device was signed out.");
    // Their goodbyes need the token that is about to go.
    let _ = tokio::time::timeout(Duration::from_secs(2), shared.sessions.none_left()).await;
    let told = tokio::time::timeout(SIGN_OUT_TIME, credential.api.sign_out()).await;
    let told = match told {
        Ok(Ok(()) | Err(CallError::InvalidToken)) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the server was not told about the sign-out");
            false
        }
        Err(_) => false,
    };
    shared.forget(&credential, "The device was signed out.")?;
    shared.set_problem(None);
    Ok(told)
}

fn open(shared: &Shared, target: &Target) -> Result<OpenApi, SignInError> {
    let client = Client::new(target.server.clone(), target.ca.as_deref(), &shared.serial_number)?;
    Ok(OpenApi::new(client))
}

async fn patiently<T, F>(shared: &Shared, api: &OpenApi, call: impl Fn() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut attempts = Attempts::new(Arc::clone(&shared.random), shared.timing.first_wait, EXCHANGE_TIME);
    loop {
        let result = call().await;
        if let Err(CallError::Http(HttpError::CertificateTime { .. })) = result {
            api.client().learn_time().await;
        }
        let Some(wait) = attempts.wait(&result) else { return result };
        if let Err(error) = &result {
            tracing::info!(%error, "trying again");
        }
        tokio::time::sleep(wait).await;
    }
}

fn keep(shared: &Shared, target: &Target, api: &OpenApi, linked: Linked) -> Result<(), SignInError> {
    let access_token = SecretText::new(linked.access_token);
    let stored = StoredToken {
        server: target.server.clone(),
        device_id: linked.device_id,
        access_token: access_token.clone(),
        serial_number: shared.serial_number.clone(),
        ca: target.ca.clone(),
    };
    shared.folder.store_token(&stored)?;
    tracing::info!(device.id = %stored.device_id, server = %stored.server, "signed in");
    shared.adopt(Credential { api: api.signed_in(access_token), stored });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::web_address;

    #[test]
    fn a_page_to_open_is_a_web_address_and_prints_as_one() {
        let url = web_address("https://pi.example/verify/TKD8-F392").expect("an address");
        assert_eq!(url.as_str(), "https://pi.example/verify/TKD8-F392");
        let url = web_address("https://pi.example/\u{1b}]0;title\u{7}").expect("an address");
        assert!(!url.as_str().chars().any(char::is_control), "{url}");
        for text in ["", "verify", "javascript:alert(1)", "\u{1b}[2Jhttps://pi.example/"] {
            assert!(web_address(text).is_err(), "{text:?}");
        }
    }
}
