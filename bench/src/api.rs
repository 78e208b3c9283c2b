//! The management API and linking, as programs use them: one server with SQLite, the load from the same
//! machine over plain HTTP.

use crate::identities::{Board, EXCHANGE, IDENTITIES, Signed};
use crate::report::{Row, Target, p99};
use bramble_model::{OsRandom, Random, SystemClock, tags::Tags};
use bramble_store::{Store, Target as Database, devices::NewDevice};
use bramble_testkit::TestServer;
use bramble_wire::AccountId;
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{sleep_until, timeout},
};

/// Devices of the organisation whose list is asked for.
const DEVICES: usize = 100_000;
/// Connections that ask at the same time.
const CONNECTIONS: u32 = 16;
/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(6);
/// The part of the most at which the wait is measured.
const SHARE: f64 = 0.7;
const PATIENCE: Duration = Duration::from_secs(30);
/// Boards with identities: more than one load gets through.
const BOARDS: usize = 20_000;

/// Lists, keys and exchanges.
pub async fn measure() -> Vec<Row> {
    let mut server = TestServer::builder().flag("--api-rate-limit", "0").start().await;
    let person = server.person("Ada").await;
    let organisation =
        made(&server, &["org", "create", "--name", "Fleet", "--administrator", &person.email], "id").await;
    let token =
        made(&server, &["token", "create", "--org", &organisation, "--description", "bench"], "secret").await;
    server.stop().await;
    fill(&server, organisation.parse().expect("an id")).await;
    server.start_again().await;
    let address = server.address();

    let list = get(&token, "/organisation/devices?per_page=100");
    let most = closed(address, |_| Some(list.clone()), |_| {}).await;
    let waits = open(address, &list, most * SHARE).await;
    let secrets = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&secrets);
    let keys = closed(
        address,
        |n| {
            let body = format!(r#"{{"description":"k{n}"}}"#);
            Some(post(Some(&token), "/organisation/auth-keys", &body))
        },
        move |body| {
            let body: Value = serde_json::from_slice(body).expect("JSON");
            kept.lock().expect("no panic").push(body["secret"].as_str().expect("a secret").to_owned());
        },
    )
    .await;
    let secrets = std::mem::take(&mut *secrets.lock().expect("no panic"));
    let exchanges = closed(
        address,
        |n| {
            // When they are used up, the rest of the time does not count.
            let secret = secrets.get(n)?;
            let body = format!(
                r#"{{"auth_key":"{secret}","serial_number":"b{n}","hostname":"b{n}","client_id":"b"}}"#
            );
            Some(post(None, "/client/auth-key-exchange", &body))
        },
        |_| {},
    )
    .await;
    let (registered, identities) = identities(address, &token).await;
    vec![
        Row::new("GET /organisation/devices, 100 of 100,000", most, "/s", Target::AtLeast(3000.0)),
        Row::new("the same at 70 %, p99", p99(waits), "ms", Target::AtMost(20.0)),
        Row::new("auth keys made, SQLite, durable", keys, "/s", Target::AtLeast(500.0)),
        Row::new("auth keys exchanged, SQLite, durable", exchanges, "/s", Target::AtLeast(500.0)),
        Row::new("device identities registered, SQLite, durable", registered, "/s", Target::None),
        Row::new("device identities exchanged, SQLite, durable", identities, "/s", Target::AtLeast(500.0)),
    ]
}

/// Registers identities and exchanges those that were. How many of each in a second.
async fn identities(address: SocketAddr, token: &str) -> (f64, f64) {
    let boards: Vec<Board> = std::iter::repeat_with(Board::new).take(BOARDS).collect();
    let ready = AtomicUsize::new(0);
    let registered = closed(
        address,
        |n| Some(signed(IDENTITIES, &boards.get(n)?.registration(token, n))),
        |_| {
            ready.fetch_add(1, Ordering::Relaxed);
        },
    )
    .await;
    // They were asked for in their order, and every one that was asked for was answered.
    let ready = ready.into_inner();
    let exchanged =
        closed(address, |n| Some(signed(EXCHANGE, &boards[..ready].get(n)?.exchange(n))), |_| {}).await;
    (registered, exchanged)
}

async fn made(server: &TestServer, arguments: &[&str], field: &str) -> String {
    let arguments = [arguments, &["--json"]].concat();
    let output: Value = serde_json::from_str(&server.bramble(&arguments, "").await.success()).expect("JSON");
    output[field].as_str().expect("a text").to_owned()
}

/// Devices that have never been there, written straight into the database.
async fn fill(server: &TestServer, account: AccountId) {
    let store = Store::open(&Database::Sqlite(server.data().join("bramble.db"))).await.expect("opens");
    let random: &dyn Random = &OsRandom;
    let at = bramble_model::Clock::now(&SystemClock);
    let tags = Tags::new(["kiosk", "production"]).expect("tags");
    for start in (0..DEVICES).step_by(2000) {
        let tx = store.begin().await.expect("begins");
        for n in start..start + 2000 {
            let new = NewDevice {
                id: random.id(),
                account,
                name: format!("kiosk-{:06}", n * 7919 % DEVICES),
                serial_number: format!("{n:016x}"),
                hostname: Some("kiosk".to_owned()),
                board_model: Some("Raspberry Pi 5".to_owned()),
                token: None,
                tags: tags.clone(),
                at,
            };
            tx.insert_device(new).await.expect("writes");
        }
        tx.commit().await.expect("commits");
    }
    store.close().await.expect("closes");
}

fn get(token: &str, path: &str) -> Vec<u8> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    text.into_bytes()
}

fn post(token: Option<&str>, path: &str, body: &str) -> Vec<u8> {
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    text.into_bytes()
}

fn signed(path: &str, Signed { headers, body }: &Signed) -> Vec<u8> {
    let length = body.len();
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    text.into_bytes()
}

/// One connection that is used again and again.
struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("sets");
        Self { stream: BufReader::with_capacity(64 * 1024, stream), body: Vec::new() }
    }

    /// Sends a request and reads the whole answer, which must be a success.
    async fn ask(&mut self, request: &[u8]) -> &[u8] {
        timeout(PATIENCE, self.exchange(request)).await.expect("an answer in time");
        &self.body
    }

    async fn exchange(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("sends");
        let (mut length, mut line, mut first) = (0, String::new(), true);
        loop {
            line.clear();
            self.stream.read_line(&mut line).await.expect("reads");
            if first {
                assert!(line.starts_with("HTTP/1.1 2"), "{line}");
                first = false;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line == "\r\n" {
                break;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await.expect("reads");
    }
}

/// Asks as fast as answers come. Requests for each second.
async fn closed<R, S>(address: SocketAddr, request: R, seen: S) -> f64
where
    R: Fn(usize) -> Option<Vec<u8>>,
    S: Fn(&[u8]),
{
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let (request, seen, next) = (&request, &seen, &next);
    let one = || async move {
        let mut connection = Connection::open(address).await;
        let mut done = 0_u32;
        while began.elapsed() < LASTS {
            let Some(bytes) = request(next.fetch_add(1, Ordering::Relaxed)) else { break };
            seen(connection.ask(&bytes).await);
            done += 1;
        }
        done
    };
    let mut all: Vec<_> = (0..CONNECTIONS).map(|_| Box::pin(one())).collect();
    let mut done = 0.0;
    let finished = futures_util::future::join_all(all.drain(..)).await;
    for one in finished {
        done += f64::from(one);
    }
    done / began.elapsed().as_secs_f64()
}

/// Asks so many times a second, whether answers have come or not. The waits in milliseconds, from when a
/// request was due.
async fn open(address: SocketAddr, request: &[u8], rate: f64) -> Vec<f64> {
    let request: Arc<[u8]> = request.into();
    let began = tokio::time::Instant::now();
    let mut all = JoinSet::new();
    let every = Duration::from_secs_f64(f64::from(CONNECTIONS) / rate);
    for n in 0..CONNECTIONS {
        let request = Arc::clone(&request);
        all.spawn(async move {
            let mut connection = Connection::open(address).await;
            let mut due = began + every.mul_f64(f64::from(n) / f64::from(CONNECTIONS));
            let mut waits = Vec::new();
            while due < began + LASTS {
                sleep_until(due).await;
                connection.ask(&request).await;
                waits.push(due.elapsed().as_secs_f64() * 1000.0);
                due += every;
            }
            waits
        });
    }
    all.join_all().await.into_iter().flatten().collect()
}
