//! Giving devices to another account.

use crate::desk::Desk;
use bramble_model::account::Role;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_device_keeps_its_token_and_loses_its_sessions() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let device = desk.device(&ann, "s1").await.online().await;
        let open = json!({ "device_id": device.id, "kind": "shell" });
        let session = ann.fetch("POST", "/sessions", open).await;
        let mut events = ann.listen(&session.text("id")).await.expect("a stream");
        desk.give(&ann, &device, shed).await;
        assert_eq!(events.next().await.expect("the end").0, "end");
        assert_eq!(device.status().await, StatusCode::OK, "the token is good");
        let count =
            async |account| desk.app.store.account(account).await.expect("reads").expect("one").device_count;
        assert_eq!((count(ann.account).await, count(shed).await), (0, 1));
        assert!(desk.audit(shed).await.contains(&"Device transferred".to_owned()));
        assert!(desk.audit(ann.account).await.contains(&"Device transferred".to_owned()));
        let list = ann.get(&format!("/organisations/{shed}/devices")).await.body;
        assert!(list.contains(&device.id.to_string()));
    }
}

#[tokio::test]
async fn it_takes_an_administrator_of_both_accounts() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let (shed, barn) = (desk.organisation(&ann, "Shed").await, desk.organisation(&bob, "Barn").await);
    desk.join(shed, &bob, Role::Member).await;
    let (anns, bobs) = (desk.device(&ann, "s1").await, desk.device(&bob, "s2").await);
    for (who, device, to) in [(&ann, &anns, barn), (&bob, &bobs, shed), (&bob, &anns, bob.account)] {
        let path = format!("/devices/{}/transfer", device.id);
        let answer = who.post(&path, &[("account", &to.to_string())]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn an_account_that_has_the_serial_number_refuses_with_the_reason() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let first = desk.device(&ann, "same").await;
    desk.give(&ann, &first, shed).await;
    let (second, other) = (desk.device(&ann, "same").await, desk.device(&ann, "other").await);
    let path = format!("/devices/{}/transfer", second.id);
    let answer = ann.post(&path, &[("account", &shed.to_string())]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.body.contains("has a device with the serial number same already"), "{}", answer.body);
    // All at once: what can go goes, and the page names what stayed.
    let all = format!("/organisations/{shed}/transfer");
    assert!(ann.get(&all).await.body.contains("Transfer 2 devices"));
    let answer = ann.post(&all, &[]).await;
    assert!(answer.body.contains("host-same") && !answer.body.contains("host-other"), "{}", answer.body);
    let moved = desk.app.store.device_anywhere(other.id).await.expect("reads").expect("one");
    assert_eq!(moved.account, shed);
}

#[tokio::test]
async fn two_transfers_at_once_in_opposite_directions_both_end() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let (one, two) = (desk.device(&ann, "s1").await, desk.device(&ann, "s2").await);
        desk.give(&ann, &two, shed).await;
        let (to_shed, home) = (shed.to_string(), ann.account.to_string());
        for _ in 0..3 {
            let (there, back) =
                (format!("/devices/{}/transfer", one.id), format!("/devices/{}/transfer", two.id));
            let (to, from) = ([("account", to_shed.as_str())], [("account", home.as_str())]);
            let (a, b) = tokio::join!(ann.post(&there, &to), ann.post(&back, &from));
            assert_eq!((a.status, b.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
            let (a, b) = tokio::join!(ann.post(&there, &from), ann.post(&back, &to));
            assert_eq!((a.status, b.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
        }
    }
}

#[tokio::test]
async fn an_empty_organisation_offers_to_take_the_personal_devices() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let (page, offer) = (format!("/organisations/{shed}/devices"), format!("/organisations/{shed}/transfer"));
    assert!(!ann.get(&page).await.body.contains(&offer), "there is nothing to move");
    for person in [&ann, &bob] {
        desk.device(person, &format!("of-{}", person.email)).await;
    }
    let shown = ann.get(&page).await.body;
    assert!(shown.contains(&offer) && shown.contains("has a device"), "{shown}");
    assert!(!bob.get(&page).await.body.contains(&offer), "a member moves nothing");
    assert!(!ann.get("/devices").await.body.contains("/transfer"));
    assert_eq!(ann.post(&offer, &[]).await.status, StatusCode::SEE_OTHER);
    desk.device(&ann, "later").await;
    assert!(!ann.get(&page).await.body.contains(&offer), "it has devices of its own");
}
