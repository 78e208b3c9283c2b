//! Many new devices are one mail.

use crate::desk::Desk;
use bramble_model::account::Role;
use bramble_server::mail::digest;
use bramble_store::testing::Engine;
use http::StatusCode;
use time::Duration;

/// The kinds of the mails about devices that somebody got, the oldest first, and the text of the last.
async fn device_mails(desk: &Desk, email: &str) -> (Vec<String>, String) {
    let listed = bramble_server::mail::list(&desk.app).await.expect("reads");
    let about = listed.iter().rev().filter(|it| it.recipient == email && it.kind.starts_with("device"));
    let kinds: Vec<_> = about.map(|it| it.kind.clone()).collect();
    (kinds, desk.mails_to(email).await.pop().unwrap_or_default())
}

#[tokio::test]
async fn who_is_no_administrator_any_more_gets_no_digest() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Administrator).await;
    for serial in ["s1", "s2"] {
        let device = desk.device(&ann, serial).await;
        desk.give(&ann, &device, shed).await;
    }
    let down = [("from", "administrator"), ("role", "member")];
    let demoted = ann.post(&format!("/organisations/{shed}/users/{}/role", bob.user), &down).await;
    assert_eq!(demoted.status, StatusCode::SEE_OTHER, "{}", demoted.body);
    desk.clock.advance(Duration::minutes(10));
    digest::round(&desk.app).await.expect("a round");
    assert_eq!(device_mails(&desk, &bob.email).await.0, ["device_linked"], "the first, at once");
    let (kinds, text) = device_mails(&desk, &ann.email).await;
    assert!(kinds.contains(&"devices_linked".to_owned()) && text.contains("s2"), "{kinds:?} {text}");
}

#[tokio::test]
async fn a_fleet_of_new_devices_is_one_digest() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let round = async || digest::round(&desk.app).await.expect("a round");
        for number in 0..60 {
            desk.device(&ann, &format!("s{number}")).await;
        }
        desk.device(&bob, "b1").await;
        round().await;
        assert_eq!(
            device_mails(&desk, &ann.email).await.0,
            ["device_linked"],
            "{engine:?}: the first at once"
        );
        desk.clock.advance(Duration::minutes(10) - Duration::SECOND);
        round().await;
        assert_eq!(device_mails(&desk, &ann.email).await.0.len(), 1, "{engine:?}");
        desk.clock.advance(Duration::SECOND);
        tokio::join!(round(), round());
        let (kinds, text) = device_mails(&desk, &ann.email).await;
        assert_eq!(kinds, ["device_linked", "devices_linked"], "{engine:?}");
        assert!(
            text.contains("59 devices are new in your account") && text.contains("And 9 more."),
            "{text}"
        );
        assert!(
            text.contains("Serial number: s1\n") && text.contains("198.51.100.7") && !text.contains("s59")
        );
        // Whoever goes on linking hears of it ten minutes after that.
        desk.device(&ann, "later").await;
        desk.clock.advance(Duration::minutes(10));
        round().await;
        round().await;
        let (kinds, text) = device_mails(&desk, &ann.email).await;
        assert_eq!(kinds.len(), 3, "{engine:?}");
        assert!(text.contains("1 device is new in your account") && text.contains("later"), "{text}");
        assert_eq!(device_mails(&desk, &bob.email).await.0, ["device_linked"]);
        // After a pause it is told at once again.
        desk.clock.advance(Duration::minutes(10));
        desk.device(&ann, "much-later").await;
        assert_eq!(device_mails(&desk, &ann.email).await.0.last().map(String::as_str), Some("device_linked"));
    }
}
