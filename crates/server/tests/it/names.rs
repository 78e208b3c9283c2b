//! Names and descriptions of people, wherever they can be typed: quotes, markup, formulas, marks that turn
//! the text around, nothing, and ten thousand characters.

use crate::desk::{Desk, Person};
use bramble_model::text;
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;

/// What people and attackers call things.
const NAMES: [&str; 6] = [
    "O'Brien & \"Söhne\" `Ltd`",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "=HYPERLINK(\"https://evil.example\",\"a\")",
    "\u{202E}gpj.exe\u{2066}\u{200F} x\u{0007}\r\nBcc: eve@example.org",
    "{{7*7}} ${7*7} %s %00 &lt;b&gt; ../../etc \\",
];

/// A field that takes a name.
struct Place {
    /// Where it is sent.
    path: String,
    field: &'static str,
    /// What the form wants beside it.
    rest: Vec<(&'static str, String)>,
    /// A page that shows it.
    page: String,
}

async fn places(desk: &Desk, ann: &Person, shed: AccountId) -> Vec<Place> {
    let device = desk.device(ann, "s1").await;
    desk.give(ann, &device, shed).await;
    let root = format!("/organisations/{shed}");
    let place = |path: &str, field, rest: &[(&'static str, &str)], page: &str| Place {
        path: path.to_owned(),
        field,
        rest: rest.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        page: page.to_owned(),
    };
    let sum = "ab".repeat(32);
    let provisioning = format!("{root}/provisioning");
    vec![
        place("/settings/account/name", "name", &[], "/settings/account"),
        place("/organisations/new", "name", &[], "/devices"),
        place(&format!("{root}/settings"), "name", &[], &format!("{root}/settings")),
        place(&format!("/devices/{}/settings", device.id), "name", &[], &format!("/devices/{}", device.id)),
        place("/settings/auth-keys", "description", &[("ttl_days", "7")], "/settings"),
        place(&format!("{root}/auth-keys"), "description", &[("ttl_days", "7")], &provisioning),
        place(
            &format!("{root}/auth-keys"),
            "device_name",
            &[("ttl_days", "7"), ("description", "k")],
            &provisioning,
        ),
        place(&format!("{root}/api-tokens"), "description", &[], &provisioning),
        place(
            &format!("{root}/remote-update/artefacts/new"),
            "name",
            &[("uri", "https://files.example/a"), ("checksum", &sum)],
            &format!("{root}/remote-update"),
        ),
    ]
}

async fn send(person: &Person, place: &Place, name: &str) -> crate::desk::Answer {
    let mut form: Vec<(&str, &str)> =
        place.rest.iter().map(|(field, text)| (*field, text.as_str())).collect();
    form.push((place.field, name));
    person.post(&place.path, &form).await
}

/// As a page has to write it.
fn escaped(name: &str) -> String {
    let written = |c: char| match c {
        '&' | '<' | '>' | '"' | '\'' => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    text::clean(name).chars().map(written).collect::<Vec<_>>().concat()
}

fn harmless(what: &str, page: &str) {
    for bad in ["<script>alert", "<img src=x", "\u{202E}", "\u{2066}", "\u{200F}", "\u{0007}"] {
        assert!(!page.contains(bad), "{what} has {bad:?}");
    }
}

#[tokio::test]
async fn a_name_is_text_wherever_it_is_shown() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        for place in places(&desk, &ann, shed).await {
            for name in NAMES {
                let done = send(&ann, &place, name).await;
                let what = format!("{engine:?} {} {}: {name:?}", place.path, place.field);
                assert!(
                    [StatusCode::OK, StatusCode::SEE_OTHER].contains(&done.status),
                    "{what}: {} {}",
                    done.status,
                    done.body
                );
                harmless(&what, &done.body);
                let page = ann.get(&place.page).await;
                assert_eq!(page.status, StatusCode::OK, "{what}");
                assert!(page.body.contains(&escaped(name)), "{what} is not on {}: {}", place.page, page.body);
            }
        }
        // All of them are on these by now, also where they are only mentioned.
        let root = format!("/organisations/{shed}");
        for page in ["devices", "users", "provisioning", "settings", "remote-update", "audit-log", "delete"] {
            let path = format!("{root}/{page}");
            let shown = ann.get(&path).await;
            assert_eq!(shown.status, StatusCode::OK, "{path}");
            harmless(&path, &shown.body);
        }
        let csv = ann.post(&format!("{root}/audit-log/export"), &[]).await.body;
        for line in csv.lines() {
            for cell in line.split(',') {
                assert!(!cell.starts_with(['=', '+', '@']), "a formula: {line}");
            }
            assert!(!line.starts_with("Bcc"), "a line of its own: {line}");
        }
        for mail in desk.mails_to(&ann.email).await {
            let control = mail.chars().find(|c| text::is_deceptive(*c) && !['\n', '\u{200B}'].contains(c));
            assert_eq!(control, None, "{mail}");
            assert!(!mail.lines().any(|line| line.starts_with("Bcc")), "{mail}");
        }
    }
}

#[tokio::test]
async fn a_name_that_is_too_long_or_nothing_stays_in_the_form() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    for place in places(&desk, &ann, shed).await {
        let what = format!("{} {}", place.path, place.field);
        for long in ["x".repeat(256), "ä".repeat(10_000)] {
            let refused = send(&ann, &place, &long).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{what}: {}", refused.body);
            assert!(refused.body.contains(&long), "{what} was not kept");
            assert!(!ann.get(&place.page).await.body.contains(&long), "{what} was written");
        }
        let longest = format!("<{}>", "ä".repeat(253));
        let done = send(&ann, &place, &longest).await;
        assert!(done.status != StatusCode::UNPROCESSABLE_ENTITY, "{what}: 255 characters fit");
        // Nothing but what is stripped is nothing. A device's name may be left out.
        if place.field != "device_name" {
            let refused = send(&ann, &place, " \u{202E}\u{200B}\t ").await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{what}: {}", refused.body);
        }
    }
}
