//! Deploying to whatever a search finds, as people use it.

use super::Place;
use bramble_model::account::Role;
use bramble_store::rollouts::State;
use bramble_store::testing::Engine;
use bramble_testkit::{LONG, eventually};
use bramble_wire::RolloutId;
use http::StatusCode;
use time::Duration;

const NEW: &str = "/remote-update/rollouts/new";

async fn allow(place: &Place) {
    place.desk.sql("UPDATE devices SET ota = 'enabled'").await;
}

/// A preview by the form; where its page is.
async fn preview(place: &Place, query: &str, artefact: &str) -> String {
    let answer = place.ann.post(NEW, &[("query", query), ("artefact", artefact)]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    answer.headers["location"].to_str().expect("text").to_owned()
}

async fn finished(place: &Place, page: &str) {
    let id: RolloutId = page.rsplit('/').next().expect("an id").parse().expect("an id");
    eventually("the rollout is done", LONG, async || {
        let found = place.desk.app.store.rollout_anywhere(id).await.expect("reads").expect("a rollout");
        (found.state == State::Done).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_preview_says_which_and_why_not_and_the_typed_count_starts_it() {
    let place = Place::new().await;
    place.desk.device(&place.ann, "s2").await;
    let artefact = place.desk.artefact(&place.by, "kiosk 1").await.to_string();
    let none = place.ann.post(NEW, &[("query", ""), ("artefact", &artefact)]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(none.body.contains("No device that this search finds"), "{}", none.body);
    place.desk.sql("UPDATE devices SET ota = 'enabled' WHERE serial_number = 's1'").await;
    let page = preview(&place, "host-", &artefact).await;
    let shown = place.ann.get(&page).await;
    for text in ["Deploy kiosk 1 to 1 device?", "host-s1", "Left out: 1", "not available on this device"] {
        assert!(shown.body.contains(text), "{text}: {}", shown.body);
    }
    let start = format!("{page}/start");
    for wrong in ["", "2", "one"] {
        let answer = place.ann.post(&start, &[("confirm", wrong)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert!(answer.body.contains("That is not the number of devices"), "{}", answer.body);
    }
    let started = place.ann.post(&start, &[("confirm", "1")]).await;
    assert_eq!(started.headers["location"].to_str().expect("text"), page);
    finished(&place, &page).await;
    let shown = place.ann.get(&page).await;
    for text in ["kiosk 1 to 1 device", "0 % of the devices are done", "Pending", "Left out: 1"] {
        assert!(shown.body.contains(text), "{text}: {}", shown.body);
    }
    assert!(place.ann.get("/remote-update").await.body.contains(&page), "the tab leads to it");
    let pending = place.device.call("GET", "/deployments/pending", serde_json::Value::Null).await;
    let id = pending.json()["deployments"][0]["id"].as_str().expect("an id").to_owned();
    for report in ["start", "complete"] {
        place.report(id.parse().expect("an id"), report).await;
    }
    let shown = place.ann.get(&page).await;
    assert!(shown.body.contains("100 % of the devices are done"), "{}", shown.body);
    assert!(place.ann.get(&format!("{page}?state=failed")).await.body.contains("None here"));
}

#[tokio::test]
async fn started_twice_or_at_once_it_runs_once() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        allow(&place).await;
        let artefact = place.desk.artefact(&place.by, "a").await.to_string();
        let page = preview(&place, "", &artefact).await;
        let (start, form) = (format!("{page}/start"), [("confirm", "1")]);
        let (one, other) = tokio::join!(place.ann.post(&start, &form), place.ann.post(&start, &form));
        assert_eq!((one.status, other.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
        finished(&place, &page).await;
        assert_eq!(place.ann.post(&start, &form).await.status, StatusCode::SEE_OTHER);
        let log = place.desk.audit(place.ann.account).await;
        let lines = |title: &str| log.iter().filter(|line| *line == title).count();
        assert_eq!(lines("Deployment to many devices started"), 1, "{log:?}");
        assert_eq!(lines("Deployment created"), 1, "{log:?}");
    }
}

#[tokio::test]
async fn an_old_preview_starts_nothing() {
    let place = Place::new().await;
    allow(&place).await;
    let artefact = place.desk.artefact(&place.by, "a").await.to_string();
    let page = preview(&place, "", &artefact).await;
    place.desk.clock.advance(Duration::minutes(10));
    let shown = place.ann.get(&page).await;
    assert!(shown.body.contains("This preview has expired"), "{}", shown.body);
    assert!(!shown.body.contains("name=\"confirm\""));
    let answer = place.ann.post(&format!("{page}/start"), &[("confirm", "1")]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let empty = place.ann.post(NEW, &[("query", "")]).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY, "no artefact was chosen");
    for _ in 0..20 {
        preview(&place, "", &artefact).await;
    }
    let many = place.ann.post(NEW, &[("artefact", &artefact)]).await;
    assert!(many.body.contains("many previews open"), "{}", many.body);
}

#[tokio::test]
async fn members_see_what_runs_and_strangers_nothing() {
    let place = Place::new().await;
    let desk = &place.desk;
    let shed = desk.organisation(&place.ann, "Shed").await;
    let (bob, eve) = (desk.person("bob").await, desk.person("eve").await);
    desk.join(shed, &bob, Role::Member).await;
    desk.give(&place.ann, &place.device, shed).await;
    desk.device(&place.ann, "personal").await;
    allow(&place).await;
    let artefact = desk.artefact(&desk.manager(&place.ann, shed).await, "a").await.to_string();
    let new = format!("/organisations/{shed}{NEW}");
    assert_eq!(bob.post(&new, &[("artefact", &artefact)]).await.status, StatusCode::NOT_FOUND);
    // The artefact and the devices are the organisation's: the personal account has neither.
    assert_eq!(place.ann.post(NEW, &[("artefact", &artefact)]).await.status, StatusCode::NOT_FOUND);
    let answer = place.ann.post(&new, &[("artefact", &artefact)]).await;
    let page = answer.headers["location"].to_str().expect("text").to_owned();
    for somebody in [&bob, &eve] {
        assert_eq!(somebody.get(&page).await.status, StatusCode::NOT_FOUND);
        let start = somebody.post(&format!("{page}/start"), &[("confirm", "1")]).await;
        assert_eq!(start.status, StatusCode::NOT_FOUND);
    }
    place.ann.post(&format!("{page}/start"), &[("confirm", "1")]).await;
    finished(&place, &page).await;
    assert!(bob.get(&page).await.body.contains("a to 1 device"));
    assert_eq!(eve.get(&page).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.post(&format!("{page}/start"), &[("confirm", "1")]).await.status, StatusCode::NOT_FOUND);
}

/// Two lists on one page: turning one leaves the other where it is, and the state that was asked for.
#[tokio::test]
async fn the_two_lists_of_a_rollout_are_turned_one_by_one() {
    let place = Place::new().await;
    super::rollouts::many(&place, 250).await;
    place.desk.sql("UPDATE devices SET ota = 'available' WHERE name_folded < 'many-0120'").await;
    let artefact = place.desk.artefact(&place.by, "a").await.to_string();
    let page = preview(&place, "many", &artefact).await;
    let shown = place.ann.get(&page).await;
    for link in [format!("{page}?page=2"), format!("{page}?skipped=2")] {
        assert!(shown.body.contains(&format!("href=\"{link}\"")), "{link}: {}", shown.body);
    }
    let second = place.ann.get(&format!("{page}?page=2&skipped=2")).await;
    for link in [format!("{page}?skipped=2&#38;page=1"), format!("{page}?page=2&#38;skipped=1")] {
        assert!(second.body.contains(&format!("href=\"{link}\"")), "{link}: {}", second.body);
    }
    for (name, there) in
        [("many-0119", true), ("many-0000", false), ("many-0249", true), ("many-0120", false)]
    {
        assert_eq!(second.body.contains(&format!(">{name}<")), there, "{name}: {}", second.body);
    }
    place.ann.post(&format!("{page}/start"), &[("confirm", "130")]).await;
    finished(&place, &page).await;
    let running = place.ann.get(&format!("{page}?state=pending&page=2")).await;
    for link in
        [format!("{page}?state=pending&#38;page=2&#38;skipped=2"), format!("{page}?state=pending&#38;page=1")]
    {
        assert!(running.body.contains(&format!("href=\"{link}\"")), "{link}: {}", running.body);
    }
    let odd = place.ann.get(&format!("{page}?state=%22%3E%3Cb%3E&page=-1&skipped=x")).await;
    assert_eq!(odd.status, StatusCode::OK);
    assert!(
        !odd.body.contains("\"><b>") && odd.body.contains(&format!("href=\"{page}?skipped=2\"")),
        "{}",
        odd.body
    );
}
