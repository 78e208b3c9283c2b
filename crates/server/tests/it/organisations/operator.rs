//! `bramble org create|list`.

use crate::desk::{Desk, Person};
use bramble_model::account::Role;
use bramble_model::{OsRandom, Random};
use bramble_server::accounts::{self, NewUser, operator};
use bramble_server::admin::{Request, Response, handle};
use bramble_server::auth::password::Password;
use bramble_store as store;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashSet;

/// What the command says to people and to programs.
async fn done(desk: &Desk, request: Request) -> (String, Value) {
    match handle(&desk.app, request).await {
        Response::Done { text, json } => (text, json),
        Response::Refused { text, .. } => panic!("refused: {text}"),
    }
}

async fn refusal(desk: &Desk, request: Request) -> String {
    match handle(&desk.app, request).await {
        Response::Refused { text, .. } => text,
        Response::Done { text, .. } => panic!("done: {text}"),
    }
}

fn create(name: &str, administrator: &str) -> Request {
    Request::OrgCreate { name: name.to_owned(), administrator: administrator.to_owned() }
}

#[tokio::test]
async fn the_operator_makes_organisations_and_lists_them() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let (text, json) = done(&desk, Request::OrgList { after: None }).await;
        assert!(text.contains("no organisation yet"), "{text}");
        assert_eq!(json, json!({ "organisations": [], "next": null }));

        let (text, made) = done(&desk, create(" Shed \u{202E}& <b>Sons</b> ", "ANN@example.org")).await;
        let id = made["id"].as_str().expect("an id");
        let page = format!("/organisations/{id}/devices");
        assert_eq!(made["url"], format!("https://pi.example{page}"));
        assert!(text.contains(&page) && text.contains("ann@example.org"), "{text}");
        let organisation = id.parse().expect("an id");
        desk.join(organisation, &bob, Role::Member).await;
        let garden = desk.organisation(&ann, "garden").await;

        assert_eq!(ann.get(&page).await.status, StatusCode::OK);
        assert_eq!(desk.audit(organisation).await, ["Organisation created"]);
        let users = ann.get(&format!("/organisations/{id}/users")).await;
        assert!(users.body.contains("Invite someone"), "she administers it");
        assert!(users.body.contains("Shed &#38; &#60;b&#62;Sons&#60;/b&#62;"), "{}", users.body);

        let (text, listed) = done(&desk, Request::OrgList { after: None }).await;
        let listed = listed["organisations"].as_array().expect("a list");
        let ids: Vec<&str> = listed.iter().filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(ids, [garden.to_string().as_str(), id], "by name, whatever its case");
        assert_eq!(
            (&listed[1]["name"], &listed[1]["members"], &listed[1]["administrators"], &listed[1]["devices"]),
            (&json!("Shed & <b>Sons</b>"), &json!(2), &json!(1), &json!(0))
        );
        assert!(text.contains(&format!("{id}  Shed & <b>Sons</b>  2 members, 0 devices")), "{text}");
        assert!(text.contains("garden  1 member, 0 devices"), "{text}");
    }
}

/// People and organisations, all at once.
async fn a_thousand_and_one(desk: &Desk) {
    let (random, at) = (&OsRandom as &dyn Random, desk.app.clock.now());
    let tx = desk.app.store.begin().await.expect("begins");
    for n in 0..1001 {
        let email = format!("p{n:04}@example.org");
        let user = store::users::NewUser {
            id: random.id(),
            account: random.id(),
            email: email.clone(),
            email_folded: email,
            name: format!("Person {n}"),
            password_hash: None,
            is_operator: false,
            verified_at: None,
            created_at: at,
        };
        assert!(tx.insert_user(user).await.expect("writes"));
        let name = format!("Organisation {n}");
        let (created_by, trial_ends_at) = (None, None);
        let new =
            store::organisations::NewOrganisation { id: random.id(), name, created_by, trial_ends_at, at };
        tx.insert_organisation(new).await.expect("writes");
    }
    tx.commit().await.expect("commits");
}

#[tokio::test]
async fn lists_of_more_than_a_thousand_say_how_to_go_on() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        a_thousand_and_one(&desk).await;

        let (text, first) = done(&desk, Request::UserList { after: String::new() }).await;
        assert_eq!(first["users"].as_array().map(Vec::len), Some(1000));
        assert_eq!(first["next"], "p0999@example.org");
        assert!(text.ends_with("Go on with `bramble user list --after p0999@example.org`."), "{text}");
        let (_, rest) = done(&desk, Request::UserList { after: "P0999@Example.org".to_owned() }).await;
        assert_eq!((&rest["users"][0]["email"], &rest["next"]), (&json!("p1000@example.org"), &Value::Null));
        assert_eq!(rest["users"].as_array().map(Vec::len), Some(1));
        let (text, none) = done(&desk, Request::UserList { after: "p1000@example.org".to_owned() }).await;
        assert_eq!(none, json!({ "users": [], "next": null }));
        assert!(text.contains("No address comes after"), "{text}");

        let (text, first) = done(&desk, Request::OrgList { after: None }).await;
        let next = first["next"].as_str().expect("an id");
        assert!(text.ends_with(&format!("Go on with `bramble org list --after {next}`.")), "{text}");
        let (_, rest) = done(&desk, Request::OrgList { after: next.parse().ok() }).await;
        assert_eq!(rest["next"], Value::Null);
        let all = [&first, &rest].map(|part| part["organisations"].as_array().expect("a list").clone());
        assert_eq!(all.each_ref().map(Vec::len), [1000, 1]);
        let ids: HashSet<&str> = all.iter().flatten().filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(ids.len(), 1001, "each once");
        let last = rest["organisations"][0]["id"].as_str().and_then(|id| id.parse().ok());
        let (text, _) = done(&desk, Request::OrgList { after: last }).await;
        assert!(text.contains("No organisation comes after"), "{text}");
    }
}

async fn unconfirmed(desk: &Desk) {
    let new = NewUser {
        email: "new@example.org".to_owned(),
        name: "New".to_owned(),
        password: Password::new("seven orchards beside a copper lantern"),
        verified: false,
    };
    accounts::create_user(&desk.app, new).await.expect("a person");
}

async fn disabled(desk: &Desk, person: &Person) {
    let user = operator::find_person(&desk.app, &person.email).await.expect("reads").expect("is there");
    assert!(operator::disable(&desk.app, &user, false).await.expect("writes").changed);
}

#[tokio::test]
async fn an_organisation_is_not_made_for_somebody_who_cannot_enter_it() {
    let desk = Desk::new().await;
    let (_ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    unconfirmed(&desk).await;
    disabled(&desk, &bob).await;
    for (name, administrator, why) in [
        ("Shed", "nobody@example.org", "Nobody here has the address"),
        ("Shed", "no address", "Nobody here has the address"),
        ("Shed", "new@example.org", "has not confirmed this address"),
        ("Shed", "bob@example.org", "is disabled"),
        (" \u{200B}", "ann@example.org", "Name can't be blank"),
        (&"ä".repeat(10_000), "ann@example.org", "Name is too long"),
    ] {
        let text = refusal(&desk, create(name, administrator)).await;
        assert!(text.contains(why), "{text}");
    }
    let (_, listed) = done(&desk, Request::OrgList { after: None }).await;
    assert_eq!(listed["organisations"], json!([]), "nothing was made");
}
