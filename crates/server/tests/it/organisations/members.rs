//! Members: roles, removing, leaving, and who is left.

use crate::desk::{Desk, Person};
use bramble_model::account::Role;
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;
use serde_json::json;

async fn role(desk: &Desk, organisation: AccountId, person: &Person) -> Option<Role> {
    let member = desk.app.store.member(organisation, person.user).await.expect("reads");
    member.map(|member| member.role)
}

fn of(organisation: AccountId, person: &Person, deed: &str) -> String {
    format!("/organisations/{organisation}/users/{}/{deed}", person.user)
}

#[tokio::test]
async fn two_administrators_who_remove_each_other_leave_one() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        for round in 0..5 {
            let shed = desk.organisation(&ann, &format!("Shed {round}")).await;
            desk.join(shed, &bob, Role::Administrator).await;
            let (of_bob, of_ann) = (of(shed, &bob, "remove"), of(shed, &ann, "remove"));
            let (one, other) = tokio::join!(ann.post(&of_bob, &[]), bob.post(&of_ann, &[]));
            let left = [role(&desk, shed, &ann).await, role(&desk, shed, &bob).await];
            let administrators = left.iter().filter(|role| **role == Some(Role::Administrator)).count();
            assert_eq!(administrators, 1, "{left:?}: {} {}", one.status, other.status);
        }
    }
}

#[tokio::test]
async fn the_last_administrator_can_neither_go_nor_become_a_member() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let down = [("from", "administrator"), ("role", "member")];
    for answer in [
        ann.post(&of(shed, &ann, "role"), &down).await,
        ann.post(&of(shed, &ann, "remove"), &[]).await,
        ann.post(&format!("/organisations/{shed}/leave"), &[]).await,
    ] {
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert!(answer.body.contains("This is the last administrator"));
    }
    assert_eq!(role(&desk, shed, &ann).await, Some(Role::Administrator));
    // With another one it works.
    let up = [("from", "member"), ("role", "administrator")];
    assert_eq!(ann.post(&of(shed, &bob, "role"), &up).await.status, StatusCode::SEE_OTHER);
    assert!(desk.mails_to(&ann.email).await.iter().any(|text| text.contains("bob (bob@\u{200B}example")));
    assert_eq!(ann.post(&format!("/organisations/{shed}/leave"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(ann.get(&format!("/organisations/{shed}/devices")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(desk.audit(shed).await, ["Organisation created", "User removed", "User role changed"]);
}

#[tokio::test]
async fn a_role_that_changed_while_the_page_was_open_is_not_changed_back() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Administrator).await;
    let stale = [("from", "member"), ("role", "administrator")];
    let down = [("from", "administrator"), ("role", "member")];
    assert_eq!(ann.post(&of(shed, &bob, "role"), &down).await.status, StatusCode::SEE_OTHER);
    let answer = ann.post(&of(shed, &bob, "role"), &down).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("That has changed meanwhile"));
    assert_eq!(
        ann.post(&of(shed, &bob, "role"), &[("role", "administrator")]).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(role(&desk, shed, &bob).await, Some(Role::Member));
    assert_eq!(ann.post(&of(shed, &bob, "role"), &stale).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn removal_ends_the_sessions_and_the_sight_of_the_devices() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        desk.join(shed, &bob, Role::Member).await;
        let device = desk.device(&ann, "s1").await.online().await;
        desk.give(&ann, &device, shed).await;
        let own = desk.device(&bob, "s2").await.online().await;
        let open = async |device: &crate::desk::Device| {
            bob.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await
        };
        let (theirs, his) = (open(&device).await, open(&own).await);
        assert_eq!((theirs.status, his.status), (StatusCode::CREATED, StatusCode::CREATED));
        let mut events = bob.listen(&theirs.text("id")).await.expect("a stream");
        let up = [("from", "member"), ("role", "administrator")];
        assert_eq!(ann.post(&of(shed, &bob, "role"), &up).await.status, StatusCode::SEE_OTHER);
        let (name, data) = events.next().await.expect("the end");
        assert_eq!(name, "end");
        assert!(data.contains("Your role in the organisation changed"), "{data}");
        let theirs = open(&device).await;
        assert_eq!(theirs.status, StatusCode::CREATED, "with the new role: {}", theirs.body);
        let mut events = bob.listen(&theirs.text("id")).await.expect("a stream");
        assert_eq!(ann.post(&of(shed, &bob, "remove"), &[]).await.status, StatusCode::SEE_OTHER);
        let (name, data) = events.next().await.expect("the end");
        assert_eq!(name, "end");
        assert!(data.contains("You no longer have access"), "{data}");
        assert_eq!(bob.get(&format!("/devices/{}", device.id)).await.status, StatusCode::NOT_FOUND);
        assert_eq!(open(&device).await.status, StatusCode::NOT_FOUND);
        // What is his own goes on.
        let live = desk.app.store.session(his.text("id").parse().expect("an id")).await.expect("reads");
        assert!(live.expect("a session").ended_at.is_none());
    }
}

/// What somebody does at the very moment of their removal is done before it, and taken back by it, or not
/// at all.
#[tokio::test]
async fn nothing_outlives_a_removal_that_happens_at_the_same_moment() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        let device = desk.device(&ann, "s1").await.online().await;
        desk.give(&ann, &device, shed).await;
        for round in 0..10 {
            desk.join(shed, &bob, Role::Administrator).await;
            let (remove, revoke) = (of(shed, &bob, "remove"), [("revoke", "yes")]);
            let (tokens, keys) =
                (format!("/organisations/{shed}/api-tokens"), format!("/organisations/{shed}/auth-keys"));
            let wish = json!({ "device_id": device.id, "kind": "shell" });
            let key = [("description", "k"), ("ttl_days", "7")];
            let (invitations, email) =
                (format!("/organisations/{shed}/invitations"), format!("i{round}@example.org"));
            let invite = [("email", email.as_str()), ("role", "administrator")];
            let (removed, opened, token, key, invited) = tokio::join!(
                ann.post(&remove, &revoke),
                bob.fetch("POST", "/sessions", wish),
                bob.post(&tokens, &[("description", "t")]),
                bob.post(&keys, &key),
                bob.post(&invitations, &invite),
            );
            assert_eq!(removed.status, StatusCode::SEE_OTHER, "{engine:?} {round}");
            if opened.status == StatusCode::CREATED {
                let id = opened.text("id").parse().expect("an id");
                let session = desk.app.store.session(id).await.expect("reads").expect("a session");
                assert!(session.ended_at.is_some(), "{engine:?} {round}: the session outlives the removal");
            }
            let (made, now) = (&desk.app.store, desk.app.clock.now());
            let left = made.api_tokens_by(shed, bob.user).await.expect("reads").len();
            assert_eq!(left, 0, "{engine:?} {round}: a token was left, {}", token.status);
            let left = made.usable_auth_keys_by(shed, bob.user, now).await.expect("reads").len();
            assert_eq!(left, 0, "{engine:?} {round}: a key was left, {}", key.status);
            let left = made.invitations(shed, 10).await.expect("reads").len();
            assert_eq!(left, 0, "{engine:?} {round}: an invitation was left, {}", invited.status);
        }
    }
}

#[tokio::test]
async fn members_see_who_else_is_there_and_change_nothing() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let page = bob.get(&format!("/organisations/{shed}/users")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("ann@example.org") && !page.body.contains("Invite someone"));
    assert!(ann.get(&format!("/organisations/{shed}/users")).await.body.contains("Invite someone"));
}

#[tokio::test]
async fn whoever_leaves_is_told_what_stays_and_so_are_the_administrators() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&bob, "Shed").await;
    desk.join(shed, &ann, Role::Administrator).await;
    let leave = format!("/organisations/{shed}/leave");
    assert!(!ann.get(&leave).await.body.contains("goes on working"));
    let tokens = format!("/organisations/{shed}/api-tokens");
    assert_eq!(ann.post(&tokens, &[("description", "ci")]).await.status, StatusCode::OK);
    assert!(ann.get(&leave).await.body.contains("goes on working: 1 API access token"));
    assert_eq!(ann.post(&leave, &[]).await.status, StatusCode::SEE_OTHER);
    let told = desk.mails_to(&bob.email).await;
    assert!(
        told.iter()
            .any(|text| text.contains("ann left the organisation") && text.contains("1 API access token"))
    );
    assert!(!desk.mails_to(&ann.email).await.iter().any(|text| text.contains("left the organisation")));
}
