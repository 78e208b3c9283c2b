//! Another address: the link goes to it, both are told, and nobody learns whose an address is.

use super::site::{Browser, OTHER_PASSWORD, PASSWORD, Plan, Site};
use bramble_store::testing::Engine;
use http::StatusCode;
use time::Duration;

const ADA: &str = "ada@example.org";
const NEW: &str = "Ada.Lovelace@example.org";
const PAGE: &str = "/settings/account/email";
const ASKED: &str = "/settings/account?done=email-asked";
const CHANGED: &str = "/settings/account?done=email";

async fn asked(engine: Engine) -> (Site, Browser, String) {
    let site = Site::on(engine).await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    assert_eq!(browser.post(PAGE, &[("email", NEW)]).await.location(), ASKED);
    let link = site.link(NEW, "change_email").await;
    (site, browser, link)
}

#[tokio::test]
async fn the_address_changes_once_the_link_is_confirmed() {
    for engine in Engine::BOTH {
        let (site, mut browser, link) = asked(engine).await;
        // A scanner or somebody without the account opens it: nothing happens.
        assert!(site.browser().get(&link).await.location().starts_with("/sign-in?"));
        let page = browser.get(&link).await;
        assert_eq!(
            (page.status, &page.headers["referrer-policy"]),
            (StatusCode::OK, &"no-referrer".parse().expect("a header"))
        );
        assert!(page.body.contains(ADA) && page.body.contains(NEW));
        assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.status, StatusCode::SEE_OTHER);

        site.clock.advance(Duration::seconds(1));
        assert_eq!(browser.post(&link, &[]).await.location(), CHANGED, "{engine:?}");
        assert!(browser.get(CHANGED).await.body.contains(NEW));
        assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            site.browser().sign_in("ada.lovelace@example.org", PASSWORD).await.status,
            StatusCode::SEE_OTHER
        );
        // Mails of one moment have no order, and other browsers signed in.
        let told = async |email| {
            let mut kinds = site.mails(email).await;
            kinds.retain(|kind| kind != "new_browser");
            kinds
        };
        assert_eq!(told(ADA).await, ["email_change_asked", "email_changed"]);
        assert_eq!(told(NEW).await, ["change_email", "email_changed"]);
        assert_eq!(browser.post(&link, &[]).await.status, StatusCode::GONE, "it works once");
        assert_eq!(browser.get(&link).await.status, StatusCode::GONE);
    }
}

#[tokio::test]
async fn a_link_is_of_one_account_and_of_one_day() {
    let (site, mut browser, link) = asked(Engine::Sqlite).await;
    site.person("eve@example.org").await;
    let mut eve = site.browser().signed_in("eve@example.org").await;
    assert_eq!(eve.get(&link).await.status, StatusCode::GONE);
    assert_eq!(eve.post(&link, &[]).await.status, StatusCode::GONE);
    assert_eq!(browser.get(&link).await.status, StatusCode::OK, "her try did not use it up");
    // Another wish replaces it.
    site.clock.advance(Duration::seconds(1));
    browser.post(PAGE, &[("email", "third@example.org")]).await;
    assert_eq!(browser.get(&link).await.status, StatusCode::GONE);
    let link = site.link("third@example.org", "change_email").await;
    site.clock.advance(Duration::hours(24) - Duration::seconds(1));
    assert_eq!(browser.get(&link).await.status, StatusCode::OK);
    let asked = browser.post(&link, &[]).await;
    assert!(asked.body.contains("Confirm that it is you"), "a day later it asks for a proof");
    site.clock.advance(Duration::seconds(1));
    assert_eq!(browser.get(&link).await.status, StatusCode::GONE);
    browser.post("/fresh", &[("password", PASSWORD)]).await;
    assert_eq!(browser.post(&link, &[]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_taken_address_is_told_by_mail_alone() {
    let site = Site::new().await;
    for email in [ADA, "bob@example.org"] {
        site.person(email).await;
    }
    let mut browser = site.browser().signed_in(ADA).await;
    let mut answers = Vec::new();
    for email in ["free@example.org", "bob@example.org"] {
        site.clock.advance(Duration::seconds(1));
        let mut answer = browser.post(PAGE, &[("email", email)]).await;
        answer.headers.remove("x-request-id");
        answers.push((answer.status, format!("{:?}", answer.headers), answer.body));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(site.mails("free@example.org").await, ["change_email"]);
    assert_eq!(site.mails("bob@example.org").await, ["email_taken"]);
    assert_eq!(site.mails(ADA).await, ["email_change_asked", "email_change_asked"]);
    // That the first link stopped working is so whether the second address is taken or not.
    let link = site.link("free@example.org", "change_email").await;
    assert_eq!(browser.get(&link).await.status, StatusCode::GONE);

    for wrong in ["", "nothing", ADA, " ADA@example.org "] {
        let answer = browser.post(PAGE, &[("email", wrong)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    }
}

#[tokio::test]
async fn an_outstanding_reset_link_of_the_old_address_is_dead() {
    for engine in Engine::BOTH {
        let (site, mut browser, link) = asked(engine).await;
        site.browser().post("/forgotten-password", &[("email", ADA)]).await;
        let reset = site.link(ADA, "reset_password").await;
        assert_eq!(site.browser().get(&reset).await.status, StatusCode::OK);
        assert_eq!(browser.post(&link, &[]).await.location(), CHANGED);
        assert_eq!(site.browser().get(&reset).await.status, StatusCode::GONE, "{engine:?}");
        let answer = site.browser().post(&reset, &[("password", OTHER_PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::GONE);
        // Were it still in the store, the address that it went to would tell.
        let mut other = site.browser();
        site.clock.advance(Duration::seconds(1));
        other.post("/forgotten-password", &[("email", NEW)]).await;
        let reset = site.link(NEW, "reset_password").await;
        let moved = "UPDATE users SET email = 'x@example.org', email_folded = 'x@example.org'";
        site.app.store.execute_for_tests(moved).await;
        assert_eq!(other.get(&reset).await.status, StatusCode::GONE, "{engine:?}");
        assert_eq!(other.post(&reset, &[("password", OTHER_PASSWORD)]).await.status, StatusCode::GONE);
    }
}

#[tokio::test]
async fn a_new_password_stops_the_change() {
    let (site, mut browser, link) = asked(Engine::Sqlite).await;
    let changed = browser.post("/settings/account/password", &[("password", OTHER_PASSWORD)]).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.post(&link, &[]).await.status, StatusCode::GONE);

    site.clock.advance(Duration::seconds(1));
    browser.post(PAGE, &[("email", NEW)]).await;
    let link = site.link(NEW, "change_email").await;
    site.browser().post("/forgotten-password", &[("email", ADA)]).await;
    let reset = site.link(ADA, "reset_password").await;
    site.browser().post(&reset, &[("password", PASSWORD)]).await;
    let mut browser = site.browser().signed_in(ADA).await;
    assert_eq!(browser.post(&link, &[]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn whoever_proves_an_address_gets_it_before_an_unproved_account() {
    for engine in Engine::BOTH {
        let (site, mut browser, link) = asked(engine).await;
        let squat = [("name", "Squatter"), ("email", NEW), ("password", OTHER_PASSWORD)];
        let mut squatter = site.browser();
        squatter.post("/sign-up", &squat).await;
        squatter.sign_in(NEW, OTHER_PASSWORD).await;
        assert_eq!(browser.post(&link, &[]).await.location(), CHANGED, "{engine:?}");
        assert!(squatter.get("/verify-email").await.location().starts_with("/sign-in"));
        assert_eq!(site.browser().sign_in(NEW, PASSWORD).await.location(), "/");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_take_one_address_at_once_one_gets_it() {
    for engine in Engine::BOTH {
        let site = Plan { engine, ..Plan::default() }.build().await;
        let mut both = Vec::new();
        for email in ["a@example.org", "b@example.org"] {
            site.person(email).await;
            site.clock.advance(Duration::seconds(1));
            let mut browser = site.browser().signed_in(email).await;
            browser.post(PAGE, &[("email", NEW)]).await;
            let link = site.link(NEW, "change_email").await;
            // Each sends it twice.
            both.push((browser.clone(), link.clone()));
            both.push((browser, link));
        }
        let all: Vec<_> = both
            .into_iter()
            .map(|(mut browser, link)| tokio::spawn(async move { browser.post(&link, &[]).await }))
            .collect();
        let mut done = 0;
        for one in all {
            let answer = one.await.expect("no panic");
            done += usize::from(answer.location() == CHANGED);
            assert!(!answer.status.is_server_error(), "{engine:?}: {}", answer.body);
        }
        assert_eq!(done, 1, "{engine:?}");
        assert_eq!(site.browser().sign_in(NEW, PASSWORD).await.status, StatusCode::SEE_OTHER);
    }
}
