use super::Place;
use bramble_server::deployments::{self, DeploymentError, Manager};
use bramble_store::testing::Engine;
use bramble_wire::events::{Command, ServerEvent};
use http::StatusCode;
use serde_json::json;
use time::Duration;

#[tokio::test]
async fn a_device_hears_of_it_starts_it_and_succeeds() {
    for engine in Engine::BOTH {
        let mut place = Place::on(engine).await;
        place.device = place.device.online().await;
        assert_eq!(place.device.call("GET", "/deployments/pending", json!(null)).await.status, 204);
        let id = place.deploy().await;
        let order = place.device.order().await;
        assert_eq!(order, Some(ServerEvent::Command(Command::Deploy { id: id.0 })));
        let waiting = place.device.call("GET", "/deployments/pending", json!(null)).await;
        assert_eq!(waiting.json(), json!({ "deployments": [{ "id": id }] }));

        let started = place.report(id, "start").await;
        assert_eq!(started.status, StatusCode::OK);
        let body = started.json();
        assert_eq!(body["artefact"]["checksum"], "ab".repeat(32));
        assert_eq!(body["timestamp"], place.desk.app.clock.unix());
        assert_eq!(place.state(id).await, "in_progress");
        assert_eq!(place.device.call("GET", "/deployments/pending", json!(null)).await.status, 204);
        // A device that was killed goes on.
        place.desk.clock.advance(Duration::seconds(5));
        let again = place.report(id, "start").await;
        assert_eq!(again.status, StatusCode::OK);
        assert_eq!(again.json()["timestamp"], place.desk.app.clock.unix());
        for _ in 0..2 {
            assert_eq!(place.report(id, "complete").await.status, StatusCode::NO_CONTENT);
        }
        assert_eq!(place.state(id).await, "succeeded");
        let refused = place.report(id, "fail").await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.json(), json!({ "message": "Cannot fail deployment in state \"succeeded\"" }));
        let log = place.desk.audit(place.ann.account).await;
        let count = |line: &str| log.iter().filter(|it| *it == line).count();
        assert_eq!([count("Deployment started"), count("Deployment succeeded")], [1, 1], "{log:?}");
    }
}

#[tokio::test]
async fn of_two_that_wait_the_newer_supersedes_and_one_that_runs_is_left_to_run() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let first = place.deploy().await;
        assert_eq!(place.report(first, "start").await.status, StatusCode::OK);
        let second = place.deploy().await;
        assert_eq!(place.state(first).await, "in_progress");
        let third = place.deploy().await;
        assert_eq!(place.state(second).await, "failed: Superseded by a newer deployment");
        for report in ["start", "complete", "fail", "progress"] {
            let refused = place.report(second, report).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{report}");
        }
        // A device that begins another has given up the one before.
        assert_eq!(place.report(third, "start").await.status, StatusCode::OK);
        assert_eq!(place.state(first).await, "failed: Interrupted");
        assert_eq!(place.report(first, "complete").await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(place.report(first, "fail").await.status, StatusCode::NO_CONTENT, "it stands");
    }
}

#[tokio::test]
async fn only_what_waits_is_cancelled() {
    let place = Place::new().await;
    let (app, by) = (&place.desk.app, &place.by);
    let id = place.deploy().await;
    deployments::cancel(app, by, id).await.expect("it waits");
    assert_eq!(place.state(id).await, "cancelled");
    let words = |error: DeploymentError| error.to_string();
    let twice = deployments::cancel(app, by, id).await.map_err(words);
    assert_eq!(twice.expect_err("twice"), "Cannot cancel deployment in state \"cancelled\"");
    let id = place.deploy().await;
    place.report(id, "start").await;
    let running = deployments::cancel(app, by, id).await.map_err(words);
    assert_eq!(running.expect_err("runs"), "Cannot cancel deployment in state \"in_progress\"");
}

#[tokio::test]
async fn after_a_day_in_progress_it_may_be_given_up() {
    let place = Place::new().await;
    let (app, by) = (&place.desk.app, &place.by);
    let id = place.deploy().await;
    assert!(deployments::give_up(app, by, id).await.is_err(), "pending");
    place.report(id, "start").await;
    place.desk.clock.advance(Duration::hours(24) - Duration::seconds(1));
    assert!(deployments::give_up(app, by, id).await.is_err(), "too soon");
    place.desk.clock.advance(Duration::seconds(1));
    deployments::give_up(app, by, id).await.expect("a day");
    assert_eq!(place.state(id).await, "failed: Marked as failed by an administrator");
    // The device that comes back late hears that it is over.
    assert_eq!(place.report(id, "complete").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(place.report(id, "fail").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn linking_again_interrupts_and_keeps_what_waits() {
    let place = Place::new().await;
    let runs = place.deploy().await;
    place.report(runs, "start").await;
    let waits = place.deploy().await;
    let key = place.desk.key(&place.ann).await;
    let again = place.desk.exchange(&key, "s1").await;
    assert_eq!(again.text("device_id"), place.device.id.to_string(), "the same device");
    assert_eq!(place.state(runs).await, "failed: Interrupted");
    assert_eq!(place.state(waits).await, "pending");
    let device = crate::desk::Device::of(&place.desk, &again);
    let waiting = device.call("GET", "/deployments/pending", json!(null)).await;
    assert_eq!(waiting.json(), json!({ "deployments": [{ "id": waits }] }));
}

#[tokio::test]
async fn a_device_that_is_deleted_or_transferred_ends_what_it_had_to_do() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let runs = place.deploy().await;
        place.report(runs, "start").await;
        let waits = place.deploy().await;
        let (app, actor) = (&place.desk.app, place.by.actor());
        let tx = app.store.begin().await.expect("begins");
        let leaving = deployments::Leaving::Transferred;
        let ended = deployments::leave_in(app, &tx, place.device.id, leaving, actor).await.expect("ends");
        assert_eq!(ended.len(), 2);
        drop(tx);
        assert_eq!(place.state(runs).await, "in_progress", "not committed");
        let tx = app.store.begin().await.expect("begins");
        deployments::leave_in(app, &tx, place.device.id, leaving, actor).await.expect("ends");
        tx.commit().await.expect("commits");
        assert_eq!(place.state(runs).await, "failed: Transferred");
        assert_eq!(place.state(waits).await, "cancelled");
        let runs = place.deploy().await;
        place.report(runs, "start").await;
        let path = format!("/devices/{}/delete", place.device.id);
        place.ann.post(&path, &[("confirm", "host-s1")]).await;
        assert_eq!(place.state(runs).await, "failed: Device deleted");
    }
}

#[tokio::test]
async fn what_belongs_to_others_does_not_exist() {
    let place = Place::new().await;
    let eve = place.desk.person("eve").await;
    let hers = place.desk.manager(&eve, eve.account).await;
    let (app, id) = (&place.desk.app, place.deploy().await);
    let artefact = place.desk.artefact(&hers, "hers").await;
    let not_found = |result: Result<_, DeploymentError>| matches!(result, Err(DeploymentError::NotFound));
    assert!(not_found(deployments::cancel(app, &hers, id).await));
    assert!(not_found(deployments::give_up(app, &hers, id).await));
    assert!(not_found(deployments::find(app, &hers, id).await));
    assert!(not_found(deployments::create(app, &hers, place.device.id, artefact).await));
    assert!(not_found(deployments::create(app, &place.by, place.device.id, artefact).await));
    assert!(deployments::output(app, &hers, id).await.is_err());
    // Another device of the same account does not reach it either.
    let other = place.desk.device(&place.ann, "s2").await;
    for report in ["start", "complete", "fail", "progress"] {
        let answer = other.call("POST", &format!("/deployments/{id}/{report}"), json!({})).await;
        assert_eq!(
            (answer.status, answer.json()),
            (StatusCode::NOT_FOUND, json!({ "message": "Not found" }))
        );
        let odd = place.device.call("POST", &format!("/deployments/nonsense/{report}"), json!({})).await;
        assert_eq!(odd.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(place.state(id).await, "pending");
    // A member of an organisation manages no updates.
    let shed = place.desk.organisation(&place.ann, "Shed").await;
    place.desk.join(shed, &eve, bramble_model::account::Role::Member).await;
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::COOKIE, eve.cookie.parse().expect("a cookie"));
    let who = bramble_server::auth::signed_in::look_up(app, &headers).await.expect("reads").expect("eve");
    assert!(Manager::person(app, &who, shed).await.is_err());
}

#[tokio::test]
async fn after_the_trial_nothing_is_deployed_until_somebody_pays() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let first = place.deploy().await;
        let artefact = place.look(first).await.artefact;
        let create =
            async || deployments::create(&place.desk.app, &place.by, place.device.id, artefact).await;
        let now = place.desk.app.clock.unix() * 1_000_000;
        place.desk.sql(&format!("UPDATE accounts SET trial_ends_at = {now}")).await;
        let blocked = create().await.expect_err("blocked");
        assert_eq!(blocked.to_string(), "Deployments are blocked until billing has been set up");
        place.desk.sql("UPDATE accounts SET billing = 'paid'").await;
        create().await.expect("paid");
        place.desk.sql("UPDATE accounts SET billing = 'ended', trial_ends_at = NULL").await;
        assert!(matches!(create().await, Err(DeploymentError::Blocked)));
        // What was deployed before goes on.
        let pending = place.desk.app.store.pending_deployment(place.device.id).await.expect("reads");
        assert_eq!(place.report(pending.expect("one"), "start").await.status, StatusCode::OK);
    }
}
