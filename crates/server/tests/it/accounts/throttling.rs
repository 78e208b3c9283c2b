//! Guessing is slowed down; the owner of an account is not.

use super::site::{OTHER_PASSWORD, PASSWORD, Site};
use http::StatusCode;
use http::header::RETRY_AFTER;
use time::Duration;

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn who_guesses_waits_longer_and_longer_and_the_owner_does_not() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut owner = site.browser().signed_in(ADA).await;
    owner.post("/sign-out", &[]).await;
    for email in [ADA, "nobody@example.org"] {
        for n in 0..5 {
            let mut stranger = site.browser_at(&format!("198.51.100.{n}"));
            assert_eq!(
                stranger.sign_in(email, OTHER_PASSWORD).await.status,
                StatusCode::UNPROCESSABLE_ENTITY
            );
        }
        let answer = site.browser_at("198.51.100.77").sign_in(email, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "even the right password waits");
        assert_eq!(answer.headers[RETRY_AFTER], "1");
        assert!(answer.body.contains("Wait 1 second, then try again."), "{}", answer.body);
    }
    assert_eq!(owner.sign_in(ADA, PASSWORD).await.status, StatusCode::SEE_OTHER, "a budget of its own");
    // A browser that is known to somebody else has none here.
    let mut bob = site.browser_at("198.51.100.78");
    site.person("bob@example.org").await;
    bob.sign_in("bob@example.org", PASSWORD).await;
    bob.post("/sign-out", &[]).await;
    assert_eq!(bob.sign_in(ADA, PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    site.clock.advance(Duration::seconds(1));
    assert_eq!(bob.sign_in(ADA, PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_waits() {
    let site = Site::new().await;
    site.person(ADA).await;
    for n in 0..30 {
        let mut browser = site.browser_at("2001:db8::1");
        let answer = browser.sign_in(&format!("user{n}@example.org"), OTHER_PASSWORD).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let neighbour = site.browser_at("2001:db8::2:1").sign_in(ADA, PASSWORD).await;
    assert_eq!(neighbour.status, StatusCode::TOO_MANY_REQUESTS, "the same network");
    assert_eq!(site.browser_at("2001:db8:1::1").sign_in(ADA, PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn nobody_is_flooded_with_mail() {
    let site = Site::new().await;
    site.person(ADA).await;
    for n in 0..8 {
        let mut browser = site.browser_at(&format!("198.51.100.{n}"));
        let answer = browser.post("/forgotten-password", &[("email", ADA)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(site.mails(ADA).await.len(), 5);
    site.clock.advance(Duration::hours(1));
    site.browser().post("/forgotten-password", &[("email", ADA)]).await;
    assert_eq!(site.mails(ADA).await.len(), 6);
}

/// Whatever strangers do with an address, its owner has a link that sets a new password.
#[tokio::test]
async fn strangers_keep_no_reset_link_from_an_owner() {
    let site = Site::new().await;
    site.person(ADA).await;
    site.person("eve@example.org").await;
    let mut eve = site.browser().signed_in("eve@example.org").await;
    for n in 0..8 {
        let mut stranger = site.browser_at(&format!("198.51.100.{n}"));
        let form = [("name", "x"), ("email", ADA), ("password", OTHER_PASSWORD)];
        assert_eq!(stranger.post("/sign-up", &form).await.status, StatusCode::SEE_OTHER, "{n}");
        eve.post("/settings/account/email", &[("email", ADA)]).await;
    }
    let links = async || site.links(ADA, "reset_password").await;
    assert!(links().await.is_empty());
    let mut owner = site.browser_at("203.0.113.7");
    owner.post("/forgotten-password", &[("email", ADA)]).await;
    assert_eq!(links().await.len(), 1, "sign-ups and changes of address do not count");
    // Somebody asks all the time: the last link that was sent works until there may be another one.
    for minute in (5..=150).step_by(5) {
        site.clock.advance(Duration::minutes(5));
        let mut stranger = site.browser_at(&format!("198.51.{}.1", minute % 250));
        stranger.post("/forgotten-password", &[("email", ADA)]).await;
        let newest = links().await.remove(0);
        assert_eq!(owner.get(&newest).await.status, StatusCode::OK, "{minute}");
    }
    let newest = links().await.remove(0);
    let form = [("password", OTHER_PASSWORD)];
    assert_eq!(owner.post(&newest, &form).await.status, StatusCode::SEE_OTHER);
    assert_eq!(site.browser().sign_in(ADA, OTHER_PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn proofs_are_counted_as_well() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    for _ in 0..5 {
        assert_eq!(
            browser.post("/fresh", &[("password", "x")]).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    assert_eq!(browser.post("/fresh", &[("password", PASSWORD)]).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_of_sign_ins_is_refused_and_not_queued_without_end() {
    let site = Site::new().await;
    let all: Vec<_> = (0..120)
        .map(|n| {
            let mut browser = site.browser_at(&format!("203.0.113.{n}"));
            tokio::spawn(async move { browser.sign_in(&format!("u{n}@example.org"), PASSWORD).await })
        })
        .collect();
    let mut busy = 0;
    for one in all {
        let answer = one.await.expect("no panic");
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(answer.headers[RETRY_AFTER], "5");
            busy += 1;
        } else {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
    assert!((1..=88).contains(&busy), "{busy}");
}
