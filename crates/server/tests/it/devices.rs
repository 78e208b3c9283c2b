//! Devices: what they say of themselves, what people do with them, who may.

use crate::desk::{Answer, Desk, Device, Person, request};
use axum::body::Body;
use bramble_store::testing::Engine;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::Duration;

fn page(device: &Device) -> String {
    format!("/devices/{}", device.id)
}

#[tokio::test]
async fn what_a_device_says_is_merged_and_shown_as_text() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    device
        .describe(json!({
            "capabilities": { "shell": "enabled", "vnc": "unavailable" },
            "board": { "model": "Raspberry Pi 5", "memory": "8 GB" },
            "os": { "name": "<script>alert(1)</script>\u{202e}" },
            "client_version": "2.9.0", "unknown": { "field": 1 },
        }))
        .await;
    device
        .describe(json!({ "capabilities": { "ota": "available" }, "board": { "model": "Raspberry Pi 4B" } }))
        .await;
    let known = desk.app.store.device(ann.account, device.id).await.expect("reads").expect("there");
    assert_eq!(known.board.model.as_deref(), Some("Raspberry Pi 4B"));
    assert_eq!(known.board.memory.as_deref(), Some("8 GB"), "absent stays");
    let shown = ann.get(&page(&device)).await.body;
    assert!(shown.contains("&#60;script&#62;alert(1)&#60;/script&#62;") && !shown.contains('\u{202e}'));
    for words in ["Remote shell is allowed", "Screen sharing is unavailable", "Remote update is disallowed"] {
        assert!(shown.contains(words), "{words}");
    }
    let who = device.call("GET", "/me", Value::Null).await.json();
    assert_eq!(who["device_id"], device.id.to_string());
    assert_eq!((&who["name"], &who["account"]["kind"]), (&json!("host-s1"), &json!("personal")));
    for bad in [
        json!({ "hostname": "h".repeat(254) }),
        json!({ "os": { "name": "x".repeat(256) } }),
        json!({ "capabilities": { "shell": "maybe" } }),
    ] {
        assert_eq!(device.call("POST", "/me", bad).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(device.call("GET", "/deployments/pending", Value::Null).await.status, StatusCode::NO_CONTENT);
    let start = format!("/deployments/{}/start", device.id);
    assert_eq!(device.call("POST", &start, json!({})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_wrong_clock_and_an_old_client_are_shown_until_they_are_right() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    let shown = async || ann.get(&page(&device)).await.body;
    // Another client counts its versions in another way, and says nothing of its clock.
    device.describe(json!({ "client_version": "0.0.1" })).await;
    assert!(!shown().await.contains("Update available") && !shown().await.contains("Wrong clock"));
    for (off, words) in [
        (-7300_i64, "The clock of this device is 2 hours behind."),
        (86_400, "The clock of this device is 1 day ahead."),
        (301, "The clock of this device is 5 minutes ahead."),
        (i64::MAX, "The clock of this device is 100 years ahead."),
        (i64::MIN, "The clock of this device is 100 years behind."),
    ] {
        device.describe(json!({ "clock_off": off })).await;
        assert!(shown().await.contains(words), "{off}");
    }
    assert!(shown().await.contains("Update available"));
    assert!(ann.get(&format!("{}/panel", page(&device))).await.body.contains("Update available"));
    device.describe(json!({ "clock_off": 0, "client_version": env!("CARGO_PKG_VERSION") })).await;
    assert!(!shown().await.contains("Update available") && !shown().await.contains("Wrong clock"));
}

#[tokio::test]
async fn a_device_signs_itself_out_and_its_entry_stays() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    assert_eq!(device.call("DELETE", "/me", Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(device.status().await, StatusCode::UNAUTHORIZED);
    assert!(ann.get(&page(&device)).await.body.contains("This device is signed out"));
    assert!(desk.audit(ann.account).await.contains(&"Device signed out".to_owned()));
}

#[tokio::test]
async fn a_database_that_fails_is_no_reason_to_forget_a_token() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    desk.sql("ALTER TABLE devices RENAME TO away").await;
    let answer = device.call("GET", "/me", Value::Null).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    desk.sql("ALTER TABLE away RENAME TO devices").await;
    assert_eq!(device.status().await, StatusCode::OK);
}

#[tokio::test]
async fn a_server_without_its_database_is_up_and_not_ready() {
    let desk = Desk::new().await;
    let ask = async |path: &str| {
        let answer =
            desk.send(request(http::Method::GET, path, "192.0.2.7").body(Body::empty()).expect("a request"));
        answer.await.status
    };
    assert_eq!((ask("/up").await, ask("/ready").await), (StatusCode::OK, StatusCode::OK));
    desk.app.store.clone().close().await.expect("closes");
    assert_eq!((ask("/up").await, ask("/ready").await), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
}

async fn signed(desk: &Desk, device: &Device, serial: &str, tamper: bool) -> StatusCode {
    let (body, auth) = (r#"{"hostname":"signed"}"#, format!("Bearer {}", device.token));
    let text = format!(
        "POST\nhttps://pi.example/me\nAuthorization: {auth}\nContent-Type: application/json\n{}",
        hex::encode(Sha256::digest(body))
    );
    let key = hex::encode(Sha256::digest(serial));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    let sent = if tamper { r#"{"hostname":"forged"}"# } else { body };
    let request = request(http::Method::POST, "/me", "198.51.100.7")
        .header("authorization", auth)
        .header("content-type", "application/json")
        .header("x-connect-signature", hex::encode(mac.finalize().into_bytes()))
        .body(Body::from(sent))
        .expect("a request");
    desk.send(request).await.status
}

#[tokio::test]
async fn signatures_are_checked_when_sent_and_required_when_asked_for() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    assert_eq!(signed(&desk, &device, "s1", false).await, StatusCode::NO_CONTENT);
    assert_eq!(signed(&desk, &device, "s2", false).await, StatusCode::FORBIDDEN, "another board");
    assert_eq!(signed(&desk, &device, "s1", true).await, StatusCode::FORBIDDEN, "another body");
    assert_eq!(device.status().await, StatusCode::OK, "unsigned is fine until it asks");
    device.describe(json!({ "signing": "required" })).await;
    let refused = device.call("GET", "/me", Value::Null).await;
    assert_eq!((refused.status, refused.text("error")), (StatusCode::FORBIDDEN, "invalid_signature".into()));
    assert_eq!(signed(&desk, &device, "s1", false).await, StatusCode::NO_CONTENT);
    let again = desk.device(&ann, "s1").await;
    assert_eq!((again.id, again.status().await), (device.id, StatusCode::OK), "linking again clears it");
}

#[tokio::test]
async fn session_windows_are_isolated_from_other_sites_and_other_pages_stay_as_they_were() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await.online().await;
    let header = |answer: &Answer, name: &str| {
        answer.headers.get(name).map(|it| it.to_str().expect("text").to_owned())
    };
    for kind in ["shell", "screen"] {
        let window = ann.get(&format!("/devices/{}/{kind}", device.id)).await;
        assert_eq!(header(&window, "cross-origin-opener-policy").as_deref(), Some("same-origin"));
        assert_eq!(header(&window, "cross-origin-embedder-policy").as_deref(), Some("require-corp"));
        let policy = header(&window, "content-security-policy").expect("a policy");
        assert_eq!(policy.contains("unsafe"), kind == "shell", "{kind}: {policy}");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{kind}: {policy}");
    }
    assert_eq!(header(&ann.get("/devices").await, "cross-origin-embedder-policy"), None);
}

#[tokio::test]
async fn the_list_searches_and_hands_out_rows() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    assert!(ann.get("/devices").await.body.contains("rpi-connect signin --server https://pi.example"));
    let first = desk.device(&ann, "abc%1").await;
    let second = desk.device(&ann, "xyz_2").await.online().await;
    let list = |query: &'static str| {
        let ann = ann.clone();
        async move { ann.get(&format!("/devices?query={query}")).await.body }
    };
    let has = |body: &str, device: &Device| body.contains(&format!("device-{}", device.id));
    let all = list("").await;
    assert!(has(&all, &first) && has(&all, &second));
    assert!(all.contains("Online") && all.contains(&format!("/devices/{}/shell", second.id)));
    for (query, one, two) in
        [("%25", true, false), ("_", false, true), ("HOST+XYZ", false, true), ("host+q", false, false)]
    {
        let body = list(query).await;
        assert_eq!((has(&body, &first), has(&body, &second)), (one, two), "{query}");
    }
    let eve = desk.person("eve").await;
    let rows = format!("/devices/rows?ids={},{},nonsense", first.id, second.id);
    assert_eq!(ann.get(&rows).await.body.matches("<tr").count(), 2);
    assert_eq!(eve.get(&rows).await.body.matches("<tr").count(), 0);
}

#[tokio::test]
async fn renaming_and_deleting() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let settings = format!("{}/settings", page(&device));
    let endless = "x".repeat(256);
    for (name, why) in [("\u{202e} ", "Name can&#39;t be blank"), (&*endless, "Name is too long")] {
        let answer = ann.post(&settings, &[("name", name)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains(why), "{}", answer.body);
    }
    assert_eq!(ann.post(&settings, &[("name", " Kitchen\u{202e}  3 ")]).await.status, StatusCode::SEE_OTHER);
    assert!(ann.get(&page(&device)).await.body.contains("<h1>Kitchen 3</h1>"));
    let removal = format!("{}/delete", page(&device));
    let unsure = ann.post(&removal, &[("confirm", "kitchen")]).await;
    assert_eq!(unsure.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ann.post(&removal, &[("confirm", "Kitchen 3")]).await.status, StatusCode::SEE_OTHER);
    let out = bramble_wire::events::ServerEvent::Command(bramble_wire::events::Command::SignOut {});
    assert_eq!(device.order().await, Some(out));
    assert_eq!(device.order().await, None, "and its stream ends");
    assert_eq!(device.status().await, StatusCode::UNAUTHORIZED);
    assert_eq!(ann.get(&page(&device)).await.status, StatusCode::NOT_FOUND);
    let account = desk.app.store.account(ann.account).await.expect("reads").expect("there");
    assert_eq!(account.device_count, 0);
    let log = desk.audit(ann.account).await;
    assert!(["Device renamed", "Device deleted"].iter().all(|a| log.contains(&(*a).to_owned())), "{log:?}");
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Caller {
    Nobody,
    Stranger,
    Owner,
    Unverified,
    Device,
    /// A device's token where a cookie belongs, or a cookie where a token belongs.
    WrongKind,
}

const CALLERS: [Caller; 6] =
    [Caller::Nobody, Caller::Stranger, Caller::Owner, Caller::Unverified, Caller::Device, Caller::WrongKind];

/// Pages of the owner's device, and what each caller gets. `D` is the device's id.
const PAGES: &[(&str, &str, [u16; 6])] = &[
    // nobody, stranger, owner, unverified, device, wrong kind
    ("GET", "/devices", [303, 200, 200, 303, 303, 303]),
    ("GET", "/devices/new", [303, 200, 200, 303, 303, 303]),
    ("GET", "/devices/rows?ids=D", [303, 200, 200, 303, 303, 303]),
    ("GET", "/devices/D", [303, 404, 200, 303, 303, 303]),
    ("GET", "/devices/D/panel", [303, 404, 200, 303, 303, 303]),
    ("GET", "/devices/D/settings", [303, 404, 200, 303, 303, 303]),
    ("GET", "/devices/D/delete", [303, 404, 200, 303, 303, 303]),
    ("GET", "/devices/D/sign-out", [303, 404, 200, 303, 303, 303]),
    ("GET", "/devices/D/shell", [303, 404, 200, 303, 303, 303]),
    ("GET", "/devices/D/screen", [303, 404, 200, 303, 303, 303]),
    ("POST", "/devices/D/settings", [303, 404, 422, 303, 303, 303]),
    ("POST", "/devices/D/delete", [303, 404, 422, 303, 303, 303]),
    ("POST", "/devices/D/sessions/D/end", [303, 404, 303, 303, 303, 303]),
    ("GET", "/settings", [303, 200, 200, 303, 303, 303]),
    ("GET", "/settings/auth-keys/D/delete", [303, 404, 404, 303, 303, 303]),
    ("POST", "/settings/auth-keys", [303, 422, 422, 303, 303, 303]),
    ("POST", "/settings/auth-keys/D/delete", [303, 404, 404, 303, 303, 303]),
    ("GET", "/verify", [303, 200, 200, 303, 303, 303]),
    ("GET", "/verify/2222-2222", [303, 404, 404, 303, 303, 303]),
    ("POST", "/verify/2222-2222", [303, 303, 303, 303, 303, 303]),
    ("GET", "/me", [401, 401, 401, 401, 200, 401]),
    ("POST", "/me", [401, 401, 401, 401, 204, 401]),
    ("GET", "/deployments/pending", [401, 401, 401, 401, 204, 401]),
    ("POST", "/deployments/D/start", [401, 401, 401, 401, 404, 401]),
    ("POST", "/client/sessions/sync", [401, 401, 401, 401, 200, 401]),
    ("GET", "/client/sessions/D/offer", [401, 401, 401, 401, 404, 401]),
    ("POST", "/client/sessions/D/answer", [401, 401, 401, 401, 404, 401]),
    ("POST", "/client/sessions/D/candidates", [401, 401, 401, 401, 404, 401]),
    ("POST", "/client/sessions/D/state", [401, 401, 401, 401, 404, 401]),
    ("GET", "/sessions/D/events", [303, 404, 404, 303, 303, 303]),
    // Last: it signs the device out.
    ("POST", "/devices/D/sign-out", [303, 404, 303, 303, 303, 303]),
];

fn body_of(path: &str) -> Value {
    match path.rsplit('/').next() {
        Some("sync") => json!({ "ids": [] }),
        Some("answer") => json!({ "sdp": "v=0" }),
        Some("candidates") => json!({ "candidate": { "candidate": "" } }),
        Some("state") => json!({ "state": "connected" }),
        _ => json!({}),
    }
}

#[tokio::test]
async fn every_route_meets_every_kind_of_caller() {
    let desk = Desk::new().await;
    let (ann, eve, uma) = (desk.person("ann").await, desk.person("eve").await, desk.person("uma").await);
    let device = desk.device(&ann, "s1").await;
    desk.sql("UPDATE users SET verified_at = NULL WHERE email = 'uma@example.org'").await;
    for (method, path, expected) in PAGES {
        let path = path.replace('D', &device.id.to_string());
        for (caller, expected) in CALLERS.into_iter().zip(expected) {
            let status = ask(&desk, method, &path, caller, &device, &[&ann, &eve, &uma]).await;
            assert_eq!(status.as_u16(), *expected, "{method} {path} by {caller:?}");
        }
    }
}

async fn ask(
    desk: &Desk,
    method: &str,
    path: &str,
    caller: Caller,
    device: &Device,
    people: &[&Person; 3],
) -> StatusCode {
    let is_device_api = ["/me", "/deployments", "/client"].iter().any(|root| path.starts_with(root));
    let mut request = request(method.parse().expect("a method"), path, "192.0.2.7");
    let cookie = match caller {
        Caller::Nobody | Caller::Device => None,
        Caller::Owner => Some(&people[0].cookie),
        Caller::Stranger => Some(&people[1].cookie),
        Caller::Unverified => Some(&people[2].cookie),
        Caller::WrongKind => Some(&people[0].cookie).filter(|_| is_device_api),
    };
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    if caller == Caller::Device || (caller == Caller::WrongKind && !is_device_api) {
        request = request.header("authorization", format!("Bearer {}", device.token));
    }
    let body = if is_device_api {
        request = request.header("content-type", "application/json");
        if method == "POST" { body_of(path).to_string() } else { String::new() }
    } else {
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if method == "POST" {
            request = request.header("origin", "https://pi.example").header("sec-fetch-site", "same-origin");
        }
        String::new()
    };
    desk.send(request.body(Body::from(body)).expect("a request")).await.status
}

#[tokio::test]
async fn dangerous_things_want_a_fresh_sign_in() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    desk.clock.advance(Duration::hours(1));
    for path in [
        format!("{}/delete", page(&device)),
        format!("{}/sign-out", page(&device)),
        "/settings/auth-keys".into(),
        "/verify/2222-2222".into(),
    ] {
        let answer = ann
            .post(
                &path,
                &[("confirm", "host-s1"), ("description", "x"), ("ttl_days", "1"), ("decision", "deny")],
            )
            .await;
        let location = answer.headers.get("location").and_then(|l| l.to_str().ok()).unwrap_or_default();
        assert!(location.starts_with("/fresh"), "{path} {} {location}", answer.status);
    }
    let answer = ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await;
    assert_eq!(
        (answer.status, answer.text("error")),
        (StatusCode::FORBIDDEN, "fresh_sign_in_required".into())
    );
    assert_eq!(device.status().await, StatusCode::OK);
}

#[tokio::test]
async fn what_is_known_already_is_not_written_again() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    let first = json!({
        "capabilities": { "shell": "enabled" }, "client_version": "1.0", "hostname": "h",
        "board": { "model": "Raspberry Pi 5" }, "os": { "name": "Debian" }, "kernel_architecture": "aarch64",
        "pico": { "platform": "rp2350" }
    });
    device.describe(first.clone()).await;
    let mut changes = desk.app.live.subscribe();
    device.describe(first).await;
    device.describe(json!({})).await;
    assert!(changes.try_recv().is_err(), "nothing new");
    for news in [
        json!({ "capabilities": { "shell": "available" } }),
        json!({ "client_version": "1.1" }),
        json!({ "board": { "memory": "8 GB" } }),
        json!({ "os": { "filter": "debian-13" } }),
        json!({ "pico": { "platform": "rp2040" } }),
    ] {
        device.describe(news.clone()).await;
        assert!(changes.try_recv().is_ok(), "{news}");
    }
}

#[tokio::test]
async fn why_there_is_no_screen_is_shown_until_there_is_one() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let device = desk.device(&ann, "s1").await.online().await;
        let says = |vnc: &str, reason: &str| json!({ "capabilities": { "vnc": vnc }, "vnc_reason": reason });
        device.describe(says("unavailable", "WayVNC is <b>not</b> installed.\u{202e}")).await;
        let list = ann.get("/devices").await.body;
        assert!(list.contains("WayVNC is &#60;b&#62;not&#60;/b&#62; installed."), "{list}");
        assert!(!list.contains('\u{202e}') && !list.contains(&format!("/devices/{}/screen", device.id)));
        assert!(ann.get(&page(&device)).await.body.contains("No screen sharing because"));
        let wish = json!({ "device_id": device.id, "kind": "vnc" });
        let refused = ann.fetch("POST", "/sessions", wish).await;
        let text = refused.text("error_description");
        assert_eq!(text, "Screen sharing is not available on host-s1. WayVNC is <b>not</b> installed.");

        // A client that says nothing of it leaves it as it was; an empty reason takes it away.
        device.describe(json!({ "capabilities": { "vnc": "unavailable" } })).await;
        assert!(ann.get(&page(&device)).await.body.contains("No screen sharing because"));
        device.describe(says("enabled", "")).await;
        assert!(!ann.get(&page(&device)).await.body.contains("No screen sharing because"));
        assert!(ann.get("/devices").await.body.contains(&format!("/devices/{}/screen", device.id)));
        let long = device.call("POST", "/me", says("unavailable", &"x".repeat(256))).await;
        assert_eq!(long.status, StatusCode::BAD_REQUEST);
    }
}
