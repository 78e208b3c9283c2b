//! Every time after which something stops working, to the second: right before it works, right after it
//! does not, and a clock that jumped over all of them brings nothing back. The numbers are those of the
//! documentation, not the code's.

use super::site::{OTHER_PASSWORD, PASSWORD, Site};
use super::two_factor::with_phone_of;
use crate::desk::{Desk, Person};
use bramble_model::account::Role;
use bramble_server::organisations::invitations;
use bramble_server::{audit, mail};
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;
use serde_json::json;
use time::Duration;

/// Longer than all of them.
const AGES: Duration = Duration::days(400);

/// Whose clock moves.
trait Clocked {
    fn advance(&self, by: Duration);
}

impl Clocked for Desk {
    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

impl Clocked for Site {
    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

/// Makes three of something that may be used up by the look at it: one is looked at right before its end, one
/// right after it, and one long after.
async fn ends<W: Clocked, T>(
    what: &str,
    world: &W,
    life: Duration,
    make: impl AsyncFn(&W, usize) -> T,
    works: impl AsyncFn(&W, &T) -> bool,
) {
    let mut three = Vec::new();
    for n in 0..3 {
        three.push(make(world, n).await);
    }
    world.advance(life - Duration::SECOND);
    assert!(works(world, &three[0]).await, "{what}: right before its end");
    world.advance(Duration::SECOND);
    assert!(!works(world, &three[1]).await, "{what}: right after its end");
    world.advance(AGES);
    assert!(!works(world, &three[2]).await, "{what}: long after its end");
}

async fn shared(engine: Engine) -> (Desk, Person, Person, AccountId) {
    let desk = Desk::on(engine).await;
    let (ann, mem) = (desk.person("ann").await, desk.person("mem").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &mem, Role::Member).await;
    (desk, ann, mem, shed)
}

/// An account and a browser of its own for each.
async fn browser(site: &Site, n: usize) -> (String, super::site::Browser) {
    let email = format!("p{n}@example.org");
    site.person(&email).await;
    let browser = site.browser_at(&format!("192.0.2.{n}")).signed_in(&email).await;
    (email, browser)
}

#[tokio::test]
async fn sessions_and_proofs() {
    for engine in Engine::BOTH {
        let site = Site::on(engine).await;
        let open = async |path: &'static str, who: &(String, super::site::Browser)| {
            who.1.clone().get(path).await.status == StatusCode::OK
        };
        ends("an idle session", &site, Duration::days(7), browser, async |_, who| {
            open("/settings/account", who).await
        })
        .await;

        let site = Site::on(engine).await;
        ends("a proof", &site, Duration::hours(1), browser, async |_, who| {
            open("/settings/account/password", who).await
        })
        .await;

        // However busy it is.
        let site = Site::on(engine).await;
        let (_, mut busy) = browser(&site, 0).await;
        let mut left = Duration::days(30);
        while left > Duration::days(3) {
            site.clock.advance(Duration::days(3));
            left -= Duration::days(3);
            assert_eq!(busy.get("/settings/account").await.status, StatusCode::OK, "{engine:?} {left}");
        }
        site.clock.advance(left - Duration::SECOND);
        assert_eq!(busy.get("/settings/account").await.status, StatusCode::OK, "{engine:?}: right before");
        site.clock.advance(Duration::SECOND);
        assert_ne!(busy.get("/settings/account").await.status, StatusCode::OK, "{engine:?}: right after");
    }
}

#[tokio::test]
async fn a_sign_in_that_waits_for_its_second_step() {
    let site = Site::new().await;
    // Turning it on takes time: before what is measured.
    let mut people = Vec::new();
    for n in 0..3 {
        let (email, mut browser) = browser(&site, n).await;
        with_phone_of(&site, &mut browser).await;
        people.push(email);
    }
    let make = async |site: &Site, n: usize| {
        let email = people[n].clone();
        let mut waiting = site.browser_at(&format!("198.51.100.{n}"));
        waiting.sign_in(&email, PASSWORD).await;
        assert!(waiting.session_cookie().is_none());
        waiting
    };
    ends("a waiting sign-in", &site, Duration::minutes(10), make, async |_, browser| {
        browser.clone().get("/sign-in/second-step").await.status == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn links_in_mails() {
    for engine in Engine::BOTH {
        let site = Site::on(engine).await;
        let lost = async |site: &Site, n: usize| {
            let (email, mut browser) = browser(site, n).await;
            browser.post("/forgotten-password", &[("email", &email)]).await;
            site.link(&email, "reset_password").await
        };
        let reset = async |site: &Site, link: &String| {
            let done = site.browser_at("203.0.113.1").post(link, &[("password", OTHER_PASSWORD)]).await;
            done.location() == "/sign-in?after=reset"
        };
        ends("a reset", &site, Duration::hours(1), lost, reset).await;

        let site = Site::on(engine).await;
        let new = async |site: &Site, n: usize| {
            let (email, mut browser) =
                (format!("n{n}@example.org"), site.browser_at(&format!("192.0.2.{n}")));
            let form = [("name", "N"), ("email", email.as_str()), ("password", PASSWORD)];
            assert_eq!(browser.post("/sign-up", &form).await.status, StatusCode::SEE_OTHER);
            site.link(&email, "verify_email").await
        };
        let verify = async |site: &Site, link: &String| {
            let done = site.browser_at("203.0.113.1").post(link, &[("password", PASSWORD)]).await;
            done.status == StatusCode::SEE_OTHER
        };
        ends("an address to be proved", &site, Duration::hours(24), new, verify).await;

        let site = Site::on(engine).await;
        let moved = async |site: &Site, n: usize| {
            let (email, mut browser) = browser(site, n).await;
            let to = format!("to{n}@example.org");
            browser.post("/settings/account/email", &[("email", &to)]).await;
            (email, site.link(&to, "change_email").await)
        };
        let confirm = async |site: &Site, (email, link): &(String, String)| {
            let mut browser = site.browser_at("203.0.113.1").signed_in(email).await;
            browser.post(link, &[]).await.status == StatusCode::SEE_OTHER
        };
        ends("another address", &site, Duration::hours(24), moved, confirm).await;
    }
}

#[tokio::test]
async fn invitations_and_what_they_let_somebody_do() {
    for engine in Engine::BOTH {
        let (desk, ann, _, shed) = shared(engine).await;
        let invite = async |desk: &Desk, n: usize| {
            let guest = desk.person(&format!("guest{n}")).await;
            let email = guest.email.clone();
            (desk.invitation(&ann, shed, &email, Role::Member).await, guest)
        };
        let accept = async |desk: &Desk, (link, guest): &(String, Person)| {
            let guest = guest.elsewhere(desk).await;
            guest.post(&format!("/invitations/{link}"), &[]).await.status == StatusCode::SEE_OTHER
        };
        // Each mail is a second later than the one before: the first is looked at right before its end, the
        // second is two seconds older than that when its end has come.
        let mut made = Vec::new();
        for n in 0..2 {
            made.push(invite(&desk, n).await);
        }
        desk.clock.advance(Duration::days(7) - Duration::seconds(2));
        assert!(accept(&desk, &made[0]).await, "{engine:?}: right before its end");
        desk.clock.advance(Duration::seconds(2));
        assert!(!accept(&desk, &made[1]).await, "{engine:?}: right after its end");
        desk.clock.advance(AGES);
        assert!(!accept(&desk, &made[1]).await, "{engine:?}: long after its end");
        invitations::sweep(&desk.app).await.expect("sweeps");
        assert!(
            desk.app.store.invitations(shed, 10).await.expect("reads").is_empty(),
            "{engine:?}: forgotten"
        );
    }
}

#[tokio::test]
async fn codes_and_keys_of_devices() {
    for engine in Engine::BOTH {
        let (desk, ann, _, shed) = shared(engine).await;
        let ask = async |desk: &Desk, n: usize| {
            let asked = json!({ "client_id": "t", "login_hint": format!("s{n}") });
            let answer = desk.device_call("POST", "/client/device", None, Some(asked)).await;
            (answer.text("device_code"), answer.text("user_code"))
        };
        let waits = async |desk: &Desk, (device, user): &(String, String)| {
            let body = json!({ "client_id": "t", "device_code": device });
            let polled = desk.device_call("POST", "/client/token", None, Some(body)).await.text("error");
            let page = ann.elsewhere(desk).await.get(&format!("/verify/{user}")).await.status;
            assert_eq!(
                page == StatusCode::OK,
                polled == "authorization_pending",
                "{engine:?}: {polled} {page}"
            );
            page == StatusCode::OK
        };
        ends("a code", &desk, Duration::minutes(15), ask, waits).await;

        // Approved, and its device asks too late.
        let approved = async |desk: &Desk, n: usize| {
            let (device, user) = ask(desk, n).await;
            let account = ann.account.to_string();
            let form =
                [("decision", "approve"), ("name", "x"), ("entry", "new"), ("account", account.as_str())];
            let done = ann.elsewhere(desk).await.post(&format!("/verify/{user}"), &form).await;
            assert_eq!(done.status, StatusCode::OK, "{}", done.body);
            device
        };
        let fetch = async |desk: &Desk, device: &String| {
            let body = json!({ "client_id": "t", "device_code": device });
            desk.device_call("POST", "/client/token", None, Some(body)).await.status == StatusCode::OK
        };
        ends("an approval", &desk, Duration::minutes(10), approved, fetch).await;

        for days in [1, 7, 90] {
            let path = format!("/organisations/{shed}/auth-keys");
            let key = async |desk: &Desk, _: usize| {
                let form = [("description", "k"), ("ttl_days", &*days.to_string())];
                let made = ann.elsewhere(desk).await.post(&path, &form).await;
                let secret =
                    made.body.split("rpoak_").nth(1).expect("a key").get(..24).expect("24 characters");
                format!("rpoak_{secret}")
            };
            let link =
                async |desk: &Desk, key: &String| desk.exchange(key, "k1").await.status == StatusCode::OK;
            ends("an auth key", &desk, Duration::days(days), key, link).await;
        }
    }
}

#[tokio::test]
async fn days_of_grace_and_the_memory_of_the_log() {
    for engine in Engine::BOTH {
        let (desk, ann, mem, shed) = shared(engine).await;
        let form = [("required", "yes")];
        let required = ann.post(&format!("/organisations/{shed}/settings/two-factor"), &form).await;
        assert_eq!(required.status, StatusCode::SEE_OTHER, "{}", required.body);
        let sees = async |desk: &Desk, person: &Person| {
            let path = format!("/organisations/{shed}/devices");
            person.elsewhere(desk).await.get(&path).await.status == StatusCode::OK
        };
        let members = async |_: &Desk, n: usize| if n == 0 { ann.clone() } else { mem.clone() };
        ends("the days of grace", &desk, Duration::days(14), members, sees).await;

        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let line = async |desk: &Desk, n: usize| desk.organisation(&ann, &format!("Shed {n}")).await;
        let remembered = async |desk: &Desk, shed: &AccountId| {
            audit::log::sweep(&desk.app).await.expect("sweeps");
            !desk.audit(*shed).await.is_empty()
        };
        // Ninety days are whole days: it goes in the second after them.
        ends("a line of the log", &desk, Duration::days(90) + Duration::SECOND, line, remembered).await;
    }
}

/// A clock that jumped over everything while nobody looked: nothing fails, nothing is forgotten that should
/// stay, and people go on by signing in.
#[tokio::test]
async fn a_clock_that_jumped_past_everything() {
    for engine in Engine::BOTH {
        let (desk, ann, mem, shed) = shared(engine).await;
        let device = desk.device(&ann, "s1").await;
        desk.give(&ann, &device, shed).await;
        desk.invitation(&ann, shed, "ivy@example.org", Role::Member).await;
        desk.key(&ann).await;
        desk.clock.advance(AGES * 10);
        for path in ["/devices", "/settings/account", "/organisations/new"] {
            assert_eq!(ann.get(path).await.status, StatusCode::SEE_OTHER, "{engine:?} {path}");
        }
        let (ann, mem) = (ann.elsewhere(&desk).await, mem.elsewhere(&desk).await);
        for page in ["devices", "users", "provisioning", "audit-log", "settings"] {
            let path = format!("/organisations/{shed}/{page}");
            assert_eq!(ann.get(&path).await.status, StatusCode::OK, "{engine:?} {path}");
        }
        assert_eq!(mem.get(&format!("/devices/{}", device.id)).await.status, StatusCode::OK, "{engine:?}");
        assert_eq!(device.status().await, StatusCode::OK, "{engine:?}: a device's token has no end");
        // What is old goes, and the server does not mind doing it all at once.
        audit::log::sweep(&desk.app).await.expect("sweeps");
        invitations::sweep(&desk.app).await.expect("sweeps");
        bramble_server::linking::sweep(&desk.app).await.expect("sweeps");
        assert!(mail::list(&desk.app).await.is_ok());
        assert!(desk.audit(shed).await.is_empty(), "{engine:?}");
        assert_eq!(ann.get("/devices").await.status, StatusCode::OK, "{engine:?}");
    }
}
