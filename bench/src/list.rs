//! The Devices tab of an organisation with very many devices: the list under load, searches, and typing in a browser.

use crate::browser;
use crate::report::{Row, Target, median, p99};
use bramble_testkit::{Person, TestServer, stock};
use serde::Deserialize;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Devices, unless `DEVICES` says another number.
const DEVICES: usize = 100_000;
/// Requests for the list in one second, and for how long.
const RATE: u32 = 200;
const SECONDS: u32 = 20;
/// How often each search is made.
const ROUNDS: usize = 30;
/// Filters, words of three letters and more, and mixtures: common, rare and without a result.
const LONGER: [&str; 14] = [
    "kiosk",
    "london",
    "łódź",
    "4242",
    "10000000",
    "nothing-like-it",
    "model:5",
    "memory:8gb os:debian-12",
    "tag:production",
    "tag:pilot",
    "tag:production tag:floor-7",
    "tag:nothing",
    "tag:floor-3 model:4b kiosk",
    "model:5 model:4b oslo",
];
const SHORTER: [&str; 4] = ["k", "42", "z9", "ki os 7"];

/// The number of devices that was asked for, if it is another one.
pub fn other_count() -> Option<usize> {
    std::env::var("DEVICES").ok().and_then(|text| text.parse().ok()).filter(|count| *count != DEVICES)
}

/// A target, which is one for the usual number of devices.
fn at_most(most: f64) -> Target {
    if other_count().is_some() { Target::None } else { Target::AtMost(most) }
}

/// Rows for each engine that is there.
pub async fn measure() -> Vec<Row> {
    let count = other_count().unwrap_or(DEVICES);
    let mut rows = on("SQLite", None, count).await;
    match std::env::var("BRAMBLE_TEST_POSTGRES") {
        Ok(server) => {
            let name = format!("bramble_bench_{}", std::process::id());
            let made = std::process::Command::new("psql")
                .args(["-q", &format!("{server}/postgres"), "-c", &format!("CREATE DATABASE {name}")])
                .status();
            assert!(made.is_ok_and(|status| status.success()), "a database on PostgreSQL");
            rows.extend(on("PostgreSQL", Some(format!("{server}/{name}")), count).await);
        }
        Err(_) => eprintln!("BRAMBLE_TEST_POSTGRES is not set: the rows of PostgreSQL are left out"),
    }
    rows
}

async fn on(engine: &str, url: Option<String>, count: usize) -> Vec<Row> {
    let mut builder = TestServer::builder();
    if let Some(url) = &url {
        builder = builder.flag("--database", url);
    }
    let mut server = builder.start().await;
    let person = server.person("Ada").await;
    let made = server
        .bramble(&["org", "create", "--name", "Fleet", "--administrator", &person.email, "--json"], "")
        .await
        .success();
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let id = made["id"].as_str().expect("an id").to_owned();
    server.stop().await;
    let target = match &url {
        Some(url) => bramble_store::Target::Postgres(url.clone()),
        None => bramble_store::Target::Sqlite(server.data().join("bramble.db")),
    };
    stock(&target, id.parse().expect("an id"), count).await;
    if let Some(url) = &url {
        // A fleet comes over weeks, and PostgreSQL looks at a table by itself within a minute. This one came at once.
        let looked = std::process::Command::new("psql").args(["-q", url, "-c", "VACUUM ANALYZE"]).status();
        assert!(looked.is_ok_and(|status| status.success()), "PostgreSQL knows its tables");
    }
    server.start_again().await;
    let list = Pages::signed_in(&server, &person, format!("/organisations/{id}/devices")).await;
    list.get("").await;
    let mut rows = vec![list.under_load(engine, count).await];
    for (what, queries, most) in [
        ("filters and words of three letters or more", &LONGER[..], 50.0),
        ("shorter words", &SHORTER[..], 250.0),
    ] {
        let mut all = Vec::new();
        for query in queries {
            let mut times = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                times.push(list.get(query).await);
            }
            eprintln!("{engine}, {query:?}: {:.1} ms", p99(times.clone()));
            all.extend(times);
        }
        let what = format!("search page, {what}, {count} devices, {engine}, p99");
        rows.push(Row::new(what, p99(all), "ms", at_most(most)));
    }
    rows.extend(typed(engine, &server, &person, &list, count).await);
    server.stop().await;
    rows
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    first_page_kb: f64,
    key_to_results_ms: Vec<f64>,
}

/// The same page in a real browser: what its first look weighs, and what a person who types waits for.
async fn typed(engine: &str, server: &TestServer, person: &Person, list: &Pages, count: usize) -> Vec<Row> {
    let order = serde_json::json!({
        "url": server.url(), "email": person.email, "password": person.password, "path": list.path,
    });
    let it: Typed = browser::measured("search.mjs", &order).await;
    let first = format!("first look at the list of {count} devices, everything it loads, {engine}");
    let [middle, worst] = [median(it.key_to_results_ms.clone()), p99(it.key_to_results_ms)];
    let key = |which: &str| format!("key typed to its results shown, {count} devices, {engine}, {which}");
    vec![
        Row::new(first, it.first_page_kb, "KB", at_most(60.0)),
        Row::new(key("median"), middle, "ms", at_most(100.0)),
        Row::new(key("p99"), worst, "ms", at_most(100.0)),
    ]
}

/// The pages as a browser asks for them.
#[derive(Clone)]
struct Pages {
    http: reqwest::Client,
    path: String,
    url: String,
    cookie: String,
}

impl Pages {
    async fn signed_in(server: &TestServer, person: &Person, path: String) -> Self {
        let http = server.http();
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("email", &person.email)
            .append_pair("password", &person.password)
            .finish();
        let answer = http
            .post(format!("{}/sign-in", server.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", server.url())
            .header("sec-fetch-site", "same-origin")
            .body(body)
            .send()
            .await
            .expect("an answer");
        let cookies = answer.headers().get_all("set-cookie").iter();
        let pairs = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookie = pairs.collect::<Vec<_>>().join("; ");
        Self { http, url: format!("{}{path}", server.url()), path, cookie }
    }

    /// How long a page took, to its last byte, in milliseconds.
    async fn get(&self, query: &str) -> f64 {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let began = Instant::now();
        let answer = self
            .http
            .get(format!("{}?query={encoded}", self.url))
            .header("cookie", &self.cookie)
            .header("accept-encoding", "gzip, deflate, br, zstd")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("a body");
        began.elapsed().as_secs_f64() * 1000.0
    }

    /// As many requests as that in a second, whether the earlier ones were answered or not.
    async fn under_load(&self, engine: &str, count: usize) -> Row {
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut asked = JoinSet::new();
        for _ in 0..RATE * SECONDS {
            ticks.tick().await;
            let pages = self.clone();
            asked.spawn(async move { pages.get("").await });
        }
        let times = asked.join_all().await;
        let what = format!("list of 100 out of {count} devices, {RATE} requests/s, {engine}, p99");
        Row::new(what, p99(times), "ms", at_most(15.0))
    }
}
