//! The Remote update tab, as people use it.

use super::Place;
use crate::desk::{Answer, Desk};
use bramble_model::account::Role;
use http::StatusCode;

const TAB: &str = "/remote-update";

fn artefact<'a>(name: &'a str, uri: &'a str, sum: &'a str) -> [(&'a str, &'a str); 3] {
    [("name", name), ("uri", uri), ("checksum", sum)]
}

/// Where the first link with these words in its address leads.
fn link(page: &Answer, begin: &str, end: &str) -> Option<String> {
    let mut hrefs = page.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    hrefs.find(|href| href.starts_with(begin) && href.ends_with(end)).map(str::to_owned)
}

#[tokio::test]
async fn an_empty_library_says_what_an_artefact_is() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let page = ann.get(TAB).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("otamaker -w upgrade.yaml"), "{}", page.body);
    assert!(page.body.contains("href=\"/remote-update\" aria-current=\"page\""), "the tab is in the bar");
    let shed = desk.organisation(&ann, "Shed").await;
    let bob = desk.person("bob").await;
    desk.join(shed, &bob, Role::Member).await;
    let page = bob.get(&format!("/organisations/{shed}{TAB}")).await;
    assert!(
        page.body.contains("The administrators of this organisation have not added one"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("New artefact"), "members change nothing");
}

#[tokio::test]
async fn artefacts_are_added_and_what_is_wrong_is_said_beside_the_field() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let (new, sum) = (format!("{TAB}/artefacts/new"), "AB".repeat(32));
    assert_eq!(ann.get(&new).await.status, StatusCode::OK);
    let wrong = ann.post(&new, &artefact("<b>1", "gopher://x/", "abc")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    for kept in [
        "Devices cannot fetch from this",
        "This is no SHA-256",
        "value=\"&#60;b&#62;1\"",
        "value=\"gopher://x/\"",
    ] {
        assert!(wrong.body.contains(kept), "{kept}: {}", wrong.body);
    }
    let uri = "ftp://ann:canary@x.example/a.tar.zst";
    let made = ann.post(&new, &artefact("kiosk 1", uri, &sum)).await;
    assert_eq!((made.status, made.headers["location"].to_str().expect("text")), (StatusCode::SEE_OTHER, TAB));
    let again = ann.post(&new, &artefact(" kiosk  1 ", uri, &sum)).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(again.body.contains("There is an artefact of this name already"), "{}", again.body);
    let page = ann.get(TAB).await;
    assert!(page.body.contains("ftp://ann:…@x.example/a.tar.zst"), "{}", page.body);
    assert!(!page.body.contains("canary"), "a password is for devices");
    assert!(page.body.contains(&sum.to_lowercase()));
    let log = desk.audit(ann.account).await;
    assert_eq!(log.iter().filter(|line| *line == "Artefact created").count(), 1, "{log:?}");
}

#[tokio::test]
async fn what_was_deployed_stays_and_the_rest_can_be_deleted() {
    let place = Place::new().await;
    let unused = place.desk.artefact(&place.by, "unused").await;
    let used = place.look(place.deploy().await).await.artefact;
    let page = place.ann.get(TAB).await;
    assert!(link(&page, &format!("{TAB}/artefacts/{unused}"), "/delete").is_some(), "{}", page.body);
    assert!(link(&page, &format!("{TAB}/artefacts/{used}"), "/delete").is_none(), "{}", page.body);
    let path = format!("{TAB}/artefacts/{used}/delete");
    for answer in [place.ann.get(&path).await, place.ann.post(&path, &[]).await] {
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains("Cannot delete artefacts that have been deployed"), "{}", answer.body);
    }
    let path = format!("{TAB}/artefacts/{unused}/delete");
    assert!(place.ann.get(&path).await.body.contains("Delete this artefact?"));
    assert_eq!(place.ann.post(&path, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(place.ann.post(&path, &[]).await.status, StatusCode::NOT_FOUND, "once");
    assert!(!place.ann.get(TAB).await.body.contains("unused"));
}

#[tokio::test]
async fn members_look_and_strangers_do_not() {
    let place = Place::new().await;
    let desk = &place.desk;
    let shed = desk.organisation(&place.ann, "Shed").await;
    let (bob, eve) = (desk.person("bob").await, desk.person("eve").await);
    desk.join(shed, &bob, Role::Member).await;
    let by = desk.manager(&place.ann, shed).await;
    let artefact = desk.artefact(&by, "of the shed").await;
    let tab = format!("/organisations/{shed}{TAB}");
    let page = bob.get(&tab).await;
    assert!(page.body.contains("of the shed"), "{}", page.body);
    for button in ["New artefact", "Delete<", ">Deploy<"] {
        assert!(!page.body.contains(button), "{button} for a member");
        assert!(place.ann.get(&tab).await.body.contains(button), "{button} for an administrator");
    }
    assert_eq!(eve.get(&tab).await.status, StatusCode::NOT_FOUND);
    let delete = format!("{TAB}/artefacts/{artefact}/delete");
    for somebody in [&bob, &eve] {
        assert_eq!(somebody.get(&delete).await.status, StatusCode::NOT_FOUND);
        assert_eq!(somebody.post(&delete, &[]).await.status, StatusCode::NOT_FOUND);
    }
    assert!(desk.app.store.artefact(shed, artefact).await.expect("reads").is_some());
}

/// A query often carries a token of whoever hands out the file.
#[tokio::test]
async fn the_query_of_an_address_is_for_who_manages_updates() {
    let place = Place::new().await;
    let desk = &place.desk;
    let shed = desk.organisation(&place.ann, "Shed").await;
    let bob = desk.person("bob").await;
    desk.join(shed, &bob, Role::Member).await;
    let tab = format!("/organisations/{shed}{TAB}");
    let uri = "https://ann:hunter2@x.example/a.zst?token=canary#more";
    place.ann.post(&format!("{tab}/artefacts/new"), &artefact("kiosk", uri, &"ab".repeat(32))).await;
    let seen = place.ann.get(&tab).await;
    assert!(seen.body.contains("https://ann:…@x.example/a.zst?token=canary#more"), "{}", seen.body);
    let seen = bob.get(&tab).await;
    assert!(seen.body.contains("https://…@x.example/a.zst?…"), "{}", seen.body);
    assert!(!seen.body.contains("canary") && !seen.body.contains("hunter2"), "{}", seen.body);
}

/// Somebody who was an administrator when the request began and is none when it writes.
#[tokio::test]
async fn a_lost_standing_counts_at_the_moment_of_writing() {
    let place = Place::new().await;
    let desk = &place.desk;
    let shed = desk.organisation(&place.ann, "Shed").await;
    let by = desk.manager(&place.ann, shed).await;
    let artefact = desk.artefact(&by, "a").await;
    desk.give(&place.ann, &place.device, shed).await;
    let waiting = bramble_server::deployments::create(&desk.app, &by, place.device.id, artefact).await;
    let waiting = waiting.expect("an administrator deploys").id;
    desk.sql("UPDATE memberships SET role = 'member' WHERE role = 'administrator' AND account_id IN (SELECT id FROM accounts WHERE kind = 'organisation')")
        .await;
    let (app, sum) = (&desk.app, "ab".repeat(32));
    assert!(bramble_server::deployments::create(app, &by, place.device.id, artefact).await.is_err());
    assert!(bramble_server::deployments::cancel(app, &by, waiting).await.is_err());
    assert!(bramble_server::artefacts::add(app, &by, "b", "https://x.example/b", &sum).await.is_err());
    assert!(bramble_server::artefacts::delete(app, &by, artefact).await.is_err());
    let stands = app.store.deployment(shed, waiting).await.expect("reads").expect("a deployment");
    assert_eq!(stands.state.word().as_str(), "pending");
}
