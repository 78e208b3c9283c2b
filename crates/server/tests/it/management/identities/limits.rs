//! How often strangers and identities may ask to be linked.

use super::{Board, SIGNATURE, devices};
use crate::desk::Desk;
use crate::management::{Program, header};
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;
use time::Duration;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn strangers_cannot_ask_without_end_and_a_factory_is_no_stranger() {
    let desk = Arc::new(Desk::new().await);
    let ann = desk.person("ann").await;
    let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let (stranger, board) = (Board::new(), Board::new());
    board.registered(&program, json!({ "description": "b" })).await;
    let mut factory = Vec::new();
    for n in 0..50 {
        let one = Board::new();
        one.registered(&program, json!({ "description": format!("f{n}") })).await;
        factory.push(one);
    }
    // A key that nobody registered, one that somebody else signs for, and a request that is none.
    let ask = async |n: usize| match n % 3 {
        0 => stranger.link(&desk, "s", None).await,
        1 => {
            let mut forged = board.exchange("s", None);
            forged.headers_mut().insert(SIGNATURE, "00".parse().expect("a value"));
            desk.send(forged).await
        }
        _ => stranger.link(&desk, "no serial number", None).await,
    };
    for n in 0..300 {
        let status = ask(n).await.status;
        assert!(matches!(status.as_u16(), 400 | 401), "{n}: {status}");
    }
    for n in 0..3 {
        let answer = ask(n).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.body);
        assert_eq!(header(&answer, "retry-after"), "1");
        assert_eq!(answer.text("error"), "temporarily_unavailable");
    }
    assert_eq!(board.link(&desk, "s", None).await.status, StatusCode::TOO_MANY_REQUESTS, "same address");
    let elsewhere = desk.send(board.exchange_from("203.0.113.9", "s", None)).await;
    assert_eq!(elsewhere.status, StatusCode::OK, "{}", elsewhere.body);
    desk.clock.advance(Duration::minutes(1));
    // Fifty devices of one router, many times what the limit would allow if good ones counted.
    let mut all = JoinSet::new();
    for (n, one) in factory.into_iter().enumerate() {
        let desk = Arc::clone(&desk);
        all.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..8 {
                answers.push(one.link(&desk, &format!("f{n}"), None).await.status);
            }
            answers
        });
    }
    let answers = all.join_all().await.concat();
    assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
}

#[tokio::test]
async fn one_identity_does_not_fill_the_log_by_linking_again_and_again() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let board = Board::new();
    board.registered(&program, json!({ "description": "b" })).await;
    for _ in 0..60 {
        assert_eq!(board.link(&desk, "s", None).await.status, StatusCode::OK);
    }
    let device = devices(&program).await[0]["id"].clone();
    let answer = board.link(&desk, "s", None).await;
    assert_eq!((answer.status, header(&answer, "retry-after")), (StatusCode::TOO_MANY_REQUESTS, "60"));
    desk.clock.advance(Duration::minutes(1));
    let answer = board.link(&desk, "s", None).await;
    assert_eq!((answer.status, &answer.json()["device_id"]), (StatusCode::OK, &device));
}
