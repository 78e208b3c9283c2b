//! The device API in types.

use crate::{
    CLIENT_ID,
    http::{Client, EventStream, HttpError, Request, Response},
    state::SecretText,
};
use bramble_wire::{
    DeploymentId, SessionId,
    deployments::{Completed, DeploymentKeys, Failed, PendingDeployments, Progress, Started},
    device_api::{
        ApiError, AuthKeyExchange, CodeAnswer, CodeRequest, IceServers, Linked, Me, SessionIds, TokenRequest,
        WhoAmI, error,
    },
    events,
    signalling::{Answer, CandidateBody, IceCandidate, Offer, StateReport, TransferReport},
};
use http::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// An empty JSON object, where the protocol wants one.
#[derive(Serialize)]
struct Nothing {}
/// Longest sentence of a server that is shown, in characters.
const MOST_WORDS: usize = 300;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// 401 `invalid_token`: the token is unknown or revoked. Only this makes the agent forget it.
    #[error("the server no longer knows this device's sign-in")]
    InvalidToken,
    /// The server understood and refused.
    #[error("the server refused ({status}): {}", words(.error))]
    Refused {
        /// Status.
        status: StatusCode,
        /// Its words.
        error: ApiError,
    },
    /// Not now: 429 or 5xx.
    #[error("the server cannot answer now ({status})")]
    Unavailable {
        /// Status.
        status: StatusCode,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The machine's own key pair cannot be used.
    #[error("{0}")]
    Identity(String),
    /// The machine has no key pair of its own, or none that the server knows.
    #[error("no device identity: {0}")]
    NoIdentity(String),
    /// An answer that makes no sense.
    #[error("the server's answer cannot be read: {0}")]
    Nonsense(String),
}

/// A server's words without what could disturb a terminal or forge a line of the log.
fn sentence(text: &str) -> String {
    bramble_model::text::clip(text, MOST_WORDS)
}

fn words(error: &ApiError) -> &str {
    let text = error.error_description.as_deref().or(error.message.as_deref());
    text.filter(|text| !text.is_empty()).unwrap_or(if error.error.is_empty() {
        "no reason given"
    } else {
        &error.error
    })
}

impl CallError {
    /// Whether trying again later can help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Http(_))
            || self.code() == Some(error::INVALID_TIMESTAMP)
    }

    /// Whether the server does not know the machine's key pair.
    pub fn is_unknown_identity(&self) -> bool {
        self.code() == Some(error::INVALID_DEVICE_IDENTITY)
    }

    /// What the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The code in the body of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { error, .. } => Some(&error.error),
            _ => None,
        }
    }
}

/// Sorts an answer that is no success.
fn failure(response: &Response) -> CallError {
    let status = response.status;
    let said: ApiError = serde_json::from_slice(&response.body).unwrap_or(ApiError {
        error: String::new(),
        error_description: None,
        message: None,
    });
    // These words end up on a person's terminal and in the log.
    let error = ApiError {
        error: sentence(&said.error),
        error_description: said.error_description.as_deref().map(sentence),
        message: said.message.as_deref().map(sentence),
    };
    if status == StatusCode::UNAUTHORIZED && error.error == error::INVALID_TOKEN {
        CallError::InvalidToken
    } else if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        CallError::Unavailable { status, retry_after: response.retry_after() }
    } else {
        CallError::Refused { status, error }
    }
}

/// Calls that need no sign-in.
#[derive(Debug, Clone)]
pub struct OpenApi {
    client: Client,
}

/// Calls of a signed-in device.
#[derive(Debug, Clone)]
pub struct DeviceApi {
    client: Client,
    token: SecretText,
}

impl OpenApi {
    /// Calls through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, to go on with after the sign-in.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Links with a key.
    pub async fn exchange(
        &self,
        key: &SecretText,
        serial: &str,
        hostname: &str,
    ) -> Result<Linked, CallError> {
        let body = AuthKeyExchange {
            auth_key: key.expose().to_owned(),
            serial_number: serial.to_owned(),
            hostname: hostname.to_owned(),
            client_id: CLIENT_ID.to_owned(),
        };
        call(&self.client, None, Method::POST, "/client/auth-key-exchange", Some(&body)).await
    }

    /// Asks for a code that a person approves.
    pub async fn request_code(&self, request: &CodeRequest) -> Result<CodeAnswer, CallError> {
        call(&self.client, None, Method::POST, "/client/device", Some(request)).await
    }

    /// Asks whether somebody did.
    pub async fn poll_code(&self, device_code: &SecretText) -> Result<Linked, CallError> {
        let body =
            TokenRequest { client_id: CLIENT_ID.to_owned(), device_code: device_code.expose().to_owned() };
        call(&self.client, None, Method::POST, "/client/token", Some(&body)).await
    }

    /// Links with a JSON body that these headers prove.
    pub async fn prove(
        &self,
        path: &str,
        body: Vec<u8>,
        proof: &[(&str, &str)],
    ) -> Result<Linked, CallError> {
        let request = Request { method: Method::POST, path, token: None, body: Some(body) };
        let response = self.client.send_with(request, proof).await?;
        if response.status.is_success() { read(response) } else { Err(failure(&response)) }
    }

    /// The server's time in Unix seconds, if it tells.
    pub async fn time(&self) -> Option<i64> {
        let answer = send(&self.client, None, Method::GET, "/up", None::<&()>).await.ok()?;
        answer.headers.get("x-timestamp")?.to_str().ok()?.parse().ok()
    }

    /// Whether the server is there.
    pub async fn up(&self) -> Result<(), CallError> {
        done(send(&self.client, None, Method::GET, "/up", None::<&()>).await?)
    }

    /// Whether the event stream's route is there: without a token it answers 401 and nothing else.
    pub async fn events_answer(&self) -> Result<(), CallError> {
        match self.client.open_events(&events_path(), None).await? {
            Ok(_) => Ok(()),
            Err(response) if response.status == StatusCode::UNAUTHORIZED => Ok(()),
            Err(response) => Err(failure(&response)),
        }
    }

    /// The same server, signed in.
    pub fn signed_in(&self, token: SecretText) -> DeviceApi {
        DeviceApi { client: self.client.clone(), token }
    }
}

impl DeviceApi {
    /// The client underneath.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Opens the event stream.
    pub async fn events(&self) -> Result<EventStream, CallError> {
        match self.client.open_events(&events_path(), Some(&self.token)).await? {
            Ok(stream) => Ok(stream),
            Err(response) => Err(failure(&response)),
        }
    }

    /// Describes this device.
    pub async fn describe(&self, me: &Me) -> Result<(), CallError> {
        done(self.send(Method::POST, "/me", Some(me)).await?)
    }

    /// Asks who this device is.
    pub async fn who_am_i(&self) -> Result<WhoAmI, CallError> {
        read(self.send(Method::GET, "/me", None::<&()>).await?)
    }

    /// Signs this device out.
    pub async fn sign_out(&self) -> Result<(), CallError> {
        done(self.send(Method::DELETE, "/me", None::<&()>).await?)
    }

    /// Names the running sessions and hears which of them may go on.
    pub async fn sync(&self, ids: Vec<SessionId>, restarted: bool) -> Result<Vec<SessionId>, CallError> {
        let said = SessionIds { ids, restarted };
        let answer: SessionIds = read(self.send(Method::POST, "/client/sessions/sync", Some(&said)).await?)?;
        Ok(answer.ids)
    }

    /// STUN and TURN servers to check.
    pub async fn ice_servers(&self) -> Result<IceServers, CallError> {
        read(self.send(Method::GET, "/client/ice-servers", None::<&()>).await?)
    }

    /// Fetches what the browser offers.
    pub async fn offer(&self, id: SessionId) -> Result<Offer, CallError> {
        read(self.send(Method::GET, &format!("/client/sessions/{id}/offer"), None::<&()>).await?)
    }

    /// Asks which updates wait.
    pub async fn pending(&self) -> Result<Option<PendingDeployments>, CallError> {
        let response = self.send(Method::GET, "/deployments/pending", None::<&()>).await?;
        if response.status == StatusCode::NO_CONTENT { Ok(None) } else { read(response).map(Some) }
    }

    /// Starts one, or hears again what was ordered.
    pub async fn start(&self, id: DeploymentId) -> Result<Started, CallError> {
        read(self.send(Method::POST, &format!("/deployments/{id}/start"), Some(&Nothing {})).await?)
    }

    /// Says how far it is.
    pub async fn progress(&self, id: DeploymentId, report: &Progress) -> Result<(), CallError> {
        done(self.send(Method::POST, &format!("/deployments/{id}/progress"), Some(report)).await?)
    }

    /// Says that it succeeded.
    pub async fn completed(&self, id: DeploymentId, report: &Completed) -> Result<(), CallError> {
        done(self.send(Method::POST, &format!("/deployments/{id}/complete"), Some(report)).await?)
    }

    /// Says that it did not.
    pub async fn failed(&self, id: DeploymentId, report: &Failed) -> Result<(), CallError> {
        done(self.send(Method::POST, &format!("/deployments/{id}/fail"), Some(report)).await?)
    }

    /// The keys that sign updates. They are public; the token stays at home.
    pub async fn deployment_keys(&self) -> Result<DeploymentKeys, CallError> {
        call(&self.client, None, Method::GET, "/.well-known/bramble", None::<&()>).await
    }

    /// Answers it.
    pub async fn answer(&self, id: SessionId, answer: &Answer) -> Result<(), CallError> {
        done(self.send(Method::POST, &format!("/client/sessions/{id}/answer"), Some(answer)).await?)
    }

    /// Sends one candidate.
    pub async fn candidate(&self, id: SessionId, candidate: IceCandidate) -> Result<(), CallError> {
        let body = CandidateBody { candidate };
        done(self.send(Method::POST, &format!("/client/sessions/{id}/candidates"), Some(&body)).await?)
    }

    /// Reports where a session stands.
    pub async fn state(&self, id: SessionId, report: &StateReport) -> Result<(), CallError> {
        done(self.send(Method::POST, &format!("/client/sessions/{id}/state"), Some(report)).await?)
    }

    /// Reports that a file went over a session.
    pub async fn transfer(&self, id: SessionId, report: &TransferReport) -> Result<(), CallError> {
        done(self.send(Method::POST, &format!("/client/sessions/{id}/transfers"), Some(report)).await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response, CallError> {
        send(&self.client, Some(&self.token), method, path, body).await
    }
}

fn events_path() -> String {
    format!("/events?channel={}", events::CHANNEL)
}

async fn send(
    client: &Client,
    token: Option<&SecretText>,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<Response, CallError> {
    let body = body.map(serde_json::to_vec).transpose().map_err(|e| CallError::Nonsense(e.to_string()))?;
    let response = client.send(Request { method, path, token, body }).await?;
    if response.status.is_success() { Ok(response) } else { Err(failure(&response)) }
}

async fn call<T: DeserializeOwned>(
    client: &Client,
    token: Option<&SecretText>,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<T, CallError> {
    read(send(client, token, method, path, body).await?)
}

#[expect(clippy::needless_pass_by_value, reason = "the answer ends here")]
fn read<T: DeserializeOwned>(response: Response) -> Result<T, CallError> {
    // The message of a JSON error may quote the body; line and column do not.
    serde_json::from_slice(&response.body)
        .map_err(|e| CallError::Nonsense(format!("line {}, column {}", e.line(), e.column())))
}

#[expect(clippy::unnecessary_wraps, reason = "ends a chain of calls that can fail")]
fn done(_: Response) -> Result<(), CallError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_do_not_reach_the_terminal_as_they_are() {
        let body = format!(
            r#"{{"error":"no\u001b[2J","error_description":"Fine.\n{{forged}} \u009b31m\u202e{}"}}"#,
            "x".repeat(5000)
        );
        let response = Response {
            status: StatusCode::FORBIDDEN,
            headers: http::HeaderMap::default(),
            body: body.into(),
        };
        let failure = failure(&response);
        let shown = failure.to_string();
        assert!(shown.starts_with("the server refused (403 Forbidden): Fine."), "{shown}");
        assert!(shown.len() < 400, "{}", shown.len());
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        assert!(!failure.code().is_some_and(|code| code.contains('\u{1b}')));
    }
}
