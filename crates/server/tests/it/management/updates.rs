//! `/organisation/artefacts` and the deployments, line by line.

use super::{Program, header};
use crate::desk::{Answer, Desk, Device};
use bramble_server::admin::{Request, Response, handle};
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use time::Duration;
use tokio::task::JoinSet;

const ARTEFACTS: &str = "/organisation/artefacts";
const SUM: &str = "d39fc02ad7878db7f6803f54dfce89346a763a603cb8e62221ba893fee9c5cc6";
/// How often somebody asks again who waited for the database for too long.
const PATIENCE: usize = 50;
const META: &str = r#""meta":{"page":1,"per_page":100,"total_count":1,"total_pages":1}"#;

async fn artefact(program: &Program<'_>, name: &str) -> String {
    let wanted = json!({ "name": name, "uri": "https://example.com/a.tar.zst", "checksum": SUM });
    let made = program.json("POST", ARTEFACTS, wanted).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.text("id")
}

async fn device(desk: &Desk, program: &Program<'_>, serial: &str) -> Device {
    let made = program.json("POST", "/organisation/auth-keys", json!({ "description": "k" })).await;
    Device::of(desk, &desk.exchange(&made.text("secret"), serial).await)
}

async fn deploy(program: &Program<'_>, device: &Device, artefact: &str) -> Answer {
    let path = format!("/organisation/devices/{}/deployments", device.id);
    program.json("POST", &path, json!({ "artefact_id": artefact })).await
}

async fn delete(program: &Program<'_>, path: &str) -> Answer {
    program.raw("DELETE", path, &[], Vec::new()).await
}

async fn cancel(program: &Program<'_>, id: &str) -> Answer {
    program.raw("PUT", &format!("/organisation/deployments/{id}/cancel"), &[], Vec::new()).await
}

fn refusal(answer: &Answer) -> (StatusCode, Value) {
    (answer.status, answer.json())
}

fn says(status: StatusCode, message: &str) -> (StatusCode, Value) {
    (status, json!({ "message": message }))
}

#[tokio::test]
async fn artefacts_are_as_documented() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let uri = "https://example.com/kiosk-v1.0.tar.zst";
        let wanted = json!({ "name": "kiosk-v1.0", "uri": uri, "checksum": SUM.to_uppercase() });
        let made = program.json("POST", ARTEFACTS, wanted.clone()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(header(&made, "content-type"), "application/json; charset=utf-8");
        let id = made.text("id");
        let shown = format!(r#"{{"id":"{id}","name":"kiosk-v1.0","uri":"{uri}","checksum":"{SUM}"}}"#);
        assert_eq!(made.body, shown, "names, order and format");
        let path = format!("{ARTEFACTS}/{id}");
        assert_eq!(program.get(&path).await.body, shown);
        assert_eq!(program.get(ARTEFACTS).await.body, format!(r#"{{"artefacts":[{shown}],{META}}}"#));
        let again = program.json("POST", ARTEFACTS, wanted).await;
        let taken = "Validation failed: Name has already been taken";
        assert_eq!(refusal(&again), says(StatusCode::UNPROCESSABLE_ENTITY, taken));
        let form = format!("name=Alpha&uri=https%3A%2F%2Fexample.com%2Fa&checksum={SUM}");
        let second = program.form("POST", ARTEFACTS, &form).await;
        assert_eq!((second.status, second.text("name")), (StatusCode::CREATED, "Alpha".to_owned()));

        let names = async |query: &str| -> Vec<String> {
            let listed = program.get(&format!("{ARTEFACTS}?{query}")).await.json();
            let all = listed["artefacts"].as_array().expect("artefacts").clone();
            all.iter().map(|one| one["name"].as_str().expect("text").to_owned()).collect()
        };
        assert_eq!(names("").await, ["Alpha", "kiosk-v1.0"]);
        assert_eq!(names("name=KIOSK").await, ["kiosk-v1.0"]);
        assert_eq!(names("name=iosk").await, Vec::<String>::new(), "a prefix only");
        assert_eq!(names("name=%25").await, Vec::<String>::new());
        assert_eq!(names("per_page=1&page=2").await, ["kiosk-v1.0"]);

        assert_eq!(delete(&program, &path).await.status, StatusCode::NO_CONTENT);
        assert_eq!(refusal(&delete(&program, &path).await), says(StatusCode::NOT_FOUND, "Not found"));
        let other = format!("{ARTEFACTS}/{}", second.text("id"));
        let was = program.raw("DELETE", &other, &[("prefer", "return=representation")], Vec::new()).await;
        assert_eq!((was.status, was.body), (StatusCode::OK, second.body));
        assert_eq!(was.headers["preference-applied"], "return=representation");
        let events = desk.app.store.audit_events(shed, 100).await.expect("reads");
        for title in ["Artefact created", "Artefact deleted"] {
            let ours = events.iter().filter(|e| e.action.is_some_and(|action| action.title() == title));
            assert_eq!(ours.filter(|e| e.source == "API" && e.actor == "ci").count(), 2, "{title}");
        }
    }
}

#[tokio::test]
async fn bad_artefacts_are_named_in_the_words_of_the_contract() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let good = json!({ "name": "a", "uri": "https://example.com/a", "checksum": SUM });
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (body, message) in [
        (json!({}), "Name can't be blank, Uri can't be blank, Checksum is invalid"),
        (with("name", json!(null)), "Name can't be blank"),
        (with("name", json!("x".repeat(256))), "Name is too long (maximum is 255 characters)"),
        (with("name", json!(7)), "Name is invalid"),
        (with("name", json!("a\u{0}b")), "Name is invalid"),
        (with("uri", json!("")), "Uri can't be blank"),
        (with("uri", json!("gopher://x/y")), "Uri is invalid"),
        (with("uri", json!(["https://x/y"])), "Uri is invalid"),
        (with("uri", json!(format!("https://x/{}", "y".repeat(3000)))), "Uri is invalid"),
        (with("checksum", json!(&SUM[1..])), "Checksum is invalid"),
        (with("checksum", json!(null)), "Checksum is invalid"),
        (with("checksum", json!(12)), "Checksum is invalid"),
        (
            json!({ "name": 1, "uri": 2, "checksum": 3 }),
            "Name is invalid, Uri is invalid, Checksum is invalid",
        ),
    ] {
        let answer = program.json("POST", ARTEFACTS, body.clone()).await;
        let message = format!("Validation failed: {message}");
        assert_eq!(refusal(&answer), says(StatusCode::UNPROCESSABLE_ENTITY, &message), "{body}");
    }
    let raw = async |kind: &[(&str, &str)], body: Vec<u8>| program.raw("POST", ARTEFACTS, kind, body).await;
    let kind = [("content-type", "application/json")];
    assert_eq!(raw(&kind, b"{".to_vec()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(raw(&[], b"{}".to_vec()).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(raw(&kind, vec![b' '; 65 * 1024]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    for page in ["page=0", "page=-1", "per_page=x"] {
        assert_eq!(program.get(&format!("{ARTEFACTS}?{page}")).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(program.json("PATCH", ARTEFACTS, json!({})).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(program.get(ARTEFACTS).await.json()["meta"]["total_count"], json!(0), "nothing was made");
}

#[tokio::test]
async fn deployments_are_as_documented() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let (device, artefact) = (device(&desk, &program, "s1").await, artefact(&program, "a").await);
        let made = deploy(&program, &device, &artefact).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let id = made.text("id");
        let shown = format!(
            r#"{{"id":"{id}","state":"pending","state_reason":null,"device_id":"{}","artefact_id":"{artefact}","created_at":"2026-11-22T12:00:00Z","updated_at":"2026-11-22T12:00:00Z"}}"#,
            device.id
        );
        assert_eq!(made.body, shown, "names, order and format");
        let path = format!("/organisation/deployments/{id}");
        let list = format!("/organisation/devices/{}/deployments", device.id);
        assert_eq!(program.get(&path).await.body, shown);
        assert_eq!(program.get(&list).await.body, format!(r#"{{"deployments":[{shown}],{META}}}"#));

        // A newer one takes the place of what waits; forms do as well.
        desk.clock.advance(Duration::seconds(38));
        let newer = program.form("POST", &list, &format!("artefact_id={artefact}")).await.text("id");
        let failed = program.get(&path).await.json();
        assert_eq!(
            (&failed["state"], &failed["state_reason"], &failed["updated_at"]),
            (&json!("failed"), &json!("Superseded by a newer deployment"), &json!("2026-11-22T12:00:38Z"))
        );
        let ids = async |state: &str| -> Vec<String> {
            let listed = program.get(&format!("{list}?state={state}")).await.json();
            let all = listed["deployments"].as_array().expect("deployments").clone();
            all.iter().map(|one| one["id"].as_str().expect("text").to_owned()).collect()
        };
        let all = program.get(&list).await.json();
        assert_eq!((&all["deployments"][0]["id"], &all["meta"]["total_count"]), (&json!(newer), &json!(2)));
        assert_eq!((ids("pending").await, ids("failed").await), (vec![newer.clone()], vec![id]));
        assert_eq!(ids("succeeded").await, Vec::<String>::new());
        let unknown = program.get(&format!("{list}?state=exploded")).await;
        assert_eq!(refusal(&unknown), says(StatusCode::BAD_REQUEST, "Unknown state \"exploded\""));

        // Only what waits is cancelled.
        let cancelled = cancel(&program, &newer).await;
        assert_eq!((cancelled.status, cancelled.text("state")), (StatusCode::OK, "cancelled".to_owned()));
        for state in ["cancelled", "in_progress", "succeeded"] {
            let id = match state {
                "cancelled" => newer.clone(),
                _ => deploy(&program, &device, &artefact).await.text("id"),
            };
            if state != "cancelled" {
                device.call("POST", &format!("/deployments/{id}/start"), json!({})).await;
            }
            if state == "succeeded" {
                let report = json!({ "output": "all well\n" });
                device.call("POST", &format!("/deployments/{id}/complete"), report).await;
                let output = program.get(&format!("/organisation/deployments/{id}/output")).await;
                assert_eq!(output.body, r#"{"output":"all well\n"}"#);
            }
            let message = format!("Cannot cancel deployment in state \"{state}\"");
            let answer = cancel(&program, &id).await;
            assert_eq!(refusal(&answer), says(StatusCode::UNPROCESSABLE_ENTITY, &message), "{state}");
        }
        let used = delete(&program, &format!("{ARTEFACTS}/{artefact}")).await;
        let deployed = "Cannot delete artefacts that have been deployed";
        assert_eq!(refusal(&used), says(StatusCode::UNPROCESSABLE_ENTITY, deployed));
        let events = desk.app.store.audit_events(shed, 100).await.expect("reads");
        for title in ["Deployment created", "Deployment cancelled"] {
            let ours = events.iter().filter(|e| e.action.is_some_and(|action| action.title() == title));
            assert!(ours.clone().count() > 0 && ours.into_iter().all(|e| e.source == "API"), "{title}");
        }
    }
}

#[tokio::test]
async fn deployments_of_or_to_what_the_organisation_does_not_have() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
        let ours = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
        let theirs = Program::of(&desk, desk.organisation(&eve, "Barn").await).await;
        let (our_device, our_artefact) = (device(&desk, &ours, "s1").await, artefact(&ours, "a").await);
        let (their_device, their_artefact) =
            (device(&desk, &theirs, "s1").await, artefact(&theirs, "a").await);
        let id = deploy(&ours, &our_device, &our_artefact).await.text("id");
        let none = says(StatusCode::NOT_FOUND, "Not found");
        for (device, artefact) in [
            (&our_device, &our_artefact),
            (&our_device, &their_artefact),
            (&their_device, &our_artefact),
            (&their_device, &"x".to_owned()),
            (&their_device, &uuid::Uuid::nil().to_string()),
        ] {
            assert_eq!(refusal(&deploy(&theirs, device, artefact).await), none);
        }
        let (artefact, deployment) =
            (format!("{ARTEFACTS}/{our_artefact}"), format!("/organisation/deployments/{id}"));
        let list = format!("/organisation/devices/{}/deployments", our_device.id);
        for path in [&artefact, &deployment, &format!("{deployment}/output"), &list] {
            assert_eq!(refusal(&theirs.get(path).await), none, "{path}");
            assert_ne!(ours.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(refusal(&delete(&theirs, &artefact).await), none);
        assert_eq!(refusal(&cancel(&theirs, &id).await), none);
        for path in ["/organisation/deployments/x", "/organisation/artefacts/%00"] {
            assert_eq!(refusal(&ours.get(path).await), none, "{path}");
        }
        for (body, expected) in [
            (json!({}), says(StatusCode::BAD_REQUEST, "artefact_id is missing")),
            (json!({ "artefact_id": null }), says(StatusCode::BAD_REQUEST, "artefact_id is missing")),
            (json!({ "artefact_id": "" }), says(StatusCode::BAD_REQUEST, "artefact_id is missing")),
            (
                json!({ "artefact_id": 7 }),
                says(StatusCode::UNPROCESSABLE_ENTITY, "Validation failed: Artefact id is invalid"),
            ),
        ] {
            assert_eq!(refusal(&ours.json("POST", &list, body).await), expected);
        }
        assert_eq!(ours.get(&deployment).await.text("state"), "pending", "nothing of this touched it");
    }
}

async fn billing(desk: &Desk, organisation: AccountId, billing: &str) -> Result<(), String> {
    let request = Request::OrgBilling { organisation, billing: billing.to_owned() };
    match handle(&desk.app, request).await {
        Response::Done { .. } => Ok(()),
        Response::Refused { text, .. } => Err(text),
    }
}

#[tokio::test]
async fn whose_billing_ended_cannot_deploy() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let (device, artefact) = (device(&desk, &program, "s1").await, artefact(&program, "a").await);
        let blocked = says(StatusCode::FORBIDDEN, "Deployments are blocked until billing has been set up");
        for (word, allowed) in [("ended", false), ("paid", true), ("ended", false), ("trial", true)] {
            billing(&desk, shed, word).await.expect("an organisation");
            let answer = deploy(&program, &device, &artefact).await;
            if allowed {
                assert_eq!(answer.status, StatusCode::CREATED, "{word}");
            } else {
                assert_eq!(refusal(&answer), blocked, "{word}");
            }
        }
        // Everything else stays readable, and a trial can end by itself.
        let past = desk.app.clock.now().unix_timestamp() * 1_000_000;
        desk.sql(&format!("UPDATE accounts SET trial_ends_at = {past} WHERE kind = 'organisation'")).await;
        assert_eq!(refusal(&deploy(&program, &device, &artefact).await), blocked);
        assert_eq!(program.get("/organisation/devices").await.status, StatusCode::OK);
        let nobody = billing(&desk, ann.account, "paid").await.expect_err("a personal account");
        assert!(nobody.contains("no organisation"), "{nobody}");
        assert!(billing(&desk, shed, "free").await.is_err());
        let log = desk.audit(shed).await;
        assert_eq!(log.iter().filter(|line| *line == "Billing changed").count(), 4, "{log:?}");
    }
}

#[tokio::test]
async fn whose_billing_ended_reaches_no_device() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let theirs = device(&desk, &program, "s1").await.online().await;
        let own = desk.device(&ann, "s2").await.online().await;
        let open = async |device: &Device| {
            ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await
        };
        let refused = |answer: &Answer| {
            assert_eq!(
                (answer.status, answer.text("error")),
                (StatusCode::FORBIDDEN, "billing_required".into())
            );
            assert!(answer.text("error_description").contains("Shed"), "{}", answer.body);
        };
        billing(&desk, shed, "ended").await.expect("an organisation");
        refused(&open(&theirs).await);
        assert_eq!(open(&own).await.status, StatusCode::CREATED, "a personal device is not concerned");
        let page = ann.get(&format!("/devices/{}", theirs.id)).await;
        assert_eq!(page.status, StatusCode::OK, "everything else stays readable");
        for word in ["paid", "trial"] {
            billing(&desk, shed, word).await.expect("an organisation");
            assert_eq!(open(&theirs).await.status, StatusCode::CREATED, "{word}: at once");
        }
        let past = desk.app.clock.now().unix_timestamp() * 1_000_000;
        desk.sql(&format!("UPDATE accounts SET trial_ends_at = {past} WHERE kind = 'organisation'")).await;
        refused(&open(&theirs).await);
        let log = desk.audit(shed).await;
        assert_eq!(log.iter().filter(|line| *line == "Remote shell session started").count(), 2, "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_requests_at_once_leave_one_pending() {
    for engine in Engine::BOTH {
        let desk = Arc::new(Desk::on(engine).await);
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let (device, artefact) = (device(&desk, &program, "s1").await, artefact(&program, "a").await);
        let mut all = JoinSet::new();
        for _ in 0..200 {
            let (desk, token) = (Arc::clone(&desk), program.token.clone());
            let path = format!("/organisation/devices/{}/deployments", device.id);
            let body = json!({ "artefact_id": artefact });
            all.spawn(async move {
                for _ in 0..PATIENCE {
                    let answer = Program::with(&desk, &token).json("POST", &path, body.clone()).await;
                    // Whoever waits for a connection for too long asks again.
                    match answer.status {
                        StatusCode::SERVICE_UNAVAILABLE => {
                            assert!(answer.headers.contains_key("retry-after"));
                        }
                        status => return assert_eq!(status, StatusCode::CREATED, "{}", answer.body),
                    }
                }
                panic!("the database is never there");
            });
        }
        all.join_all().await;
        let count = async |state: &str| {
            let path = format!("/organisation/devices/{}/deployments?per_page=1&state={state}", device.id);
            program.get(&path).await.json()["meta"]["total_count"].clone()
        };
        assert_eq!((count("pending").await, count("failed").await), (json!(1), json!(199)));
    }
}
