//! A proof within the past hour, and what was asked going on after it.

use super::site::{OTHER_PASSWORD, PASSWORD, Site};
use http::{Method, StatusCode};
use time::Duration;

const ADA: &str = "ada@example.org";
const CHANGE: &str = "/settings/account/password";

#[tokio::test]
async fn a_page_opens_after_the_proof() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    site.clock.advance(Duration::minutes(59));
    assert_eq!(browser.get(CHANGE).await.status, StatusCode::OK, "the sign-in itself was a proof");
    site.clock.advance(Duration::minutes(1));
    let asked = browser.get(CHANGE).await;
    assert_eq!(asked.location(), "/fresh?return_to=%2Fsettings%2Faccount%2Fpassword");
    let page = browser.get(asked.location()).await;
    assert_eq!((page.status, page.field("return_to")), (StatusCode::OK, Some(CHANGE)));
    let wrong = browser.post("/fresh", &[("password", "x"), ("return_to", CHANGE)]).await;
    assert_eq!((wrong.status, wrong.field("return_to")), (StatusCode::UNPROCESSABLE_ENTITY, Some(CHANGE)));
    assert_eq!(browser.get(CHANGE).await.status, StatusCode::SEE_OTHER);

    let mut stolen = browser.clone();
    let right = browser.post("/fresh", &[("password", PASSWORD), ("return_to", CHANGE)]).await;
    assert_eq!(right.location(), CHANGE);
    assert_eq!(browser.get(CHANGE).await.status, StatusCode::OK);
    assert_ne!(browser.session_cookie(), stolen.session_cookie(), "the proof gives a new cookie");
    assert_eq!(stolen.get("/settings/account").await.status, StatusCode::SEE_OTHER, "the old one ended");
}

#[tokio::test]
async fn a_form_goes_on_after_the_proof() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    let mut other = site.browser().signed_in(ADA).await;
    site.clock.advance(Duration::hours(1));
    let form = [("password", OTHER_PASSWORD), ("note", "a \"b\" & <c>"), ("note", "")];
    let asked = browser.post(CHANGE, &form).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(asked.body.contains("Confirm that it is you") && !asked.body.contains(OTHER_PASSWORD));
    let kept = asked.field("kept").expect("the form").to_owned();

    // Nobody else can have it sent.
    let theirs = other.post("/fresh", &[("password", PASSWORD), ("kept", &kept)]).await;
    assert_eq!(theirs.location(), "/");
    // A wrong password keeps it.
    let wrong = browser.post("/fresh", &[("password", "x"), ("kept", &kept)]).await;
    assert_eq!(wrong.field("kept"), Some(kept.as_str()));
    let right = browser.post("/fresh", &[("password", PASSWORD), ("kept", &kept)]).await;
    assert_eq!(right.status, StatusCode::OK);
    assert!(
        right.body.contains("action=\"/settings/account/password\"") && right.body.contains("data-send-now")
    );
    assert_eq!(right.field("password"), Some(OTHER_PASSWORD));
    assert_eq!(right.field("note"), Some("a &#34;b&#34; &#38; &#60;c&#62;"));
    let done = browser.post(CHANGE, &form).await;
    assert_eq!(done.location(), "/settings/account?done=password");
    assert_eq!(site.browser().sign_in(ADA, OTHER_PASSWORD).await.status, StatusCode::SEE_OTHER);
    assert_eq!(other.get("/settings/account").await.status, StatusCode::SEE_OTHER, "other browsers are out");
}

#[tokio::test]
async fn a_kept_form_is_forgotten_after_a_while_and_cannot_be_made_up() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    site.clock.advance(Duration::hours(1));
    let asked = browser.post(CHANGE, &[("password", OTHER_PASSWORD)]).await;
    let kept = asked.field("kept").expect("the form").to_owned();
    site.clock.advance(Duration::minutes(15));
    let mut flipped = kept.clone().into_bytes();
    flipped[50] ^= 1;
    for text in [kept, String::from_utf8(flipped).expect("text"), "AAAA".into(), "ü".into()] {
        let answer = browser.post("/fresh", &[("password", PASSWORD), ("kept", &text)]).await;
        assert_eq!(answer.location(), "/");
    }
}

#[tokio::test]
async fn a_script_is_told_where_to_prove() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    site.clock.advance(Duration::hours(2));
    let headers = [("accept", "application/json"), ("referer", "https://pi.example/devices/1")];
    let answer = browser.send(Method::POST, CHANGE, &[("password", "x")], &headers).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["error"], "fresh_sign_in_required");
    assert_eq!(body["location"], "/fresh?return_to=%2Fdevices%2F1");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_proofs_at_once_leave_one_cookie_that_works() {
    let site = Site::new().await;
    site.person(ADA).await;
    let browser = site.browser().signed_in(ADA).await;
    let both = [browser.clone(), browser].map(|mut browser| {
        tokio::spawn(async move {
            let status = browser.post("/fresh", &[("password", PASSWORD)]).await.status;
            (status, browser)
        })
    });
    let mut alive = 0;
    for one in both {
        let (_, mut browser) = one.await.expect("no panic");
        alive += usize::from(browser.get(CHANGE).await.status == StatusCode::OK);
    }
    assert_eq!(alive, 1);
}

#[tokio::test]
async fn a_copied_cookie_does_not_survive_a_new_password() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    let mut thief = browser.clone();
    assert_eq!(thief.get("/settings/account").await.status, StatusCode::OK);
    let done = browser.post(CHANGE, &[("password", OTHER_PASSWORD)]).await;
    assert_eq!(done.location(), "/settings/account?done=password");
    assert_eq!(browser.get("/settings/account").await.status, StatusCode::OK, "its owner goes on");
    assert_eq!(
        thief.get("/settings/account").await.status,
        StatusCode::SEE_OTHER,
        "the copy is worth nothing"
    );
    assert_eq!(site.mails(ADA).await.last().map(String::as_str), Some("password_changed"));
}
