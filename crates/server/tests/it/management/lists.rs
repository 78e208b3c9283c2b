//! The order of lists, what deleting shows, and what every answer says of the limit.

use super::identities::Board;
use super::{Program, header};
use crate::desk::{Desk, Device};
use bramble_model::text;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::{Value, json};

/// Names in an order that is neither theirs by bytes nor by letters, some of them twice.
const NAMES: [&str; 8] = ["zulu", "alpha", "Beta", "Zebra", "éclair", "alpha", "ALPHA", "Éclair"];
const SUM: &str = "d39fc02ad7878db7f6803f54dfce89346a763a603cb8e62221ba893fee9c5cc6";

async fn fill(desk: &Desk, program: &Program<'_>) {
    for (n, name) in NAMES.into_iter().enumerate() {
        let made = Board::new().register(program, json!({ "description": name })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        // The names of artefacts are there once, in whatever case.
        let artefact = json!({ "name": format!("{name}{n}"), "uri": "https://x.example", "checksum": SUM });
        let made = program.json("POST", "/organisation/artefacts", artefact).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let key = json!({ "description": "k", "device_name": name });
        let key = program.json("POST", "/organisation/auth-keys", key).await;
        Device::of(desk, &desk.exchange(&key.text("secret"), &format!("s{n}")).await);
    }
}

/// Every entry of a list, asked for in pages of this size.
async fn all(program: &Program<'_>, path: &str, list: &str, per_page: usize) -> Vec<Value> {
    let mut all = Vec::new();
    for page in 1..=NAMES.len() {
        let answer = program.get(&format!("/organisation/{path}?per_page={per_page}&page={page}")).await;
        let entries = answer.json()[list].as_array().expect("a list").clone();
        assert_eq!(answer.json()["meta"]["total_pages"], json!(NAMES.len().div_ceil(per_page)));
        if entries.is_empty() {
            break;
        }
        all.extend(entries);
    }
    all
}

#[tokio::test]
async fn lists_go_by_name_without_regard_to_case_then_by_id_and_pages_lose_nothing() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
        fill(&desk, &program).await;
        for (path, list, name) in [
            ("device-identities", "device_identities", "description"),
            ("devices", "devices", "name"),
            ("artefacts", "artefacts", "name"),
        ] {
            let listed = all(&program, path, list, 100).await;
            let text_of = |entry: &Value, field: &str| entry[field].as_str().expect("a text").to_owned();
            let mut sorted = listed.clone();
            sorted.sort_by_key(|entry| (text::fold(&text_of(entry, name)), text_of(entry, "id")));
            assert_eq!(listed, sorted, "{list}");
            let mut by_bytes = listed.clone();
            by_bytes.sort_by_key(|entry| text_of(entry, name));
            assert_ne!(listed, by_bytes, "{list}: otherwise this shows nothing");
            assert_eq!(listed.len(), NAMES.len());
            for per_page in [1, 3, 7] {
                assert_eq!(all(&program, path, list, per_page).await, listed, "{list} by {per_page}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_deleted_is_shown_to_whoever_prefers_it() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
        fill(&desk, &program).await;
        let nouns = ["devices", "device-identities", "auth-keys", "artefacts"];
        for noun in nouns {
            let listed = program.get(&format!("/organisation/{noun}")).await.json();
            let entries = listed[noun.replace('-', "_")].as_array().expect("a list").clone();
            let mut paths = entries
                .iter()
                .map(|entry| format!("/organisation/{noun}/{}", entry["id"].as_str().expect("an id")));
            for preference in
                ["return=representation", "Return=Representation", "respond-async, return=representation"]
            {
                let path = paths.next().expect("enough of them");
                let shown = program.get(&path).await.body;
                let was = program.raw("DELETE", &path, &[("prefer", preference)], Vec::new()).await;
                assert_eq!((was.status, was.body), (StatusCode::OK, shown), "{noun}: {preference}");
                assert_eq!(was.headers["preference-applied"], "return=representation");
                assert_eq!(was.headers["content-type"], "application/json; charset=utf-8");
                assert_eq!(program.get(&path).await.status, StatusCode::NOT_FOUND);
            }
            for preference in ["return=minimal", "respond-async", "return=representations", ""] {
                let path = paths.next().expect("enough of them");
                let gone = program.raw("DELETE", &path, &[("prefer", preference)], Vec::new()).await;
                assert_eq!((gone.status, gone.body.as_str()), (StatusCode::NO_CONTENT, ""), "{preference}");
                assert!(!gone.headers.contains_key("preference-applied"), "{noun}: {preference}");
            }
        }
    }
}

#[tokio::test]
async fn every_answer_says_what_is_left_of_the_hour() {
    let desk = Desk::configured(Engine::Sqlite, |config| config.limits.api_requests = 8).await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let (program, other) = (Program::of(&desk, shed).await, Program::of(&desk, shed).await);
    desk.clock.advance(time::Duration::seconds(600));
    let key = program.json("POST", "/organisation/auth-keys", json!({ "description": "k" })).await;
    let path = format!("/organisation/auth-keys/{}", key.text("id"));
    let answers = [
        key,
        program.get(&path).await,
        program.get("/organisation/auth-keys").await,
        program.json("PATCH", &path, json!({ "description": "" })).await,
        program.raw("PATCH", &path, &[], b"x".to_vec()).await,
        program.raw("DELETE", &path, &[], Vec::new()).await,
        program.get(&path).await,
        program.raw("PUT", &path, &[], Vec::new()).await,
        program.get(&path).await,
        program.get(&path).await,
    ];
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [201, 200, 200, 422, 415, 204, 404, 405, 429, 429]);
    for (n, answer) in answers.iter().enumerate() {
        let left = 7_usize.saturating_sub(n).to_string();
        let told =
            ["limit", "remaining", "reset"].map(|name| header(answer, &format!("x-rate-limit-{name}")));
        assert_eq!(told, ["8", &left, "3000"], "{}", answer.status);
    }
    assert_eq!(other.get(&path).await.status, StatusCode::NOT_FOUND, "another token has its own hour");
}
