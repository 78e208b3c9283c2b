//! An administrator whom the operator disabled: there in name alone.

use crate::desk::{Desk, Person};
use bramble_model::account::Role;
use bramble_server::accounts::operator;
use bramble_server::admin::{Request, Response, handle};
use bramble_server::mail::digest;
use bramble_store::testing::Engine;
use http::StatusCode;
use time::Duration;

async fn disable(desk: &Desk, person: &Person) {
    let user = desk.app.store.user(person.user).await.expect("reads").expect("a person");
    assert!(operator::disable(&desk.app, &user, false).await.expect("disables").changed);
}

async fn enable(desk: &Desk, person: &Person) {
    let user = desk.app.store.user(person.user).await.expect("reads").expect("a person");
    assert!(operator::enable(&desk.app, &user).await.expect("enables"));
}

#[tokio::test]
async fn they_do_not_count_as_the_other_administrator() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        desk.join(shed, &bob, Role::Administrator).await;
        let users = format!("/organisations/{shed}/users");
        assert!(!ann.get(&users).await.body.contains("Disabled"));
        disable(&desk, &bob).await;
        assert!(ann.get(&users).await.body.contains("Disabled"), "{engine:?}: the list says why");
        let down = [("from", "administrator"), ("role", "member")];
        for answer in [
            ann.post(&format!("/organisations/{shed}/leave"), &[]).await,
            ann.post(&format!("{users}/{}/role", ann.user), &down).await,
            ann.post("/settings/account/delete", &[("confirm", &ann.email)]).await,
        ] {
            assert_eq!(answer.status, StatusCode::CONFLICT, "{engine:?}: {}", answer.body);
        }
        // They themselves may be demoted: who can sign in stays.
        let answer = ann.post(&format!("{users}/{}/role", bob.user), &down).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{engine:?}");
        let up = [("from", "member"), ("role", "administrator")];
        ann.post(&format!("{users}/{}/role", bob.user), &up).await;
        enable(&desk, &bob).await;
        let left = ann.post(&format!("/organisations/{shed}/leave"), &[]).await;
        assert_eq!(left.status, StatusCode::SEE_OTHER, "{engine:?}");
    }
}

#[tokio::test]
async fn they_get_no_mail_about_it() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Administrator).await;
    let tokens = format!("/organisations/{shed}/api-tokens");
    let told = async || desk.mails_to(&bob.email).await.len();
    let before = told().await;
    // A device is told at once, the next in a digest that is not written before he is disabled.
    for serial in ["s1", "s2"] {
        let device = desk.device(&ann, serial).await;
        desk.give(&ann, &device, shed).await;
    }
    assert_eq!(told().await, before + 1);
    disable(&desk, &bob).await;
    desk.clock.advance(Duration::minutes(10));
    digest::round(&desk.app).await.expect("a round");
    assert_eq!(ann.post(&tokens, &[("description", "ci")]).await.status, StatusCode::OK);
    assert_eq!(told().await, before + 1);
    enable(&desk, &bob).await;
    assert_eq!(ann.post(&tokens, &[("description", "ci 2")]).await.status, StatusCode::OK);
    assert_eq!(told().await, before + 2, "as before");
}

#[tokio::test]
async fn what_they_sent_lets_nobody_in_and_what_they_made_is_told() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob, eve) = (desk.person("ann").await, desk.person("bob").await, desk.person("eve").await);
        let shed = desk.organisation(&ann, "Shed").await;
        desk.join(shed, &bob, Role::Administrator).await;
        // His own other address, for example.
        let invitation = desk.invitation(&bob, shed, &eve.email, Role::Administrator).await;
        let tokens = format!("/organisations/{shed}/api-tokens");
        assert_eq!(bob.post(&tokens, &[("description", "ci")]).await.status, StatusCode::OK);
        let out = Request::UserDisable { email: bob.email.clone(), force: false };
        let Response::Done { text, json } = handle(&desk.app, out).await else { panic!("{engine:?}") };
        assert!(text.contains("Shed: 1 API access token"), "{text}");
        let left = serde_json::json!([{ "id": shed, "name": "Shed", "auth_keys": 0, "api_tokens": 1 }]);
        assert_eq!(json["left_behind"], left, "{engine:?}");
        let joined = eve.post(&format!("/invitations/{invitation}"), &[]).await;
        assert_eq!(joined.status, StatusCode::NOT_FOUND, "{engine:?}");
        assert!(desk.audit(shed).await.contains(&"Invitation revoked".to_owned()));
        let told = async || {
            let mails = desk.mails_to(&ann.email).await;
            mails.iter().filter(|text| text.contains("was disabled by the operator of this server")).count()
        };
        assert_eq!(told().await, 1, "{engine:?}");
        // Once more says it once more to the operator and to nobody else.
        let again = Request::UserDisable { email: bob.email.clone(), force: false };
        let Response::Done { json, .. } = handle(&desk.app, again).await else { panic!("{engine:?}") };
        assert_eq!((&json["changed"], &json["left_behind"]), (&false.into(), &left));
        assert_eq!(told().await, 1, "{engine:?}");
    }
}

/// Who is left decides whether the operator is asked twice, and what they are told.
#[tokio::test]
async fn the_last_one_is_disabled_only_by_force() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob, mem) = (desk.person("ann").await, desk.person("bob").await, desk.person("mem").await);
        let (shed, barn) = (desk.organisation(&ann, "Shed").await, desk.organisation(&ann, "Barn").await);
        desk.join(barn, &bob, Role::Administrator).await;
        desk.join(shed, &mem, Role::Member).await;
        let try_it = async |person: &Person, force| {
            handle(&desk.app, Request::UserDisable { email: person.email.clone(), force }).await
        };

        let Response::Refused { text, json } = try_it(&ann, false).await else { panic!("{engine:?}") };
        assert!(text.contains(&format!("{shed}  Shed")) && text.contains("--force"), "{text}");
        assert!(!text.contains("Barn"), "bob is left there: {text}");
        assert_eq!(json["error"], "last_administrator");
        assert_eq!(
            json["organisations_without_administrator"],
            serde_json::json!([{ "id": shed, "name": "Shed" }])
        );
        assert_eq!(ann.get("/devices").await.status, StatusCode::OK, "{engine:?}: nothing was changed");

        let Response::Done { text, json } = try_it(&ann, true).await else { panic!("{engine:?}") };
        assert!(text.contains("is disabled now") && text.contains(&format!("{shed}  Shed")), "{text}");
        assert_eq!(json["changed"], true);
        assert_eq!(json["organisations_without_administrator"][0]["id"], shed.to_string());
        assert_ne!(ann.get("/devices").await.status, StatusCode::OK, "{engine:?}");
        let Response::Done { text, json } = handle(&desk.app, Request::OrgList { after: None }).await else {
            panic!()
        };
        let line = |name: &str| text.lines().find(|line| line.contains(name)).expect("a line").to_owned();
        assert!(line("Shed").ends_with(", no administrator who can sign in"), "{text}");
        assert!(!line("Barn").contains("no administrator"), "{text}");
        let listed = &json["organisations"];
        assert_eq!(
            (&listed[1]["administrators"], &listed[1]["enabled_administrators"]),
            (&1.into(), &0.into())
        );
        // Whoever is out already is not asked about again.
        let Response::Done { text, .. } = try_it(&ann, false).await else { panic!("{engine:?}") };
        assert!(text.contains("was disabled already"), "{text}");

        // She does not count any more where he is the other one.
        let Response::Refused { text, .. } = try_it(&bob, false).await else { panic!("{engine:?}") };
        assert!(text.contains("Barn") && !text.contains("Shed"), "{text}");
        let Response::Done { json, .. } = try_it(&mem, false).await else { panic!("{engine:?}") };
        assert_eq!(json["organisations_without_administrator"], serde_json::json!([]), "no administrator");
        enable(&desk, &ann).await;
        let Response::Done { .. } = try_it(&bob, false).await else { panic!("{engine:?}: she is back") };
    }
}
