//! An administrator whom the operator disabled: there in name alone.

use crate::desk::{Desk, Person};
use bramble_model::account::Role;
use bramble_server::accounts::operator;
use bramble_server::mail::digest;
use bramble_store::testing::Engine;
use http::StatusCode;
use time::Duration;

async fn disable(desk: &Desk, person: &Person) {
    let user = desk.app.store.user(person.user).await.expect("reads").expect("a person");
    assert!(operator::disable(&desk.app, &user).await.expect("disables"));
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
