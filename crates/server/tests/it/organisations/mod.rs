//! Organisations: making one, entering one, and what a stranger sees of it.

mod audit_log;
mod disabled;
mod forced;
mod invitations;
mod late;
mod members;
mod new_devices;
mod operator;
mod provisioning;
mod tags;
mod tokens;
mod transfer;

use crate::desk::{Answer, Desk, Person};
use bramble_model::account::{Role, TWO_FACTOR_GRACE};
use bramble_model::audit::Action;
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;
use time::Duration;

/// An organisation "Shed" of three people: two administrators, the first of whom made it, and a member.
async fn staffed(desk: &Desk) -> (AccountId, [Person; 3]) {
    let people = [desk.person("ann").await, desk.person("bob").await, desk.person("mem").await];
    let [ann, bob, mem] = &people;
    let shed = desk.organisation(ann, "Shed").await;
    desk.join(shed, bob, Role::Administrator).await;
    desk.join(shed, mem, Role::Member).await;
    (shed, people)
}

fn location(answer: &Answer) -> &str {
    answer.headers.get("location").expect("a location").to_str().expect("text")
}

#[tokio::test]
async fn whoever_makes_an_organisation_administers_it() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
        let made = ann.post("/organisations/new", &[("name", " Kiosks \u{202E}Ltd ")]).await;
        assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
        let page = location(&made).to_owned();
        let shown = ann.get(&page).await;
        assert_eq!(shown.status, StatusCode::OK);
        assert!(shown.body.contains("Kiosks Ltd"), "{}", shown.body);
        assert_eq!(eve.get(&page).await.status, StatusCode::NOT_FOUND);
        let id = page.split('/').nth(2).expect("an id").parse().expect("an id");
        assert_eq!(desk.audit(id).await, ["Organisation created"]);
        // It is in the switcher of every page of hers, and of nobody else's.
        assert!(ann.get("/devices").await.body.contains("Kiosks Ltd"));
        assert!(!eve.get("/devices").await.body.contains("Kiosks Ltd"));
    }
}

#[tokio::test]
async fn an_organisation_wants_a_name_that_fits() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let long = "ä".repeat(256);
    for (name, why) in [(" \u{200B} ", "Name can&#39;t be blank"), (long.as_str(), "Name is too long")] {
        let answer = ann.post("/organisations/new", &[("name", name)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains(why), "{}", answer.body);
    }
    assert!(ann.post("/organisations/new", &[("name", &long)]).await.body.contains(&long), "kept");
}

#[tokio::test]
async fn members_see_the_devices_and_cannot_manage_them() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let page = bob.get(&format!("/organisations/{shed}/devices")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("The administrators of this organisation"), "{}", page.body);
    // A personal account is no organisation.
    let own = format!("/organisations/{}/devices", bob.account);
    assert_eq!(bob.get(&own).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.get("/organisations/nonsense/devices").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_a_second_factor_nothing_is_shown_after_the_days_of_grace() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let path = format!("/organisations/{shed}/devices");
    let since = desk.app.clock.now().unix_timestamp() * 1_000_000;
    desk.sql(&format!("UPDATE accounts SET two_factor_required_at = {since} WHERE kind = 'organisation'"))
        .await;
    desk.clock.advance(TWO_FACTOR_GRACE - Duration::seconds(1));
    let ann = ann.elsewhere(&desk).await;
    assert_eq!(ann.get(&path).await.status, StatusCode::OK);
    desk.clock.advance(Duration::seconds(1));
    let kept_out = ann.get(&path).await;
    assert_eq!(kept_out.status, StatusCode::FORBIDDEN);
    assert!(kept_out.body.contains("Two-factor authentication required"));
    assert_eq!(ann.get(&format!("{path}/rows?ids=")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_deletion_is_told_and_leaves_a_trace() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let (shed, people) = staffed(&desk).await;
        let [ann, bob, mem] = &people;
        let device = desk.device(ann, "s1").await;
        desk.give(ann, &device, shed).await;
        let deleted = ann.post(&format!("/organisations/{shed}/delete"), &[("confirm", "Shed")]).await;
        assert_eq!(deleted.status, StatusCode::SEE_OTHER);
        let told = async |person: &Person| {
            let mails = desk.mails_to(&person.email).await;
            mails.into_iter().filter(|text| text.contains("ann deleted the organisation Shed")).count()
        };
        assert_eq!((told(ann).await, told(bob).await, told(mem).await), (1, 1, 0), "{engine:?}");
        let lines = desk.app.store.audit_events(ann.account, 100).await.expect("reads");
        let line =
            lines.iter().find(|line| line.action == Some(Action::OrganisationDeleted)).expect("a line");
        assert_eq!((line.subject.as_str(), line.details.as_str()), ("Shed", "With a device"));
    }
}
