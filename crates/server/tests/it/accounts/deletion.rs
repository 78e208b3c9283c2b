//! Deleting one's account: what must be handed over first, what ends with it, and what stays.

use crate::desk::{Desk, Person};
use bramble_model::account::Role;
use bramble_store::testing::Engine;
use bramble_wire::events::{Command, ServerEvent};
use http::StatusCode;
use serde_json::json;
use time::Duration;

const PAGE: &str = "/settings/account/delete";

async fn delete(person: &Person) -> crate::desk::Answer {
    person.post(PAGE, &[("confirm", &person.email)]).await
}

async fn exists(desk: &Desk, person: &Person) -> bool {
    desk.app.store.user(person.user).await.expect("reads").is_some()
}

#[tokio::test]
async fn an_account_goes_with_its_devices_and_sessions() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&bob, "Shed").await;
        desk.join(shed, &ann, Role::Administrator).await;
        let mut own = desk.device(&ann, "s1").await.online().await;
        let shared = desk.device(&bob, "s2").await.online().await;
        desk.give(&bob, &shared, shed).await;
        desk.deployment(&ann, ann.account, own.id).await;
        let open = json!({ "device_id": shared.id, "kind": "shell" });
        let opened = ann.fetch("POST", "/sessions", open).await;
        assert_eq!(opened.status, StatusCode::CREATED);
        let mut events = ann.listen(&opened.text("id")).await.expect("a stream");

        let page = ann.get(PAGE).await;
        assert!(page.body.contains("your device") && page.body.contains("ann@example.org"));
        for wrong in ["", "bob@example.org", "ann"] {
            let answer = ann.post(PAGE, &[("confirm", wrong)]).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
        }
        let gone = ann.post(PAGE, &[("confirm", " ANN@example.org")]).await;
        assert_eq!(gone.status, StatusCode::SEE_OTHER, "{engine:?}: {}", gone.body);
        assert_eq!(gone.headers["location"], "/account-deleted");

        // At once: the session's page hears it, the browser is signed out, the device is told and forgotten.
        let (name, data) = events.next().await.expect("the end");
        assert!(name == "end" && data.contains("Your account was deleted"), "{data}");
        // The orders before are about the deployment.
        loop {
            let order = own.order().await.expect("an order before the stream ends");
            if order == ServerEvent::Command(Command::SignOut {}) {
                break;
            }
        }
        assert_eq!(own.status().await, StatusCode::UNAUTHORIZED, "{engine:?}");
        assert!(
            ann.get("/settings/account").await.headers["location"]
                .to_str()
                .expect("text")
                .starts_with("/sign-in")
        );
        assert!(!exists(&desk, &ann).await);
        assert!(desk.app.store.account(ann.account).await.expect("reads").is_none());
        let mails = desk.mails_to(&ann.email).await;
        assert!(
            mails.iter().any(|text| text.contains("Your account on Bramble at pi.example was deleted on"))
        );

        // The organisation has its device, and its log still names her.
        assert_eq!(shared.status().await, StatusCode::OK);
        let log = desk.app.store.audit_events(shed, 100).await.expect("reads");
        let line = log.iter().find(|line| line.details == "Deleted their account").expect("a line");
        assert_eq!((line.actor.as_str(), line.subject.as_str()), ("ann", "ann"));
        assert!(log.iter().any(|line| line.actor == "ann" && line.details != "Deleted their account"));
        // The address is free again.
        desk.person("ann").await;
    }
}

#[tokio::test]
async fn whoever_alone_administers_an_organisation_hands_it_over_first() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let (shed, barn) = (desk.organisation(&ann, "Shed").await, desk.organisation(&ann, "Barn").await);
        desk.join(shed, &bob, Role::Member).await;
        let page = ann.get(PAGE).await;
        for part in [format!("/organisations/{shed}/users"), format!("/organisations/{barn}/delete")] {
            assert!(page.body.contains(&part), "{part}");
        }
        let refused = delete(&ann).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert!(refused.body.contains("Shed") && exists(&desk, &ann).await);
        // One handed over, the other deleted.
        let up = [("from", "member"), ("role", "administrator")];
        let path = format!("/organisations/{shed}/users/{}/role", bob.user);
        assert_eq!(ann.post(&path, &up).await.status, StatusCode::SEE_OTHER);
        assert_eq!(delete(&ann).await.status, StatusCode::CONFLICT, "{engine:?}: Barn is left");
        let path = format!("/organisations/{barn}/delete");
        assert_eq!(ann.post(&path, &[("confirm", "Barn")]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(delete(&ann).await.status, StatusCode::SEE_OTHER, "{engine:?}");
        assert!(!exists(&desk, &ann).await);
        let people = desk.app.store.members(shed, 0, 10).await.expect("reads").0;
        assert_eq!(people.len(), 1);
    }
}

#[tokio::test]
async fn it_wants_a_fresh_proof() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    desk.clock.advance(Duration::hours(1));
    assert_eq!(delete(&ann).await.headers["location"], "/fresh");
    assert!(exists(&desk, &ann).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_administrators_who_delete_themselves_at_once_one_stays() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        for round in 0..5 {
            let (ann, bob) =
                (desk.person(&format!("ann{round}")).await, desk.person(&format!("bob{round}")).await);
            let mut all = Vec::new();
            for name in ["Shed", "Barn"] {
                let organisation = desk.organisation(&ann, name).await;
                desk.join(organisation, &bob, Role::Administrator).await;
                all.push(organisation);
            }
            let (one, other) = tokio::join!(delete(&ann), delete(&bob));
            let mut statuses = [one.status.as_u16(), other.status.as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [303, 409], "{engine:?}");
            for organisation in all {
                let people = desk.app.store.members(organisation, 0, 10).await.expect("reads").0;
                assert_eq!(people.len(), 1, "{engine:?}");
                assert_eq!(people[0].role, Role::Administrator);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_made_or_left_meanwhile_keeps_an_administrator() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        for round in 0..5 {
            let (ann, bob) =
                (desk.person(&format!("ann{round}")).await, desk.person(&format!("bob{round}")).await);
            let shed = desk.organisation(&bob, "Shed").await;
            desk.join(shed, &ann, Role::Administrator).await;
            let leave = format!("/organisations/{shed}/leave");
            let (gone, made, left, twice) = tokio::join!(
                delete(&ann),
                ann.post("/organisations/new", &[("name", "Barn")]),
                bob.post(&leave, &[]),
                delete(&ann),
            );
            for answer in [&gone, &made, &left, &twice] {
                assert!(!answer.status.is_server_error(), "{engine:?}: {}", answer.body);
            }
            let organisations = desk.app.store.organisations(None, 100).await.expect("reads");
            for organisation in organisations {
                let people = desk.app.store.members(organisation.id, 0, 10).await.expect("reads").0;
                let administrators = people.iter().filter(|p| p.role == Role::Administrator).count();
                assert!(administrators > 0, "{engine:?}: nobody administers {}", organisation.name);
            }
            let told = desk.mails_to(&ann.email).await;
            let told = told.iter().filter(|text| text.contains("was deleted on")).count();
            assert_eq!(told, usize::from(!exists(&desk, &ann).await), "{engine:?}");
        }
    }
}

#[tokio::test]
async fn keys_and_tokens_stay_with_the_organisation_and_its_administrators_are_told() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob, cyd) = (desk.person("ann").await, desk.person("bob").await, desk.person("cyd").await);
        let (shed, barn) = (desk.organisation(&bob, "Shed").await, desk.organisation(&bob, "Barn").await);
        for organisation in [shed, barn] {
            desk.join(organisation, &ann, Role::Administrator).await;
        }
        desk.join(shed, &cyd, Role::Member).await;
        let (keys, tokens) =
            (format!("/organisations/{shed}/auth-keys"), format!("/organisations/{shed}/api-tokens"));
        for description in ["one", "two"] {
            let made = ann.post(&keys, &[("description", description), ("ttl_days", "7")]).await;
            assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        }
        assert_eq!(ann.post(&tokens, &[("description", "ci")]).await.status, StatusCode::OK);
        // Not hers.
        assert_eq!(bob.post(&tokens, &[("description", "bob's")]).await.status, StatusCode::OK);

        let what = "2 auth keys and 1 API access token";
        let page = ann.get(PAGE).await.body;
        assert!(page.contains(&format!("Shed: {what}")) && !page.contains("Barn:"), "{page}");
        assert_eq!(delete(&ann).await.status, StatusCode::SEE_OTHER, "{engine:?}");
        let told = desk.mails_to(&bob.email).await;
        let told: Vec<_> = told.iter().filter(|text| text.contains("ann deleted their account")).collect();
        assert_eq!(told.len(), 1, "{engine:?}: of the organisation with something in it alone");
        assert!(told[0].contains(what) && told[0].contains("Shed"), "{}", told[0]);
        for address in [&ann.email, &cyd.email] {
            let mails = desk.mails_to(address).await;
            assert!(!mails.iter().any(|text| text.contains(what)), "{engine:?}: {address}");
        }
        let left = desk.app.store.api_tokens(shed, 10).await.expect("reads");
        assert_eq!(left.len(), 2, "{engine:?}: they stay");
    }
}
