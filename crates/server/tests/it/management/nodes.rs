//! Two servers on one PostgreSQL database: what one of them decided counts on the other at once.

use super::Program;
use super::identities::Board;
use crate::desk::{Desk, Device};
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::json;

const DEVICES: &str = "/organisation/devices";

#[tokio::test]
async fn a_token_revoked_on_one_node_is_refused_by_the_other() {
    let one = Desk::on(Engine::Postgres).await;
    let two = one.second_node().await;
    let ann = one.person("ann").await;
    let shed = one.organisation(&ann, "Shed").await;
    let here = Program::of(&one, shed).await;
    let there = Program::with(&two, &here.token);
    // Used on both, so that whatever either of them remembers of it is there.
    for program in [&here, &there, &here, &there] {
        assert_eq!(program.get(DEVICES).await.status, StatusCode::OK);
    }
    let id = one.app.store.api_tokens(shed, 1).await.expect("reads")[0].id;
    let revoked = ann.post(&format!("/organisations/{shed}/api-tokens/{id}/revoke"), &[]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.body);
    for program in [&there, &here] {
        assert_eq!(program.get(DEVICES).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_copy_of_an_exchange_and_a_former_token_are_worth_nothing_on_the_other_node() {
    let one = Desk::on(Engine::Postgres).await;
    let two = one.second_node().await;
    let ann = one.person("ann").await;
    let program = Program::of(&one, one.organisation(&ann, "Shed").await).await;
    let (board, now) = (Board::new(), one.app.clock.unix());
    let made = board.register(&program, json!({ "description": "b" })).await;
    let first = Device::of(&two, &board.link(&one, "s1", Some(now)).await);
    assert_eq!(first.status().await, StatusCode::OK, "linked here, known there");
    for (desk, time) in [(&two, Some(now)), (&two, None), (&one, Some(now))] {
        assert_eq!(board.link(desk, "s1", time).await.status, StatusCode::UNAUTHORIZED, "{time:?}");
    }
    let second = Device::of(&one, &board.link(&two, "s1", Some(now + 1)).await);
    assert_eq!((first.status().await, second.status().await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    assert_eq!(first.id, second.id);
    // Deleted on the one, signed out on the other.
    let there = Device::of(&two, &board.link(&two, "s1", Some(now + 2)).await);
    let path = format!("/organisation/device-identities/{}", made.text("id"));
    let gone = program.raw("DELETE", &path, &[], Vec::new()).await;
    assert_eq!((gone.status, there.status().await), (StatusCode::NO_CONTENT, StatusCode::UNAUTHORIZED));
    assert_eq!(board.link(&two, "s1", Some(now + 3)).await.status, StatusCode::UNAUTHORIZED);
}
