//! Nothing secret is ever in a log.

use super::site::{OTHER_PASSWORD, PASSWORD, Site};
use bramble_server::{accounts, mail};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing::Level;
use tracing::instrument::WithSubscriber;

const ADA: &str = "ada.canary@example.org";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_are_in_no_log() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(move || writer.clone()).finish();
    let secrets = whole_story().with_subscriber(subscriber).await;
    let log = String::from_utf8(captured.0.lock().expect("not poisoned").clone()).expect("text");
    assert!(log.contains("a person signed in") && log.contains("mail show"), "the log was captured: {log}");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
    }
}

/// Everything that handles secrets; returns them.
async fn whole_story() -> Vec<String> {
    let site = Site::new().await;
    let set_up = accounts::set_up_link(&site.app).await.expect("reads").expect("a link");
    let mut browser = site.browser();
    browser.get(&set_up["https://pi.example".len()..]).await;
    browser.post("/sign-up", &[("name", "Ada"), ("email", ADA), ("password", PASSWORD)]).await;
    let verify = site.link(ADA, "verify_email").await;
    browser.get(&verify).await;
    browser.post(&verify, &[("password", "wrong canary")]).await;
    browser.post(&verify, &[("password", PASSWORD)]).await;
    let session = browser.session_cookie().expect("a cookie").to_owned();
    browser.sign_in(ADA, "wrong canary").await;
    browser.post("/forgotten-password", &[("email", ADA)]).await;
    let reset = site.link(ADA, "reset_password").await;
    browser.get(&reset).await;
    browser.post(&reset, &[("password", OTHER_PASSWORD)]).await;
    browser.post(&reset, &[("password", OTHER_PASSWORD)]).await;
    browser.sign_in(ADA, OTHER_PASSWORD).await;
    mail::delivery::round(&site.app, None).await.expect("a round");
    let token = |link: &str| link.rsplit('/').next().expect("a token").to_owned();
    vec![
        PASSWORD.into(),
        OTHER_PASSWORD.into(),
        "wrong canary".into(),
        ADA.into(),
        session,
        browser.session_cookie().expect("a cookie").to_owned(),
        browser.cookies["__Host-bramble-browser"].clone(),
        token(&set_up),
        token(&verify),
        token(&reset),
    ]
}
