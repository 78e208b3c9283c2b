//! An OpenID Connect provider that signs whatever a test wants.

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bramble_model::{Clock, ManualClock};
use bramble_server::config::Hidden;
use bramble_server::config::providers::Provider;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use url::Url;

/// Whom it vouches for, and what it does wrong.
#[derive(Clone)]
pub struct Says {
    pub subject: String,
    pub email: Option<String>,
    pub verified: bool,
    /// Seconds since the person proved who they are; `None`: it does not say.
    pub proved_ago: Option<i64>,
    /// Claims that are not what they should be.
    pub wrong: Value,
    pub in_userinfo: bool,
}

impl Says {
    pub fn person(subject: &str, email: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            email: Some(email.to_owned()),
            verified: true,
            proved_ago: Some(0),
            wrong: json!({}),
            in_userinfo: false,
        }
    }
}

struct Inside {
    issuer: String,
    keys: Mutex<EcdsaKeyPair>,
    clock: Arc<ManualClock>,
    /// What each code is for: nonce, challenge, person.
    codes: Mutex<HashMap<String, (String, String, Says)>>,
}

#[derive(Clone)]
pub struct FakeProvider {
    inside: Arc<Inside>,
}

fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
    EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).expect("a key")
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl FakeProvider {
    pub async fn start(clock: &Arc<ManualClock>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let inside = Arc::new(Inside {
            issuer,
            keys: Mutex::new(new_key()),
            clock: Arc::clone(clock),
            codes: Mutex::new(HashMap::new()),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(Arc::clone(&inside));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inside }
    }

    /// As a server is configured for it.
    pub fn configured(&self) -> Provider {
        Provider {
            id: "corp".to_owned(),
            name: "Corp".to_owned(),
            issuer: self.inside.issuer.clone(),
            client_id: "bramble".to_owned(),
            client_secret: Hidden::new("a secret between servers"),
            trust_email: true,
            provides_2fa: false,
            sign_up: false,
        }
    }

    /// Signs with another key from now on.
    pub fn rotate(&self) {
        *self.inside.keys.lock().expect("a key") = new_key();
    }

    /// The person agrees: where their browser comes back, as a path of the server.
    pub fn agree(&self, to: &str, says: Says) -> String {
        let url = Url::parse(to).expect("a URL");
        assert!(to.starts_with(&self.inside.issuer), "{to}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let code = text(Sha256::digest(asked["state"].as_bytes()));
        let entry = (asked["nonce"].clone(), asked["code_challenge"].clone(), says);
        self.inside.codes.lock().expect("codes").insert(code.clone(), entry);
        let back = Url::parse(&asked["redirect_uri"]).expect("a URL");
        format!("{}?code={code}&state={}", back.path(), asked["state"])
    }
}

async fn configuration(State(it): State<Arc<Inside>>) -> Json<Value> {
    let issuer = &it.issuer;
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"), "response_types_supported": ["code"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn jwks(State(it): State<Arc<Inside>>) -> Json<Value> {
    let keys = it.keys.lock().expect("a key");
    let point = keys.public_key().as_ref();
    let kid = text(&point[1..9]);
    Json(json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
        "x": text(&point[1..33]), "y": text(&point[33..65]),
    }] }))
}

async fn token(
    State(it): State<Arc<Inside>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let refused = |why: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": why })));
    let basic = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let right = STANDARD.encode("bramble:a+secret+between+servers");
    if basic != format!("Basic {right}") {
        return refused("invalid_client");
    }
    // A code works once, for whoever asked for it.
    let entry = it.codes.lock().expect("codes").get(&form["code"]).cloned();
    let Some((nonce, challenge, says)) = entry else { return refused("invalid_grant") };
    if text(Sha256::digest(form["code_verifier"].as_bytes())) != challenge {
        return refused("invalid_grant");
    }
    let now = it.clock.unix();
    let mut claims = json!({
        "iss": it.issuer, "sub": says.subject, "aud": "bramble", "exp": now + 300, "iat": now, "nonce": nonce,
        "name": "Vera Victim",
    });
    if let Some(ago) = says.proved_ago {
        claims["auth_time"] = (now - ago).into();
    }
    if !says.in_userinfo {
        claims["email"] = says.email.clone().into();
        claims["email_verified"] = says.verified.into();
    }
    for (name, value) in says.wrong.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    let id_token = sign(&it, &claims);
    (
        StatusCode::OK,
        Json(json!({ "access_token": form["code"], "token_type": "Bearer", "id_token": id_token })),
    )
}

fn sign(it: &Inside, claims: &Value) -> String {
    let keys = it.keys.lock().expect("a key");
    let kid = text(&keys.public_key().as_ref()[1..9]);
    let head = text(json!({ "alg": "ES256", "kid": kid }).to_string());
    let signed = format!("{head}.{}", text(claims.to_string()));
    let signature = keys.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", text(signature))
}

async fn userinfo(State(it): State<Arc<Inside>>, headers: HeaderMap) -> Json<Value> {
    let bearer =
        headers[header::AUTHORIZATION].to_str().expect("text").trim_start_matches("Bearer ").to_owned();
    let codes = it.codes.lock().expect("codes");
    let (_, _, says) = &codes[&bearer];
    Json(json!({ "sub": says.subject, "email": says.email, "email_verified": says.verified }))
}
