//! Linking into an organisation: with its keys, and by a code.

use crate::desk::Desk;
use bramble_model::account::Role;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_key_names_and_tags_the_device_that_it_links() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        desk.join(shed, &bob, Role::Administrator).await;
        let path = format!("/organisations/{shed}/auth-keys");
        let form = [
            ("description", "lobby"),
            ("ttl_days", "30"),
            ("device_name", "kiosk-1"),
            ("tags", "production, kiosk"),
        ];
        let made = ann.post(&path, &form).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        let key =
            made.body.split("rpoak_").nth(1).expect("a key").get(..24).expect("24 characters").to_owned();
        // Several at once, shown once.
        assert_eq!(ann.post(&path, &form).await.status, StatusCode::OK);
        let page = ann.get(&format!("/organisations/{shed}/provisioning")).await.body;
        assert!(!page.contains("rpoak_") && page.matches("Names the device kiosk-1").count() == 2, "{page}");
        let linked = desk.exchange(&format!("rpoak_{key}"), "s1").await;
        assert_eq!(linked.status, StatusCode::OK, "{}", linked.body);
        let id = linked.text("device_id").parse().expect("an id");
        let device = desk.app.store.device(shed, id).await.expect("reads").expect("in the organisation");
        assert_eq!(
            (device.name.as_str(), device.tags.as_slice()),
            ("kiosk-1", &["kiosk".to_owned(), "production".to_owned()][..])
        );
        for person in [&ann, &bob] {
            let mails = desk.mails_to(&person.email).await.join("\n");
            assert!(mails.contains("kiosk-1"), "every administrator is told: {mails}");
        }
        assert_eq!(desk.exchange(&format!("rpoak_{key}"), "s2").await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_key_stands_beside_its_field() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let path = format!("/organisations/{shed}/auth-keys");
    let eleven = (0..11).map(|n| format!("t{n}")).collect::<Vec<_>>().join(" ");
    for (field, value, why) in [
        ("tags", "Kiosk", "Tags contains an invalid tag"),
        ("tags", eleven.as_str(), "Tags is too long (maximum is 10 tags)"),
        ("ttl_days", "91", "Ttl days must be between 1 and 90"),
        ("description", " ", "Description can&#39;t be blank"),
    ] {
        let mut form = vec![("description", "d"), ("ttl_days", "7"), ("device_name", "kept")];
        form.retain(|(name, _)| *name != field);
        form.push((field, value));
        let answer = ann.post(&path, &form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains(why) && answer.body.contains("value=\"kept\""), "{}", answer.body);
    }
    assert!(desk.app.store.auth_keys(shed, 10).await.expect("reads").is_empty());
}

#[tokio::test]
async fn a_code_may_be_approved_for_an_organisation_that_one_administers() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let asked = json!({ "client_id": "t", "login_hint": "s1" });
    let code = desk.device_call("POST", "/client/device", None, Some(asked)).await.text("user_code");
    let page = format!("/verify/{code}");
    let choice = format!("<option value=\"{shed}\"");
    assert!(ann.get(&page).await.body.contains(&choice) && !bob.get(&page).await.body.contains(&choice));
    let approve = |account: String| {
        vec![("decision", "approve".to_owned()), ("name", "x".to_owned()), ("account", account)]
    };
    let send = async |person: &crate::desk::Person, form: Vec<(&'static str, String)>| {
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        person.post(&page, &form).await
    };
    assert_eq!(send(&bob, approve(shed.to_string())).await.status, StatusCode::NOT_FOUND);
    assert_eq!(send(&ann, approve(shed.to_string())).await.status, StatusCode::OK);
    let of_shed = desk.app.store.devices_with_serial(shed, "s1").await.expect("reads");
    assert_eq!(of_shed.len(), 1);
}

#[tokio::test]
async fn another_account_than_was_shown_asks_about_its_own_devices_first() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let device = desk.device(&ann, "s1").await;
    desk.give(&ann, &device, shed).await;
    let asked = json!({ "client_id": "t", "login_hint": "s1" });
    let code = desk.device_call("POST", "/client/device", None, Some(asked)).await.text("user_code");
    let (shed_id, home) = (shed.to_string(), ann.account.to_string());
    let form = [("decision", "approve"), ("name", "x"), ("account", &shed_id), ("shown_for", &home)];
    let answer = ann.post(&format!("/verify/{code}"), &form).await;
    assert!(answer.body.contains("Replace host-s1"), "{}", answer.body);
    assert_eq!(desk.app.store.devices_with_serial(shed, "s1").await.expect("reads").len(), 1);
    let again = [("decision", "approve"), ("name", "x"), ("account", &shed_id), ("shown_for", &shed_id)];
    assert!(ann.post(&format!("/verify/{code}"), &again).await.body.contains("x (2)"));
}

#[tokio::test]
async fn members_without_a_second_factor_are_reminded() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let (devices, rule) =
        (format!("/organisations/{shed}/devices"), format!("/organisations/{shed}/settings/two-factor"));
    assert!(!ann.get(&devices).await.body.contains("to keep access"));
    ann.post(&rule, &[("required", "yes")]).await;
    assert!(ann.get(&devices).await.body.contains("Set it up within 15 days to keep access"));
    assert!(!ann.get("/devices").await.body.contains("to keep access"), "only where it matters");
    desk.clock.advance(time::Duration::days(13));
    let later = ann.elsewhere(&desk).await;
    assert!(later.get(&devices).await.body.contains("within 2 days"));
    // Stopping and requiring again begins anew.
    later.post(&rule, &[("required", "no")]).await;
    later.post(&rule, &[("required", "yes")]).await;
    assert!(later.get(&devices).await.body.contains("within 15 days"));
}

#[tokio::test]
async fn every_key_is_on_a_page_and_can_be_revoked() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let root = format!("/organisations/{shed}");
        for number in 0..51 {
            let form = [("description", format!("key {number}")), ("ttl_days", "7".to_owned())];
            let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(ann.post(&format!("{root}/auth-keys"), &form).await.status, StatusCode::OK);
        }
        let page = async |asked: &str| ann.get(&format!("{root}/provisioning{asked}")).await;
        let ids = |body: &str| -> Vec<String> {
            body.split("id=\"key-")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap_or("").to_owned())
                .collect()
        };
        let (first, last) = (page("").await, page("?keys=2").await);
        assert!(first.body.contains("Page 1 of 2") && last.body.contains("Page 2 of 2"), "{engine:?}");
        let (mut all, rest) = (ids(&first.body), ids(&last.body));
        assert_eq!((all.len(), rest.len()), (50, 1), "{engine:?}");
        all.extend(rest.clone());
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 51, "{engine:?}: each once");
        // Whoever revokes comes back to the page they were on, or the last one that is left.
        let revoke = format!("{root}/auth-keys/{}/delete?keys=2", rest[0]);
        assert!(last.body.contains(&format!("href=\"{revoke}\"")), "{engine:?}");
        assert!(ann.get(&revoke).await.body.contains(&format!("action=\"{revoke}\"")), "{engine:?}");
        let tab = format!("{root}/provisioning?keys=2");
        assert_eq!(ann.post(&revoke, &[]).await.headers["location"], tab, "{engine:?}");
        let gone = page("?keys=2").await;
        assert_eq!(ids(&gone.body).len(), 50, "{engine:?}");
        for odd in ["?keys=0", "?keys=-1", "?keys=99999999999999999999", "?keys=x&identities=y"] {
            assert_eq!(ids(&page(odd).await.body).len(), 50, "{engine:?} {odd}");
        }
    }
}
