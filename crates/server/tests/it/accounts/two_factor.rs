//! Two-factor authentication: turning it on and off, signing in with it, and everything that must not
//! get around it.

use super::site::{Answer, Browser, OTHER_PASSWORD, PASSWORD, Site};
use bramble_model::Clock;
use bramble_model::two_factor::Seed;
use bramble_store::testing::Engine;
use http::StatusCode;
use time::Duration;

const ADA: &str = "ada@example.org";
const PAGE: &str = "/settings/account/two-factor";
const STEP: &str = "/sign-in/second-step";
const CODES: &str = "/settings/account/two-factor/recovery-codes";

/// The app on somebody's phone.
pub struct Phone(Seed);

impl Phone {
    /// Types what the page says into the app.
    fn scan(page: &Answer) -> Self {
        let text = page.body.split("data-copy-text>").nth(1).expect("the secret");
        let text: String = text.chars().take_while(|c| *c != '<').filter(|c| *c != ' ').collect();
        let value = |c: u8| if c.is_ascii_uppercase() { c - b'A' } else { c - b'2' + 26 };
        let bits: Vec<u8> =
            text.bytes().flat_map(|c| (0..5).rev().map(move |bit| value(c) >> bit & 1)).collect();
        let bytes: Vec<u8> =
            bits.chunks_exact(8).map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
        Self(Seed::from_slice(&bytes).expect("20 bytes"))
    }

    pub fn code(&self, site: &Site) -> String {
        self.0.code_at(site.clock.now())
    }
}

fn recovery_codes(page: &Answer) -> Vec<String> {
    let text = page.body.split("data-copy-text>").nth(1).expect("the codes");
    let text = text.split('<').next().expect("text");
    text.lines().map(str::to_owned).collect()
}

/// Turns it on, and moves the clock to the next step: a code works once.
async fn turn_on(site: &Site, browser: &mut Browser) -> (Phone, Vec<String>) {
    let page = browser.get(PAGE).await;
    assert_eq!(page.status, StatusCode::OK);
    let phone = Phone::scan(&page);
    let form = [("set_up", page.field("set_up").expect("the seed")), ("code", &phone.code(site))];
    let done = browser.post(PAGE, &form).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    site.clock.advance(Duration::seconds(30));
    (phone, recovery_codes(&done))
}

/// Turns it on for whoever is in this browser.
pub async fn with_phone_of(site: &Site, browser: &mut Browser) -> Phone {
    turn_on(site, browser).await.0
}

/// A site with somebody who has it on.
async fn with_phone(engine: Engine) -> (Site, Browser, Phone, Vec<String>) {
    let site = Site::on(engine).await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    let (phone, codes) = turn_on(&site, &mut browser).await;
    (site, browser, phone, codes)
}

#[tokio::test]
async fn a_person_turns_it_on_signs_in_with_it_and_turns_it_off() {
    for engine in Engine::BOTH {
        let (site, mut browser, phone, codes) = with_phone(engine).await;
        assert_eq!(codes.len(), 10);
        assert_eq!(site.mails(ADA).await, ["two_factor_on"]);
        let page = browser.get(PAGE).await;
        assert!(page.body.contains("It is on") && !page.body.contains(&codes[0]), "shown once");

        let mut other = site.browser();
        let form = [("email", ADA), ("password", PASSWORD), ("return_to", "/devices")];
        let asked = other.post("/sign-in", &form).await;
        assert_eq!(asked.location(), "/sign-in/second-step?return_to=%2Fdevices");
        assert_eq!(other.session_cookie(), None, "no session before the second factor");
        let page = other.get(asked.location()).await;
        assert_eq!((page.status, page.field("return_to")), (StatusCode::OK, Some("/devices")));
        let wrong = other.post(STEP, &[("code", "000000"), ("return_to", "/devices")]).await;
        assert_eq!(
            (wrong.status, wrong.field("return_to")),
            (StatusCode::UNPROCESSABLE_ENTITY, Some("/devices"))
        );
        assert_eq!(other.get("/settings/account").await.status, StatusCode::SEE_OTHER);
        let right = other.post(STEP, &[("code", &phone.code(&site)), ("return_to", "/devices")]).await;
        assert_eq!((right.status, right.location()), (StatusCode::SEE_OTHER, "/devices"), "{engine:?}");
        assert_eq!(other.get("/settings/account").await.status, StatusCode::OK);
        assert!(!other.cookies.contains_key("__Host-bramble-sign-in"));

        assert_eq!(
            browser.post("/settings/account/two-factor/turn-off", &[]).await.status,
            StatusCode::SEE_OTHER
        );
        let mut mails = site.mails(ADA).await;
        mails.sort();
        assert_eq!(mails, ["new_browser", "two_factor_off", "two_factor_on"]);
        assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.location(), "/");
    }
}

#[tokio::test]
async fn it_is_not_on_before_the_app_showed_a_code() {
    let site = Site::new().await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    let mut other = site.browser().signed_in(ADA).await;
    let page = browser.get(PAGE).await;
    assert!(page.body.contains("data:image/svg+xml;base64,"));
    let (phone, set_up) = (Phone::scan(&page), page.field("set_up").expect("the seed").to_owned());
    let wrong = browser.post(PAGE, &[("set_up", &set_up), ("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.field("set_up"), Some(set_up.as_str()), "the same picture is shown again");
    assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.location(), "/");

    // Another session's seed, a made up one, and one that is too old are worth nothing.
    let code = phone.code(&site);
    for text in [&set_up, "", "AAAA"] {
        let answer = other.post(PAGE, &[("set_up", text), ("code", &code)]).await;
        assert_eq!(answer.location(), PAGE, "{text:?}");
    }
    site.clock.advance(Duration::minutes(59));
    assert_eq!(browser.post("/fresh", &[("password", PASSWORD)]).await.location(), "/");
    site.clock.advance(Duration::minutes(1));
    let late = browser.post(PAGE, &[("set_up", &set_up), ("code", &phone.code(&site))]).await;
    assert_eq!(late.location(), PAGE);
    assert!(site.mails(ADA).await.iter().all(|kind| kind != "two_factor_on"));
}

#[tokio::test]
async fn a_code_works_once() {
    for engine in Engine::BOTH {
        let (site, _, phone, _) = with_phone(engine).await;
        let code = phone.code(&site);
        let (mut first, mut second) = (site.browser(), site.browser());
        first.sign_in(ADA, PASSWORD).await;
        second.sign_in(ADA, PASSWORD).await;
        assert_eq!(first.post(STEP, &[("code", &code)]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(second.post(STEP, &[("code", &code)]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        // The code that turned it on counts as used as well, though its step is still in the window.
        site.clock.advance(Duration::seconds(-30));
        let answer = second.post(STEP, &[("code", &phone.code(&site))]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_the_same_code_at_once_one_gets_in() {
    for engine in Engine::BOTH {
        for recovery in [false, true] {
            let (site, _, phone, codes) = with_phone(engine).await;
            let code = if recovery { codes[0].clone() } else { phone.code(&site) };
            let mut waiting = Vec::new();
            for _ in 0..4 {
                let mut browser = site.browser();
                browser.sign_in(ADA, PASSWORD).await;
                waiting.push(browser);
            }
            let all: Vec<_> = waiting
                .into_iter()
                .map(|mut browser| {
                    let code = code.clone();
                    tokio::spawn(async move { browser.post(STEP, &[("code", &code)]).await.status })
                })
                .collect();
            let mut inside = 0;
            for one in all {
                inside += usize::from(one.await.expect("no panic") == StatusCode::SEE_OTHER);
            }
            assert_eq!(inside, 1, "{engine:?}, recovery: {recovery}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_sign_in_begins_one_session_in_one_browser_within_ten_minutes() {
    for engine in Engine::BOTH {
        let (site, _, phone, codes) = with_phone(engine).await;
        // Two different codes with the same waiting sign-in: one session.
        let mut browser = site.browser();
        browser.sign_in(ADA, PASSWORD).await;
        let both = [codes[0].clone(), codes[1].clone()].map(|code| {
            let mut browser = browser.clone();
            tokio::spawn(async move {
                browser.post(STEP, &[("code", &code)]).await;
                browser.session_cookie().is_some()
            })
        });
        let mut begun = 0;
        for one in both {
            begun += usize::from(one.await.expect("no panic"));
        }
        assert_eq!(begun, 1, "{engine:?}");
        let again = browser.post(STEP, &[("code", &codes[2])]).await;
        assert_eq!(again.location(), "/sign-in", "it was used");

        // Nobody else has it.
        let mut stranger = site.browser();
        assert_eq!(stranger.get(STEP).await.location(), "/sign-in");
        assert_eq!(stranger.post(STEP, &[("code", &codes[2])]).await.location(), "/sign-in");
        stranger.cookies.insert("__Host-bramble-sign-in".into(), "1".repeat(44));
        assert_eq!(stranger.post(STEP, &[("code", &codes[2])]).await.location(), "/sign-in");

        let mut late = site.browser();
        late.sign_in(ADA, PASSWORD).await;
        site.clock.advance(Duration::minutes(10));
        assert_eq!(late.get(STEP).await.location(), "/sign-in");
        late.sign_in(ADA, PASSWORD).await;
        assert_eq!(late.post(STEP, &[("code", &phone.code(&site))]).await.location(), "/");
    }
}

#[tokio::test]
async fn recovery_codes_work_once_each_and_the_person_is_told() {
    for engine in Engine::BOTH {
        let (site, mut browser, _, codes) = with_phone(engine).await;
        for (used, code) in codes.iter().take(7).enumerate() {
            let mut other = site.browser();
            other.sign_in(ADA, PASSWORD).await;
            let typed = code.to_lowercase().replace('-', " ");
            assert_eq!(other.post(STEP, &[("code", &typed)]).await.status, StatusCode::SEE_OTHER);
            other = site.browser();
            other.sign_in(ADA, PASSWORD).await;
            let twice = other.post(STEP, &[("code", code)]).await;
            assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY, "{used}");
        }
        let told = site.mails(ADA).await.iter().filter(|kind| *kind == "recovery_code_used").count();
        assert_eq!(told, 7);
        let all = bramble_server::mail::list(&site.app).await.expect("the outbox");
        // Mails of the same moment have no order.
        let few = all.iter().find(|mail| mail.subject.contains("make new ones")).expect("a mail");
        assert!(site.text(few.id).await.contains("You have 3 left. Make new ones soon."));

        let made = recovery_codes(&browser.post(CODES, &[]).await);
        let mut other = site.browser();
        other.sign_in(ADA, PASSWORD).await;
        let old = other.post(STEP, &[("code", &codes[9])]).await;
        assert_eq!(old.status, StatusCode::UNPROCESSABLE_ENTITY, "the old ones stopped working");
        assert_eq!(other.post(STEP, &[("code", &made[0])]).await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn a_fresh_sign_in_takes_both_factors() {
    let (site, mut browser, phone, codes) = with_phone(Engine::Sqlite).await;
    site.clock.advance(Duration::hours(1));
    let asked = browser.get(PAGE).await;
    assert_eq!(asked.location(), "/fresh?return_to=%2Fsettings%2Faccount%2Ftwo-factor");
    assert!(browser.get("/fresh").await.body.contains("name=\"code\""));
    let code = phone.code(&site);
    for (password, code) in [(PASSWORD, ""), (PASSWORD, "000000"), ("x", code.as_str())] {
        let answer = browser.post("/fresh", &[("password", password), ("code", code)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let right = browser.post("/fresh", &[("password", PASSWORD), ("code", &code), ("return_to", PAGE)]).await;
    assert_eq!(right.location(), PAGE, "a wrong password did not use the code up");
    assert_eq!(browser.get(PAGE).await.status, StatusCode::OK);

    // The same code neither proves again nor signs in; a recovery code does.
    site.clock.advance(Duration::hours(1));
    let again = browser.post("/fresh", &[("password", PASSWORD), ("code", &code)]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    let recovered = browser.post("/fresh", &[("password", PASSWORD), ("code", &codes[0])]).await;
    assert_eq!(recovered.location(), "/");
    // Nothing of it is changed by somebody who is not fresh.
    site.clock.advance(Duration::hours(1));
    for path in [PAGE, CODES, "/settings/account/two-factor/turn-off"] {
        let answer = browser.post(path, &[]).await;
        assert!(answer.body.contains("Confirm that it is you"), "{path}");
    }
}

#[tokio::test]
async fn a_forgotten_password_does_not_remove_it() {
    let (site, _, phone, _) = with_phone(Engine::Sqlite).await;
    let mut waiting = site.browser();
    waiting.sign_in(ADA, PASSWORD).await;
    let mut browser = site.browser();
    browser.post("/forgotten-password", &[("email", ADA)]).await;
    let link = site.link(ADA, "reset_password").await;
    let answer = browser.post(&link, &[("password", OTHER_PASSWORD)]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(waiting.get(STEP).await.location(), "/sign-in", "the old password's sign-in ended");
    assert_eq!(browser.sign_in(ADA, OTHER_PASSWORD).await.location(), STEP);
    assert_eq!(browser.session_cookie(), None);
    assert_eq!(browser.post(STEP, &[("code", &phone.code(&site))]).await.location(), "/");
}

#[tokio::test]
async fn guessing_codes_is_slowed_down_and_locks_no_owner_out() {
    let (site, mut owner, phone, _) = with_phone(Engine::Sqlite).await;
    let mut thief = site.browser_at("203.0.113.9");
    let mut refused = false;
    for _ in 0..6 {
        // A new waiting sign-in each time does not give new tries.
        thief.sign_in(ADA, PASSWORD).await;
        refused = thief.post(STEP, &[("code", "000000")]).await.status == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(refused);
    let right = thief.post(STEP, &[("code", &phone.code(&site))]).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "not even the right one");
    owner.post("/sign-out", &[]).await;
    owner.sign_in(ADA, PASSWORD).await;
    assert_eq!(owner.post(STEP, &[("code", &phone.code(&site))]).await.location(), "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn turned_on_twice_at_once_one_app_counts() {
    for engine in Engine::BOTH {
        let site = Site::on(engine).await;
        site.person(ADA).await;
        let browser = site.browser().signed_in(ADA).await;
        let mut forms = Vec::new();
        for _ in 0..2 {
            let page = browser.clone().get(PAGE).await;
            let set_up = page.field("set_up").expect("the seed").to_owned();
            forms.push((set_up, Phone::scan(&page).code(&site)));
        }
        // Both pages are open before either form is sent.
        let all: Vec<_> = forms
            .into_iter()
            .map(|(set_up, code)| {
                let mut browser = browser.clone();
                tokio::spawn(async move {
                    browser.post(PAGE, &[("set_up", &set_up), ("code", &code)]).await.status
                })
            })
            .collect();
        let mut answers = Vec::new();
        for one in all {
            answers.push(one.await.expect("no panic").as_u16());
        }
        answers.sort_unstable();
        assert_eq!(answers, [200, 303], "{engine:?}");
        assert_eq!(site.mails(ADA).await, ["two_factor_on"]);
    }
}

#[tokio::test]
async fn the_operator_disables_enables_and_resets() {
    use bramble_server::accounts::operator;
    for engine in Engine::BOTH {
        let (site, mut browser, phone, _) = with_phone(engine).await;
        let (people, more) = operator::list_people(&site.app, "").await.expect("a list");
        assert_eq!((people.len(), people[0].two_factor, people[0].disabled, more), (1, true, false, false));
        let ada = operator::find_person(&site.app, " ADA@example.org").await.expect("a look").expect("Ada");
        assert!(operator::find_person(&site.app, "eve@example.org").await.expect("a look").is_none());

        let mut waiting = site.browser();
        waiting.sign_in(ADA, PASSWORD).await;
        assert!(operator::disable(&site.app, &ada, false).await.expect("done").changed);
        assert!(!operator::disable(&site.app, &ada, false).await.expect("done").changed, "already");
        assert_eq!(browser.get("/settings/account").await.status, StatusCode::SEE_OTHER);
        assert_eq!(waiting.post(STEP, &[("code", &phone.code(&site))]).await.location(), "/sign-in");
        let kept_out = site.browser().sign_in(ADA, PASSWORD).await;
        assert_eq!(kept_out.status, StatusCode::UNPROCESSABLE_ENTITY);

        assert!(operator::enable(&site.app, &ada).await.expect("done"));
        assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.location(), STEP);
        assert!(operator::reset_two_factor(&site.app, &ada).await.expect("done"));
        assert!(!operator::reset_two_factor(&site.app, &ada).await.expect("done"));
        assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.location(), "/");
        assert_eq!(site.mails(ADA).await.iter().filter(|kind| *kind == "two_factor_off").count(), 1);
    }
}
