use super::Place;
use bramble_server::deployments;
use bramble_store::testing::Engine;
use bramble_wire::deployments::MAX_OUTPUT;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn progress_and_output_are_kept_while_it_runs() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let id = place.deploy().await;
        let path = format!("/deployments/{id}/progress");
        let report = async |body| place.device.call("POST", &path, body).await.status;
        assert_eq!(report(json!({ "percent": 1 })).await, StatusCode::UNPROCESSABLE_ENTITY, "pending");
        place.report(id, "start").await;
        assert_eq!(report(json!({ "percent": 42, "output": "half\u{0000}way\n" })).await, 204);
        assert_eq!(place.look(id).await.percent, Some(42));
        assert_eq!(report(json!({})).await, 204);
        assert_eq!(place.look(id).await.percent, Some(42), "what is absent stays");
        let output = async || {
            deployments::output(&place.desk.app, &place.by, id).await.expect("reads").unwrap_or_default()
        };
        assert_eq!(output().await, "halfway\n");
        for bad in [json!({ "percent": 101 }), json!({ "percent": 256 }), json!({ "percent": -1 })] {
            assert!(report(bad).await.is_client_error());
        }
        let long = format!("{}end", "é".repeat(MAX_OUTPUT / 2));
        assert_eq!(report(json!({ "output": long })).await, 204);
        let kept = output().await;
        assert!(kept.len() <= MAX_OUTPUT && kept.ends_with("éend"));
        let done = format!("/deployments/{id}/complete");
        for output in ["all of it", "a late repetition"] {
            let answer = place.device.call("POST", &done, json!({ "output": output })).await;
            assert_eq!(answer.status, 204);
        }
        assert_eq!(output().await, "all of it");
        assert_eq!(place.look(id).await.percent, Some(100));
        assert_eq!(report(json!({ "percent": 50 })).await, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn a_reason_is_cleaned_cut_and_never_missing() {
    let place = Place::new().await;
    let fail = async |body| {
        let id = place.deploy().await;
        place.report(id, "start").await;
        let answer = place.device.call("POST", &format!("/deployments/{id}/fail"), body).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        place.look(id).await.state.reason().expect("failed").to_owned()
    };
    assert_eq!(fail(json!({ "reason": "no\u{202E} space\u{1b}[2J\n" })).await, "no space[2J");
    assert_eq!(fail(json!({ "reason": "x".repeat(300) })).await, "x".repeat(255));
    assert_eq!(fail(json!({})).await, "The device gave no reason");
    assert_eq!(fail(json!({ "reason": null })).await, "The device gave no reason");
}

#[tokio::test]
async fn reports_are_forms_too_and_bodies_are_bounded() {
    let place = Place::new().await;
    let id = place.deploy().await;
    let send = async |path: String, kind: &str, body: Vec<u8>| {
        let request = crate::desk::request(http::Method::POST, &path, "198.51.100.7")
            .header("authorization", format!("Bearer {}", place.device.token))
            .header("content-type", kind.to_owned())
            .body(body.into())
            .expect("a request");
        place.desk.send(request).await.status
    };
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    assert_eq!(send(format!("/deployments/{id}/start"), form, Vec::new()).await, 200);
    let fail = format!("/deployments/{id}/fail");
    assert_eq!(send(fail.clone(), json, vec![b'x'; 200 * 1024]).await, 413);
    assert_eq!(send(fail.clone(), json, b"{\"reason\":7}".to_vec()).await, 400);
    assert_eq!(send(fail.clone(), json, b"{\"reason\":\"\xff\"}".to_vec()).await, 400);
    assert_eq!(send(fail.clone(), "text/plain", b"x".to_vec()).await, 415);
    assert_eq!(place.state(id).await, "in_progress");
    assert_eq!(send(fail, form, b"reason=no+space".to_vec()).await, 204);
    assert_eq!(place.state(id).await, "failed: no space");
}
