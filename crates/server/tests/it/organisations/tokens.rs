//! API access tokens and device identities on the Provisioning tab, and what becomes of the things that
//! a former administrator made.

use crate::desk::{Answer, Desk, Device};
use crate::management::Program;
use crate::management::identities::Board;
use bramble_model::account::Role;
use bramble_model::tags::Tags;
use bramble_server::admin::{Request, Response, handle};
use bramble_server::linking::identities::proof::PublicKey;
use bramble_server::linking::{LinkingError, identities, keys};
use bramble_server::management::tokens;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

fn secret(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let rest = answer.body.split("rporg_").nth(1).expect("a token").get(..24).expect("24 characters");
    format!("rporg_{rest}")
}

#[tokio::test]
async fn a_token_is_shown_once_used_and_revoked() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        desk.join(shed, &bob, Role::Administrator).await;
        let (tab, path) =
            (format!("/organisations/{shed}/provisioning"), format!("/organisations/{shed}/api-tokens"));
        let made = ann.post(&path, &[("description", "workstation <b>")]).await;
        let token = secret(&made);
        assert!(made.body.contains("workstation &#60;b&#62;"), "{}", made.body);
        let page = bob.get(&tab).await.body;
        assert!(
            page.contains("workstation &#60;b&#62;") && page.contains("Never") && !page.contains("rporg_")
        );
        let program = Program::with(&desk, &token);
        assert_eq!(program.get("/organisation/devices").await.status, StatusCode::OK);
        assert!(!ann.get(&tab).await.body.contains("Never"), "it was used");
        for person in [&ann, &bob] {
            let mails = desk.mails_to(&person.email).await.join("\n");
            assert!(mails.contains("workstation") && !mails.contains(&token), "{mails}");
        }
        let id = desk.app.store.api_tokens(shed, 1).await.expect("reads")[0].id;
        let revoke = format!("{path}/{id}/revoke");
        assert!(bob.get(&revoke).await.body.contains("Revoke this API access token?"));
        assert_eq!(bob.post(&revoke, &[]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(program.get("/organisation/devices").await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(bob.post(&revoke, &[]).await.status, StatusCode::NOT_FOUND, "there is none any more");
        let log = desk.audit(shed).await;
        for title in ["API access token created", "API access token revoked"] {
            assert!(log.iter().any(|line| line == title), "{title}: {log:?}");
        }
        let lines = desk.app.store.audit_events(shed, 100).await.expect("reads");
        assert!(!format!("{lines:?}").contains(&token), "no secret in the log");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_token_stands_beside_its_field() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let path = format!("/organisations/{shed}/api-tokens");
    let long = "é".repeat(256);
    for (description, why) in [
        (" ", "Description can&#39;t be blank"),
        (long.as_str(), "Description is too long (maximum is 255 characters)"),
    ] {
        let answer = ann.post(&path, &[("description", description)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.body.matches(why).count(), 1, "only there: {}", answer.body);
    }
    assert!(desk.app.store.api_tokens(shed, 10).await.expect("reads").is_empty());
    // An hour after the sign-in a proof comes first.
    desk.clock.advance(Duration::minutes(61));
    let answer = ann.post(&path, &[("description", "x")]).await;
    assert!(answer.status.is_redirection() && !answer.body.contains("rporg_"), "{}", answer.status);
    assert!(desk.app.store.api_tokens(shed, 10).await.expect("reads").is_empty());
}

#[tokio::test]
async fn identities_are_listed_and_deleted_with_their_devices() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let program = Program::of(&desk, shed).await;
    let tab = format!("/organisations/{shed}/provisioning");
    assert!(ann.get(&tab).await.body.contains("A device identity is a key pair"));
    let board = Board::new();
    let made = board.register(&program, json!({ "description": "board 1", "tags": ["kiosk"] })).await;
    let page = ann.get(&tab).await.body;
    assert!(page.contains("board 1") && page.contains("Not linked yet") && page.contains("kiosk"), "{page}");
    let device = Device::of(&desk, &board.link(&desk, "s1", None).await);
    assert!(ann.get(&tab).await.body.contains(&format!("/devices/{}", device.id)));
    for n in 2..=52 {
        let made = Board::new().register(&program, json!({ "description": format!("board {n}") })).await;
        assert_eq!(made.status, StatusCode::CREATED);
    }
    let second = ann.get(&format!("{tab}?identities=2")).await.body;
    assert_eq!((second.matches("id=\"identity-").count(), second.contains("Page 2 of 2")), (2, true));
    assert!(second.contains("/delete?identities=2\""), "{second}");
    assert!(ann.get(&format!("{tab}?identities=9")).await.body.contains("Page 2 of 2"), "the last one");
    for odd in ["0", "99999999999999999999", "x", "-1"] {
        let status = ann.get(&format!("{tab}?identities={odd}")).await.status;
        assert_eq!(status, StatusCode::OK, "{odd}");
    }
    let delete = format!("/organisations/{shed}/device-identities/{}/delete", made.text("id"));
    assert!(ann.get(&delete).await.body.contains("is deleted with it"));
    assert_eq!(ann.post(&delete, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(device.status().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_tokens_of_a_former_administrator_end_with_the_role() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        desk.join(shed, &bob, Role::Administrator).await;
        let path = format!("/organisations/{shed}/api-tokens");
        let kept = secret(&ann.post(&path, &[("description", "zebra")]).await);
        let gone = secret(&bob.post(&path, &[("description", "his script")]).await);
        let remove = format!("/organisations/{shed}/users/{}/remove", bob.user);
        let page = ann.get(&remove).await.body;
        assert!(
            page.contains("his script") && page.contains("Revoke all") && !page.contains("zebra"),
            "{page}"
        );
        assert_eq!(ann.post(&remove, &[("revoke", "yes")]).await.status, StatusCode::SEE_OTHER);
        for (token, status) in [(&kept, StatusCode::OK), (&gone, StatusCode::UNAUTHORIZED)] {
            assert_eq!(Program::with(&desk, token).get("/organisation/devices").await.status, status);
        }
    }
}

#[tokio::test]
async fn the_operator_makes_keys_for_an_organisation() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let make = async |organisation, names: &[&str], tags: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let request = Request::OrgAuthKeysCreate {
            organisation,
            description: String::new(),
            device_names: owned(names),
            tags: owned(tags),
            ttl_days: Some(7),
        };
        match handle(&desk.app, request).await {
            Response::Done { json, .. } => Ok(json["auth_keys"].as_array().cloned().unwrap_or_default()),
            Response::Refused { text, .. } => Err(text),
        }
    };
    let keys: Vec<Value> = make(shed, &["kiosk-001", "kiosk-002"], &["b", "a"]).await.expect("keys");
    assert_eq!(keys.len(), 2);
    let linked = desk.exchange(keys[1]["secret"].as_str().expect("a secret"), "s1").await;
    let device = linked.text("device_id").parse().expect("an id");
    let device = desk.app.store.device(shed, device).await.expect("reads").expect("a device");
    assert_eq!(
        (device.name.as_str(), device.tags),
        ("kiosk-001".replace('1', "2").as_str(), vec!["a".into(), "b".into()])
    );
    for (organisation, names, tags, why) in [
        (ann.account, &["x"][..], &[][..], "no organisation"),
        (shed, &["x"], &["A"], "invalid tag"),
        (shed, &["x"; 101], &[], "At most 100"),
        (shed, &[], &[], "Description can't be blank"),
    ] {
        let refused = make(organisation, names, tags).await.expect_err("refused");
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(desk.app.store.auth_keys(shed, 10).await.expect("reads").len(), 2);
}

/// Their right is looked at in the transaction that writes, not only when the request came.
#[tokio::test]
async fn who_was_removed_a_moment_ago_makes_and_deletes_nothing() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        desk.join(shed, &bob, Role::Administrator).await;
        let program = Program::of(&desk, shed).await;
        let made = Board::new().register(&program, json!({ "description": "b" })).await;
        let identity = made.text("id").parse().expect("an id");
        let key = program.json("POST", "/organisation/auth-keys", json!({ "description": "k" })).await;
        let key = key.text("id").parse().expect("an id");
        let token = desk.app.store.api_tokens(shed, 1).await.expect("reads")[0].id;
        let who = desk.signed_in(&bob).await;
        let keeper = identities::Keeper::person(&desk.app, &who, shed).await.expect("an administrator");
        let removed = ann.post(&format!("/organisations/{shed}/users/{}/remove", bob.user), &[]).await;
        assert_eq!(removed.status, StatusCode::SEE_OTHER, "{}", removed.body);
        let wish = identities::Wish {
            key: PublicKey::parse(&Board::new().pem()).expect("a key"),
            description: "late".to_owned(),
            device_name: None,
            tags: Tags::default(),
        };
        let made = identities::create(&desk.app, &keeper, wish).await;
        assert!(matches!(made, Err(LinkingError::NotFound)), "{made:?}");
        let gone = identities::delete(&desk.app, &keeper, identity).await;
        assert!(matches!(gone, Err(LinkingError::NotFound)), "{gone:?}");
        let gone = keys::delete_auth_key(&desk.app, &who, shed, key).await;
        assert!(matches!(gone, Err(LinkingError::NotFound)), "{gone:?}");
        let gone = tokens::revoke(&desk.app, &who, shed, token).await;
        assert!(matches!(gone, Err(tokens::TokenError::NotFound)), "{gone:?}");
        let left = program.get("/organisation/device-identities").await.json();
        assert_eq!(left["meta"]["total_count"], json!(1), "the token and the identity are there");
        assert_eq!(program.get("/organisation/auth-keys").await.json()["meta"]["total_count"], json!(1));
    }
}
