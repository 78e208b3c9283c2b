//! A server that keeps the protocol and does what a test tells it: answers late, wrongly or not at all.

use bramble_wire::{DeviceId, SessionId, events::ServerEvent, signature};
use bytes::Bytes;
use futures_util::stream;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Notify, mpsc, watch},
};

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(20);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
    /// Its signature fits the serial number of [`FakeServer::serial`].
    pub signed: bool,
}

impl Seen {
    pub fn token(&self) -> Option<&str> {
        self.headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
    }

    pub fn is(&self, method: &Method, path: &str) -> bool {
        self.method == *method && self.path == path
    }
}

/// What a test prescribes for a path.
#[derive(Debug, Clone)]
pub enum Prescribed {
    /// This answer.
    Answer(StatusCode, Vec<(&'static str, String)>, Value),
    /// Do what is asked, then cut the connection instead of answering.
    Cut,
    /// Say nothing until the test says so, then cut the connection.
    Hold(Arc<Notify>),
}

#[derive(Default)]
struct State {
    keys: HashSet<String>,
    tokens: HashSet<String>,
    issued: u32,
    approved: bool,
    serial: String,
    seen: Vec<Seen>,
    prescribed: HashMap<String, Vec<Prescribed>>,
    offers: HashMap<SessionId, Value>,
    known: Option<HashSet<SessionId>>,
    streams: Vec<mpsc::Sender<Bytes>>,
}

#[derive(Clone)]
pub struct FakeServer {
    pub url: String,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

impl FakeServer {
    /// Starts one on the loopback.
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    /// Starts one with TLS; also gives the PEM of its authority.
    pub async fn start_tls() -> (Self, String) {
        let authority_key = rcgen::KeyPair::generate().expect("key");
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).expect("authority");
        let issuer = rcgen::Issuer::new(parameters, authority_key);
        let key = rcgen::KeyPair::generate().expect("key");
        let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let leaf = leaf.signed_by(&key, &issuer).expect("certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(leaf.der().to_vec())],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("key"),
            )
            .expect("configuration");
        (Self::serve(Some(Arc::new(config))).await, authority.pem())
    }

    async fn serve(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("address").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let this = Self {
            url: format!("{scheme}://localhost:{port}"),
            state: Arc::default(),
            changed: watch::Sender::new(0),
        };
        let accepting = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = accepting.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => this.connection(stream).await,
                        Some(config) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
                                this.connection(stream).await;
                            }
                        }
                    }
                });
            }
        });
        this
    }

    async fn connection(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(move |request| {
            let this = self.clone();
            async move { this.answer(request).await }
        });
        // A cut connection is what some tests want.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(self, request: http::Request<Incoming>) -> Result<Response<Body>, &'static str> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.map_err(|_| "the request broke")?.to_bytes();
        let path = parts.uri.path().to_owned();
        let full = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let signed = {
            let serial = self.lock().serial.clone();
            is_signed(&serial, &parts.method, &format!("{}{full}", self.url), &parts.headers, &bytes)
        };
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let seen = Seen { method: parts.method, path: path.clone(), headers: parts.headers, body, signed };
        let prescribed = {
            let mut state = self.lock();
            state.seen.push(seen.clone());
            let key = format!("{} {path}", seen.method);
            state.prescribed.get_mut(&key).and_then(|list| {
                // The last one stays.
                if list.len() > 1 { Some(list.remove(0)) } else { list.first().cloned() }
            })
        };
        let answer = match prescribed {
            Some(Prescribed::Answer(status, headers, body)) => {
                let mut answer = Response::builder().status(status);
                for (name, value) in headers {
                    answer = answer.header(name, value);
                }
                Ok(answer.body(full_body(body.to_string())).expect("an answer"))
            }
            Some(Prescribed::Cut) => {
                let key = format!("{} {path}", seen.method);
                self.lock().prescribed.remove(&key);
                let _ = self.regular(&seen);
                Err("cut")
            }
            Some(Prescribed::Hold(until)) => {
                self.changed.send_modify(|n| *n += 1);
                until.notified().await;
                Err("held back, then cut")
            }
            None => Ok(self.regular(&seen)),
        };
        self.changed.send_modify(|n| *n += 1);
        answer
    }

    fn regular(&self, seen: &Seen) -> Response<Body> {
        let mut state = self.lock();
        let known = seen.token().is_some_and(|token| state.tokens.contains(token));
        let refused = || answer(StatusCode::UNAUTHORIZED, json!({ "error": "invalid_token" }));
        let text = |name: &str| seen.body[name].as_str().unwrap_or_default().to_owned();
        match (seen.method.as_str(), seen.path.as_str()) {
            ("GET", "/up") => answer(StatusCode::OK, json!({})),
            ("POST", "/client/auth-key-exchange") if state.keys.contains(&text("auth_key")) => {
                answer(StatusCode::OK, state.issue())
            }
            ("POST", "/client/device-identity-exchange") => answer(StatusCode::OK, state.issue()),
            ("POST", "/client/auth-key-exchange") => answer(
                StatusCode::UNAUTHORIZED,
                json!({ "error": "invalid_auth_key", "error_description": "The auth key is invalid." }),
            ),
            ("POST", "/client/device") => answer(
                StatusCode::OK,
                json!({
                    "device_code": "canary-device-code", "user_code": "TKD8-F392", "expires_in": 900, "interval": 1,
                    "verification_uri": format!("{}/verify", self.url),
                    "verification_uri_complete": format!("{}/verify/TKD8-F392", self.url),
                }),
            ),
            ("POST", "/client/token") if state.approved => answer(StatusCode::OK, state.issue()),
            ("POST", "/client/token") => {
                answer(StatusCode::BAD_REQUEST, json!({ "error": "authorization_pending" }))
            }
            _ if !known => refused(),
            ("GET", "/events") => {
                let (sender, receiver) = mpsc::channel::<Bytes>(64);
                for event in [ServerEvent::Welcome { sid: "s".into() }, ServerEvent::ConfirmSubscription] {
                    sender.try_send(event.to_bytes().into()).expect("room");
                }
                state.streams.push(sender);
                let frames = stream::unfold(receiver, |mut receiver| async move {
                    receiver.recv().await.map(|bytes| (Ok(Frame::data(bytes)), receiver))
                });
                Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
            }
            ("GET", "/me") => answer(
                StatusCode::OK,
                json!({ "device_id": DeviceId(uuid::Uuid::nil()), "name": "kiosk", "account": { "kind": "personal", "name": "A" } }),
            ),
            ("POST", "/client/sessions/sync") => {
                let mut ids: Vec<SessionId> =
                    serde_json::from_value(seen.body["ids"].clone()).unwrap_or_default();
                if let Some(known) = &state.known {
                    ids.retain(|id| known.contains(id));
                }
                answer(StatusCode::OK, json!({ "ids": ids }))
            }
            ("GET", path) if path.ends_with("/offer") => {
                let id = path.split('/').nth(3).and_then(|id| id.parse().ok());
                match id.and_then(|id: SessionId| state.offers.get(&id).cloned()) {
                    Some(offer) => answer(StatusCode::OK, offer),
                    None => answer(StatusCode::NOT_FOUND, json!({ "error": "not_found" })),
                }
            }
            ("GET", "/client/ice-servers") => answer(StatusCode::OK, json!({ "ice_servers": [] })),
            ("DELETE", "/me") => {
                if let Some(token) = seen.token() {
                    state.tokens.remove(token);
                }
                answer(StatusCode::NO_CONTENT, Value::Null)
            }
            _ => answer(StatusCode::NO_CONTENT, Value::Null),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// The serial number that signatures are checked with.
    pub fn expect_serial(&self, serial: &str) {
        serial.clone_into(&mut self.lock().serial);
    }

    pub fn accept_key(&self, key: &str) {
        self.lock().keys.insert(key.to_owned());
    }

    pub fn approve(&self) {
        self.lock().approved = true;
    }

    pub fn revoke_tokens(&self) {
        self.lock().tokens.clear();
    }

    /// What `METHOD /path` answers from now on, one after the other; the last one stays.
    pub fn prescribe(&self, what: &str, list: Vec<Prescribed>) {
        self.lock().prescribed.insert(what.to_owned(), list);
    }

    pub fn heal(&self) {
        self.lock().prescribed.clear();
    }

    pub fn offer(&self, id: SessionId, kind: &str) {
        self.offer_with(id, kind, true);
    }

    /// To somebody who only looks on.
    pub fn offer_to_watch(&self, id: SessionId, kind: &str) {
        self.offer_with(id, kind, false);
    }

    fn offer_with(&self, id: SessionId, kind: &str, input: bool) {
        let offer = json!({
            "kind": kind, "sdp": "v=0", "ice_servers": [], "user": { "name": "Ada" },
            "permissions": { "input": input, "files": false },
        });
        self.lock().offers.insert(id, offer);
    }

    pub fn know_only(&self, ids: &[SessionId]) {
        self.lock().known = Some(ids.iter().copied().collect());
    }

    pub fn send(&self, event: &ServerEvent) {
        self.send_bytes(&event.to_bytes());
    }

    pub fn send_bytes(&self, bytes: &[u8]) {
        let state = self.lock();
        let stream = state.streams.last().expect("a device is there");
        stream.try_send(Bytes::copy_from_slice(bytes)).expect("room");
    }

    /// Ends all event streams.
    pub fn hang_up(&self) {
        self.lock().streams.clear();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// Waits until the n-th (from 1) request like this has come.
    pub async fn nth(&self, n: usize, method: Method, path: &str) -> Seen {
        self.nth_where(n, &format!("{method} {path}"), |seen| seen.is(&method, path)).await
    }

    /// Waits until n requests fit.
    pub async fn nth_where(&self, n: usize, what: &str, fits: impl Fn(&Seen) -> bool) -> Seen {
        let mut changed = self.changed.subscribe();
        let found = tokio::time::timeout(SOON, async {
            loop {
                changed.borrow_and_update();
                if let Some(seen) = self.seen().into_iter().filter(&fits).nth(n - 1) {
                    return seen;
                }
                changed.changed().await.expect("the server lives");
            }
        });
        found.await.unwrap_or_else(|_| panic!("{what} did not come {n} times: {:#?}", self.paths()))
    }

    fn paths(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }
}

impl State {
    fn issue(&mut self) -> Value {
        self.issued += 1;
        let token = format!("rpdev_canary{}", self.issued);
        self.tokens.insert(token.clone());
        json!({ "device_id": DeviceId(uuid::Uuid::nil()), "access_token": token })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "answers are made on the spot")]
fn answer(status: StatusCode, body: Value) -> Response<Body> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    Response::builder().status(status).body(full_body(text)).expect("an answer")
}

fn full_body(text: String) -> Body {
    Full::new(Bytes::from(text)).boxed_unsync()
}

/// The check of the protocol, written anew: headers in the documented order.
fn is_signed(serial: &str, method: &Method, url: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let sent: Vec<(&str, &str)> = signature::SIGNED_HEADERS
        .into_iter()
        .filter_map(|name| Some((name, headers.get(name)?.to_str().ok()?)))
        .collect();
    let digest = (!body.is_empty()).then(|| hex::encode(Sha256::digest(body)));
    let key = hex::encode(Sha256::digest(serial));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key");
    mac.update(signature::message(method.as_str(), url, &sent, digest.as_deref()).as_bytes());
    headers
        .get(signature::HEADER)
        .is_some_and(|value| value.as_bytes() == hex::encode(mac.finalize().into_bytes()).as_bytes())
}
