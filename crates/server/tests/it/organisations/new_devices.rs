//! Mails about devices that are new in an organisation: linked, transferred, one by one or together.

use super::staffed;
use crate::desk::{Desk, Person};
use bramble_server::mail::digest;
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;
use time::Duration;

/// The last mail about devices that somebody got.
async fn last_mail(desk: &Desk, person: &Person) -> String {
    let about = |text: &String| text.contains("Serial number: ");
    desk.mails_to(&person.email).await.into_iter().rfind(about).unwrap_or_default()
}

async fn link_into(desk: &Desk, by: &Person, organisation: AccountId, serial: &str) {
    let form = [("description", "k"), ("ttl_days", "7")];
    let made = by.post(&format!("/organisations/{organisation}/auth-keys"), &form).await;
    let key = made.body.split("rpoak_").nth(1).expect("a key").get(..24).expect("24 characters");
    assert_eq!(desk.exchange(&format!("rpoak_{key}"), serial).await.status, StatusCode::OK);
}

#[tokio::test]
async fn they_name_the_organisation_and_lead_to_its_device() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, people) = staffed(&desk).await;
        let [ann, bob, mem] = &people;
        let device = desk.device(ann, "s1").await;
        let own = last_mail(&desk, ann).await;
        assert!(own.contains("A device was linked to your account on") && !own.contains("Shed"), "{own}");
        desk.give(ann, &device, shed).await;
        let told = last_mail(&desk, bob).await;
        assert!(told.contains("ann transferred a device to the organisation Shed"), "{engine:?}: {told}");
        assert!(told.contains(&format!("https://pi.example/devices/{}\n", device.id)), "{told}");
        assert!(!told.contains("change your password"), "{told}");
        assert_eq!(last_mail(&desk, mem).await, "", "{engine:?}: members decide about no device");

        desk.clock.advance(Duration::minutes(10));
        digest::round(&desk.app).await.expect("a round");
        desk.clock.advance(Duration::minutes(10));
        let ann = ann.elsewhere(&desk).await;
        link_into(&desk, &ann, shed, "s2").await;
        for person in [&ann, bob] {
            let told = last_mail(&desk, person).await;
            assert!(told.contains("A device was linked to the organisation Shed on"), "{engine:?}: {told}");
        }
    }
}

#[tokio::test]
async fn a_digest_has_a_part_for_each_account() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let (shed, barn) = (desk.organisation(&ann, "Shed").await, desk.organisation(&ann, "Barn").await);
        let device = desk.device(&ann, "s1").await;
        desk.device(&ann, "s2").await;
        desk.give(&ann, &device, shed).await;
        link_into(&desk, &ann, shed, "s3").await;
        link_into(&desk, &ann, barn, "s4").await;
        let deleted = ann.post(&format!("/organisations/{barn}/delete"), &[("confirm", "Barn")]).await;
        assert_eq!(deleted.status, StatusCode::SEE_OTHER);
        desk.clock.advance(Duration::minutes(10));
        digest::round(&desk.app).await.expect("a round");
        let told = last_mail(&desk, &ann).await;
        let (own, shared) = told.split_once("2 devices are new in the organisation Shed").expect("two parts");
        assert!(own.starts_with("1 device is new in your account"), "{engine:?}: {told}");
        assert!(own.contains("Serial number: s2") && own.contains("https://pi.example/devices\n"), "{told}");
        let list = format!("https://pi.example/organisations/{shed}/devices\n");
        assert!(shared.contains(&list) && shared.contains("Transferred by: ann"), "{told}");
        assert!(!told.contains("Barn") && !told.contains("s4"), "{engine:?}: it is gone: {told}");
    }
}

/// All that waits for somebody's digest may have gone with an organisation.
#[tokio::test]
async fn there_is_no_digest_of_nothing() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let barn = desk.organisation(&ann, "Barn").await;
    desk.device(&ann, "s1").await;
    link_into(&desk, &ann, barn, "s2").await;
    ann.post(&format!("/organisations/{barn}/delete"), &[("confirm", "Barn")]).await;
    desk.clock.advance(Duration::minutes(10));
    let before = desk.mails_to(&ann.email).await.len();
    digest::round(&desk.app).await.expect("a round");
    digest::round(&desk.app).await.expect("a round");
    assert_eq!(desk.mails_to(&ann.email).await.len(), before);
}
