//! What all endpoints share: who is let in, how often, and how refusals look.

use super::{Program, header};
use crate::desk::Desk;
use bramble_server::management::tokens;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::json;
use time::Duration;

const SOMEWHERE: &str = "/organisation/nowhere";

#[tokio::test]
async fn only_a_known_token_gets_as_far_as_not_found() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let answer = program.get(SOMEWHERE).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json(), json!({ "message": "Not found" }));
        assert_eq!(header(&answer, "content-type"), "application/json; charset=utf-8");
        assert_eq!(header(&answer, "x-rate-limit-limit"), "5000");
        assert_eq!(header(&answer, "x-rate-limit-remaining"), "4999");
        assert_eq!(header(&answer, "x-rate-limit-reset"), "3600");
        let near = program.token.replace("rporg_", "rpoak_");
        let lower = program.token.to_lowercase();
        let unknown = format!("rporg_{}", "1".repeat(24));
        for wrong in ["", "x", &near, &lower, &unknown, &format!("{}1", program.token)] {
            let answer = Program::with(&desk, wrong).get(SOMEWHERE).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong}");
            assert_eq!(answer.json(), json!({ "message": "Unauthorized" }));
            assert_eq!(header(&answer, "content-type"), "application/json; charset=utf-8");
            assert!(!answer.headers.contains_key("x-rate-limit-limit"));
        }
    }
}

#[tokio::test]
async fn a_revoked_token_proves_nothing_from_then_on() {
    let desk = Desk::new().await;
    let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
    let shed = desk.organisation(&ann, "Shed").await;
    let program = Program::of(&desk, shed).await;
    assert_eq!(program.get(SOMEWHERE).await.status, StatusCode::NOT_FOUND);
    let kept = desk.app.store.api_tokens(shed, 10).await.expect("reads");
    assert_eq!(kept[0].last_used_at, Some(desk.app.clock.now()));
    let tx = desk.app.store.begin().await.expect("begins");
    assert!(!tx.delete_api_token(eve.account, kept[0].id).await.expect("reads"), "not hers");
    assert!(tx.delete_api_token(shed, kept[0].id).await.expect("writes"));
    tx.commit().await.expect("commits");
    assert_eq!(program.get(SOMEWHERE).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn making_a_token_is_told_to_every_administrator() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let program = Program::of(&desk, shed).await;
    assert!(desk.audit(shed).await.contains(&"API access token created".to_owned()));
    let mails = desk.mails_to(&ann.email).await;
    assert!(mails.iter().any(|text| text.contains("Operator made an API access token for Shed: “ci”")));
    assert!(mails.iter().all(|text| !text.contains(&program.token)), "the secret is in no mail");
    for bad in ["", "  ", &"x".repeat(256)] {
        assert!(tokens::create_as_operator(&desk.app, shed, bad).await.is_err());
    }
    let personal = tokens::create_as_operator(&desk.app, ann.account, "x").await;
    assert!(matches!(personal, Err(tokens::TokenError::NotFound)), "only organisations have them");
}

#[tokio::test]
async fn an_hour_has_five_thousand_requests_and_use_is_noted_once_a_minute() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let program = Program::of(&desk, shed).await;
    let used = async || desk.app.store.api_tokens(shed, 10).await.expect("reads")[0].last_used_at;
    let start = desk.app.clock.now();
    desk.clock.advance(Duration::seconds(59));
    program.get(SOMEWHERE).await;
    let first = used().await.expect("noted");
    desk.clock.advance(Duration::seconds(59));
    program.get(SOMEWHERE).await;
    assert_eq!(used().await, Some(first));
    desk.clock.advance(Duration::seconds(1));
    program.get(SOMEWHERE).await;
    assert_eq!(used().await, Some(first + Duration::minutes(1)));
    let token = desk.app.store.api_tokens(shed, 10).await.expect("reads")[0].id;
    for _ in 3..5000 {
        desk.app.api_limit.spend(token, 5000, desk.app.clock.now());
    }
    let answer = program.get(SOMEWHERE).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::TOO_MANY_REQUESTS, "Throttled"));
    assert!(header(&answer, "content-type").starts_with("text/plain"));
    assert_eq!(header(&answer, "x-rate-limit-remaining"), "0");
    let left = 3600 - (desk.app.clock.now() - start).whole_seconds();
    assert_eq!(header(&answer, "x-rate-limit-reset"), left.to_string());
    desk.clock.advance(Duration::seconds(left));
    assert_eq!(program.get(SOMEWHERE).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn guessing_from_one_address_ends_after_a_hundred_tries_in_a_minute() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let guess = |n: usize| format!("rporg_{n:0>24}").replace('0', "1");
    for n in 0..100 {
        assert_eq!(Program::with(&desk, &guess(n)).get(SOMEWHERE).await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = Program::with(&desk, &guess(7)).get(SOMEWHERE).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::TOO_MANY_REQUESTS, "Throttled"));
    assert!(!answer.headers.contains_key("x-rate-limit-limit"));
    // Whoever has a token is not concerned, at the same address.
    assert_eq!(Program::of(&desk, shed).await.get(SOMEWHERE).await.status, StatusCode::NOT_FOUND);
    desk.clock.advance(Duration::minutes(1));
    assert_eq!(Program::with(&desk, &guess(8)).get(SOMEWHERE).await.status, StatusCode::UNAUTHORIZED);
}
