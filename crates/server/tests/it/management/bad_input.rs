//! Whatever can be wrong with a request, sent to every endpoint that is described. Nothing of it changes
//! anything, and every answer says what is wrong in the words of the contract.

use super::identities::Board;
use super::{Program, header};
use crate::desk::{Answer, Desk, Device};
use bramble_server::management::openapi::endpoint::{Endpoint, Field, Kind};
use bramble_server::management::openapi::endpoints;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const LISTS: [&str; 4] = ["devices", "device-identities", "auth-keys", "artefacts"];
/// Public keys as openssl writes them, on curves that are not ours, and what is none.
const FOREIGN_KEYS: [&str; 3] = [
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA4z9Vff4AfwtYt9d3ub6buDMl/Dgd5N6DnrxyOZaSnzI=\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEp1UktqwBWb+p6WfL4HOLRIISIv7ibTA1\nwNVJTe+OBBQqen1pHASp+66u6ZtuusfBBn7w0POwWrsLY1gI+rI6nnoxC90zdkG4\naxTWk1gU3BsYJE6IhuGxMs6DX/vfxWJr\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
];

/// An organisation with one of everything.
struct Place<'d> {
    program: Program<'d>,
    board: Board,
    ids: HashMap<&'static str, String>,
}

impl<'d> Place<'d> {
    async fn new(desk: &'d Desk, name: &str) -> Self {
        let ann = desk.person(name).await;
        let program = Program::of(desk, desk.organisation(&ann, name).await).await;
        let key = program.json("POST", "/organisation/auth-keys", json!({ "description": "used" })).await;
        let device = Device::of(desk, &desk.exchange(&key.text("secret"), name).await);
        let mut ids = HashMap::from([("devices", device.id.to_string())]);
        let key = json!({ "description": "k", "tags": ["t"], "device_name": "d" });
        let key = program.json("POST", "/organisation/auth-keys", key).await;
        ids.insert("auth-keys", key.text("id"));
        let identity = Board::new().register(&program, json!({ "description": "i", "tags": ["t"] })).await;
        ids.insert("device-identities", identity.text("id"));
        let artefact = json!({ "name": "a", "uri": "https://x.example/a", "checksum": "ab".repeat(32) });
        let artefact = program.json("POST", "/organisation/artefacts", artefact).await;
        ids.insert("artefacts", artefact.text("id"));
        let path = format!("/organisation/devices/{}/deployments", device.id);
        let made = program.json("POST", &path, json!({ "artefact_id": artefact.text("id") })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        ids.insert("deployments", made.text("id"));
        Self { program, board: Board::new(), ids }
    }

    fn path(&self, endpoint: &Endpoint) -> String {
        endpoint.path.replace("{id}", self.id(endpoint))
    }

    fn id(&self, endpoint: &Endpoint) -> &str {
        &self.ids[endpoint.path.split('/').nth(2).expect("a noun")]
    }

    /// A body that the endpoint would take, from its example.
    fn good(&self, endpoint: &Endpoint) -> Value {
        let body = endpoint.body.as_ref().expect("a body");
        let mut good: Value = serde_json::from_str(body.example).expect("JSON");
        for field in body.fields {
            match field.kind {
                Kind::PublicKey => good[field.name] = json!(self.board.pem()),
                Kind::Id => good[field.name] = json!(self.ids["artefacts"]),
                _ => {}
            }
        }
        good
    }

    async fn send(&self, endpoint: &Endpoint, kind: Option<&str>, body: &[u8]) -> Answer {
        if endpoint.signed {
            return self.board.send(&self.program, kind, body).await;
        }
        let headers: Vec<_> = kind.map(|kind| ("content-type", kind)).into_iter().collect();
        self.program.raw(endpoint.method, &self.path(endpoint), &headers, body.to_vec()).await
    }

    /// Everything that the organisation has, in the words of the API.
    async fn everything(&self) -> Vec<String> {
        let mut all = Vec::new();
        for list in LISTS {
            all.push(self.program.get(&format!("/organisation/{list}")).await.body);
        }
        let path = format!("/organisation/devices/{}/deployments", self.ids["devices"]);
        all.push(self.program.get(&path).await.body);
        all
    }
}

/// What is wrong with a field, and what is said of it.
fn bad_values(field: &Field, title: &str) -> Vec<(Value, String)> {
    let invalid = format!("{title} is invalid");
    let long = "é".repeat(256);
    let too_long = format!("{title} is too long (maximum is 255 characters)");
    let mut all: Vec<(Value, String)> = match field.kind {
        Kind::Name => {
            let blank = format!("{title} can't be blank");
            vec![
                (json!(null), blank.clone()),
                (json!(""), blank.clone()),
                (json!(" \t"), blank),
                (json!(long), too_long),
            ]
        }
        Kind::OptionalName => vec![(json!(long), too_long)],
        Kind::Tags => {
            let many: Vec<String> = (0..11).map(|n| format!("t{n}")).collect();
            vec![
                (json!("kiosk"), invalid.clone()),
                (json!([["kiosk"]]), invalid.clone()),
                (json!(["kiosk", null]), invalid.clone()),
                (json!(["a\u{0}b"]), invalid.clone()),
                (json!(["Kiosk"]), "Tags contains an invalid tag \"Kiosk\"".to_owned()),
                (json!(["a b"]), "Tags contains an invalid tag \"a b\"".to_owned()),
                (json!([""]), "Tags contains an invalid tag \"\"".to_owned()),
                (json!(many), "Tags is too long (maximum is 10 tags)".to_owned()),
            ]
        }
        Kind::Days => {
            let range = "Ttl days must be between 1 and 90";
            let out = [json!(0), json!(-1), json!(91), json!("91"), json!(u64::MAX), json!(1e300)];
            let mut all: Vec<_> = out.into_iter().map(|value| (value, range.to_owned())).collect();
            all.extend([json!(1.5), json!("soon"), json!("")].map(|value| (value, invalid.clone())));
            all
        }
        Kind::PublicKey => {
            let mut all = vec![(json!(null), invalid.clone()), (json!(""), invalid.clone())];
            let private = Board::new().pem().replace("PUBLIC", "PRIVATE");
            let none = FOREIGN_KEYS.into_iter().chain([private.as_str(), "x"]);
            all.extend(none.map(|key| (json!(key), invalid.clone())));
            all
        }
        Kind::Uri => {
            let mut all = vec![(json!(null), "Uri can't be blank".to_owned())];
            all.push((json!(""), "Uri can't be blank".to_owned()));
            let long = format!("https://x.example/{}", "y".repeat(3000));
            let none = ["gopher://x/y", "javascript:alert(1)", "https://", "x", &long];
            all.extend(none.map(|uri| (json!(uri), invalid.clone())));
            all
        }
        Kind::Checksum => {
            let long = "ab".repeat(33);
            let none = ["", "x", &long[1..64], &long[..65], &"zz".repeat(32)];
            let mut all: Vec<_> = none.into_iter().map(|sum| (json!(sum), invalid.clone())).collect();
            all.push((json!(null), invalid.clone()));
            all
        }
        Kind::Id => Vec::new(),
    };
    let wrong_types = [json!(7), json!(true), json!({}), json!({ "a": [] }), json!("a\u{0}b")];
    let fitting = |value: &Value| !(field.kind == Kind::Days && *value == json!(7));
    all.extend(wrong_types.into_iter().filter(fitting).map(|value| (value, invalid.clone())));
    if field.kind != Kind::Tags {
        all.push((json!(["x"]), invalid));
    }
    all
}

fn title(field: &Field) -> String {
    let (first, rest) = field.name.split_at(1);
    format!("{}{}", first.to_uppercase(), rest.replace('_', " "))
}

fn assert_is(answer: &Answer, status: StatusCode, message: &str, what: &str) {
    assert_eq!((answer.status, answer.text("message").as_str()), (status, message), "{what}");
    assert_told(answer, what);
}

/// What every answer to a program with a token says.
fn assert_told(answer: &Answer, what: &str) {
    for name in ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"] {
        assert!(answer.headers.contains_key(name), "{what}: no {name}");
    }
    if !answer.body.is_empty() {
        assert_eq!(header(answer, "content-type"), "application/json; charset=utf-8", "{what}");
    }
}

async fn refuses_bad_fields(place: &Place<'_>, endpoint: &Endpoint) {
    let good = place.good(endpoint);
    for field in endpoint.body.as_ref().expect("a body").fields {
        let title = title(field);
        for (value, message) in bad_values(field, &title) {
            let mut body = good.clone();
            body[field.name] = value.clone();
            let answer = place.send(endpoint, Some(JSON), body.to_string().as_bytes()).await;
            let message = format!("Validation failed: {message}");
            let what = format!("{} with {} = {value}", endpoint.id, field.name);
            assert_is(&answer, StatusCode::UNPROCESSABLE_ENTITY, &message, &what);
        }
        // Bytes that are no text, in JSON and in a form, are a wrong field and not a wrong request.
        let message = format!("Validation failed: {title} is invalid");
        let mut body = good.clone();
        body[field.name] = if field.kind == Kind::Tags { json!(["@"]) } else { json!("@") };
        let body: Vec<u8> =
            body.to_string().bytes().map(|byte| if byte == b'@' { 0xFF } else { byte }).collect();
        let answer = place.send(endpoint, Some(JSON), &body).await;
        let what = format!("{} with bytes for {}", endpoint.id, field.name);
        assert_is(&answer, StatusCode::UNPROCESSABLE_ENTITY, &message, &what);
        let list = if field.kind == Kind::Tags { "[]" } else { "" };
        let form = format!("{}&{}{list}=a%FFb", form_of(&good, field.name), field.name);
        let answer = place.send(endpoint, Some(FORM), form.as_bytes()).await;
        assert_is(&answer, StatusCode::UNPROCESSABLE_ENTITY, &message, &format!("{what}, as a form"));
    }
}

/// A body as a form, without one of its fields.
fn form_of(body: &Value, without: &str) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in body.as_object().expect("an object").iter().filter(|(name, _)| *name != without) {
        match value {
            Value::Array(list) => {
                for one in list {
                    form.append_pair(&format!("{name}[]"), one.as_str().expect("text"));
                }
            }
            Value::String(text) => {
                form.append_pair(name, text);
            }
            other => {
                form.append_pair(name, &other.to_string());
            }
        }
    }
    form.finish()
}

async fn refuses_bad_bodies(place: &Place<'_>, endpoint: &Endpoint) {
    let deep = format!("{{\"a\":{}", "[".repeat(10_000));
    let none: [&[u8]; 9] = [
        b"{",
        b"[]",
        b"null",
        b"\"x\"",
        b"7",
        b"nonsense",
        b"{\"description\":\xFF}",
        b"{\"a\":1e999}",
        deep.as_bytes(),
    ];
    for body in none {
        let answer = place.send(endpoint, Some(JSON), body).await;
        let what = format!("{} {}", endpoint.id, String::from_utf8_lossy(&body[..body.len().min(20)]));
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}: {}", answer.body);
        assert!(!answer.text("message").is_empty(), "{what}");
        assert_told(&answer, &what);
    }
    let good = place.good(endpoint).to_string();
    for kind in [None, Some("text/xml"), Some("multipart/form-data; boundary=x"), Some("application/jsonx")] {
        let answer = place.send(endpoint, kind, good.as_bytes()).await;
        let message = "Send application/json or application/x-www-form-urlencoded";
        assert_is(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE, message, &format!("{} {kind:?}", endpoint.id));
    }
    for size in [65 * 1024, 300 * 1024] {
        let large = format!("{}{}", good, " ".repeat(size));
        let answer = place.send(endpoint, Some(JSON), large.as_bytes()).await;
        let message = "The body is larger than 64 KiB";
        assert_is(&answer, StatusCode::PAYLOAD_TOO_LARGE, message, &format!("{} of {size}", endpoint.id));
    }
    // Nothing at all has no fields: that changes nothing, and is not enough for what is new.
    for (kind, body) in [(Some(JSON), "{}"), (Some(JSON), ""), (None, ""), (Some(FORM), "")] {
        let answer = place.send(endpoint, kind, body.as_bytes()).await;
        let expected: &[u16] = if endpoint.method == "PATCH" { &[200] } else { &[400, 422] };
        assert!(expected.contains(&answer.status.as_u16()), "{} {kind:?}: {}", endpoint.id, answer.body);
        assert_told(&answer, endpoint.id);
    }
}

async fn refuses_bad_ids(place: &Place<'_>, other: &Place<'_>, endpoint: &Endpoint) {
    let body = endpoint.body.as_ref().map(|_| place.good(endpoint)).unwrap_or_default().to_string();
    let nil = uuid::Uuid::nil().to_string();
    let long = "a".repeat(300);
    let odd = ["x", "%00", "%FF", "..%2F..%2Fdevices", "%20", "-1", "99999999999999999999", &nil, &long];
    for id in odd.into_iter().chain([other.id(endpoint)]) {
        let path = endpoint.path.replace("{id}", id);
        for body in [body.as_str(), "{\"description\":7,\"name\":7,\"tags\":7,\"artefact_id\":7}"] {
            let headers = [("content-type", JSON)];
            let answer = place.program.raw(endpoint.method, &path, &headers, body.as_bytes().to_vec()).await;
            assert_is(&answer, StatusCode::NOT_FOUND, "Not found", &format!("{} {path}", endpoint.id));
        }
    }
}

async fn refuses_bad_queries(place: &Place<'_>, endpoint: &Endpoint) {
    let path = place.path(endpoint);
    for name in ["page", "per_page"] {
        let bad = ["0", "-1", "x", "", "1.5", "%2B1", "1e3", "%00", "%FF", "0x10", "1&page=x&per_page=x"];
        for value in bad {
            let answer = place.program.get(&format!("{path}?{name}={value}")).await;
            let what = format!("{} {name}={value}", endpoint.id);
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
            assert!(answer.text("message").contains("whole number of at least 1"), "{what}: {}", answer.body);
            assert_told(&answer, &what);
        }
        for large in ["101", "9223372036854775807", "99999999999999999999999999"] {
            let answer = place.program.get(&format!("{path}?{name}={large}")).await;
            let meta = &answer.json()["meta"];
            let what = format!("{} {name}={large}: {}", endpoint.id, answer.body);
            assert_eq!((answer.status, &meta["per_page"]), (StatusCode::OK, &json!(100)), "{what}");
            assert!(meta["total_count"].as_u64().is_some_and(|count| count > 0), "{what}");
            let list = answer.json().as_object().and_then(|all| all.values().next().cloned());
            let entries = list.as_ref().and_then(Value::as_array).map(Vec::len);
            assert_eq!(entries == Some(0), name == "page", "{what}");
        }
    }
    for parameter in endpoint.query.iter().filter(|it| !it.name.ends_with("page")) {
        for odd in ["%00", "%FF%FE", "%25%5F%5C", "'%3B--", &"%22".repeat(500)] {
            let answer = place.program.get(&format!("{path}?{}={odd}", parameter.name)).await;
            let expected = if parameter.name == "state" { 400 } else { 200 };
            let what = format!("{} {}={odd}: {}", endpoint.id, parameter.name, answer.body);
            assert_eq!(answer.status.as_u16(), expected, "{what}");
            assert_told(&answer, &what);
        }
    }
}

async fn refuses_strangers(desk: &Desk, place: &Place<'_>, endpoint: &Endpoint, n: u8) {
    let unknown = format!("rporg_{}", "1".repeat(24));
    for token in ["", "rporg_x", &unknown, &place.program.token.replace("rporg_", "rpoak_")] {
        let mut stranger = Program::with(desk, token);
        // Each address may guess a hundred times a minute.
        stranger.address = format!("203.0.113.{n}");
        let answer = stranger.json(endpoint.method, &place.path(endpoint), json!({})).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::UNAUTHORIZED, r#"{"message":"Unauthorized"}"#),
            "{} {token}",
            endpoint.id
        );
        assert!(!answer.headers.contains_key("x-rate-limit-limit"), "{}", endpoint.id);
    }
}

#[tokio::test]
async fn every_endpoint_refuses_everything_that_is_wrong() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (place, other) = (Place::new(&desk, "shed").await, Place::new(&desk, "barn").await);
        let before = place.everything().await;
        let mut bodies = 0;
        for (n, endpoint) in endpoints::all().enumerate() {
            refuses_strangers(&desk, &place, endpoint, u8::try_from(n + 1).expect("few")).await;
            if endpoint.path.contains("{id}") {
                refuses_bad_ids(&place, &other, endpoint).await;
            }
            if !endpoint.query.is_empty() {
                refuses_bad_queries(&place, endpoint).await;
            }
            if endpoint.body.is_some() {
                refuses_bad_fields(&place, endpoint).await;
                refuses_bad_bodies(&place, endpoint).await;
                bodies += 1;
            }
        }
        assert!(bodies >= 7, "{bodies}");
        assert_eq!(place.everything().await, before, "nothing of this changed anything");
        // An artefact that is no id, none, or nobody's.
        let path = format!("/organisation/devices/{}/deployments", place.ids["devices"]);
        for (id, status, message) in [
            (json!(null), StatusCode::BAD_REQUEST, "artefact_id is missing"),
            (json!(""), StatusCode::BAD_REQUEST, "artefact_id is missing"),
            (json!("x"), StatusCode::NOT_FOUND, "Not found"),
            (json!(other.ids["artefacts"]), StatusCode::NOT_FOUND, "Not found"),
        ] {
            let answer = place.program.json("POST", &path, json!({ "artefact_id": id })).await;
            assert_is(&answer, status, message, &id.to_string());
        }
    }
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_named_with_those_that_it_has() {
    let desk = Desk::new().await;
    let place = Place::new(&desk, "shed").await;
    let mut paths: HashMap<&str, (Vec<&str>, String)> = HashMap::new();
    for endpoint in endpoints::all() {
        let entry = paths.entry(endpoint.path).or_insert_with(|| (Vec::new(), place.path(endpoint)));
        entry.0.push(endpoint.method);
    }
    let before = place.everything().await;
    for (has, path) in paths.values() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "QUERY"] {
            if has.contains(&method) {
                continue;
            }
            let answer = place.program.json(method, path, json!({ "description": "x" })).await;
            let what = format!("{method} {path}");
            assert_is(&answer, StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", &what);
            let allow: Vec<&str> = header(&answer, "allow").split(',').map(str::trim).collect();
            assert!(has.iter().all(|method| allow.contains(method)), "{what}: {allow:?}");
            assert!(!allow.contains(&method), "{what}: {allow:?}");
        }
    }
    assert_eq!(place.everything().await, before);
}

#[tokio::test]
async fn of_a_name_that_is_there_twice_the_last_counts_and_others_are_ignored() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let place = Place::new(&desk, "shed").await;
        for endpoint in endpoints::all().filter(|endpoint| endpoint.method == "PATCH") {
            let field = if endpoint.path.contains("/devices/") { "name" } else { "description" };
            let body = format!("{{\"{field}\":7,\"unknown\":[{{}}],\"id\":7,\"{field}\":\"last\"}}");
            let answer = place.send(endpoint, Some(JSON), body.as_bytes()).await;
            assert_eq!(
                (answer.status, answer.text(field)),
                (StatusCode::OK, "last".into()),
                "{}",
                endpoint.id
            );
            assert_eq!(answer.text("id"), place.id(endpoint), "nobody chooses an id");
            let form = format!("{field}=first&unknown[]=1&tags[]=a&tags[]=b&tags[]=a&{field}=second");
            let answer = place.send(endpoint, Some(FORM), form.as_bytes()).await;
            assert_eq!((answer.status, answer.text(field)), (StatusCode::OK, "second".into()));
            assert_eq!(answer.json()["tags"], json!(["a", "b"]), "merged");
            for nothing in ["tags[]=", "tags%5B%5D="] {
                place.send(endpoint, Some(FORM), b"tags[]=a").await;
                let answer = place.send(endpoint, Some(FORM), nothing.as_bytes()).await;
                assert_eq!(answer.json()["tags"], json!([]), "{}", endpoint.id);
            }
            place.send(endpoint, Some(FORM), b"tags[]=a").await;
            let answer = place.send(endpoint, Some(JSON), b"{\"tags\":null}").await;
            assert_eq!(
                (answer.status, &answer.json()["tags"]),
                (StatusCode::OK, &json!([])),
                "{}",
                endpoint.id
            );
        }
    }
}
