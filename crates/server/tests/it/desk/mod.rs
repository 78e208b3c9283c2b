//! A server without a network, a clock that moves by hand, people with browsers, and devices that are
//! nothing but the wire protocol.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bramble_model::account::Role;
use bramble_model::audit::Action;
use bramble_model::auth_key::TtlDays;
use bramble_model::{ManualClock, OsRandom};
use bramble_server::app::{App, Ctx};
use bramble_server::auth::password::Password;
use bramble_server::auth::{SignedIn, signed_in};
use bramble_server::config::Config;
use bramble_server::deployments::Manager;
use bramble_server::front_door::ClientAddress;
use bramble_server::linking::keys;
use bramble_server::{accounts, artefacts, deployments, mail, organisations, routes};
use bramble_store::testing::{Engine, TestDatabase};
use bramble_wire::events::{Command, ServerEvent};
use bramble_wire::{AccountId, ArtefactId, DeploymentId, DeviceId, SessionId, UserId};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::macros::datetime;
use tower::ServiceExt;

const PASSWORD: &str = "copper lantern drifts over seven orchards";
const HOST_NAME: &str = "pi.example";
/// Nothing here takes this long; whatever does is stuck.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Desk {
    pub app: Ctx,
    pub router: Router,
    pub clock: Arc<ManualClock>,
    database: Arc<TestDatabase>,
}

impl Desk {
    pub async fn on(engine: Engine) -> Self {
        Self::configured(engine, |_| {}).await
    }

    /// With other settings than the defaults.
    pub async fn configured(engine: Engine, change: impl FnOnce(&mut Config)) -> Self {
        let database = Arc::new(TestDatabase::new(engine).await);
        let clock = Arc::new(ManualClock::at(datetime!(2026-11-22 12:00 UTC)));
        Self::build(database, clock, "data", change).await
    }

    /// Another server on the same PostgreSQL database, with the same master key.
    pub async fn second_node(&self) -> Self {
        let key = self.app.config.secrets().join("master.key");
        let (database, clock) = (Arc::clone(&self.database), Arc::clone(&self.clock));
        Self::build(database, clock, "second", |config| config.master_key_file = Some(key)).await
    }

    async fn build(
        database: Arc<TestDatabase>,
        clock: Arc<ManualClock>,
        folder: &str,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let url = format!("https://{HOST_NAME}").parse().expect("a URL");
        let mut config = Config::new(database.folder.path().join(folder), url);
        config.database = database.target.clone();
        change(&mut config);
        let time: Arc<ManualClock> = Arc::clone(&clock);
        let app = App::build(config, time, Arc::new(OsRandom)).await.expect("the server opens");
        Self { router: routes::router(Arc::clone(&app)), app, clock, database }
    }

    pub async fn new() -> Self {
        Self::on(Engine::Sqlite).await
    }

    /// A person in a signed-in browser.
    pub async fn person(&self, name: &str) -> Person {
        let email = format!("{name}@example.org");
        let new = accounts::NewUser {
            email: email.clone(),
            name: name.to_owned(),
            password: Password::new(PASSWORD),
            verified: true,
        };
        let user = accounts::create_user(&self.app, new).await.expect("a person");
        let account = self.app.store.personal_account(user).await.expect("reads").expect("an account");
        let cookie = self.sign_in(&email).await;
        Person { router: self.router.clone(), user, account, email, cookie, address: "192.0.2.1".into() }
    }

    /// An organisation of which this person is the administrator.
    pub async fn organisation(&self, person: &Person, name: &str) -> AccountId {
        organisations::create_as_operator(&self.app, person.user, name).await.expect("an organisation")
    }

    /// Puts a person into an organisation.
    pub async fn join(&self, organisation: AccountId, person: &Person, role: Role) {
        let tx = self.app.store.begin().await.expect("begins");
        let joined = tx.insert_membership(organisation, person.user, role, self.app.clock.now()).await;
        assert!(joined.expect("writes"), "a member already");
        tx.commit().await.expect("commits");
    }

    /// Gives a device of a person's to an organisation.
    pub async fn give(&self, person: &Person, device: &Device, to: AccountId) {
        let path = format!("/devices/{}/transfer", device.id);
        let moved = person.post(&path, &[("account", &to.to_string())]).await;
        assert_eq!(moved.status, StatusCode::SEE_OTHER, "{}", moved.body);
    }

    /// Invites somebody and hands out what the link in the mail carries.
    pub async fn invitation(&self, by: &Person, organisation: AccountId, email: &str, role: Role) -> String {
        // Mails of one moment have no order.
        self.clock.advance(time::Duration::SECOND);
        let path = format!("/organisations/{organisation}/invitations");
        let sent = by.post(&path, &[("email", email), ("role", role.as_str())]).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
        let mails = self.mails_to(email).await;
        let link = mails.iter().rev().find_map(|text| text.split("/invitations/").nth(1));
        link.expect("a link").split_whitespace().next().expect("a token").to_owned()
    }

    /// The texts of the mails to an address, the oldest first.
    pub async fn mails_to(&self, email: &str) -> Vec<String> {
        let listed = mail::list(&self.app).await.expect("reads");
        let mut texts = Vec::new();
        for one in listed.iter().rev().filter(|one| one.recipient == email) {
            texts.push(mail::show(&self.app, one.id).await.expect("reads").expect("a mail").text);
        }
        texts
    }

    /// A person as handlers see them.
    pub async fn signed_in(&self, person: &Person) -> SignedIn {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, person.cookie.parse().expect("a cookie"));
        signed_in::look_up(&self.app, &headers).await.expect("reads").expect("signed in")
    }

    /// A person who manages the updates of an account.
    pub async fn manager(&self, person: &Person, account: AccountId) -> Manager {
        let who = self.signed_in(person).await;
        Manager::person(&self.app, &who, account).await.expect("an administrator")
    }

    /// A new artefact.
    pub async fn artefact(&self, by: &Manager, name: &str) -> ArtefactId {
        let uri = format!("https://files.example/{}.tar.zst", name.replace(' ', "-"));
        artefacts::add(&self.app, by, name, &uri, &"ab".repeat(32)).await.expect("an artefact").id
    }

    /// A pending deployment of a new artefact.
    pub async fn deployment(&self, person: &Person, account: AccountId, device: DeviceId) -> DeploymentId {
        let by = self.manager(person, account).await;
        let name = format!("artefact {}", bramble_model::Clock::unix(&*self.clock));
        let artefact = match artefacts::list(&self.app, &by, &name, 0, 1).await.expect("reads").0.first() {
            Some(artefact) => artefact.id,
            None => self.artefact(&by, &name).await,
        };
        deployments::create(&self.app, &by, device, artefact).await.expect("a deployment").id
    }

    /// The cookie of one more browser.
    pub async fn sign_in(&self, email: &str) -> String {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("email", email)
            .append_pair("password", PASSWORD)
            .finish();
        let request = request(Method::POST, "/sign-in", "192.0.2.1")
            .header("origin", format!("https://{HOST_NAME}"))
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        let pairs = cookies.map(|c| c.to_str().expect("text").split(';').next().expect("a pair").to_owned());
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// A usable key of a person.
    pub async fn key(&self, person: &Person) -> String {
        let ttl = TtlDays::new(7).expect("days");
        let made = keys::create_auth_key_as_operator(&self.app, person.user, "test", ttl).await;
        made.expect("a key").secret.expose().to_owned()
    }

    pub async fn exchange(&self, key: &str, serial: &str) -> Answer {
        self.device_call("POST", "/client/auth-key-exchange", None, Some(exchange_body(key, serial))).await
    }

    /// A linked device of a person.
    pub async fn device(&self, person: &Person, serial: &str) -> Device {
        let key = self.key(person).await;
        Device::of(self, &self.exchange(&key, serial).await)
    }

    /// A request of the device API.
    pub async fn device_call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        self.device_call_from("198.51.100.7", method, path, token, body).await
    }

    pub async fn device_call_from(
        &self,
        address: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = request(method.parse().expect("a method"), path, address);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        self.send(request.header(CONTENT_TYPE, "application/json").body(body).expect("a request")).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.expect("an answer")).await
    }

    /// The titles of an account's audit log, the oldest first.
    pub async fn audit(&self, account: AccountId) -> Vec<String> {
        let mut lines = self.app.store.audit_events(account, 100).await.expect("reads");
        // Lines of one moment have no order: the clock stands still.
        lines.sort_by_key(|line| (line.at, line.action.map(Action::code)));
        lines.into_iter().map(|line| line.action.map_or("?", |a| a.title()).to_owned()).collect()
    }

    pub async fn sql(&self, statement: &str) {
        self.app.store.execute_for_tests(statement).await;
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Keeps the folder until the end of the test.
        let _ = &self.database;
        self.app.stopping.cancel();
    }
}

pub fn exchange_body(key: &str, serial: &str) -> Value {
    json!({ "auth_key": key, "serial_number": serial, "hostname": format!("host-{serial}"), "client_id": "test" })
}

pub fn request(method: Method, path: &str, address: &str) -> http::request::Builder {
    let address = address.parse().expect("an address");
    Request::builder().method(method).uri(path).header(HOST, HOST_NAME).extension(ClientAddress(address))
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).expect("text"),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_default().to_owned()
    }
}

/// A person in a signed-in browser.
#[derive(Clone)]
pub struct Person {
    router: Router,
    pub user: UserId,
    pub account: AccountId,
    pub email: String,
    pub cookie: String,
    pub address: String,
}

impl Person {
    /// The same person in another browser.
    pub async fn elsewhere(&self, desk: &Desk) -> Self {
        Self { cookie: desk.sign_in(&self.email).await, ..self.clone() }
    }

    fn ask(&self, method: Method, path: &str) -> http::request::Builder {
        let reads = method == Method::GET;
        let request = request(method, path, &self.address).header(COOKIE, &self.cookie);
        if reads {
            return request;
        }
        request.header("origin", format!("https://{HOST_NAME}")).header("sec-fetch-site", "same-origin")
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Answer {
        let request = self.ask(Method::GET, path).body(Body::empty()).expect("a request");
        Answer::of(self.send(request).await).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self
            .ask(Method::POST, path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .expect("a request");
        Answer::of(self.send(request).await).await
    }

    /// As the page's script asks.
    pub async fn fetch(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = self
            .ask(method.parse().expect("a method"), path)
            .header(CONTENT_TYPE, "application/json")
            .header("accept", "application/json")
            .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) })
            .expect("a request");
        Answer::of(self.send(request).await).await
    }

    /// Opens the event stream of a session.
    pub async fn listen(&self, session: &str) -> Result<Events, StatusCode> {
        let request = self
            .ask(Method::GET, &format!("/sessions/{session}/events"))
            .header("accept", "text/event-stream")
            .body(Body::empty())
            .expect("a request");
        let response = self.send(request).await;
        let status = response.status();
        if status == StatusCode::OK { Ok(Events::of(response)) } else { Err(status) }
    }
}

/// A stream of events as a naive parser sees it.
pub struct Events {
    /// Never locked: it makes the stream `Sync`, for tests that race.
    body: Mutex<Body>,
    unread: String,
}

impl Events {
    fn of(response: Response) -> Self {
        Self { body: Mutex::new(response.into_body()), unread: String::new() }
    }

    /// The next event's name and data; `None` when the stream ended.
    pub async fn next(&mut self) -> Option<(String, String)> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event in time")
    }

    async fn read(&mut self) -> Option<(String, String)> {
        loop {
            if let Some(end) = self.unread.find("\n\n") {
                let event = self.unread[..end].to_owned();
                self.unread.drain(..end + 2);
                let value = |key: &str| event.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default();
                if event.contains("data: ") {
                    return Some((value("event: ").to_owned(), value("data: ").to_owned()));
                }
                continue;
            }
            let body = self.body.get_mut().expect("nobody locks it");
            let frame = body.frame().await?.expect("a frame");
            self.unread.push_str(std::str::from_utf8(&frame.into_data().expect("data")).expect("text"));
        }
    }
}

/// A device that is nothing but the wire protocol.
pub struct Device {
    router: Router,
    pub id: DeviceId,
    pub token: String,
    events: Option<Events>,
}

impl Device {
    pub fn of(desk: &Desk, linked: &Answer) -> Self {
        assert_eq!(linked.status, StatusCode::OK, "{}", linked.body);
        Self {
            router: desk.router.clone(),
            id: linked.text("device_id").parse().expect("an id"),
            token: linked.text("access_token"),
            events: None,
        }
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = request(method.parse().expect("a method"), path, "198.51.100.7")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) })
            .expect("a request");
        Answer::of(self.router.clone().oneshot(request).await.expect("an answer")).await
    }

    pub async fn status(&self) -> StatusCode {
        self.call("GET", "/me", Value::Null).await.status
    }

    pub async fn describe(&self, me: Value) {
        let answer = self.call("POST", "/me", me).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.body);
    }

    /// Opens its event stream, with the shell switched on.
    pub async fn online(mut self) -> Self {
        self.describe(json!({ "capabilities": { "shell": "enabled", "vnc": "available" } })).await;
        let request = request(Method::GET, "/events?channel=DeviceChannel", "198.51.100.7")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header("accept", "text/event-stream")
            .body(Body::empty())
            .expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let mut events = Events::of(response);
        assert_eq!(events.next().await.expect("an event").0, "welcome");
        assert_eq!(events.next().await.expect("an event").0, "confirm_subscription");
        self.events = Some(events);
        self
    }

    /// The next order that it hears.
    pub async fn order(&mut self) -> Option<ServerEvent> {
        let (name, data) = self.events.as_mut().expect("online").next().await?;
        let name = Some(name.as_str()).filter(|name| !name.is_empty());
        Some(ServerEvent::parse(name, &data).expect("a known event"))
    }

    /// The session that it is told to end next, and why.
    pub async fn told_to_end(&mut self) -> (SessionId, String) {
        match self.order().await {
            Some(ServerEvent::Command(Command::EndSession { id, reason })) => (id, reason),
            other => panic!("{other:?} instead of an end"),
        }
    }
}
