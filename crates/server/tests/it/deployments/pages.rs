//! Deploying to one device, as people use it.

use super::Place;
use crate::desk::Answer;
use bramble_model::account::Role;
use bramble_model::deployment::GIVE_UP_AFTER;
use bramble_store::deployments::Filter;
use bramble_store::testing::Engine;
use bramble_wire::DeploymentId;
use http::StatusCode;
use serde_json::json;
use time::Duration;

/// What the page says is the newest deployment.
fn newest(page: &Answer) -> &str {
    let rest = page.body.split("name=\"newest\" value=\"").nth(1).expect("the field");
    rest.split('"').next().expect("its value")
}

fn made(answer: &Answer) -> DeploymentId {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let to = answer.headers["location"].to_str().expect("text");
    to.rsplit('/').next().expect("an id").parse().expect("an id")
}

async fn total(place: &Place) -> u64 {
    let filter = Filter { device: Some(place.device.id), ..Filter::default() };
    place.desk.app.store.deployments(place.ann.account, filter, 0, 1).await.expect("reads").1
}

#[tokio::test]
async fn a_form_that_is_sent_twice_or_by_two_at_once_deploys_once() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let artefact = place.desk.artefact(&place.by, "a").await.to_string();
        let path = format!("/devices/{}/deploy", place.device.id);
        let page = place.ann.get(&path).await;
        assert!(page.body.contains("Remote update is not available on this device"), "{}", page.body);
        let form = [("newest", newest(&page)), ("artefact", artefact.as_str())];
        let (one, other) = tokio::join!(place.ann.post(&path, &form), place.ann.post(&path, &form));
        let mut codes = [one.status, other.status];
        codes.sort();
        assert_eq!(codes, [StatusCode::SEE_OTHER, StatusCode::CONFLICT]);
        let late = place.ann.post(&path, &form).await;
        assert_eq!(late.status, StatusCode::CONFLICT);
        assert!(late.body.contains("Another deployment was made"), "{}", late.body);
        assert_eq!(total(&place).await, 1);
        // What the refusal shows can be sent.
        place.desk.clock.advance(Duration::SECOND);
        let form = [("newest", newest(&late)), ("artefact", artefact.as_str())];
        made(&place.ann.post(&path, &form).await);
        assert_eq!(total(&place).await, 2);
    }
}

#[tokio::test]
async fn a_new_artefact_is_kept_in_the_library_and_deployed() {
    let place = Place::new().await;
    let path = format!("/devices/{}/deploy", place.device.id);
    let (sum, uri) = ("ab".repeat(32), "https://x.example/a");
    let form = [("newest", "none"), ("name", "kiosk"), ("uri", "x"), ("checksum", sum.as_str())];
    let wrong = place.ann.post(&path, &form).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong.body.contains("Devices cannot fetch from this") && wrong.body.contains("value=\"kiosk\""),
        "{}",
        wrong.body
    );
    assert_eq!(total(&place).await, 0);
    let form = [("newest", "none"), ("name", "kiosk"), ("uri", uri), ("checksum", sum.as_str())];
    let id = made(&place.ann.post(&path, &form).await);
    assert_eq!(place.state(id).await, "pending");
    for path in ["/remote-update".to_owned(), format!("/devices/{}", place.device.id)] {
        let page = place.ann.get(&path).await;
        assert!(page.body.contains("kiosk") && page.body.contains("Pending"), "{path}: {}", page.body);
    }
    let history = place.ann.get(&format!("/devices/{}/deployments", place.device.id)).await;
    assert!(history.body.contains(&format!("/remote-update/deployments/{id}/cancel")), "{}", history.body);
}

#[tokio::test]
async fn the_page_shows_how_far_it_got_and_what_was_printed_to_who_manages_updates() {
    let place = Place::new().await;
    let desk = &place.desk;
    let shed = desk.organisation(&place.ann, "Shed").await;
    let bob = desk.person("bob").await;
    desk.join(shed, &bob, Role::Member).await;
    desk.give(&place.ann, &place.device, shed).await;
    let id = desk.deployment(&place.ann, shed, place.device.id).await;
    let path = format!("/remote-update/deployments/{id}");
    place.report(id, "start").await;
    let report = json!({ "percent": 42, "output": "one\n\u{1b}[31m<script>two\u{1b}[0m\r\n" });
    place.device.call("POST", &format!("/deployments/{id}/progress"), report).await;
    let page = place.ann.get(&path).await;
    for shown in ["In progress", "42 % downloaded", "one\n&#60;script&#62;two\n</pre>"] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    let members = bob.get(&path).await;
    assert!(
        members.body.contains("42 % downloaded") && !members.body.contains("script&#62;"),
        "{}",
        members.body
    );
    let broken = json!({ "reason": "no <space>", "output": "the end" });
    place.device.call("POST", &format!("/deployments/{id}/fail"), broken).await;
    let page = place.ann.get(&path).await;
    for shown in ["Failed", "no &#60;space&#62;", "the end"] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(!page.body.contains("% downloaded"));
    let list = format!("/organisations/{shed}/remote-update/deployments");
    assert!(bob.get(&format!("{list}?state=failed")).await.body.contains("no &#60;space&#62;"));
    assert!(!bob.get(&format!("{list}?state=pending")).await.body.contains("no &#60;space&#62;"));
    assert_eq!(bob.get(&format!("{list}?state=exploded")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pending_ones_are_called_off_and_stuck_ones_given_up_after_a_day() {
    let place = Place::new().await;
    let id = place.deploy().await;
    let path = |what: &str| format!("/remote-update/deployments/{id}{what}");
    assert_eq!(place.ann.post(&path("/give-up"), &[]).await.status, StatusCode::CONFLICT);
    made(&place.ann.post(&path("/cancel"), &[]).await);
    assert_eq!(place.state(id).await, "cancelled");
    assert_eq!(place.ann.post(&path("/cancel"), &[]).await.status, StatusCode::CONFLICT, "twice");
    place.desk.clock.advance(Duration::SECOND);
    let id = place.deploy().await;
    let path = |what: &str| format!("/remote-update/deployments/{id}{what}");
    place.report(id, "start").await;
    assert!(!place.ann.get(&path("")).await.body.contains("/cancel\""));
    assert_eq!(place.ann.post(&path("/cancel"), &[]).await.status, StatusCode::CONFLICT);
    place.desk.clock.advance(GIVE_UP_AFTER - Duration::SECOND);
    let ann = place.ann.elsewhere(&place.desk).await;
    assert!(!ann.get(&path("")).await.body.contains("Mark as failed"));
    assert_eq!(ann.post(&path("/give-up"), &[]).await.status, StatusCode::CONFLICT);
    place.desk.clock.advance(Duration::SECOND);
    assert!(ann.get(&path("")).await.body.contains("Mark as failed"));
    made(&ann.post(&path("/give-up"), &[]).await);
    assert_eq!(place.state(id).await, "failed: Marked as failed by an administrator");
}

#[tokio::test]
async fn whoever_does_not_manage_updates_deploys_nothing() {
    let place = Place::new().await;
    let desk = &place.desk;
    let shed = desk.organisation(&place.ann, "Shed").await;
    let (bob, eve) = (desk.person("bob").await, desk.person("eve").await);
    desk.join(shed, &bob, Role::Member).await;
    desk.give(&place.ann, &place.device, shed).await;
    let id = desk.deployment(&place.ann, shed, place.device.id).await;
    let device = format!("/devices/{}", place.device.id);
    for path in [format!("{device}/deployments"), format!("/remote-update/deployments/{id}")] {
        let page = bob.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.body.contains("/cancel\"") && !page.body.contains("/deploy\""), "{}", page.body);
        assert_eq!(eve.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for somebody in [&bob, &eve] {
        assert_eq!(somebody.get(&format!("{device}/deploy")).await.status, StatusCode::NOT_FOUND);
        for path in [format!("{device}/deploy"), format!("/remote-update/deployments/{id}/cancel")] {
            let answer = somebody.post(&path, &[("newest", &id.to_string())]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    // An administrator of two accounts cannot carry an artefact from one to the other.
    let own = desk.artefact(&place.by, "personal").await.to_string();
    let form = [("newest", id.to_string()), ("artefact", own)];
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(place.ann.post(&format!("{device}/deploy"), &form).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_trial_that_is_over_blocks_deployments() {
    let place = Place::new().await;
    let artefact = place.desk.artefact(&place.by, "a").await.to_string();
    place.desk.sql("UPDATE accounts SET billing = 'ended' WHERE kind = 'personal'").await;
    let path = format!("/devices/{}/deploy", place.device.id);
    let answer = place.ann.post(&path, &[("newest", "none"), ("artefact", &artefact)]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("Deployments are blocked"), "{}", answer.body);
}

#[tokio::test]
async fn a_menu_that_does_not_hold_all_artefacts_is_searched() {
    let place = Place::new().await;
    let device = format!("/devices/{}/deploy", place.device.id);
    let many = "/remote-update/rollouts/new";
    let options = |page: &Answer| page.body.matches("<option value=").count();
    let mut last = place.desk.artefact(&place.by, "kiosk 000").await;
    for path in [device.as_str(), many] {
        let page = place.ann.get(path).await;
        assert!(!page.body.contains("name=\"find\""), "all are in the menu: {}", page.body);
    }
    for number in 1..=200 {
        last = place.desk.artefact(&place.by, &format!("kiosk {number:03}")).await;
    }
    for path in [device.as_str(), many] {
        let page = place.ann.get(path).await;
        assert_eq!(options(&page), 200, "{}", page.body);
        assert!(page.body.contains("These are the first 200 by name. Search"), "{}", page.body);
        assert!(!page.body.contains(">kiosk 200<"), "{}", page.body);
        let found = place.ann.get(&format!("{path}?find=+KIOSK+200&query=tag%3Ax")).await;
        assert_eq!(options(&found), 1, "{}", found.body);
        assert!(
            found.body.contains(">kiosk 200<") && found.body.contains("value=\"KIOSK 200\""),
            "{}",
            found.body
        );
        let kept = found.body.matches("name=\"query\" value=\"tag:x\"").count();
        assert_eq!(kept, usize::from(path == many), "{}", found.body);
        let nothing = place.ann.get(&format!("{path}?find=%3Cb%3E")).await;
        assert!(nothing.body.contains("begins with “&#60;b&#62;”"), "{}", nothing.body);
        assert_eq!((options(&nothing), nothing.body.matches("name=\"artefact\"").count()), (0, 0));
        let chosen = place.ann.get(&format!("{path}?find=zz&artefact={last}")).await;
        assert!(chosen.body.contains(&format!("<option value=\"{last}\" selected>")), "{}", chosen.body);
        let long = place.ann.get(&format!("{path}?find={}", "a".repeat(7000))).await;
        assert!(long.status == StatusCode::OK && !long.body.contains(&"a".repeat(1000)), "{}", long.status);
    }
}
