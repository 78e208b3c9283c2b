//! Passkeys: alone, as second factor, as proof; each question once; what removing the last one does.

use super::site::{Answer, Browser, PASSWORD, Plan, Site};
use super::softkey::Authenticator;
use super::two_factor::with_phone_of;
use bramble_store::testing::Engine;
use http::{Method, StatusCode};
use serde_json::Value;
use time::Duration;

const ADA: &str = "ada@example.org";
const PAGE: &str = "/settings/account/passkeys";
const STEP: &str = "/sign-in/second-step";

fn authenticator() -> Authenticator {
    Authenticator::new("https://pi.example", "pi.example")
}

async fn ask(browser: &mut Browser, path: &str) -> Value {
    let answer = browser.send(Method::POST, path, &[], &[("accept", "application/json")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// Sends the answer to a question.
async fn give(browser: &mut Browser, path: &str, question: &Value, passkey: &str) -> Answer {
    let ceremony = question["ceremony"].as_str().expect("text");
    let form = [("ceremony", ceremony), ("passkey", passkey), ("return_to", "/devices"), ("name", "Key")];
    browser.post(path, &form).await
}

async fn add(browser: &mut Browser) -> (Authenticator, Answer) {
    let mut key = authenticator();
    let question = ask(browser, "/settings/account/passkeys/question").await;
    let passkey = key.create(&question);
    let answer = give(browser, PAGE, &question, &passkey).await;
    (key, answer)
}

/// Ada in a browser, with a passkey and the recovery codes that came with it.
async fn with_passkey(engine: Engine) -> (Site, Browser, Authenticator, Vec<String>) {
    let site = Site::on(engine).await;
    site.person(ADA).await;
    let mut browser = site.browser().signed_in(ADA).await;
    let (key, answer) = add(&mut browser).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let shown = answer.body.split("data-copy-text>").nth(1).expect("codes").split('<').next().expect("codes");
    let codes = shown.lines().map(str::to_owned).collect();
    (site, browser, key, codes)
}

async fn sign_in(browser: &mut Browser, key: &mut Authenticator) -> Answer {
    let question = ask(browser, "/sign-in/passkey/question").await;
    let passkey = key.get(&question);
    give(browser, "/sign-in/passkey", &question, &passkey).await
}

fn is_in(browser: &Browser) -> bool {
    browser.session_cookie().is_some()
}

#[tokio::test]
async fn a_passkey_alone_signs_in() {
    for engine in Engine::BOTH {
        let (site, mut browser, mut key, codes) = with_passkey(engine).await;
        assert_eq!(codes.len(), 10);
        assert_eq!(site.mails(ADA).await, ["passkey_added"]);
        let page = browser.get(PAGE).await;
        assert!(page.body.contains("Key") && page.body.contains("Never"), "{}", page.body);
        let mut other = site.browser();
        assert!(other.get("/sign-in").await.body.contains("data-passkey=\"/sign-in/passkey/question\""));
        let answer = sign_in(&mut other, &mut key).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/devices"), "{engine:?}");
        assert_eq!(other.get(PAGE).await.status, StatusCode::OK, "and is fresh");
        assert!(!other.get(PAGE).await.body.contains("Never"));
        assert!(site.mails(ADA).await.contains(&"new_browser".to_owned()));
        // Not once the account is disabled.
        let ada = site.app.store.user_by_email(ADA).await.expect("reads").expect("Ada");
        bramble_server::accounts::operator::disable(&site.app, &ada, false).await.expect("done");
        let refused = sign_in(&mut site.browser(), &mut key).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn what_is_not_a_fresh_answer_of_a_known_passkey_is_refused() {
    let (site, mut browser, mut key, _) = with_passkey(Engine::Sqlite).await;
    let mut thief = site.browser();
    let question = ask(&mut thief, "/sign-in/passkey/question").await;
    let refused = async |question: &Value, passkey: &str, why: &str| {
        let mut thief = site.browser();
        let answer = give(&mut thief, "/sign-in/passkey", question, passkey).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{why}");
        assert!(!is_in(&thief), "{why}");
    };
    // Of an authenticator that nobody added, for another host, from another page, without a PIN.
    let mut stranger = authenticator();
    stranger.create(&ask(&mut browser, "/settings/account/passkeys/question").await);
    refused(&question, &stranger.get(&question), "unknown").await;
    key.verifies = false;
    refused(&question, &key.get(&question), "nobody was verified").await;
    key.verifies = true;
    key.host = "evil.example".to_owned();
    refused(&question, &key.get(&question), "another host").await;
    key.host = "pi.example".to_owned();
    key.origin = "https://evil.example".to_owned();
    refused(&question, &key.get(&question), "another page").await;
    key.origin = "https://pi.example".to_owned();
    let elsewhere = ask(&mut thief, "/sign-in/passkey/question").await;
    refused(&question, &key.get(&elsewhere), "to another question").await;
    refused(&question, "{}", "nothing").await;
    refused(&question, &"x".repeat(20_000), "too much").await;
    // The question of another occasion, and one that was changed.
    let proof = ask(&mut browser, "/fresh/question").await;
    refused(&proof, &key.get(&proof), "of another occasion").await;
    let mut changed = question.clone();
    changed["ceremony"] = Value::from(format!("{}A", changed["ceremony"].as_str().expect("text")));
    refused(&changed, &key.get(&question), "changed").await;
    // A counter that does not grow is a copied key.
    let counter = key.counter;
    key.counter = 1;
    refused(&question, &key.get_again(&question), "a copy").await;
    key.counter = counter;
    // Right, but a second time, and too late.
    let answer = key.get(&question);
    let right = give(&mut thief, "/sign-in/passkey", &question, &answer).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER, "{}", right.body);
    refused(&question, &answer, "the same again").await;
    refused(&question, &key.get(&question), "the same question again").await;
    let late = ask(&mut site.browser(), "/sign-in/passkey/question").await;
    site.clock.advance(Duration::minutes(10));
    refused(&late, &key.get(&late), "too late").await;
}

#[tokio::test]
async fn it_is_the_second_factor_after_the_password() {
    for engine in Engine::BOTH {
        let (site, _, mut key, codes) = with_passkey(engine).await;
        let mut browser = site.browser();
        assert_eq!(browser.sign_in(ADA, PASSWORD).await.location(), STEP);
        assert!(!is_in(&browser), "the password alone is not enough");
        let page = browser.get(STEP).await;
        assert!(page.body.contains("Use your passkey") && page.body.contains("data-passkey="));
        let question = ask(&mut browser, "/sign-in/second-step/question").await;
        assert_eq!(question["options"]["allowCredentials"].as_array().map(Vec::len), Some(1));
        // Another browser that waits has a question of its own.
        let mut other = site.browser();
        other.sign_in(ADA, PASSWORD).await;
        let passkey = key.get(&question);
        let theirs = give(&mut other, STEP, &question, &passkey).await;
        assert_eq!(theirs.status, StatusCode::UNPROCESSABLE_ENTITY, "{engine:?}");
        let answer = give(&mut browser, STEP, &question, &passkey).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/devices"), "{engine:?}");
        // A recovery code does instead.
        assert_eq!(other.post(STEP, &[("code", &codes[0])]).await.status, StatusCode::SEE_OTHER);
        // Without the password nobody is asked.
        let nobody = site.browser().send(Method::POST, "/sign-in/second-step/question", &[], &[]).await;
        assert_eq!(nobody.status, StatusCode::GONE);
    }
}

#[tokio::test]
async fn somebody_elses_passkey_is_no_second_factor() {
    let (site, _, mut adas, _) = with_passkey(Engine::Sqlite).await;
    site.person("eve@example.org").await;
    let mut eve = site.browser().signed_in("eve@example.org").await;
    let (mut eves, _) = add(&mut eve).await;
    let mut thief = site.browser();
    thief.sign_in(ADA, PASSWORD).await;
    let question = ask(&mut thief, "/sign-in/second-step/question").await;
    let wrong = give(&mut thief, STEP, &question, &eves.get(&question)).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!is_in(&thief));
    let right = give(&mut thief, STEP, &question, &adas.get(&question)).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER);
    // Nor does it prove for somebody else.
    let mut ada = thief;
    site.clock.advance(Duration::hours(1));
    let question = ask(&mut ada, "/fresh/question").await;
    let answer = give(&mut ada, "/fresh", &question, &eves.get(&question)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn it_proves_who_one_is() {
    for engine in Engine::BOTH {
        let (site, mut browser, mut key, codes) = with_passkey(engine).await;
        site.clock.advance(Duration::hours(1));
        let asked = browser.get(PAGE).await;
        assert_eq!(asked.location(), "/fresh?return_to=%2Fsettings%2Faccount%2Fpasskeys");
        assert!(browser.get(asked.location()).await.body.contains("data-passkey=\"/fresh/question\""));
        // The password alone is not enough any more; with a recovery code it is.
        let alone = browser.post("/fresh", &[("password", PASSWORD)]).await;
        assert_eq!(alone.status, StatusCode::UNPROCESSABLE_ENTITY);
        let mut stolen = browser.clone();
        let question = ask(&mut browser, "/fresh/question").await;
        let answer = give(&mut browser, "/fresh", &question, &key.get(&question)).await;
        assert_eq!(answer.location(), "/devices", "{engine:?}: {}", answer.body);
        assert_eq!(browser.get(PAGE).await.status, StatusCode::OK);
        assert_eq!(stolen.get("/settings/account").await.status, StatusCode::SEE_OTHER, "a new cookie");
        site.clock.advance(Duration::hours(1));
        let form = [("password", PASSWORD), ("code", codes[0].as_str())];
        assert_eq!(browser.post("/fresh", &form).await.location(), "/");
        // A form that waits goes on after it.
        site.clock.advance(Duration::hours(1));
        let asked = browser.post("/settings/account/export", &[]).await;
        let kept = asked.field("kept").expect("the form").to_owned();
        let question = ask(&mut browser, "/fresh/question").await;
        let passkey = key.get(&question);
        let ceremony = question["ceremony"].as_str().expect("text");
        let form = [("ceremony", ceremony), ("passkey", passkey.as_str()), ("kept", kept.as_str())];
        let on = browser.post("/fresh", &form).await;
        assert!(on.body.contains("action=\"/settings/account/export\""), "{engine:?}");
    }
}

#[tokio::test]
async fn an_app_that_goes_beside_a_passkey_does_not_pass_for_the_end_of_the_second_factor() {
    for engine in Engine::BOTH {
        let (site, mut browser, _, _) = with_passkey(engine).await;
        with_phone_of(&site, &mut browser).await;
        let off = browser.post("/settings/account/two-factor/turn-off", &[]).await;
        assert_eq!(off.status, StatusCode::SEE_OTHER, "{engine:?}: {}", off.body);
        let told = site.texts(ADA, "two_factor_off").await;
        assert!(told.len() == 1 && told[0].contains("Your passkeys are still asked for"), "{told:?}");
        assert!(!told[0].contains("password alone"), "{told:?}");
        assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.location(), STEP, "{engine:?}");
    }
}

#[tokio::test]
async fn removing_the_last_one_leaves_a_password_and_no_codes() {
    for engine in Engine::BOTH {
        let (site, mut browser, mut key, codes) = with_passkey(engine).await;
        let (mut second, answer) = add(&mut browser).await;
        assert_eq!(answer.location(), "/settings/account/passkeys?done=added", "no new codes");
        let ada = site.app.store.user_by_email(ADA).await.expect("reads").expect("Ada");
        for (number, last) in [(0, false), (0, true)] {
            let left = site.app.store.passkeys(ada.id).await.expect("reads");
            let path = format!("{PAGE}/{}/remove", left[number].id);
            assert_eq!(browser.get(&path).await.body.contains("your last second factor"), last);
            assert!(browser.post(&path, &[]).await.location().ends_with("done=removed"), "{engine:?}");
            assert_eq!(browser.post(&path, &[]).await.status, StatusCode::NOT_FOUND);
            let next = if last { "/" } else { STEP };
            assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.location(), next);
        }
        for key in [&mut key, &mut second] {
            let answer = sign_in(&mut site.browser(), key).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{engine:?}");
        }
        assert_eq!(site.app.store.recovery_codes_left(ada.id).await.expect("reads"), 0);
        assert!(!codes.is_empty());
        let told = site.texts(ADA, "passkey_removed").await;
        let says_last = told.iter().filter(|text| text.contains("It was your last second factor")).count();
        assert_eq!((told.len(), says_last), (2, 1), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_one_answer_at_once_one_gets_in() {
    for engine in Engine::BOTH {
        let (site, _, mut key, _) = with_passkey(engine).await;
        let question = ask(&mut site.browser(), "/sign-in/passkey/question").await;
        let passkey = key.get(&question);
        let all: Vec<_> = (0..8)
            .map(|n| {
                let mut browser = site.browser_at(&format!("192.0.2.{n}"));
                let (question, passkey) = (question.clone(), passkey.clone());
                tokio::spawn(async move {
                    give(&mut browser, "/sign-in/passkey", &question, &passkey).await.status
                })
            })
            .collect();
        let mut inside = 0;
        for one in all {
            inside += usize::from(one.await.expect("no panic") == StatusCode::SEE_OTHER);
        }
        assert_eq!(inside, 1, "{engine:?}");
    }
}

#[tokio::test]
async fn one_key_belongs_to_one_account_and_one_answer_adds_it_once() {
    let (site, mut browser, _, _) = with_passkey(Engine::Sqlite).await;
    site.person("eve@example.org").await;
    let mut eve = site.browser().signed_in("eve@example.org").await;
    let question = ask(&mut browser, "/settings/account/passkeys/question").await;
    let mut key = authenticator();
    let passkey = key.create(&question);
    let hers = give(&mut eve, PAGE, &question, &passkey).await;
    assert_eq!(hers.status, StatusCode::UNPROCESSABLE_ENTITY, "the question was Ada's");
    assert_eq!(give(&mut browser, PAGE, &question, &passkey).await.status, StatusCode::SEE_OTHER);
    let twice = give(&mut browser, PAGE, &question, &passkey).await;
    assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY, "answered already");
    let question = ask(&mut eve, "/settings/account/passkeys/question").await;
    let passkey = key.create(&question);
    let hers = give(&mut eve, PAGE, &question, &passkey).await;
    assert_eq!(hers.status, StatusCode::CONFLICT, "the key is known");
    assert!(!site.mails("eve@example.org").await.contains(&"passkey_added".to_owned()));
    // One that verified nobody is not added.
    let question = ask(&mut eve, "/settings/account/passkeys/question").await;
    let mut lazy = authenticator();
    lazy.verifies = false;
    let passkey = lazy.create(&question);
    assert_eq!(give(&mut eve, PAGE, &question, &passkey).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_address_without_a_name_has_none_and_says_why() {
    for url in ["https://192.0.2.7", "https://[2001:db8::7]"] {
        let site = Plan { url, ..Plan::default() }.build().await;
        site.person(ADA).await;
        let mut browser = site.browser().signed_in(ADA).await;
        let page = browser.get(PAGE).await;
        assert!(page.body.contains("Passkeys belong to a host name") && !page.body.contains("data-passkey="));
        assert!(!site.browser().get("/sign-in").await.body.contains("data-passkey="));
        let asked = browser.send(Method::POST, "/settings/account/passkeys/question", &[], &[]).await;
        assert_eq!(asked.status, StatusCode::CONFLICT);
        let asked = site.browser().send(Method::POST, "/sign-in/passkey/question", &[], &[]).await;
        assert_eq!(asked.status, StatusCode::CONFLICT);
    }
}

#[tokio::test]
async fn the_operator_removes_lost_ones() {
    use bramble_server::accounts::operator;
    for engine in Engine::BOTH {
        let (site, _, mut key, _) = with_passkey(engine).await;
        let (people, _) = operator::list_people(&site.app, "").await.expect("a list");
        assert!(people[0].two_factor);
        let ada = operator::find_person(&site.app, ADA).await.expect("a look").expect("Ada");
        assert!(operator::reset_two_factor(&site.app, &ada).await.expect("done"));
        assert!(!operator::reset_two_factor(&site.app, &ada).await.expect("done"));
        let told = site.texts(ADA, "two_factor_off").await;
        assert!(told.len() == 1 && told[0].contains("The operator of Bramble"), "{told:?}");
        assert_eq!(site.browser().sign_in(ADA, PASSWORD).await.location(), "/");
        let answer = sign_in(&mut site.browser(), &mut key).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{engine:?}");
    }
}
