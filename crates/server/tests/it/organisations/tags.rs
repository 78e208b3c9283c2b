//! Tags of an organisation's devices, as its pages set and show them.

use crate::desk::{Answer, Desk};
use bramble_model::account::Role;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn link_a_device_leads_to_the_organisation_that_one_looks_at() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let device = desk.device(&ann, "s1").await;
    desk.give(&ann, &device, shed).await;
    let new = format!("/devices/new?organisation={shed}");
    let list = format!("/organisations/{shed}/devices");
    assert!(ann.get(&list).await.body.contains(&format!("href=\"{new}\"")));
    let page = ann.get(&new).await.body;
    assert!(page.contains(&format!("href=\"/organisations/{shed}/provisioning\"")), "{page}");
    assert!(page.contains("There choose Shed."), "{page}");
    let own = ann.get("/devices/new").await.body;
    assert!(own.contains("href=\"/settings\"") && !own.contains("There choose"), "{own}");
    // Who links nothing there is told nothing of it.
    assert!(!bob.get(&list).await.body.contains("Link a device"));
    assert_eq!(bob.get(&new).await.status, StatusCode::NOT_FOUND);
    let eve = desk.person("eve").await;
    assert_eq!(eve.get(&new).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ann.get("/devices/new?organisation=x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tags_are_set_shown_and_suggested() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let device = desk.device(&ann, "s1").await;
    desk.give(&ann, &device, shed).await;
    let settings = format!("/devices/{}/settings", device.id);
    let form = [("name", "front desk"), ("tags", "production"), ("tags", "kiosk"), ("tags", "")];
    assert_eq!(ann.post(&settings, &form).await.status, StatusCode::SEE_OTHER);
    let list = bob.get(&format!("/organisations/{shed}/devices?query=tag%3Akiosk")).await.body;
    assert!(list.contains("front desk") && list.contains("?query=tag%3Akiosk+tag%3Aproduction"), "{list}");
    let none = bob.get(&format!("/organisations/{shed}/devices?query=tag%3Anothing")).await.body;
    assert!(!none.contains("front desk"));
    let suggested = bob.get(&format!("/organisations/{shed}/tags?q=pro")).await.json();
    assert_eq!(suggested[0]["value"], "production");
    assert_eq!(bob.post(&settings, &form).await.status, StatusCode::NOT_FOUND, "a member changes nothing");
    assert!(desk.audit(shed).await.contains(&"Device tagged".to_owned()));
    // Home again it has none.
    desk.give(&ann, &device, ann.account).await;
    let home = desk.app.store.device(ann.account, device.id).await.expect("reads").expect("a device");
    assert!(home.tags.is_empty());
}

#[tokio::test]
async fn what_is_no_tag_is_refused_and_kept_in_the_form() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let device = desk.device(&ann, "s1").await;
    desk.give(&ann, &device, shed).await;
    let settings = format!("/devices/{}/settings", device.id);
    let eleven: Vec<String> = (0..11).map(|n| format!("t{n}")).collect();
    let long = "x".repeat(31);
    for tags in [vec!["Kiosk"], vec!["🍓"], vec![long.as_str()], eleven.iter().map(String::as_str).collect()]
    {
        let mut form = vec![("name", "kept <b>name</b>")];
        form.extend(tags.iter().map(|tag| ("tags", *tag)));
        let answer = ann.post(&settings, &form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains("Tags ") && answer.body.contains(tags[0]), "{}", answer.body);
        assert!(answer.body.contains("kept &#60;b&#62;name"), "{}", answer.body);
    }
    // What deceives is taken out of names, however long they are.
    for (name, status) in
        [("a\u{202E}b", StatusCode::SEE_OTHER), (&"n".repeat(10_000), StatusCode::UNPROCESSABLE_ENTITY)]
    {
        assert_eq!(ann.post(&settings, &[("name", name)]).await.status, status);
    }
    let named = desk.app.store.device(shed, device.id).await.expect("reads").expect("a device");
    assert_eq!(named.name, "ab");
}

#[tokio::test]
async fn a_nul_in_a_search_finds_nothing_and_breaks_nothing() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        for path in [
            "/devices?query=%00".to_owned(),
            format!("/organisations/{shed}/devices?query=tag:%00"),
            "/devices/suggestions?q=model:%00".to_owned(),
            format!("/organisations/{shed}/devices/suggestions?q=a%00"),
            format!("/organisations/{shed}/tags?q=%00"),
        ] {
            let answer = ann.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{engine:?} {path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn the_search_bar_suggests_what_the_account_has() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let device = desk.device(&ann, "s1").await;
    device.describe(json!({ "board": { "model": "Raspberry Pi 5", "memory": "8 GB" } })).await;
    let own = async |typed: &str| values(&ann.get(&format!("/devices/suggestions?q={typed}")).await);
    assert_eq!(own("").await, ["model:", "memory:", "os:", "is:"], "a personal account has no tags");
    assert_eq!(own("MODEL:").await, ["model:5"]);
    assert_eq!(own("tag:").await, Vec::<String>::new());
    desk.give(&ann, &device, shed).await;
    let settings = format!("/devices/{}/settings", device.id);
    let tags = (0..10).map(|n| ("tags".to_owned(), format!("t{n}")));
    let form: Vec<_> = std::iter::once(("name".to_owned(), "x".to_owned())).chain(tags).collect();
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(ann.post(&settings, &form).await.status, StatusCode::SEE_OTHER);
    let path = format!("/organisations/{shed}/devices/suggestions?q=");
    let shared = async |typed: &str| values(&bob.get(&format!("{path}{typed}")).await);
    assert_eq!(shared("").await, ["model:", "memory:", "os:", "tag:", "is:"]);
    assert_eq!(shared("t").await.len(), 8, "as many as anybody reads");
    assert_eq!(shared("t").await[..2], ["tag:", "tag:t0"]);
    assert_eq!(shared("tag:t9").await, ["tag:t9"]);
    assert_eq!(shared("is:of").await, ["is:offline"]);
    for nothing in ["x:", "%22tag", "tag%3A%25", "memory:3", &"t".repeat(10_000)] {
        assert_eq!(shared(nothing).await, Vec::<String>::new(), "{nothing}");
    }
    assert_eq!(own("memory:").await, Vec::<String>::new(), "nothing of the organisation");
}

fn values(answer: &Answer) -> Vec<String> {
    let all = answer.json();
    let all = all.as_array().expect("a list").iter();
    all.map(|one| one["value"].as_str().expect("a text").to_owned()).collect()
}
