//! Signing in with another provider: who is found, who is made, who must link first, and whose answer is
//! worth nothing.

use super::fake_provider::{FakeProvider, Says};
use super::site::{Answer, Browser, OTHER_PASSWORD, PASSWORD, Plan, Site};
use bramble_server::config::Registration;
use bramble_server::config::providers::Provider;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::json;
use time::Duration;

const VERA: &str = "vera@example.org";
const ACCOUNT: &str = "/settings/account";

async fn site(engine: Engine, change: impl FnOnce(&mut Provider)) -> (Site, FakeProvider) {
    let clock = Plan::clock();
    let provider = FakeProvider::start(&clock).await;
    let mut configured = provider.configured();
    change(&mut configured);
    let plan = Plan { engine, providers: vec![configured], ..Plan::default() };
    (plan.build_at(clock).await, provider)
}

/// Where a browser is sent.
async fn leave(browser: &mut Browser, path: &str, form: &[(&str, &str)]) -> String {
    let page = browser.post(path, form).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let refresh = page.headers["refresh"].to_str().expect("text");
    refresh.strip_prefix("0; url=").expect("an address").to_owned()
}

async fn sign_in(browser: &mut Browser, provider: &FakeProvider, says: Says) -> Answer {
    let to = leave(browser, "/sign-in/provider/corp", &[("return_to", "/devices")]).await;
    browser.get(&provider.agree(&to, says)).await
}

fn is_in(browser: &Browser) -> bool {
    browser.session_cookie().is_some()
}

#[tokio::test]
async fn a_newcomer_gets_an_account_and_is_found_by_subject_alone() {
    for engine in Engine::BOTH {
        let (site, provider) = site(engine, |_| {}).await;
        let mut browser = site.browser();
        assert!(browser.get("/sign-in").await.body.contains("Sign in with Corp"));
        let done = sign_in(&mut browser, &provider, Says::person("1", VERA)).await;
        assert_eq!(
            (done.status, done.location()),
            (StatusCode::SEE_OTHER, "/devices"),
            "{engine:?}: {}",
            done.body
        );
        let page = browser.get(ACCOUNT).await;
        assert!(page.body.contains("Vera Victim") && page.body.contains("Corp"));
        assert!(!browser.cookies.contains_key("__Host-bramble-provider"));
        // Another address there, the same person here.
        let mut other = site.browser();
        sign_in(&mut other, &provider, Says::person("1", "moved@example.org")).await;
        assert!(other.get(ACCOUNT).await.body.contains(VERA), "{engine:?}");
        // The same address there, another person: nobody gets in to the account.
        let mut thief = site.browser();
        let answer = sign_in(&mut thief, &provider, Says::person("2", VERA)).await;
        assert!(answer.location().starts_with("/sign-in?return_to="), "{engine:?}");
        assert!(!is_in(&thief), "{engine:?}");
        // There is no password that signs in.
        for password in ["", PASSWORD] {
            assert_eq!(site.browser().sign_in(VERA, password).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
}

#[tokio::test]
async fn an_account_that_a_stranger_prepared_is_no_trap() {
    for engine in Engine::BOTH {
        let (site, provider) = site(engine, |_| {}).await;
        let mut stranger = site.browser();
        stranger.post("/sign-up", &[("name", "Vera"), ("email", VERA), ("password", OTHER_PASSWORD)]).await;
        stranger.sign_in(VERA, OTHER_PASSWORD).await;
        assert!(is_in(&stranger), "unverified, and signed in");
        let link = site.link(VERA, "verify_email").await;
        let mut vera = site.browser();
        let done = sign_in(&mut vera, &provider, Says::person("1", VERA)).await;
        assert_eq!(done.location(), "/devices", "{engine:?}");
        // Nothing of the stranger's is left.
        assert!(stranger.get("/verify-email").await.location().starts_with("/sign-in"));
        let again = stranger.sign_in(VERA, OTHER_PASSWORD).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "{engine:?}");
        assert_eq!(stranger.post(&link, &[("password", OTHER_PASSWORD)]).await.status, StatusCode::GONE);
        assert_eq!(vera.get(ACCOUNT).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn whoever_has_an_account_signs_in_to_it_to_link() {
    for engine in Engine::BOTH {
        let (site, provider) = site(engine, |_| {}).await;
        site.person(VERA).await;
        site.person("eve@example.org").await;
        let mut browser = site.browser();
        let answer = sign_in(&mut browser, &provider, Says::person("1", VERA)).await;
        assert!(!is_in(&browser));
        let page = browser.get(answer.location()).await;
        assert!(page.body.contains("Your address has an account here"));
        let on = page.field("return_to").expect("a path").to_owned();
        // Signed in as somebody else it is worth nothing.
        let mut eve = site.browser().signed_in("eve@example.org").await;
        assert_eq!(eve.get(&on).await.status, StatusCode::GONE);
        assert_eq!(eve.post(&on, &[]).await.status, StatusCode::GONE);
        let form = [("email", VERA), ("password", PASSWORD), ("return_to", on.as_str())];
        assert_eq!(browser.post("/sign-in", &form).await.location(), on, "{engine:?}");
        let page = browser.get(&on).await;
        assert!(page.body.contains("Link Corp to your account?") && page.body.contains(VERA));
        assert_eq!(browser.post(&on, &[]).await.location(), "/settings/account?done=linked");
        assert!(site.mails(VERA).await.contains(&"provider_linked".to_owned()));
        let mut other = site.browser();
        assert_eq!(sign_in(&mut other, &provider, Says::person("1", VERA)).await.location(), "/devices");
        assert!(is_in(&other), "{engine:?}");
        // The password still works; unlinked, the provider does not.
        let unlink = [("issuer", provider.configured().issuer), ("subject", "1".to_owned())];
        let unlink: Vec<(&str, &str)> = unlink.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let theirs = eve.post("/settings/account/providers/unlink", &unlink).await;
        assert_eq!(theirs.status, StatusCode::SEE_OTHER, "nothing of hers");
        sign_in(&mut other, &provider, Says::person("1", VERA)).await;
        let done = other.post("/settings/account/providers/unlink", &unlink).await;
        assert_eq!(done.location(), "/settings/account?done=unlinked");
        let mut after = site.browser();
        sign_in(&mut after, &provider, Says::person("1", VERA)).await;
        assert!(!is_in(&after), "{engine:?}");
    }
}

/// An administrator's invitation, and where it leads.
async fn invitation(site: &Site, ada: &mut Browser, email: &str) -> String {
    let made = ada.post("/organisations/new", &[("name", "Shed")]).await.location().to_owned();
    let shed = made.split('/').nth(2).expect("an id");
    let form = [("email", email), ("role", "member")];
    let sent = ada.post(&format!("/organisations/{shed}/invitations"), &form).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
    site.link(email, "invitation").await
}

#[tokio::test]
async fn whoever_comes_with_an_invitation_gets_to_it() {
    const ADA: &str = "ada@example.org";
    for engine in Engine::BOTH {
        let clock = Plan::clock();
        let provider = FakeProvider::start(&clock).await;
        let (registration, providers) = (Registration::Invitation, vec![provider.configured()]);
        let site = Plan { engine, registration, providers, ..Plan::default() }.build_at(clock).await;
        site.person(ADA).await;
        let mut ada = site.browser().signed_in(ADA).await;
        let link = invitation(&site, &mut ada, VERA).await;
        let come = async |browser: &mut Browser, to: &str, says: Says| {
            let away = leave(browser, "/sign-in/provider/corp", &[("return_to", to)]).await;
            browser.get(&provider.agree(&away, says)).await
        };
        // A newcomer without one, and one with somebody else's.
        let mut eve = site.browser();
        for to in ["/devices", &link, &format!("{link}x")] {
            let says = Says::person("7", "eve@example.org");
            assert_eq!(come(&mut eve, to, says).await.status, StatusCode::FORBIDDEN, "{engine:?} {to}");
        }
        assert!(!is_in(&eve));
        // The one it was sent to, who joins.
        let mut vera = site.browser();
        let done = come(&mut vera, &link, Says::person("1", VERA)).await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, link.as_str()), "{engine:?}");
        let joined = vera.post(&link, &[]).await;
        assert!(joined.location().ends_with("/devices"), "{engine:?}: {}", joined.body);
        // Used up, it lets nobody in.
        let late = come(&mut site.browser(), &link, Says::person("8", "late@example.org")).await;
        assert_eq!(late.status, StatusCode::FORBIDDEN, "{engine:?}");
        // Somebody with an account signs in to it, links, and is at the invitation again.
        site.person("bob@example.org").await;
        let link = invitation(&site, &mut ada, "bob@example.org").await;
        let mut bob = site.browser();
        let asked = come(&mut bob, &link, Says::person("2", "bob@example.org")).await;
        let on = bob.get(asked.location()).await.field("return_to").expect("a path").to_owned();
        let form = [("email", "bob@example.org"), ("password", PASSWORD), ("return_to", on.as_str())];
        assert_eq!(bob.post("/sign-in", &form).await.location(), on, "{engine:?}");
        assert!(bob.get(&on).await.body.contains(&format!("href=\"{link}\"")), "also without linking");
        assert_eq!(bob.post(&on, &[]).await.location(), link, "{engine:?}");
    }
}

#[tokio::test]
async fn an_address_counts_only_if_it_is_verified_and_trusted() {
    let refused = async |change: fn(&mut Provider), says: Says| {
        let (site, provider) = site(Engine::Sqlite, change).await;
        let mut browser = site.browser();
        let answer = sign_in(&mut browser, &provider, says).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(!is_in(&browser));
        assert!(site.app.store.user_by_email(VERA).await.expect("reads").is_none());
    };
    let vera = Says::person("1", VERA);
    refused(|it| it.trust_email = false, vera.clone()).await;
    refused(|_| {}, Says { verified: false, ..vera.clone() }).await;
    refused(|_| {}, Says { email: None, ..vera.clone() }).await;
    refused(|_| {}, Says { email: Some("not an address".to_owned()), ..vera.clone() }).await;
    // Some providers tell it elsewhere.
    let (site, provider) = site(Engine::Sqlite, |_| {}).await;
    let mut browser = site.browser();
    let answer = sign_in(&mut browser, &provider, Says { in_userinfo: true, ..vera }).await;
    assert_eq!(answer.location(), "/devices", "{}", answer.body);
}

#[tokio::test]
async fn a_subject_that_is_none_is_nobody() {
    for subject in ["", "a\0b", "a\nb", "é", &"x".repeat(256)] {
        let (site, provider) = site(Engine::Sqlite, |_| {}).await;
        let mut browser = site.browser();
        let answer = sign_in(&mut browser, &provider, Says::person(subject, VERA)).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{subject:?}");
        assert!(!is_in(&browser) && site.app.store.user_by_email(VERA).await.expect("reads").is_none());
    }
}

#[tokio::test]
async fn a_server_by_invitation_takes_newcomers_only_of_providers_that_may_bring_them() {
    for (may, taken) in [(false, false), (true, true)] {
        let clock = Plan::clock();
        let provider = FakeProvider::start(&clock).await;
        let configured = Provider { sign_up: may, ..provider.configured() };
        let plan =
            Plan { registration: Registration::Invitation, providers: vec![configured], ..Plan::default() };
        let site = plan.build_at(clock).await;
        let mut browser = site.browser();
        let answer = sign_in(&mut browser, &provider, Says::person("1", VERA)).await;
        assert_eq!(answer.status == StatusCode::SEE_OTHER, taken, "{}", answer.body);
        assert_eq!(is_in(&browser), taken);
    }
}

#[tokio::test]
async fn an_answer_is_worth_nothing_elsewhere_or_twice_or_wrong() {
    let (site, provider) = site(Engine::Sqlite, |_| {}).await;
    let vera = Says::person("1", VERA);
    let mut browser = site.browser();
    let to = leave(&mut browser, "/sign-in/provider/corp", &[]).await;
    let back = provider.agree(&to, vera.clone());
    // In another browser, with and without a journey of its own.
    let mut other = site.browser();
    assert_eq!(other.get(&back).await.status, StatusCode::GONE);
    leave(&mut other, "/sign-in/provider/corp", &[]).await;
    assert_eq!(other.get(&back).await.status, StatusCode::GONE);
    assert_eq!(other.get(&back).await.status, StatusCode::GONE, "and its own journey is over");
    let kept = browser.cookies.clone();
    assert_eq!(browser.get(&back).await.location(), "/");
    browser.cookies = kept;
    assert_eq!(browser.get(&back).await.status, StatusCode::GONE, "twice");
    // Another state, another issuer, a refusal.
    for wrong in ["state=x", "iss=https://evil.example", "error=access_denied&code="] {
        let mut browser = site.browser();
        let to = leave(&mut browser, "/sign-in/provider/corp", &[]).await;
        let back = provider.agree(&to, vera.clone());
        let name = wrong.split('=').next().expect("a name");
        let kept: Vec<&str> = back.split('&').filter(|part| !part.starts_with(name)).collect();
        let back = match name {
            "error" => format!(
                "{}?state={}&{wrong}",
                back.split('?').next().expect("a path"),
                back.split("state=").nth(1).expect("a state")
            ),
            _ => format!("{}&{wrong}", kept.join("&")),
        };
        let answer = browser.get(&back).await;
        assert!([StatusCode::GONE, StatusCode::BAD_GATEWAY].contains(&answer.status), "{wrong}");
        assert!(!is_in(&browser), "{wrong}");
    }
    // Too late.
    let mut late = site.browser();
    let to = leave(&mut late, "/sign-in/provider/corp", &[]).await;
    let back = provider.agree(&to, vera.clone());
    site.clock.advance(Duration::minutes(15));
    assert_eq!(late.get(&back).await.status, StatusCode::GONE);
    // An ID token that is for somebody else, of somebody else, of another journey, too old.
    let now = bramble_model::Clock::unix(&*site.clock);
    for wrong in [
        json!({ "aud": "another" }),
        json!({ "iss": "https://evil.example" }),
        json!({ "nonce": "x" }),
        json!({ "exp": now - 1 }),
    ] {
        let mut browser = site.browser();
        let answer = sign_in(&mut browser, &provider, Says { wrong: wrong.clone(), ..vera.clone() }).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{wrong}");
        assert!(!is_in(&browser), "{wrong}");
    }
    // A new key of the provider's is asked for.
    provider.rotate();
    let answer = sign_in(&mut site.browser(), &provider, vera).await;
    assert_eq!(answer.location(), "/devices", "{}", answer.body);
}

#[tokio::test]
async fn the_second_factor_is_asked_for_unless_the_provider_does() {
    use super::two_factor::with_phone_of;
    for provides in [false, true] {
        let (site, provider) = site(Engine::Sqlite, |it| it.provides_2fa = provides).await;
        site.person(VERA).await;
        let mut browser = site.browser().signed_in(VERA).await;
        let to = leave(&mut browser, "/settings/account/providers/corp/link", &[]).await;
        let linked = browser.get(&provider.agree(&to, Says::person("1", "v@corp.example"))).await;
        assert_eq!(linked.location(), "/settings/account?done=linked", "{}", linked.body);
        let phone = with_phone_of(&site, &mut browser).await;
        let mut other = site.browser();
        let answer = sign_in(&mut other, &provider, Says::person("1", VERA)).await;
        assert_eq!(is_in(&other), provides);
        if !provides {
            assert_eq!(answer.location(), "/sign-in/second-step?return_to=%2Fdevices");
            let code = phone.code(&site);
            let done = other.post("/sign-in/second-step", &[("code", &code)]).await;
            assert_eq!(done.status, StatusCode::SEE_OTHER);
        }
        // As a proof it is the same.
        site.clock.advance(Duration::hours(1));
        let page = other.get("/fresh").await;
        assert!(page.body.contains("Confirm with Corp"));
        let to = leave(&mut other, "/fresh/provider/corp", &[("return_to", ACCOUNT)]).await;
        assert!(to.contains("max_age=0"), "{to}");
        let answer = other.get(&provider.agree(&to, Says::person("1", VERA))).await;
        if provides {
            assert_eq!(answer.location(), ACCOUNT, "{}", answer.body);
        } else {
            let vouch = answer.field("vouch").expect("a code is missing").to_owned();
            for wrong in ["", "000000"] {
                let refused = other.post("/fresh", &[("vouch", &vouch), ("code", wrong)]).await;
                assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
            }
            let code = phone.code(&site);
            let form = [("vouch", vouch.as_str()), ("code", code.as_str()), ("return_to", ACCOUNT)];
            assert_eq!(other.post("/fresh", &form).await.location(), ACCOUNT);
        }
        assert_eq!(other.get("/settings/account/password").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_proof_is_of_this_minute_and_of_the_linked_person() {
    for engine in Engine::BOTH {
        let (site, provider) = site(engine, |_| {}).await;
        let mut browser = site.browser();
        sign_in(&mut browser, &provider, Says::person("1", VERA)).await;
        site.clock.advance(Duration::hours(1));
        let fresh = |browser: &Browser| browser.clone();
        let page = browser.get("/fresh").await;
        assert!(!page.body.contains("type=\"password\""), "there is none");
        let vera = Says::person("1", VERA);
        for wrong in [
            Says { proved_ago: None, ..vera.clone() },
            Says { proved_ago: Some(120), ..vera.clone() },
            Says { proved_ago: Some(-120), ..vera.clone() },
            Says::person("2", VERA),
        ] {
            let mut browser = fresh(&browser);
            let to = leave(&mut browser, "/fresh/provider/corp", &[]).await;
            let answer = browser.get(&provider.agree(&to, wrong)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{engine:?}");
            assert_eq!(browser.get("/settings/account/password").await.status, StatusCode::SEE_OTHER);
        }
        // Somebody else's journey proves nothing for this one.
        let mut other = site.browser();
        sign_in(&mut other, &provider, Says::person("3", "other@example.org")).await;
        let to = leave(&mut browser, "/fresh/provider/corp", &[]).await;
        let mut mixed = browser.clone();
        mixed.cookies.insert("__Host-bramble".into(), other.session_cookie().expect("one").to_owned());
        let answer = mixed.get(&provider.agree(&to, vera.clone())).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{engine:?}");
        // A form that waits goes on after it.
        let asked = browser.post("/settings/account/export", &[]).await;
        let kept = asked.field("kept").expect("the form").to_owned();
        let to = leave(&mut browser, "/fresh/provider/corp", &[("kept", &kept)]).await;
        let on = browser.get(&provider.agree(&to, vera)).await;
        assert!(on.body.contains("action=\"/settings/account/export\""), "{engine:?}: {}", on.body);
        assert_eq!(browser.get("/settings/account/password").await.status, StatusCode::OK);
        // The only way in stays.
        let unlink = [("issuer", provider.configured().issuer), ("subject", "1".to_owned())];
        let unlink: Vec<(&str, &str)> = unlink.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = browser.post("/settings/account/providers/unlink", &unlink).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        let set = browser.post("/settings/account/password", &[("password", PASSWORD)]).await;
        assert_eq!(set.status, StatusCode::SEE_OTHER);
        let done = browser.post("/settings/account/providers/unlink", &unlink).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{engine:?}: {}", done.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_journeys_of_one_newcomer_one_makes_the_account() {
    for engine in Engine::BOTH {
        let (site, provider) = site(engine, |_| {}).await;
        let mut all = Vec::new();
        for n in 0..6 {
            let mut browser = site.browser_at(&format!("192.0.2.{n}"));
            let to = leave(&mut browser, "/sign-in/provider/corp", &[]).await;
            all.push((browser, provider.agree(&to, Says::person("1", VERA))));
        }
        let all: Vec<_> = all
            .into_iter()
            .map(|(mut browser, back)| tokio::spawn(async move { browser.get(&back).await }))
            .collect();
        for one in all {
            let answer = one.await.expect("no panic");
            let fine = [StatusCode::SEE_OTHER, StatusCode::CONFLICT].contains(&answer.status);
            assert!(fine, "{engine:?}: {} {}", answer.status, answer.body);
        }
        let (people, _) =
            bramble_server::accounts::operator::list_people(&site.app, "").await.expect("reads");
        assert_eq!(people.len(), 1, "{engine:?}");
        assert_eq!(
            sign_in(&mut site.browser(), &provider, Says::person("1", VERA)).await.location(),
            "/devices"
        );
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_said_so() {
    let clock = Plan::clock();
    let provider = FakeProvider::start(&clock).await;
    // Nobody listens on the port of discard.
    let down = Provider { issuer: "http://127.0.0.1:9".to_owned(), ..provider.configured() };
    let site = Plan { providers: vec![down], ..Plan::default() }.build_at(clock).await;
    let answer = site.browser().post("/sign-in/provider/corp", &[]).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.body.contains("Corp did not confirm"));
    assert_eq!(site.browser().post("/sign-in/provider/none", &[]).await.status, StatusCode::GONE);
}
