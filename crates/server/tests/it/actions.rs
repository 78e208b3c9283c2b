//! Every action of the audit log: something writes it, and it has words of its own. An action that is added
//! and that nothing writes, or that this file does not bring about, fails.

use crate::desk::{Desk, Device, Person};
use crate::management::Program;
use crate::management::identities::Board;
use bramble_model::account::{Billing, Role};
use bramble_model::audit::Action;
use bramble_server::deployments::rollouts;
use bramble_server::organisations::operator;
use bramble_server::{artefacts, deployments};
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;
use serde_json::json;
use std::collections::HashSet;

fn done(answer: &crate::desk::Answer) {
    assert!(answer.status.is_success() || answer.status.is_redirection(), "{answer:?}");
}

/// A device that offers everything, of the organisation.
async fn device(desk: &Desk, ann: &Person, shed: AccountId, serial: &str) -> Device {
    let device = desk.device(ann, serial).await.online().await;
    let all = json!({ "shell": "enabled", "vnc": "enabled", "files": "enabled", "ota": "enabled" });
    device.describe(json!({ "capabilities": all })).await;
    desk.give(ann, &device, shed).await;
    device
}

async fn people(desk: &Desk, ann: &Person, bob: &Person, shed: AccountId) {
    let root = format!("/organisations/{shed}");
    let link = desk.invitation(ann, shed, &bob.email, Role::Member).await;
    done(&bob.post(&format!("/invitations/{link}"), &[]).await);
    let user = format!("{root}/users/{}", bob.user);
    done(&ann.post(&format!("{user}/role"), &[("from", "member"), ("role", "administrator")]).await);
    done(&ann.post(&format!("{user}/remove"), &[]).await);
    desk.invitation(ann, shed, "ivy@example.org", Role::Member).await;
    let waiting = desk.app.store.invitations(shed, 1).await.expect("reads")[0].id;
    done(&ann.post(&format!("{root}/invitations/{waiting}/revoke"), &[]).await);
}

async fn settings(desk: &Desk, ann: &Person, shed: AccountId) {
    let root = format!("/organisations/{shed}");
    done(&ann.post(&format!("{root}/settings"), &[("name", "Barn")]).await);
    for required in ["yes", "no"] {
        done(&ann.post(&format!("{root}/settings/two-factor"), &[("required", required)]).await);
    }
    for allowed in ["no", "yes"] {
        done(&ann.post(&format!("{root}/settings/files"), &[("allowed", allowed)]).await);
    }
    done(&ann.post(&format!("{root}/audit-log/export"), &[]).await);
    done(&ann.post(&format!("{root}/api-tokens"), &[("description", "ci")]).await);
    let token = desk.app.store.api_tokens(shed, 1).await.expect("reads")[0].id;
    done(&ann.post(&format!("{root}/api-tokens/{token}/revoke"), &[]).await);
    operator::set_billing(&desk.app, shed, Billing::Paid).await.expect("writes").expect("an organisation");
}

async fn keys(desk: &Desk, program: &Program<'_>) {
    let made = program.json("POST", "/organisation/auth-keys", json!({ "description": "k" })).await;
    let (path, secret) = (format!("/organisation/auth-keys/{}", made.text("id")), made.text("secret"));
    done(&program.json("PATCH", &path, json!({ "description": "key" })).await);
    done(&desk.exchange(&secret, "k1").await);
    assert_eq!(desk.exchange(&secret, "k2").await.status, StatusCode::UNAUTHORIZED);
    // The same board again, while it is offline.
    let again = program.json("POST", "/organisation/auth-keys", json!({ "description": "again" })).await;
    done(&desk.exchange(&again.text("secret"), "k1").await);
    done(&program.raw("DELETE", &path, &[], Vec::new()).await);
}

async fn identities(desk: &Desk, program: &Program<'_>) {
    let board = Board::new();
    let id = board.register(program, json!({ "description": "i" })).await.text("id");
    let path = format!("/organisation/device-identities/{id}");
    done(&program.json("PATCH", &path, json!({ "description": "board" })).await);
    let now = bramble_model::Clock::unix(&*desk.clock);
    done(&board.link(desk, "i1", Some(now)).await);
    assert!(!board.link(desk, "i1", Some(now)).await.status.is_success(), "a copy");
    done(&program.raw("DELETE", &path, &[], Vec::new()).await);
}

async fn sessions(ann: &Person, device: &Device) {
    let open = async |kind: &str, watch: bool| {
        let opened =
            ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": kind, "watch": watch }));
        let opened = opened.await;
        done(&opened);
        opened.text("id")
    };
    let shell = open("shell", false).await;
    for (kind, watch) in [("shell", true), ("vnc", false)] {
        open(kind, watch).await;
    }
    let files = open("files", false).await;
    for direction in ["upload", "download"] {
        let report = json!({ "direction": direction, "name": "a", "size": 1, "bytes": 0 });
        done(&device.call("POST", &format!("/client/sessions/{files}/transfers"), report).await);
    }
    done(&ann.post(&format!("/devices/{}/sessions/{shell}/end", device.id), &[]).await);
}

async fn updates(desk: &Desk, ann: &Person, shed: AccountId, device: &Device) {
    let by = desk.manager(ann, shed).await;
    let artefact = desk.artefact(&by, "a").await;
    let new = async || deployments::create(&desk.app, &by, device.id, artefact).await.expect("one").id;
    let report = async |id, word: &str| {
        done(&device.call("POST", &format!("/deployments/{id}/{word}"), json!({})).await);
    };
    for end in ["complete", "fail"] {
        let id = new().await;
        report(id, "start").await;
        report(id, end).await;
    }
    let id = new().await;
    deployments::cancel(&desk.app, &by, id).await.expect("cancels");
    let rollout = rollouts::preview(&desk.app, &by, artefact, "").await.expect("a preview");
    rollouts::start(&desk.app, &by, rollout, "1").await.expect("starts");
    let unused = desk.artefact(&by, "b").await;
    artefacts::delete(&desk.app, &by, unused).await.expect("deletes");
}

async fn entry(ann: &Person, device: &Device) {
    let path = format!("/devices/{}", device.id);
    done(&ann.post(&format!("{path}/settings"), &[("name", "kiosk"), ("tags", "lobby")]).await);
    done(&ann.post(&format!("{path}/sign-out"), &[]).await);
    done(&ann.post(&format!("{path}/delete"), &[("confirm", "kiosk")]).await);
}

async fn written(desk: &Desk, account: AccountId) -> Vec<Action> {
    let lines = desk.app.store.audit_events(account, 1000).await.expect("reads");
    lines.into_iter().map(|line| line.action.expect("a known action")).collect()
}

#[tokio::test]
async fn each_is_written_by_what_it_tells_of() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        people(&desk, &ann, &bob, shed).await;
        settings(&desk, &ann, shed).await;
        let program = Program::of(&desk, shed).await;
        let device = device(&desk, &ann, shed, "s1").await;
        sessions(&ann, &device).await;
        updates(&desk, &ann, shed, &device).await;
        entry(&ann, &device).await;
        keys(&desk, &program).await;
        identities(&desk, &program).await;
        let mut seen = written(&desk, shed).await;
        done(&ann.post(&format!("/organisations/{shed}/delete"), &[("confirm", "Barn")]).await);
        seen.extend(written(&desk, ann.account).await);
        let missing: Vec<_> = Action::ALL.iter().filter(|action| !seen.contains(action)).collect();
        assert!(missing.is_empty(), "{engine:?}: nothing wrote {missing:?}");
    }
}

#[tokio::test]
async fn each_has_words_and_a_place_in_the_filter() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let page = ann.get(&format!("/organisations/{shed}/audit-log")).await.body;
    let mut titles = HashSet::new();
    for action in Action::ALL {
        let (code, title) = (action.code(), action.title());
        assert!(!title.trim().is_empty() && titles.insert(title), "{action:?}: words of its own");
        assert!(
            page.contains(&format!("value=\"{code}\"")) && page.contains(title),
            "{action:?} in the filter"
        );
    }
}
