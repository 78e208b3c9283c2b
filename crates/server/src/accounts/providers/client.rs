//! Talking with a provider: what it says of itself, and what a code is worth. OpenID Connect Core 1.0 with
//! PKCE; every answer is bounded in size and time, and no redirect is followed.

use crate::app::App;
use crate::config::providers::Provider;
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreProviderMetadata};
use openidconnect::{
    AccessToken, AsyncHttpClient, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, SubjectIdentifier, TokenResponse,
    UserInfoClaims,
};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;
use url::Url;

/// An answer of a provider takes no longer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer of a provider, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// How long what a provider says of itself is remembered. Its keys are among it: one that is new is asked for
/// again at once.
const REMEMBER: Duration = Duration::from_hours(1);

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why a provider could not be asked, or what it said is worth nothing. For the log alone.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failed(String);

impl Failed {
    fn new(what: &str, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        Self(text)
    }
}

/// What each provider said of itself last.
#[derive(Debug, Default)]
pub struct Providers {
    http: OnceLock<Http>,
    known: Mutex<HashMap<String, (Instant, Arc<Client>)>>,
}

/// Whom a provider vouches for.
#[derive(Debug)]
pub(super) struct Vouched {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) name: Option<String>,
    /// When the person proved to the provider who they are, if it says so.
    pub(super) auth_time: Option<OffsetDateTime>,
}

/// What a browser brings to the provider and back.
pub(super) struct Journey<'a> {
    pub(super) state: &'a str,
    pub(super) nonce: &'a str,
    pub(super) verifier: &'a str,
}

impl Providers {
    fn http(&self) -> Result<Http, Failed> {
        match self.http.get() {
            Some(http) => Ok(http.clone()),
            None => Http::new().map(|http| self.http.get_or_init(|| http).clone()),
        }
    }

    fn remembered(&self, id: &str) -> Option<Arc<Client>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|(since, _)| since.elapsed() < REMEMBER).map(|(_, client)| Arc::clone(client))
    }

    fn forget(&self, id: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    async fn client(&self, app: &App, provider: &Provider) -> Result<Arc<Client>, Failed> {
        if let Some(client) = self.remembered(&provider.id) {
            return Ok(client);
        }
        let issuer =
            IssuerUrl::new(provider.issuer.clone()).map_err(|error| Failed::new("issuer", &error))?;
        let metadata = CoreProviderMetadata::discover_async(issuer, &self.http()?).await;
        let metadata = metadata.map_err(|error| Failed::new("discovery", &error))?;
        let back = app.config.url(&format!("/sign-in/provider/{}/callback", provider.id));
        let back = RedirectUrl::new(back).map_err(|error| Failed::new("callback", &error))?;
        let secret = ClientSecret::new(provider.client_secret.expose().to_owned());
        let client = CoreClient::from_provider_metadata(
            metadata,
            ClientId::new(provider.client_id.clone()),
            Some(secret),
        );
        let client = Arc::new(client.set_redirect_uri(back));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(provider.id.clone(), (Instant::now(), Arc::clone(&client)));
        Ok(client)
    }

    /// Where a browser goes. `again`: the person proves anew who they are, however long they are signed in
    /// there.
    pub(super) async fn authorize(
        &self,
        app: &App,
        provider: &Provider,
        journey: &Journey<'_>,
        again: bool,
    ) -> Result<Url, Failed> {
        let client = self.client(app, provider).await?;
        let (state, nonce) = (journey.state.to_owned(), journey.nonce.to_owned());
        let verifier = PkceCodeVerifier::new(journey.verifier.to_owned());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        if again {
            request = request.set_max_age(Duration::ZERO);
        }
        Ok(request.url().0)
    }

    /// Whom a code is for. The ID token's signature, issuer, audience, nonce and time are checked.
    pub(super) async fn exchange(
        &self,
        app: &App,
        provider: &Provider,
        code: String,
        journey: &Journey<'_>,
    ) -> Result<Vouched, Failed> {
        let client = self.client(app, provider).await?;
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| Failed::new("token endpoint", &error))?
            .set_pkce_verifier(PkceCodeVerifier::new(journey.verifier.to_owned()));
        let answer =
            request.request_async(&self.http()?).await.map_err(|error| Failed::new("token", &error))?;
        let id_token = answer.id_token().ok_or_else(|| Failed("the answer has no ID token".to_owned()))?;
        let nonce = Nonce::new(journey.nonce.to_owned());
        let now = app.clock.now();
        let time = move || chrono::DateTime::from_timestamp(now.unix_timestamp(), 0).unwrap_or_default();
        let claims = match id_token.claims(&client.id_token_verifier().set_time_fn(time), &nonce) {
            Ok(claims) => claims.clone(),
            // Signed with a key that is newer than what is remembered, perhaps.
            Err(error) => {
                tracing::info!(provider = %provider.id, %error, "an ID token was refused; asking for the keys again");
                self.forget(&provider.id);
                let client = self.client(app, provider).await?;
                let verifier = client.id_token_verifier().set_time_fn(time);
                let claims = id_token.claims(&verifier, &nonce);
                claims.map_err(|error| Failed::new("ID token", &error))?.clone()
            }
        };
        let vouched = vouched(&claims);
        if !is_subject(&vouched.subject) {
            return Err(Failed("the subject is empty, too long or no plain text".to_owned()));
        }
        if vouched.email.is_some() {
            return Ok(vouched);
        }
        ask_for_email(&self.http()?, &client, answer.access_token().clone(), vouched).await
    }
}

/// OpenID Connect Core 1.0, 2: at most 255 ASCII characters.
fn is_subject(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control())
}

fn vouched(claims: &CoreIdTokenClaims) -> Vouched {
    Vouched {
        subject: claims.subject().to_string(),
        email: claims.email().map(|email| email.to_string()),
        email_verified: claims.email_verified() == Some(true),
        name: claims.name().and_then(|name| name.get(None)).map(|name| name.to_string()),
        auth_time: claims.auth_time().and_then(|at| OffsetDateTime::from_unix_timestamp(at.timestamp()).ok()),
    }
}

/// Some providers keep the address out of the ID token.
async fn ask_for_email(
    http: &Http,
    client: &Client,
    token: AccessToken,
    vouched: Vouched,
) -> Result<Vouched, Failed> {
    let subject = SubjectIdentifier::new(vouched.subject.clone());
    let Ok(request) = client.user_info(token, Some(subject)) else { return Ok(vouched) };
    let claims: UserInfoClaims<openidconnect::EmptyAdditionalClaims, openidconnect::core::CoreGenderClaim> =
        request.request_async(http).await.map_err(|error| Failed::new("userinfo", &error))?;
    Ok(Vouched {
        email: claims.email().map(|email| email.to_string()),
        email_verified: claims.email_verified() == Some(true),
        name: claims.name().and_then(|name| name.get(None)).map(|name| name.to_string()).or(vouched.name),
        ..vouched
    })
}

/// One request to a provider.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error(transparent)]
    Failed(#[from] reqwest::Error),
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error(transparent)]
    Odd(#[from] http::Error),
}

/// Asks providers.
#[derive(Debug, Clone)]
struct Http(reqwest::Client);

impl Http {
    fn new() -> Result<Self, Failed> {
        // Fails when somebody chose one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let built =
            reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
        built.map(Self).map_err(|error| Failed::new("HTTP", &error))
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(ask(&self.0, request))
    }
}

async fn ask(client: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut built = http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        built = built.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if body.len() + part.len() > MAX_ANSWER {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&part);
    }
    Ok(built.body(body)?)
}
