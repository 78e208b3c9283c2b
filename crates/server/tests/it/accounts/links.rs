//! Links: each works once, for its time, for its purpose; opening one changes nothing.

use super::site::{Browser, OTHER_PASSWORD, PASSWORD, Plan, Site};
use bramble_server::accounts;
use bramble_server::config::Registration;
use bramble_store::testing::Engine;
use http::StatusCode;
use time::Duration;

const ADA: &str = "ada@example.org";
const ACCOUNT: &str = "/settings/account";

async fn sign_up(browser: &mut Browser, email: &str, password: &str) {
    let form = [("name", "Ada"), ("email", email), ("password", password)];
    let answer = browser.post("/sign-up", &form).await;
    assert_eq!(answer.location(), "/sign-up/check-your-mail", "{}", answer.body);
}

#[tokio::test]
async fn a_person_signs_up_and_proves_the_address() {
    let site = Site::new().await;
    let mut browser = site.browser();
    sign_up(&mut browser, ADA, PASSWORD).await;
    assert_eq!(browser.session_cookie(), None, "signing up does not sign in: the answer would differ");
    let link = site.link(ADA, "verify_email").await;

    // Unverified: may wait, ask again and sign out, nothing else.
    browser.sign_in(ADA, PASSWORD).await;
    let wait = browser.get(ACCOUNT).await.location().to_owned();
    assert_eq!(wait, "/verify-email?return_to=%2Fsettings%2Faccount");
    assert!(browser.get("/verify-email").await.body.contains(ADA));
    assert!(browser.get("/fresh?return_to=/devices").await.location().starts_with("/verify-email?"));
    assert_eq!(browser.post("/settings/account/name", &[("name", "x")]).await.location(), "/verify-email");
    site.clock.advance(Duration::seconds(1));
    assert_eq!(browser.post("/verify-email/resend", &[]).await.location(), "/verify-email?sent=yes");
    assert_eq!(browser.get(&link).await.status, StatusCode::GONE, "the newer link replaced it");
    let link = site.link(ADA, "verify_email").await;

    // Opened by a mail scanner, several times: nothing happens.
    for _ in 0..3 {
        let page = site.browser().get(&link).await;
        assert_eq!(
            (page.status, &page.headers["referrer-policy"]),
            (StatusCode::OK, &"no-referrer".parse().expect("a header"))
        );
    }
    assert_eq!(browser.get(ACCOUNT).await.location(), wait);

    assert!(
        site.browser().get(&link).await.body.contains("type=\"password\""),
        "elsewhere with the password"
    );
    // Signed in with the password already: a button is enough.
    assert_eq!(browser.post(&link, &[]).await.location(), "/");
    assert_eq!(browser.get(ACCOUNT).await.status, StatusCode::OK);
    assert_eq!(browser.post(&link, &[]).await.status, StatusCode::GONE, "used");
    assert_eq!(browser.get(&link).await.status, StatusCode::GONE, "used");
}

#[tokio::test]
async fn the_browser_that_signed_up_needs_a_button_only() {
    let site = Site::new().await;
    let mut browser = site.browser();
    sign_up(&mut browser, ADA, PASSWORD).await;
    let link = site.link(ADA, "verify_email").await;
    assert!(!browser.get(&link).await.body.contains("type=\"password\""));
    assert_eq!(browser.post(&link, &[]).await.location(), "/");
    assert_eq!(browser.get(ACCOUNT).await.status, StatusCode::OK);
    assert_eq!(site.mails(ADA).await, ["verify_email"], "no mail about a new browser");
}

#[tokio::test]
async fn the_owner_of_an_address_proves_no_strangers_account() {
    let site = Site::new().await;
    let mut stranger = site.browser();
    sign_up(&mut stranger, ADA, OTHER_PASSWORD).await;
    stranger.sign_in(ADA, OTHER_PASSWORD).await;
    let link = site.link(ADA, "verify_email").await;
    let answer = site.browser().post(&link, &[("password", PASSWORD)]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.body.contains("not the password"), "{}", answer.body);

    // The owner signs up as well: the stranger's password, session and link are gone.
    site.clock.advance(Duration::seconds(1));
    let mut owner = site.browser();
    sign_up(&mut owner, ADA, PASSWORD).await;
    assert_eq!(stranger.get("/verify-email").await.location(), "/sign-in?return_to=%2Fverify-email");
    assert_eq!(owner.get(&link).await.status, StatusCode::GONE);
    let link = site.link(ADA, "verify_email").await;
    assert_eq!(
        stranger.post(&link, &[("password", OTHER_PASSWORD)]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(owner.post(&link, &[("password", PASSWORD)]).await.location(), "/");
    assert_eq!(stranger.sign_in(ADA, OTHER_PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_address_with_an_account_gets_a_mail_and_the_same_answer() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut answers = Vec::new();
    for email in [ADA, "bob@example.org"] {
        let form = [("name", "x"), ("email", email), ("password", PASSWORD)];
        let mut answer = site.browser().post("/sign-up", &form).await;
        answer.headers.remove("x-request-id");
        let cookie =
            answer.headers.remove("set-cookie").expect("a cookie").to_str().expect("text").to_owned();
        let attributes = cookie.split_once(';').expect("attributes").1.to_owned();
        answers.push((answer.status, format!("{:?}", answer.headers), attributes, answer.body));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(site.mails(ADA).await, ["already_registered"]);
    assert_eq!(site.mails("bob@example.org").await, ["verify_email"]);
    site.browser().signed_in(ADA).await;
}

#[tokio::test]
async fn a_weak_password_comes_back_with_advice_and_what_was_typed() {
    let site = Site::new().await;
    let form = [("name", "Ada L"), ("email", "ada@"), ("password", "password1")];
    let answer = site.browser().post("/sign-up", &form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in [
        "too easy to guess",
        "Add another word",
        "This is not an email address",
        "value=\"Ada L\"",
        "value=\"ada@\"",
    ] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    assert!(!answer.body.contains("password1"));
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_once() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut old = site.browser().signed_in(ADA).await;
    let mut answers = Vec::new();
    for email in [ADA, "nobody@example.org", "not an address"] {
        let mut answer = site.browser().post("/forgotten-password", &[("email", email)]).await;
        answer.headers.remove("x-request-id");
        answers.push((answer.status, format!("{:?}", answer.headers), answer.body));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(site.mails("nobody@example.org").await, Vec::<String>::new());
    let link = site.link(ADA, "reset_password").await;
    // Mails of one moment have no order.
    site.clock.advance(Duration::seconds(1));
    let mut browser = site.browser();
    assert!(browser.get(&link).await.body.contains(ADA));
    let weak = browser.post(&link, &[("password", "letmein")]).await;
    assert_eq!(weak.status, StatusCode::UNPROCESSABLE_ENTITY, "a weak one does not use the link up");
    // Mails of the same moment have no order.
    site.clock.advance(Duration::seconds(1));
    let done = browser.post(&link, &[("password", OTHER_PASSWORD)]).await;
    assert_eq!(done.location(), "/sign-in?after=reset");
    assert_eq!(browser.post(&link, &[("password", PASSWORD)]).await.status, StatusCode::GONE);
    assert_eq!(old.get(ACCOUNT).await.status, StatusCode::SEE_OTHER, "all sessions ended");
    assert_eq!(old.sign_in(ADA, PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(old.sign_in(ADA, OTHER_PASSWORD).await.status, StatusCode::SEE_OTHER);
    assert_eq!(site.mails(ADA).await, ["reset_password", "password_changed"]);
}

#[tokio::test]
async fn links_expire() {
    let site = Site::new().await;
    site.person("bob@example.org").await;
    sign_up(&mut site.browser(), ADA, PASSWORD).await;
    let verify = site.link(ADA, "verify_email").await;
    site.browser().post("/forgotten-password", &[("email", "bob@example.org")]).await;
    let reset = site.link("bob@example.org", "reset_password").await;
    site.clock.advance(Duration::hours(1) - Duration::seconds(1));
    assert_eq!(site.browser().get(&reset).await.status, StatusCode::OK);
    site.clock.advance(Duration::seconds(1));
    assert_eq!(site.browser().get(&reset).await.status, StatusCode::GONE);
    assert_eq!(site.browser().post(&reset, &[("password", OTHER_PASSWORD)]).await.status, StatusCode::GONE);
    assert_eq!(site.browser().get(&verify).await.status, StatusCode::OK);
    site.clock.advance(Duration::hours(23));
    assert_eq!(site.browser().post(&verify, &[("password", PASSWORD)]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_link_of_one_kind_does_nothing_elsewhere() {
    let site = Site::new().await;
    site.person(ADA).await;
    site.browser().post("/forgotten-password", &[("email", ADA)]).await;
    let reset = site.link(ADA, "reset_password").await;
    let token = reset.rsplit('/').next().expect("a token");
    for path in [
        format!("/verify-email/{token}"),
        format!("/setup/{token}"),
        "/reset-password/x".into(),
        format!("/reset-password/{}", "1".repeat(44)),
    ] {
        let mut browser = site.browser();
        assert_eq!(browser.get(&path).await.status, StatusCode::GONE, "{path}");
        let form = [("name", "x"), ("email", "x@example.org"), ("password", PASSWORD)];
        assert_eq!(browser.post(&path, &form).await.status, StatusCode::GONE, "{path}");
    }
    assert_eq!(site.browser().get(&reset).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_with_one_link_one_wins() {
    for engine in Engine::BOTH {
        let site = Site::on(engine).await;
        site.person(ADA).await;
        site.browser().post("/forgotten-password", &[("email", ADA)]).await;
        let link = site.link(ADA, "reset_password").await;
        let all: Vec<_> = (0..20)
            .map(|n| {
                let (mut browser, link) = (site.browser(), link.clone());
                tokio::spawn(async move {
                    let password = format!("{OTHER_PASSWORD} {n}");
                    (password.clone(), browser.post(&link, &[("password", &password)]).await.status)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for one in all {
            let (password, status) = one.await.expect("no panic");
            match status {
                StatusCode::SEE_OTHER => winners.push(password),
                other => assert_eq!(other, StatusCode::GONE, "{engine:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{engine:?}");
        assert_eq!(site.browser().sign_in(ADA, &winners[0]).await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_signs_up_twenty_times_at_once_is_one_person() {
    for engine in Engine::BOTH {
        let site = Site::on(engine).await;
        let all: Vec<_> = (0..20)
            .map(|n| {
                let mut browser = site.browser_at(&format!("192.0.2.{n}"));
                tokio::spawn(async move {
                    let form = [("name", "Ada"), ("email", ADA), ("password", PASSWORD)];
                    browser.post("/sign-up", &form).await.status
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.expect("no panic"), StatusCode::SEE_OTHER, "{engine:?}");
        }
        let mails = site.mails(ADA).await;
        assert!((1..=5).contains(&mails.len()), "{engine:?}: {mails:?}");
        let mut proved = 0;
        for link in site.links(ADA, "verify_email").await {
            let answer = site.browser().post(&link, &[("password", PASSWORD)]).await;
            proved += usize::from(answer.location() == "/");
        }
        assert_eq!(proved, 1, "{engine:?}: the last link works, the ones before do not");
        let user = site.app.store.user_by_email(ADA).await.expect("reads").expect("one person");
        assert!(accounts::personal_account(&site.app, user.id).await.expect("reads").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_up_link_makes_one_operator() {
    for engine in Engine::BOTH {
        let site = Plan { engine, registration: Registration::Closed, ..Plan::default() }.build().await;
        let origin = site.app.config.origin();
        let link = accounts::set_up_link(&site.app).await.expect("reads").expect("a link");
        let again = accounts::set_up_link(&site.app).await.expect("reads").expect("a link");
        assert_eq!(link, again, "every start prints the same link");
        let path = link.strip_prefix(&origin).expect("ours").to_owned();
        assert_eq!(site.browser().get(&path).await.status, StatusCode::OK);
        let all: Vec<_> = (0..20)
            .map(|n| {
                let (mut browser, path) = (site.browser(), path.clone());
                tokio::spawn(async move {
                    let email = format!("ada{n}@example.org");
                    let form = [("name", "Ada"), ("email", &email), ("password", PASSWORD)];
                    let status = browser.post(&path, &form).await.status;
                    (status, browser)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for one in all {
            let (status, browser) = one.await.expect("no panic");
            match status {
                StatusCode::SEE_OTHER => winners.push(browser),
                other => assert_eq!(other, StatusCode::GONE, "{engine:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{engine:?}");
        assert_eq!(winners[0].get(ACCOUNT).await.status, StatusCode::OK, "signed in and verified");
        assert_eq!(site.browser().get(&path).await.status, StatusCode::GONE);
        assert_eq!(accounts::set_up_link(&site.app).await.expect("reads"), None);
    }
}

#[tokio::test]
async fn closed_and_invitation_servers_take_nobody() {
    for registration in [Registration::Closed, Registration::Invitation] {
        let site = Plan { registration, ..Plan::default() }.build().await;
        let mut browser = site.browser();
        assert_eq!(browser.get("/sign-up").await.status, StatusCode::FORBIDDEN);
        let form = [("name", "Ada"), ("email", ADA), ("password", PASSWORD)];
        assert_eq!(browser.post("/sign-up", &form).await.status, StatusCode::FORBIDDEN);
        assert!(!browser.get("/sign-in").await.body.contains("/sign-up"));
        assert_eq!(site.mails(ADA).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_invitation_lets_its_address_in_and_leads_back_to_itself() {
    const VERA: &str = "vera@example.org";
    for engine in Engine::BOTH {
        let site = Plan { registration: Registration::Invitation, engine, ..Plan::default() }.build().await;
        site.person(ADA).await;
        let mut ada = site.browser();
        ada.sign_in(ADA, PASSWORD).await;
        let made = ada.post("/organisations/new", &[("name", "Shed")]).await.location().to_owned();
        let shed = made.split('/').nth(2).expect("an id");
        let (devices, invitations) =
            (format!("/organisations/{shed}/devices"), format!("/organisations/{shed}/invitations"));
        let mut invite = async |email: &str| {
            let sent = ada.post(&invitations, &[("email", email), ("role", "member")]).await;
            assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
            site.link(email, "invitation").await
        };
        let invitation = invite(VERA).await;
        let mut browser = site.browser();
        let sign_in = browser.get(&invitation).await.location().to_owned();
        let page = browser.get(&sign_in).await.body;
        let sign_up = page.split('"').find(|it| it.starts_with("/sign-up?return_to=")).expect("a way in");
        let form = browser.get(sign_up).await;
        assert_eq!(form.status, StatusCode::OK, "{engine:?}");
        assert!(form.body.contains(VERA) && form.body.contains(&invitation), "{}", form.body);

        // Another address is not let in, nor anybody without it.
        let with = |email: &'static str, return_to: &str| {
            [
                ("name", "Vera".to_owned()),
                ("email", email.to_owned()),
                ("password", PASSWORD.to_owned()),
                ("return_to", return_to.to_owned()),
            ]
        };
        let post = async |browser: &mut Browser, form: [(&str, String); 4]| {
            let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            browser.post("/sign-up", &form).await
        };
        let other = post(&mut browser, with("eve@example.org", &invitation)).await;
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(other.body.contains("The invitation was sent to vera@example.org."), "{}", other.body);
        for nothing in ["/", "/invitations/", "/invitations/x", "/devices"] {
            assert_eq!(
                post(&mut browser, with(VERA, nothing)).await.status,
                StatusCode::FORBIDDEN,
                "{nothing}"
            );
        }
        assert_eq!(site.mails("eve@example.org").await, Vec::<String>::new());

        let done = post(&mut browser, with(VERA, &invitation)).await;
        assert_eq!(done.location(), "/sign-up/check-your-mail", "{}", done.body);
        let link = site.link(VERA, "verify_email").await;
        assert_eq!(browser.get(&link).await.status, StatusCode::OK);
        // The mail that is sent again leads to the invitation, too.
        browser.sign_in(VERA, PASSWORD).await;
        let wait = browser.get(&invitation).await.location().to_owned();
        let page = browser.get(&wait).await;
        assert_eq!(page.field("return_to"), Some(invitation.as_str()), "{engine:?}");
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
        site.clock.advance(Duration::seconds(1));
        let again = browser.post("/verify-email/resend", &[("return_to", invitation.as_str())]).await;
        assert_eq!(again.location(), format!("{wait}&sent=yes"));
        assert_eq!(browser.get(again.location()).await.field("return_to"), Some(invitation.as_str()));
        let link = site.link(VERA, "verify_email").await;
        assert_eq!(browser.post(&link, &[]).await.location(), invitation, "back at the invitation");
        let joined = browser.post(&invitation, &[]).await;
        assert_eq!(joined.location(), devices, "{}", joined.body);

        // Used, it lets nobody in any more; nor does one that is over.
        assert_eq!(post(&mut site.browser(), with(VERA, &invitation)).await.status, StatusCode::FORBIDDEN);
        let late = invite("late@example.org").await;
        site.clock.advance(Duration::days(7));
        assert_eq!(
            post(&mut site.browser(), with("late@example.org", &late)).await.status,
            StatusCode::FORBIDDEN
        );
        assert!(!site.browser().get(&format!("/sign-in?return_to={late}")).await.body.contains("/sign-up"));
    }
}
