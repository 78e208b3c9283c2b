//! Countries of the audit log and of devices that ask to be linked, from a real database.

use crate::desk::{Desk, Device, exchange_body};
use crate::management::Program;
use bramble_server::countries::Countries;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::json;
use std::path::PathBuf;

/// The database that `make setup` installs.
fn database() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb")
}

/// Of RIPE's and of Google's networks, which do not move.
const DUTCH: &str = "193.0.6.139";
const AMERICAN: &str = "2001:4860:4860::8888";

async fn desk(engine: Engine) -> Desk {
    Desk::configured(engine, |config| config.country_database = Some(database())).await
}

#[test]
fn addresses_are_found_in_a_real_database() {
    let countries = Countries::open(&database()).expect("the database opens; run `make setup`");
    for (address, country) in [
        (DUTCH, Some("NL")),
        (AMERICAN, Some("US")),
        ("8.8.8.8", Some("US")),
        ("::ffff:8.8.8.8", Some("US")),
        ("192.168.1.1", None),
        ("10.1.2.3", None),
        ("100.64.0.1", None),
        ("169.254.1.1", None),
        ("203.0.113.9", None),
        ("0.0.0.0", None),
        ("fd00::1", None),
        ("2001:db8::1", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("fe80::1", None),
    ] {
        let found = countries.of_address(address.parse().expect("an address"));
        assert_eq!(found.map(|it| it.to_string()).as_deref(), country, "{address}");
    }
}

#[tokio::test]
async fn the_audit_log_names_the_country_and_never_the_address() {
    for engine in Engine::BOTH {
        let desk = desk(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let mut abroad = ann.clone();
        abroad.address = DUTCH.to_owned();
        let form = [("description", "by a person"), ("ttl_days", "7")];
        assert_eq!(
            abroad.post(&format!("/organisations/{shed}/auth-keys"), &form).await.status,
            StatusCode::OK
        );
        let program = Program::of(&desk, shed).await;
        let made = program.json("POST", "/organisation/auth-keys", json!({ "description": "k" })).await;
        let body = exchange_body(&made.text("secret"), "s1");
        let linked =
            desk.device_call_from(AMERICAN, "POST", "/client/auth-key-exchange", None, Some(body)).await;
        Device::of(&desk, &linked);
        let events = desk.app.store.audit_events(shed, 20).await.expect("reads");
        let by = |subject: &str, actor: &str| {
            let mut found = events.iter().filter(|it| it.subject == subject && it.actor == actor);
            found
                .next()
                .unwrap_or_else(|| panic!("no line about {subject} by {actor}: {events:?}"))
                .country
                .clone()
        };
        assert_eq!(by("by a person", "ann").as_deref(), Some("NL"));
        assert_eq!(by("host-s1", "k").as_deref(), Some("US"));
        assert_eq!(by("k", "host-s1").as_deref(), Some("US"));
        assert_eq!(by("Shed", "Operator"), None);
        let log = ann.get(&format!("/organisations/{shed}/audit-log")).await.body;
        assert!(log.contains("(NL)") && log.contains("(US)"), "{log}");
        let export = ann.post(&format!("/organisations/{shed}/audit-log/export"), &[]).await.body;
        assert!(export.contains(",NL") && !export.contains(DUTCH) && !export.contains(AMERICAN), "{export}");
        assert!(!log.contains(DUTCH) && !log.contains(AMERICAN));
        // Administrators hear of both by mail.
        let mails = desk.mails_to(&ann.email).await;
        assert!(mails.iter().any(|text| text.contains("2001:4860:4860::8888 (US)")), "{mails:?}");
    }
}

#[tokio::test]
async fn whoever_approves_a_code_sees_the_country() {
    let desk = desk(Engine::Sqlite).await;
    let ann = desk.person("ann").await;
    let asked = json!({ "client_id": "t", "login_hint": "s1" });
    let answer = desk.device_call_from(DUTCH, "POST", "/client/device", None, Some(asked)).await;
    let page = ann.get(&format!("/verify/{}", answer.text("user_code"))).await.body;
    assert!(page.contains(DUTCH) && page.contains("In the country") && page.contains("NL"), "{page}");
}
