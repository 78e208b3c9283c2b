//! How soon a whole fleet knows that there is something to do.

use crate::report::{Row, Target};
use bramble_testkit::{Dialer, EventStream, Fleet, Person, TestServer};
use bramble_wire::events::{Command, ServerEvent};
use std::time::{Duration, Instant};

/// Devices that are online and told.
const DEVICES: usize = 10_000;
/// Within which all must have a stream, and all must have been told.
const LIMIT: Duration = Duration::from_mins(5);

/// From the click on *Deploy* under the preview of a search that finds every device to the moment at
/// which the last of them has read that there is a deployment.
pub async fn measure() -> Vec<Row> {
    let mut server = TestServer::start().await;
    let person = server.person("Ada").await;
    server.stop().await;
    let fleet = Fleet::insert_updatable(&server, &person, DEVICES).await;
    server.start_again().await;
    let (streams, _) = fleet.connect(&Dialer::new(&server), DEVICES, LIMIT).await;
    let browser = Browser::sign_in(&server, &person).await;
    let checksum = "ab".repeat(32);
    let artefact = [("name", "a"), ("uri", "https://files.example/a"), ("checksum", checksum.as_str())];
    browser.post("/remote-update/artefacts/new", &artefact).await;
    let form = browser.get("/remote-update/rollouts/new").await;
    let id = form.split("<option value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let id = id.expect("the artefact is offered").to_owned();
    let preview = browser.post("/remote-update/rollouts/new", &[("query", ""), ("artefact", &id)]).await;
    let listeners: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(told(stream))).collect();
    let began = Instant::now();
    let count = DEVICES.to_string();
    browser.post(&format!("{preview}/start"), &[("confirm", count.as_str())]).await;
    let mut last = began;
    for listener in listeners {
        let at = tokio::time::timeout(LIMIT, listener).await.expect("it is told in time");
        last = last.max(at.expect("no panic"));
    }
    let took = (last - began).as_secs_f64();
    let what = format!("{DEVICES} connected devices told of a deployment");
    vec![Row::new(what, took, "s", Target::AtMost(5.0))]
}

/// When a device reads that it has a deployment.
async fn told(mut stream: EventStream) -> Instant {
    loop {
        let event = stream.next().await.expect("the stream stays open");
        if matches!(event, ServerEvent::Command(Command::Deploy { .. })) {
            return Instant::now();
        }
    }
}

/// As much of a browser as the forms need.
struct Browser<'a> {
    server: &'a TestServer,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(server: &'a TestServer, person: &Person) -> Self {
        let mut this = Self { server, cookie: String::new() };
        let form = [("email", person.email.as_str()), ("password", person.password.as_str())];
        let answer = this.send("/sign-in", &form).await;
        let cookies =
            answer.1.into_iter().map(|cookie| cookie.split(';').next().unwrap_or_default().to_owned());
        this.cookie = cookies.collect::<Vec<_>>().join("; ");
        assert!(!this.cookie.is_empty(), "signed in");
        this
    }

    async fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.server.url());
        let answer = self.server.http().get(url).header("cookie", &self.cookie).send().await;
        answer.expect("an answer").text().await.expect("a page")
    }

    /// Sends a form and hands out where it leads.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> String {
        self.send(path, form).await.0
    }

    async fn send(&self, path: &str, form: &[(&str, &str)]) -> (String, Vec<String>) {
        let url = format!("{}{path}", self.server.url());
        let request = self.server.http().post(url).header("cookie", &self.cookie);
        let request = request
            .header("sec-fetch-site", "same-origin")
            .header("origin", self.server.url())
            .header("content-type", "application/x-www-form-urlencoded")
            .timeout(LIMIT)
            .body(encoded(form));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 303, "{path}");
        let header = |name| answer.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
        let location = header("location").next().unwrap_or_default().to_owned();
        (location, header("set-cookie").map(str::to_owned).collect())
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    let byte = |b: u8| {
        if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
    };
    let text = |text: &str| text.bytes().map(byte).collect::<String>();
    form.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join("&")
}
