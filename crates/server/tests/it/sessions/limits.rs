//! How many sessions there may be, how much is said in them, and for how long.

use super::*;

#[tokio::test]
async fn floods_have_limits() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let session = open(&ann, &device).await;
    let path = format!("/sessions/{session}");
    let too_long = json!({ "sdp": "x".repeat(64 * 1024 + 1) });
    assert_eq!(
        ann.fetch("POST", &format!("{path}/offer"), too_long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let huge = json!({ "sdp": "x".repeat(1 << 20) });
    assert_eq!(ann.fetch("POST", &format!("{path}/offer"), huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let candidate = |length: usize| json!({ "candidate": { "candidate": "c".repeat(length) } });
    let post =
        async |length| ann.fetch("POST", &format!("{path}/candidates"), candidate(length)).await.status;
    assert_eq!(post(769).await, StatusCode::PAYLOAD_TOO_LARGE);
    for _ in 0..64 {
        assert_eq!(post(768).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(post(1).await, StatusCode::PAYLOAD_TOO_LARGE, "the 65th");
    offer(&ann, &session).await;
    device.order().await;
    device.call("GET", &of_device(&session, "offer"), Value::Null).await;
    for n in 0..=64 {
        let answer = device.call("POST", &of_device(&session, "candidates"), candidate(1)).await;
        assert_eq!(answer.status == StatusCode::NO_CONTENT, n < 64, "{n}");
    }
    for _ in 1..10 {
        open(&ann, &device).await;
    }
    let eleventh = ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await;
    assert_eq!(eleventh.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_sessions_at_once_and_not_one_more() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let device = desk.device(&ann, "s1").await.online().await;
        let all: Vec<_> = (0..20)
            .map(|_| {
                let (ann, device) = (ann.clone(), device.id);
                tokio::spawn(async move {
                    ann.fetch("POST", "/sessions", json!({ "device_id": device, "kind": "shell" }))
                        .await
                        .status
                })
            })
            .collect();
        let mut opened = 0;
        for one in all {
            opened += usize::from(one.await.expect("no panic") == StatusCode::CREATED);
        }
        assert_eq!(opened, 10, "{engine:?}");
    }
}

#[tokio::test]
async fn an_offer_that_nobody_fetches_is_forgotten_after_a_minute() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await.online().await;
    let session = open(&ann, &device).await;
    offer(&ann, &session).await;
    desk.clock.advance(Duration::seconds(60));
    sessions::sweep(&desk.app).await.expect("sweeps");
    assert_eq!(
        device.call("GET", &of_device(&session, "offer"), Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_device_may_try_the_relays_now_and_then() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    let stranger = desk.device_call("GET", "/client/ice-servers", None, None).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let other = desk.device(&ann, "s2").await;
    for _ in 0..20 {
        let answer = device.call("GET", "/client/ice-servers", Value::Null).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "ice_servers": [] })));
    }
    let answer = device.call("GET", "/client/ice-servers", Value::Null).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers["retry-after"], "3600");
    assert_eq!(other.call("GET", "/client/ice-servers", Value::Null).await.status, StatusCode::OK);
}
