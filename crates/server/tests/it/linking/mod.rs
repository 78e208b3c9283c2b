//! Linking: keys, codes, serial numbers, lost answers.

mod codes;
mod digest;
mod keys;
mod limits;

use crate::desk::{Answer, Desk, Person};
use bramble_model::query::Query;
use bramble_store::device_search::Slice;
use http::StatusCode;
use serde_json::json;

async fn names(desk: &Desk, person: &Person) -> Vec<String> {
    let (devices, total) = desk
        .app
        .store
        .devices(person.account, &Query::default(), &[], Slice { offset: 0, limit: 1000 })
        .await
        .expect("reads");
    let account = desk.app.store.account(person.account).await.expect("reads").expect("there");
    assert_eq!((account.device_count, devices.len() as u64), (total, total), "the count is kept");
    devices.into_iter().map(|d| d.name).collect()
}

async fn ask(desk: &Desk, serial: &str) -> Answer {
    let body = json!({ "client_id": "test", "login_hint": serial, "hostname": "kiosk" });
    desk.device_call("POST", "/client/device", None, Some(body)).await
}

async fn ask_for_code(desk: &Desk, serial: &str) -> String {
    let answer = ask(desk, serial).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.text("user_code")
}

fn verify(code: &str) -> String {
    format!("/verify/{code}")
}

async fn poll(desk: &Desk, device_code: &str) -> Answer {
    let body = json!({ "client_id": "test", "device_code": device_code });
    desk.device_call("POST", "/client/token", None, Some(body)).await
}

async fn approve(person: &Person, code: &str, name: &str, entry: &str) -> Answer {
    let account = person.account.to_string();
    let form = [("decision", "approve"), ("name", name), ("entry", entry), ("account", &*account)];
    person.post(&verify(code), &form).await
}
