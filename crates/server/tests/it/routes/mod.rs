//! Every route × every kind of caller, compared with one table. A route without a row here fails.

mod kept_out;
mod organisation;
mod pages;
mod router;
mod rules;
mod world;

use crate::desk::{Desk, Device, Person, request};
use axum::body::Body;
use bramble_model::{OsRandom, Random, Secret, SecretKind};
use bramble_server::accounts::{self, NewUser};
use bramble_server::auth::password::Password;
use bramble_server::management::tokens;
use bramble_server::routes::{Caller, Credential, TABLE, credential_of};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{Method, StatusCode};
use rules::rule;
use time::Duration;
use tower::ServiceExt;
use world::{World, world};

/// Who gets further than "who are you?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Everybody, whatever they carry.
    Everybody,
    /// A person whose address may not be proved yet.
    Account,
    /// Every verified person, for themselves.
    Person,
    /// The person whose thing the path names; to others it does not exist.
    Owner,
    /// Whoever is in the organisation that the path names; to others it does not exist.
    Member,
    /// Its administrators; to everybody else, members included, it does not exist.
    Administrator,
    /// A program, about its organisation.
    Program,
    /// A program of the organisation whose thing the path names; to others it does not exist.
    OwnProgram,
    /// A device, about itself.
    Device,
    /// The device whose thing the path names; to others it does not exist.
    OwnDevice,
}

/// What a route asks for, beside the credential of its path.
#[derive(Debug)]
struct Rule {
    who: Who,
    /// A proof within the past hour.
    fresh: bool,
    path: String,
    body: String,
}

/// Credentials of one kind each, or none.
#[derive(Clone, Copy)]
enum With<'a> {
    Nothing,
    Cookie(&'a str),
    Bearer(&'a str),
}

async fn send(desk: &Desk, method: &str, rule: &Rule, with: With<'_>) -> (StatusCode, String) {
    // Of an address of its own each, so that nobody is slowed down.
    let random: &dyn Random = &OsRandom;
    let [a, b, c] = random.bytes::<3>();
    let mut request =
        request(method.parse::<Method>().expect("a method"), &rule.path, &format!("10.{a}.{b}.{c}"))
            .header("sec-fetch-site", "same-origin")
            .header(ACCEPT, "application/json");
    let is_json = rule.body.starts_with('{');
    request = request
        .header(CONTENT_TYPE, if is_json { "application/json" } else { "application/x-www-form-urlencoded" });
    request = match with {
        With::Nothing => request,
        With::Cookie(cookie) => request.header(COOKIE, cookie),
        With::Bearer(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
    };
    let request = request.body(Body::from(rule.body.clone())).expect("a request");
    let answer = desk.router.clone().oneshot(request).await.expect("an answer");
    let location = answer.headers().get("location").map(|to| to.to_str().expect("text").to_owned());
    (answer.status(), location.unwrap_or_default())
}

/// What proves nothing anywhere: an API token, and a device's token in the place of a cookie.
fn false_credentials() -> (String, String) {
    let random: &dyn Random = &OsRandom;
    let token = Secret::generate(SecretKind::DeviceToken, random).expose().to_owned();
    (token.replace("rpdev_", "rporg_"), format!("__Host-bramble={token}; bramble={token}"))
}

/// In which order the owner and the device take their turns: what ends things comes last.
fn turn(method: &str, pattern: &str) -> u8 {
    match (method, pattern) {
        ("POST", "/sessions/{id}/offer") => 0,
        ("GET", "/client/sessions/{id}/offer") => 2,
        ("POST", "/client/sessions/{id}/answer") => 3,
        (
            "POST",
            "/client/sessions/{id}/candidates"
            | "/client/sessions/{id}/state"
            | "/client/sessions/{id}/transfers",
        ) => 4,
        ("DELETE", "/sessions/{id}") => 5,
        (
            "POST",
            "/organisations/{organisation}/invitations/{invitation}/resend"
            | "/organisations/{organisation}/users/{user}/remove"
            | "/organisations/{organisation}/transfer"
            | "/organisations/{organisation}/api-tokens/{id}/revoke"
            | "/organisations/{organisation}/device-identities/{id}/delete"
            | "/devices/{id}/sessions/{session}/end",
        ) => 6,
        ("POST", "/organisations/{organisation}/invitations/{invitation}/revoke") | ("DELETE", "/me") => 7,
        // It takes the place of the key that other rows name.
        ("POST", "/imager/" | "/devices/{id}/sign-out" | "/settings/account/passkeys/{id}/remove") => 8,
        // Whoever goes does nothing more.
        ("POST", "/organisations/{organisation}/leave") => 10,
        ("POST", "/devices/{id}/delete" | "/remote-update/artefacts/{id}/delete")
        | (
            "DELETE",
            "/organisation/auth-keys/{id}"
            | "/organisation/device-identities/{id}"
            | "/organisation/devices/{id}",
        ) => 9,
        _ => 1,
    }
}

#[tokio::test]
async fn every_route_serves_exactly_its_callers() {
    let desk = Desk::new().await;
    let (ann, eve, mem) = (desk.person("ann").await, desk.person("eve").await, desk.person("mem").await);
    // Eve is an administrator, too, but of another organisation.
    let barn = desk.organisation(&eve, "Barn").await;
    let barns = tokens::create_as_operator(&desk.app, barn, "ci").await.expect("a token");
    let barns = barns.secret.expose().to_owned();
    let new = NewUser {
        email: "una@example.org".to_owned(),
        name: "Una".to_owned(),
        password: Password::new("copper lantern drifts over seven orchards"),
        verified: false,
    };
    accounts::create_user(&desk.app, new).await.expect("a person");
    let (mut una, mut eves) = (desk.sign_in("una@example.org").await, eve.cookie.clone());
    let (mut it, device) = world(&desk, &ann, &mem).await;
    // Whoever has the link may join: strangers get to know it only afterwards.
    let link = std::mem::replace(&mut it.link, "none".to_owned());
    let foreign = desk.device(&eve, "e1").await;
    let (api_token, odd_cookie) = false_credentials();
    let row = |method: &str, pattern: &str| {
        rule(method, pattern, &it).unwrap_or_else(|| panic!("{method} {pattern} has no row in this test"))
    };

    for (method, pattern, caller) in TABLE {
        let name = format!("{method} {pattern}");
        let rule = row(method, pattern);
        let ask = async |with| send(&desk, method, &rule, with).await;
        let nobody = ask(With::Nothing).await;
        assert_eq!(*caller == Caller::Anybody, rule.who == Who::Everybody, "{name}");
        assert_ne!(nobody.0, StatusCode::METHOD_NOT_ALLOWED, "{name} is not routed");
        assert!(!nobody.0.is_server_error(), "{name}: {nobody:?}");
        // The wrong kind of credential is as good as none.
        for bearer in [&api_token, &device.token] {
            if credential_of(pattern) != Credential::Device || *bearer == api_token {
                assert_eq!(ask(With::Bearer(bearer)).await, nobody, "{name} with a token");
            }
        }
        assert_eq!(ask(With::Cookie(&odd_cookie)).await, nobody, "{name} with a token as a cookie");
        let (unverified, stranger) = (ask(With::Cookie(&una)).await.0, ask(With::Cookie(&eves)).await.0);
        match rule.who {
            Who::Everybody => {}
            Who::Device | Who::OwnDevice | Who::Program | Who::OwnProgram => {
                let none = StatusCode::UNAUTHORIZED;
                assert_eq!((nobody.0, unverified, stranger), (none, none, none), "{name} looks at a cookie");
            }
            Who::Account | Who::Person | Who::Owner | Who::Member | Who::Administrator => {
                assert_eq!(nobody.0, StatusCode::UNAUTHORIZED, "{name}");
                assert_ne!(unverified, StatusCode::UNAUTHORIZED, "{name}");
                assert_eq!(
                    unverified == StatusCode::FORBIDDEN,
                    rule.who != Who::Account,
                    "{name} unverified"
                );
                let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&stranger);
                assert!(!refused && !stranger.is_server_error(), "{name}: {stranger}");
            }
        }
        if rule.who == Who::Administrator {
            assert_eq!(ask(With::Cookie(&mem.cookie)).await.0, StatusCode::NOT_FOUND, "{name} to a member");
        }
        if matches!(rule.who, Who::Owner | Who::Member | Who::Administrator) {
            assert_eq!(stranger, StatusCode::NOT_FOUND, "{name} to somebody else");
        }
        if rule.who == Who::OwnProgram {
            assert_eq!(ask(With::Bearer(&barns)).await.0, StatusCode::NOT_FOUND, "{name}");
        }
        if rule.who == Who::OwnDevice {
            assert_eq!(ask(With::Bearer(&foreign.token)).await.0, StatusCode::NOT_FOUND, "{name}");
        }
        if pattern.starts_with("/sign-out") {
            (una, eves) = (desk.sign_in("una@example.org").await, desk.sign_in(&eve.email).await);
        }
    }
    it.link = link;
    all_serve_their_owner(&desk, &ann, &device, &it).await;
}

/// After everybody else's tries everything is still there.
async fn all_serve_their_owner(desk: &Desk, ann: &Person, device: &Device, it: &World) {
    let mut rows: Vec<_> = TABLE.iter().collect();
    rows.sort_by_key(|(method, pattern, _)| turn(method, pattern));
    for (method, pattern, _) in rows {
        let rule = rule(method, pattern, it).expect("a row");
        let with = match rule.who {
            Who::Person | Who::Owner | Who::Member | Who::Administrator => With::Cookie(&ann.cookie),
            Who::Device | Who::OwnDevice => With::Bearer(&device.token),
            Who::Program | Who::OwnProgram => With::Bearer(&it.api_token),
            Who::Everybody | Who::Account => continue,
        };
        let (status, _) = send(desk, method, &rule, with).await;
        let refused = [401, 403, 405].contains(&status.as_u16()) || status.is_server_error();
        assert!(!refused, "{method} {pattern}: {status}");
        assert_ne!(status, StatusCode::NOT_FOUND, "{method} {pattern} to its owner");
    }
    // An hour later dangerous things ask for a proof first, and nothing else does.
    desk.clock.advance(Duration::minutes(61));
    for (method, pattern, _) in TABLE.iter().filter(|row| !row.1.starts_with("/sign-out")) {
        let rule = rule(method, pattern, it).expect("a row");
        if matches!(rule.who, Who::Account | Who::Person | Who::Owner | Who::Member | Who::Administrator) {
            let (status, _) = send(desk, method, &rule, With::Cookie(&ann.cookie)).await;
            assert_eq!(status == StatusCode::FORBIDDEN, rule.fresh, "{method} {pattern}: {status}");
        }
    }
}
