//! Sessions: their cookies, their ends, and where signing in leads.

use super::site::{FIREFOX, OTHER_PASSWORD, PASSWORD, Plan, Site};
use http::StatusCode;
use http::header::SET_COOKIE;
use std::time::Instant;
use time::Duration;

const ADA: &str = "ada@example.org";
const ACCOUNT: &str = "/settings/account";

#[tokio::test]
async fn a_person_signs_in_and_out() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser();
    let first = browser.get(ACCOUNT).await;
    assert_eq!(
        (first.status, first.location()),
        (StatusCode::SEE_OTHER, "/sign-in?return_to=%2Fsettings%2Faccount")
    );
    let page = browser.get(first.location()).await;
    assert_eq!(page.field("return_to"), Some(ACCOUNT));
    let form = [("email", " ADA@example.org"), ("password", PASSWORD), ("return_to", ACCOUNT)];
    let answer = browser.post("/sign-in", &form).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, ACCOUNT));
    let page = browser.get(ACCOUNT).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Firefox on Linux") && page.body.contains("This browser"), "{}", page.body);
    assert_eq!(browser.get("/sign-in").await.location(), "/", "who is signed in needs no form");

    let old = browser.clone();
    assert_eq!(browser.post("/sign-out", &[]).await.location(), "/sign-in");
    assert_eq!(browser.session_cookie(), None);
    for mut gone in [browser, old] {
        assert_eq!(gone.get(ACCOUNT).await.status, StatusCode::SEE_OTHER, "the session ended on the server");
    }
}

#[tokio::test]
async fn cookies_have_every_attribute_that_keeps_them_safe() {
    for (url, names, secure) in [
        ("https://pi.example", ["__Host-bramble=", "__Host-bramble-browser="], true),
        ("http://localhost:8080", ["bramble=", "bramble-browser="], false),
    ] {
        let site = Plan { url, ..Plan::default() }.build().await;
        site.person(ADA).await;
        let answer = site.browser().sign_in(ADA, PASSWORD).await;
        let cookies: Vec<_> =
            answer.headers.get_all(SET_COOKIE).iter().map(|v| v.to_str().expect("text")).collect();
        assert_eq!(cookies.len(), 2);
        for (cookie, name) in cookies.iter().zip(names) {
            assert!(cookie.starts_with(name), "{cookie}");
            assert!(
                cookie.contains("; HttpOnly")
                    && cookie.contains("; SameSite=Lax")
                    && cookie.contains("; Path=/;")
            );
            assert_eq!(cookie.contains("; Secure"), secure);
            assert!(!cookie.contains("Domain"));
        }
    }
}

#[tokio::test]
async fn signing_in_leads_to_local_paths_only() {
    let site = Site::new().await;
    site.person(ADA).await;
    for (wish, led) in [
        ("/devices?q=a", "/devices?q=a"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\t/evil.example", "/"),
        ("", "/"),
    ] {
        let form = [("email", ADA), ("password", PASSWORD), ("return_to", wish)];
        let mut browser = site.browser();
        assert_eq!(browser.post("/sign-in", &form).await.location(), led, "{wish:?}");
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", wish).finish();
        assert_eq!(browser.get(&format!("/sign-in?{query}")).await.location(), led, "{wish:?}");
        assert_eq!(browser.get(&format!("/fresh?{query}")).await.location(), led, "{wish:?}");
    }
}

#[tokio::test]
async fn known_and_unknown_addresses_get_the_same_answer() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut bodies = Vec::new();
    for email in [ADA, "bob@example.org"] {
        let answer = site.browser().sign_in(email, OTHER_PASSWORD).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!answer.body.contains(OTHER_PASSWORD), "a password is never sent back");
        let mut headers = answer.headers;
        for own in ["x-request-id", "date"] {
            headers.remove(own);
        }
        assert!(answer.body.contains(email), "what was typed stays");
        bodies.push((format!("{headers:?}"), answer.body.replace(email, "…")));
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn known_and_unknown_addresses_take_the_same_time() {
    const UNKNOWN: &str = "bob@example.org";
    let site = Site::new().await;
    site.person(ADA).await;
    // The shortest of some, asked for in turn: a busy machine makes none shorter.
    let mut shortest = [std::time::Duration::MAX; 3];
    for _ in 0..5 {
        for (email, shortest) in [ADA, UNKNOWN, "no address"].into_iter().zip(&mut shortest) {
            let begun = Instant::now();
            site.browser().sign_in(email, OTHER_PASSWORD).await;
            *shortest = begun.elapsed().min(*shortest);
        }
    }
    let [known, others @ ..] = shortest;
    // Without a password to check it would be a twentieth.
    assert!(others.iter().all(|other| *other > known / 4 && *other < known * 4), "{shortest:?}");

    // What costs a different amount of work leaves at the next multiple of a quarter of a second.
    for email in [ADA, UNKNOWN] {
        for (path, form) in [
            ("/forgotten-password", vec![("email", email)]),
            ("/sign-up", vec![("name", "A"), ("email", email), ("password", PASSWORD)]),
        ] {
            let begun = Instant::now();
            site.browser().post(path, &form).await;
            assert!(begun.elapsed().as_millis() >= 250, "{path} {email}");
        }
    }
}

#[tokio::test]
async fn a_session_ends_by_age_and_by_idleness() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut busy = site.browser().signed_in(ADA).await;
    let mut idle = site.browser().signed_in(ADA).await;
    for _ in 0..4 {
        site.clock.advance(Duration::days(6));
        assert_eq!(busy.get(ACCOUNT).await.status, StatusCode::OK);
    }
    assert_eq!(idle.get(ACCOUNT).await.status, StatusCode::SEE_OTHER, "unused for 24 days");
    site.clock.advance(Duration::days(6));
    assert_eq!(busy.get(ACCOUNT).await.status, StatusCode::SEE_OTHER, "the thirtieth day");

    let mut idle = site.browser().signed_in(ADA).await;
    site.clock.advance(Duration::days(7) - Duration::seconds(1));
    assert_eq!(idle.get(ACCOUNT).await.status, StatusCode::OK, "a moment before");
    site.clock.advance(Duration::days(7));
    assert_eq!(idle.get(ACCOUNT).await.status, StatusCode::SEE_OTHER, "a week unused");
}

#[tokio::test]
async fn signing_in_replaces_the_browsers_session() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    let mut stolen = browser.clone();
    let before = browser.session_cookie().map(str::to_owned);
    browser.sign_in(ADA, PASSWORD).await;
    assert_ne!(browser.session_cookie().map(str::to_owned), before);
    assert_eq!(browser.get(ACCOUNT).await.status, StatusCode::OK);
    assert_eq!(stolen.get(ACCOUNT).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all() {
    let site = Site::new().await;
    site.person(ADA).await;
    site.person("bob@example.org").await;
    let mut here = site.browser().signed_in(ADA).await;
    let mut there = site.browser().signed_in(ADA).await;
    let mut third = site.browser().signed_in(ADA).await;
    let mut bob = site.browser().signed_in("bob@example.org").await;

    let bobs = end_links(&bob.get(ACCOUNT).await.body);
    assert_eq!(bobs.len(), 1);
    here.post(&bobs[0], &[]).await;
    assert_eq!(bob.get(ACCOUNT).await.status, StatusCode::OK, "nobody ends another person's session");

    let mine = end_links(&there.get(ACCOUNT).await.body);
    assert_eq!(mine.len(), 3);
    let others = end_links(&here.get(ACCOUNT).await.body);
    // The page marks its own session: what is in both lists and not marked here belongs to others.
    assert_eq!(others.len(), 3);
    assert_eq!(
        here.post("/settings/account/sessions/end-others", &[]).await.location(),
        "/settings/account?done=others"
    );
    assert_eq!(here.get(ACCOUNT).await.status, StatusCode::OK);
    for gone in [&mut there, &mut third] {
        assert_eq!(gone.get(ACCOUNT).await.status, StatusCode::SEE_OTHER);
    }
    let own = end_links(&here.get(ACCOUNT).await.body);
    assert_eq!(here.post(&own[0], &[]).await.location(), "/sign-in");

    let mut here = site.browser().signed_in(ADA).await;
    let mut there = site.browser().signed_in(ADA).await;
    here.post("/sign-out-everywhere", &[]).await;
    for gone in [&mut here, &mut there] {
        assert_eq!(gone.get(ACCOUNT).await.status, StatusCode::SEE_OTHER);
    }
}

fn end_links(page: &str) -> Vec<String> {
    let found = page.split("action=\"/settings/account/sessions/").skip(1);
    found
        .filter_map(|rest| rest.split('"').next())
        .filter(|path| path.ends_with("/end"))
        .map(|path| format!("/settings/account/sessions/{path}"))
        .collect()
}

#[tokio::test]
async fn only_a_browser_that_is_new_causes_a_mail() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut first = site.browser().signed_in(ADA).await;
    assert_eq!(site.mails(ADA).await, Vec::<String>::new(), "the first one ever is expected");
    first.post("/sign-out", &[]).await;
    first.signed_in(ADA).await;
    assert_eq!(site.mails(ADA).await, Vec::<String>::new(), "it is known after signing out");
    site.browser_at("203.0.113.9").signed_in(ADA).await;
    assert_eq!(site.mails(ADA).await, ["new_browser"]);
    let all = bramble_server::mail::list(&site.app).await.expect("the outbox");
    let text = site.text(all[0].id).await;
    assert!(text.contains("203.0.113.9") && text.contains("Firefox on Linux"), "{text}");
    assert!(!text.contains(FIREFOX));
}

#[tokio::test]
async fn a_script_is_told_and_not_sent_away() {
    let site = Site::new().await;
    let json = [("accept", "application/json")];
    let answer = site.browser().send(http::Method::GET, ACCOUNT, &[], &json).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains("sign_in_required"));
    let htmx = [("hx-request", "true"), ("hx-current-url", "https://pi.example/devices?q=a")];
    let answer = site.browser().send(http::Method::GET, ACCOUNT, &[], &htmx).await;
    assert_eq!(answer.headers["hx-redirect"], "/sign-in?return_to=%2Fdevices%3Fq%3Da");
}

#[tokio::test]
async fn a_name_changes_and_a_bad_one_stays_in_the_form() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    let answer = browser.post("/settings/account/name", &[("name", "  Grace \u{202E}<b> ")]).await;
    let page = browser.get(answer.location()).await;
    assert!(
        page.body.contains("Your name was changed.") && page.body.contains("Grace &#60;b&#62;"),
        "{}",
        page.body
    );
    let long = "x".repeat(256);
    let answer = browser.post("/settings/account/name", &[("name", &long)]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.body.contains("at most 255 characters") && answer.body.contains(&long));
}
