//! How soon a whole fleet knows that there is something to do, and how soon one device has done it.

use crate::{
    image,
    report::{Row, Target, median},
};
use bramble_testkit::{Dialer, EventStream, Fleet, Person, TestServer, UpdatableDevice, program};
use bramble_wire::events::{Command, ServerEvent};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// Devices that are online and told.
const DEVICES: usize = 10_000;
/// Deployments of one script to one device.
const ROUNDS: usize = 11;
/// Between two looks at the page of a deployment.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
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
    let id = browser.artefact("https://files.example/a", &"ab".repeat(32)).await;
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

/// From the click on *Deploy* to the moment at which the dashboard says *Succeeded*: the real agent fetches a
/// small script over HTTP from this machine and runs it.
pub async fn deployed() -> Vec<Row> {
    let server = TestServer::start().await;
    let person = server.person("Ada").await;
    let device = UpdatableDevice::linked(&server, &server.auth_key(&person).await).await;
    let (uri, checksum) = served(&device.files()).await;
    let browser = Browser::sign_in(&server, &person).await;
    let artefact = browser.artefact(&uri, &checksum).await;
    let devices = browser.get("/devices").await;
    let mut paths =
        devices.split('"').filter(|path| path.starts_with("/devices/") && path.ends_with("/deploy"));
    let deploy = paths.next().expect("a device that can be deployed to").to_owned();
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let form = browser.get(&deploy).await;
        let newest = between(&form, "name=\"newest\" value=\"", "\"").expect("the form").to_owned();
        let began = Instant::now();
        let page = browser.post(&deploy, &[("newest", &newest), ("artefact", &artefact)]).await;
        while !browser.get(&page).await.contains("Succeeded") {
            assert!(began.elapsed() < LIMIT, "the deployment does not succeed");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        times.push(began.elapsed().as_secs_f64());
    }
    vec![Row::new("deployment created to Succeeded, small script", median(times), "s", Target::AtMost(2.0))]
}

/// A script as an artefact, where it can be fetched, and its checksum.
async fn served(folder: &Path) -> (String, String) {
    fs::write(folder.join("go"), "#!/bin/sh\necho hello\n").expect("a file");
    let contents = "artefact:\n  name: hello\npayloads:\n- name: go\n  type: script\n";
    fs::write(folder.join("hello.yaml"), contents).expect("a file");
    let mut maker = tokio::process::Command::new(program("otamaker"));
    let made = maker.args(["-w", "hello.yaml"]).current_dir(folder).output().await.expect("otamaker runs");
    assert!(made.status.success(), "{made:?}");
    let sum = fs::read_to_string(folder.join("hello.tar.zst.sha256sum")).expect("a checksum");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}/hello.tar.zst", listener.local_addr().expect("an address"));
    let file = folder.join("hello.tar.zst");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = image::serve(stream, &file).await;
        }
    });
    (url, sum.trim().to_owned())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split(end).next()
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

    /// Makes the first artefact, and hands out its id.
    async fn artefact(&self, uri: &str, checksum: &str) -> String {
        let artefact = [("name", "a"), ("uri", uri), ("checksum", checksum)];
        self.post("/remote-update/artefacts/new", &artefact).await;
        let form = self.get("/remote-update/rollouts/new").await;
        between(&form, "<option value=\"", "\"").expect("the artefact is offered").to_owned()
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
