//! A server without a network, a clock that moves by hand, and browsers that keep cookies.

use axum::Router;
use axum::body::Body;
use bramble_model::{ManualClock, OsRandom};
use bramble_server::app::{App, Ctx};
use bramble_server::auth::password::Password;
use bramble_server::config::providers::Provider;
use bramble_server::config::{Config, Hidden, Registration};
use bramble_server::front_door::ClientAddress;
use bramble_server::{accounts, mail, routes};
use bramble_store::testing::{Engine, TestDatabase};
use bramble_wire::{MailId, UserId};
use http::header::{COOKIE, HOST, LOCATION, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use time::macros::datetime;
use tower::ServiceExt;

pub const PASSWORD: &str = "copper lantern drifts over seven orchards";
pub const OTHER_PASSWORD: &str = "nine violet tractors hum beneath glaciers";
pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

pub struct Site {
    pub app: Ctx,
    pub router: Router,
    pub clock: Arc<ManualClock>,
    pub database: TestDatabase,
}

/// How a site differs from the usual one.
pub struct Plan {
    pub engine: Engine,
    pub url: &'static str,
    pub registration: Registration,
    pub smtp: Option<String>,
    pub providers: Vec<Provider>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            engine: Engine::Sqlite,
            url: "https://pi.example",
            registration: Registration::Open,
            smtp: None,
            providers: Vec::new(),
        }
    }
}

impl Plan {
    pub fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(datetime!(2026-11-22 12:00 UTC)))
    }

    pub async fn build(self) -> Site {
        self.build_at(Self::clock()).await
    }

    pub async fn build_at(self, clock: Arc<ManualClock>) -> Site {
        let database = TestDatabase::new(self.engine).await;
        let app = self.node(&database, &clock, "data").await;
        Site { router: routes::router(Arc::clone(&app)), app, clock, database }
    }

    /// A server on a database that may have others.
    pub async fn node(&self, database: &TestDatabase, clock: &Arc<ManualClock>, folder: &str) -> Ctx {
        let url = self.url.parse().expect("a URL");
        let mut config = Config::new(database.folder.path().join(folder), url);
        config.database = database.target.clone();
        config.registration = self.registration;
        config.providers = self.providers.clone();
        config.smtp_url = self.smtp.clone().map(Hidden::new);
        config.mail_from = Some("bramble@pi.example".to_owned());
        // Nodes of one cluster share the master key.
        let key = database.folder.path().join("master.key");
        if !key.exists() {
            std::fs::write(&key, format!("{}\n", "5a".repeat(32))).expect("the key");
        }
        config.master_key_file = Some(key);
        let clock: Arc<ManualClock> = Arc::clone(clock);
        App::build(config, clock, Arc::new(OsRandom)).await.expect("the server opens")
    }
}

impl Site {
    pub async fn new() -> Self {
        Plan::default().build().await
    }

    pub async fn on(engine: Engine) -> Self {
        Plan { engine, ..Plan::default() }.build().await
    }

    /// A person with [`PASSWORD`].
    pub async fn person(&self, email: &str) -> UserId {
        let new = accounts::NewUser {
            email: email.to_owned(),
            name: "Ada Example".to_owned(),
            password: Password::new(PASSWORD),
            verified: true,
        };
        accounts::create_user(&self.app, new).await.expect("a person")
    }

    pub fn browser(&self) -> Browser {
        self.browser_at("192.0.2.1")
    }

    pub fn browser_at(&self, address: &str) -> Browser {
        let host = self.app.config.public_url.host_str().expect("a host").to_owned();
        Browser {
            router: self.router.clone(),
            origin: self.app.config.origin(),
            host,
            address: address.parse().expect("an address"),
            cookies: BTreeMap::new(),
        }
    }

    /// The kinds of all mails to an address, the oldest first.
    pub async fn mails(&self, to: &str) -> Vec<String> {
        let mut all = mail::list(&self.app).await.expect("the outbox");
        all.reverse();
        all.into_iter().filter(|m| m.recipient == to).map(|m| m.kind).collect()
    }

    /// The texts of all mails of a kind to an address, the newest first.
    pub async fn texts(&self, to: &str, kind: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for mail in mail::list(&self.app).await.expect("the outbox") {
            if mail.recipient == to && mail.kind == kind {
                texts.push(self.text(mail.id).await);
            }
        }
        texts
    }

    /// The path of the link in the newest mail of a kind.
    pub async fn link(&self, to: &str, kind: &str) -> String {
        self.links(to, kind).await.into_iter().next().expect("a mail")
    }

    /// The paths of the links in all mails of a kind, the newest first.
    pub async fn links(&self, to: &str, kind: &str) -> Vec<String> {
        let all = mail::list(&self.app).await.expect("the outbox");
        let origin = self.app.config.origin();
        let mut links = Vec::new();
        for mail in all.into_iter().filter(|m| m.recipient == to && m.kind == kind) {
            let text = self.text(mail.id).await;
            let line = text.lines().find(|line| line.starts_with(&origin)).expect("a link");
            links.push(line[origin.len()..].to_owned());
        }
        links
    }

    pub async fn text(&self, id: MailId) -> String {
        mail::show(&self.app, id).await.expect("the outbox").expect("a mail").text
    }
}

#[derive(Clone)]
pub struct Browser {
    router: Router,
    origin: String,
    host: String,
    address: IpAddr,
    pub cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |value| value.to_str().expect("text"))
    }

    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let after = self.body.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
        after.split('"').next()
    }
}

impl Browser {
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], &[]).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, form, &[]).await
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("email", email), ("password", password)]).await
    }

    /// Signed in, or the test ends.
    pub async fn signed_in(mut self, email: &str) -> Self {
        let answer = self.sign_in(email, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        self
    }

    pub fn session_cookie(&self) -> Option<&str> {
        let secure = self.cookies.get("__Host-bramble");
        secure.or_else(|| self.cookies.get("bramble")).map(String::as_str)
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(HOST, &self.host)
            .header(USER_AGENT, FIREFOX)
            .extension(ClientAddress(self.address));
        if !self.cookies.is_empty() {
            let all: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, all.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut body = String::new();
        if method == Method::POST {
            body = url::form_urlencoded::Serializer::new(body).extend_pairs(form).finish();
            request = request
                .header("origin", &self.origin)
                .header("sec-fetch-site", "same-origin")
                .header("content-type", "application/x-www-form-urlencoded")
                .header("content-length", body.len());
        }
        let request = request.body(Body::from(body)).expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        for cookie in parts.headers.get_all(SET_COOKIE) {
            let text = cookie.to_str().expect("text");
            let (pair, rest) = text.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, body }
    }
}
