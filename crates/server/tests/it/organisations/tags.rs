//! Tags of an organisation's devices, as its pages set and show them.

use crate::desk::Desk;
use bramble_model::account::Role;
use http::StatusCode;

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
    assert!(list.contains("front desk") && list.contains("?query=tag%3Aproduction"), "{list}");
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
