//! Every route that names something which an organisation may own × every kind of caller: nobody, somebody
//! else, another organisation's administrator, a member, an administrator, both without the second factor
//! that is required, a program of the organisation and of another one, a device of the organisation and of
//! somebody else. A route with an id in its path that is not named here fails.

use super::rules::{is_open, of_organisation, rule};
use super::world::{World, world};
use super::{Who, With, send, turn};
use crate::desk::{Desk, Device, Person};
use bramble_model::account::{Role, TWO_FACTOR_GRACE};
use bramble_server::deployments::rollouts;
use bramble_server::management::tokens;
use bramble_server::routes::{Credential, TABLE, credential_of};
use http::StatusCode;
use serde_json::json;

/// Who reaches what an organisation owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// Nothing of an organisation: everybody has their own.
    Own,
    /// Everybody who is in it.
    Member,
    /// Its administrators. To members it does not exist.
    Administrator,
    /// The browser that opened the session, of whoever is in it. To administrators it does not exist.
    Opener,
    /// A program of it.
    Program,
    /// A device of it.
    Device,
}

/// `None` of a route that names something and that nobody has decided about.
fn right(method: &str, pattern: &str) -> Option<Right> {
    if is_open(method, pattern) {
        return Some(Right::Own);
    }
    match credential_of(pattern) {
        Credential::ApiToken => return Some(Right::Program),
        Credential::Device => return Some(Right::Device),
        Credential::Cookie => {}
    }
    if let Some((who, _)) = of_organisation(method, pattern) {
        return Some(if who == Who::Member { Right::Member } else { Right::Administrator });
    }
    Some(match (method, pattern) {
        _ if is_for_members(method, pattern) => Right::Member,
        ("POST", "/imager/" | "/verify/{code}") => Right::Administrator,
        (
            _,
            "/sessions/{id}" | "/sessions/{id}/offer" | "/sessions/{id}/candidates" | "/sessions/{id}/events",
        ) => Right::Opener,
        // A code that a device shows, and a link in a mail, are whosever eyes fall on them.
        ("GET", "/verify/{code}")
        | (
            _,
            "/invitations/{token}"
            | "/settings/auth-keys/{id}/delete"
            | "/settings/account/passkeys/{id}/name"
            | "/settings/account/passkeys/{id}/remove"
            | "/settings/account/email/{token}"
            | "/settings/account/link-provider/{token}"
            | "/settings/account/providers/{provider}/link"
            | "/settings/account/sessions/{id}/end"
            | "/fresh/provider/{provider}",
        ) => Right::Own,
        _ if THINGS.iter().any(|thing| pattern.starts_with(thing)) => Right::Administrator,
        _ if !pattern.contains('{') => Right::Own,
        _ => return None,
    })
}

/// What members may do with a device, and what came of it. The rest is for administrators.
fn is_for_members(method: &str, pattern: &str) -> bool {
    match method {
        "GET" => matches!(
            pattern,
            "/live"
                | "/devices/{id}"
                | "/devices/{id}/panel"
                | "/devices/{id}/shell"
                | "/devices/{id}/screen"
                | "/devices/{id}/files"
                | "/devices/{id}/deployments"
                | "/remote-update/deployments/{id}"
        ),
        _ => (method, pattern) == ("POST", "/sessions"),
    }
}

/// What an organisation may own. Whatever is done to one of them is for its administrators, unless it is said
/// otherwise above.
const THINGS: [&str; 4] = [
    "/devices/{id}",
    "/remote-update/artefacts/{id}",
    "/remote-update/deployments/{id}",
    "/remote-update/rollouts/{id}",
];

/// The callers, and what the organisation has in the places where the table has Ann's own things.
struct Cast {
    it: World,
    ann: Person,
    mem: Person,
    oto: Person,
    eve: Person,
    device: Device,
    /// Of eve's.
    foreign: Device,
    /// Of the organisation, and of eve's.
    token: String,
    other_token: String,
}

async fn cast(desk: &Desk) -> Cast {
    let people = ["ann", "mem", "oto", "eve", "pam"];
    let mut all = Vec::new();
    for name in people {
        all.push(desk.person(name).await);
    }
    let [ann, mem, oto, eve, pam] = all.try_into().ok().expect("five people");
    let barn = desk.organisation(&eve, "Barn").await;
    let other_token = tokens::create_as_operator(&desk.app, barn, "ci").await.expect("a token");
    let (it, _) = world(desk, &ann, &pam).await;
    let shed = it.organisation.parse().expect("an id");
    desk.join(shed, &mem, Role::Member).await;
    // Nobody has a second factor.
    desk.sql("DELETE FROM passkeys").await;

    let device = desk.device(&ann, "m1").await.online().await;
    desk.give(&ann, &device, shed).await;
    device.describe(json!({ "capabilities": { "files": "enabled", "ota": "enabled" } })).await;
    let renamed = ann.post(&format!("/devices/{}/settings", device.id), &[("name", "s1")]).await;
    assert_eq!(renamed.status, StatusCode::SEE_OTHER);
    let open = async |kind| {
        let opened = mem.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": kind })).await;
        assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.body);
        opened.text("id")
    };
    let by = desk.manager(&ann, shed).await;
    let artefact = desk.artefact(&by, "never deployed").await;
    let it = World {
        account: it.organisation.clone(),
        device: device.id.to_string(),
        session: open("shell").await,
        files_session: open("files").await,
        deployment: desk.deployment(&ann, shed, device.id).await.to_string(),
        artefact: artefact.to_string(),
        rollout: rollouts::preview(&desk.app, &by, artefact, "").await.expect("a preview").to_string(),
        ..it
    };
    let foreign = desk.device(&eve, "e1").await;
    let (token, other_token) = (it.api_token.clone(), other_token.secret.expose().to_owned());
    Cast { it, ann, mem, oto, eve, device, foreign, token, other_token }
}

impl Cast {
    /// Whoever may do it.
    fn rightful(&self, right: Right) -> Vec<(&'static str, With<'_>)> {
        let (ann, mem) = (
            ("the administrator", With::Cookie(&self.ann.cookie)),
            ("the member", With::Cookie(&self.mem.cookie)),
        );
        match right {
            Right::Own => Vec::new(),
            Right::Member => vec![mem, ann],
            Right::Administrator => vec![ann],
            Right::Opener => vec![mem],
            Right::Program => vec![("its program", With::Bearer(&self.token))],
            Right::Device => vec![("its device", With::Bearer(&self.device.token))],
        }
    }

    /// Everybody else with a proof of the right kind: for them it does not exist.
    fn others(&self, right: Right, who: Who) -> Vec<(&'static str, With<'_>)> {
        let strangers = [
            ("somebody else", With::Cookie(&self.oto.cookie)),
            ("another organisation's administrator", With::Cookie(&self.eve.cookie)),
        ];
        let one = match right {
            Right::Member => return strangers.to_vec(),
            Right::Administrator => ("a member", With::Cookie(&self.mem.cookie)),
            Right::Opener => ("an administrator", With::Cookie(&self.ann.cookie)),
            // Without an id each sees its own.
            Right::Program if who == Who::OwnProgram => {
                return vec![("another organisation's program", With::Bearer(&self.other_token))];
            }
            Right::Device if who == Who::OwnDevice => {
                return vec![("somebody else's device", With::Bearer(&self.foreign.token))];
            }
            Right::Own | Right::Program | Right::Device => return Vec::new(),
        };
        strangers.into_iter().chain([one]).collect()
    }

    /// Whoever proves something else than this route reads: as good as nobody.
    fn wrong_kinds(&self, right: Right) -> Vec<(&'static str, With<'_>)> {
        let mut all = vec![("nobody", With::Nothing)];
        if right != Right::Program {
            all.push(("its program", With::Bearer(&self.token)));
        }
        if right != Right::Device {
            all.push(("its device", With::Bearer(&self.device.token)));
        }
        if matches!(right, Right::Program | Right::Device) {
            all.push(("the administrator", With::Cookie(&self.ann.cookie)));
        }
        all
    }
}

#[tokio::test]
async fn what_an_organisation_owns_is_reached_by_exactly_those_who_may() {
    let desk = Desk::new().await;
    let cast = cast(&desk).await;
    let mut rows = Vec::new();
    for (method, pattern, _) in TABLE {
        let right =
            right(method, pattern).unwrap_or_else(|| panic!("{method} {pattern} has no row in this test"));
        let rule = rule(method, pattern, &cast.it).expect("a row");
        if right != Right::Own {
            rows.push((*method, *pattern, right, rule));
        }
    }
    assert!(rows.len() > 100, "{}", rows.len());

    for (method, pattern, right, rule) in &rows {
        for (whom, with) in cast.wrong_kinds(*right) {
            let (status, _) = send(&desk, method, rule, with).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {pattern} to {whom}");
        }
        for (whom, with) in cast.others(*right, rule.who) {
            let (status, _) = send(&desk, method, rule, with).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {pattern} to {whom}");
        }
    }

    // Required, and the days of grace are over: without a second factor nobody sees anything of it.
    let since = (desk.app.clock.now() - TWO_FACTOR_GRACE).unix_timestamp() * 1_000_000;
    let organisations = "WHERE kind = 'organisation'";
    desk.sql(&format!("UPDATE accounts SET two_factor_required_at = {since} {organisations}")).await;
    for (method, pattern, right, rule) in &rows {
        // Going is allowed, and so is ending what one began; programs and devices go on.
        let allowed = pattern.ends_with("/leave") || (*method, *pattern) == ("DELETE", "/sessions/{id}");
        if allowed || matches!(right, Right::Program | Right::Device) {
            continue;
        }
        for (whom, with) in cast.rightful(*right) {
            let (status, _) = send(&desk, method, rule, with).await;
            let nothing = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status);
            assert!(nothing, "{method} {pattern} to {whom}, who is kept out: {status}");
            // Where a person comes by a link of their own the page says why.
            let told =
                THINGS.iter().any(|thing| pattern.starts_with(thing)) || pattern.starts_with("/sessions");
            assert!(!told || status == StatusCode::FORBIDDEN, "{method} {pattern} to {whom}: {status}");
        }
    }
    let listed = rule("GET", "/organisation/devices", &cast.it).expect("a row");
    let (status, _) = send(&desk, "GET", &listed, With::Bearer(&cast.token)).await;
    assert_eq!(status, StatusCode::OK, "programs are unaffected");
    desk.sql(&format!("UPDATE accounts SET two_factor_required_at = NULL {organisations}")).await;

    // After everybody's tries all of it is there.
    rows.sort_by_key(|(method, pattern, ..)| turn(method, pattern));
    for (method, pattern, right, rule) in &rows {
        for (whom, with) in cast.rightful(*right) {
            let (status, _) = send(&desk, method, rule, with).await;
            let refused = [401, 403, 404, 405].contains(&status.as_u16()) || status.is_server_error();
            assert!(!refused, "{method} {pattern} to {whom}: {status}");
        }
    }
}
