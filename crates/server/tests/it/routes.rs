//! Every route × every kind of caller, compared with one table. A route without a row here fails.

use crate::desk::{Desk, Device, Person, request};
use crate::management::Program;
use crate::management::identities::Board;
use axum::body::Body;
use bramble_model::account::{Role, TWO_FACTOR_GRACE};
use bramble_model::{OsRandom, Random, Secret, SecretKind};
use bramble_server::accounts::{self, NewUser};
use bramble_server::auth::password::Password;
use bramble_server::deployments::rollouts;
use bramble_server::management::tokens;
use bramble_server::routes::{Caller, Credential, TABLE, credential_of};
use bramble_store::passkeys::Passkey;
use bramble_wire::PasskeyId;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{Method, StatusCode};
use serde_json::json;
use time::Duration;
use tower::ServiceExt;

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

/// Ann's things, by the names that paths have for them.
struct World {
    account: String,
    organisation: String,
    /// Of that organisation: a member, an invitation that waits, and its link.
    member: String,
    invitation: String,
    link: String,
    shared_key: String,
    device: String,
    session: String,
    files_session: String,
    key: String,
    passkey: String,
    code: String,
    deployment: String,
    artefact: String,
    rollout: String,
    /// A token of the organisation, and what the organisation has.
    api_token: String,
    its_device: String,
    its_key: String,
    its_artefact: String,
    its_deployment: String,
    its_identity: String,
    /// A token and an identity that only pages touch.
    shown_token: String,
    shown_identity: String,
}

impl World {
    /// What `{id}` is in a page of the organisation.
    fn shown_id(&self, pattern: &str) -> &str {
        if pattern.contains("/api-tokens/") {
            &self.shown_token
        } else if pattern.contains("/device-identities/") {
            &self.shown_identity
        } else {
            &self.shared_key
        }
    }
}

/// What programs call: who, of what, and a body.
fn of_program<'w>(method: &str, pattern: &str, it: &'w World) -> Option<(Who, &'w str, &'static str)> {
    use Who::{OwnProgram, Program};
    let below = pattern.strip_prefix("/organisation/")?;
    let (who, id) = match below {
        "auth-keys" | "device-identities" | "devices" | "artefacts" => (Program, ""),
        "device-identities/{id}" => (OwnProgram, it.its_identity.as_str()),
        "auth-keys/{id}" => (OwnProgram, it.its_key.as_str()),
        "devices/{id}" | "devices/{id}/deployments" => (OwnProgram, it.its_device.as_str()),
        "artefacts/{id}" => (OwnProgram, it.its_artefact.as_str()),
        "deployments/{id}" | "deployments/{id}/cancel" | "deployments/{id}/output" => {
            (OwnProgram, it.its_deployment.as_str())
        }
        _ => return None,
    };
    let body = match (method, below) {
        ("POST", "auth-keys") => r#"{"description":"k"}"#,
        ("GET", _) => "",
        _ => "{}",
    };
    Some((who, id, body))
}

/// The path that a pattern stands for: `id` is what its own name for a thing stands for.
fn path_of(pattern: &str, id: &str, it: &World) -> String {
    let World { account, session, .. } = it;
    let mut path = pattern
        .replace("{organisation}", &it.organisation)
        .replace("{user}", &it.member)
        .replace("{invitation}", &it.invitation)
        .replace("{provider}", "none")
        .replace("{session}", session);
    for name in ["{id}", "{code}", "{token}"] {
        path = path.replace(name, id);
    }
    match pattern {
        "/events" => path.push_str("?channel=DeviceChannel"),
        "/live" => path = format!("{path}?account={account}"),
        _ => {}
    }
    path
}

/// The pages of an organisation: who, and a form.
fn of_organisation(method: &str, pattern: &str) -> Option<(Who, &'static str)> {
    use Who::{Administrator, Member};
    let below = pattern.strip_prefix("/organisations/{organisation}")?;
    Some(match (method, below) {
        (
            "GET",
            ""
            | "/devices"
            | "/devices/rows"
            | "/devices/suggestions"
            | "/remote-update"
            | "/remote-update/deployments"
            | "/tags"
            | "/users",
        )
        | ("GET" | "POST", "/leave") => (Member, ""),
        ("GET" | "POST", "/remote-update/artefacts/new" | "/remote-update/rollouts/new") => {
            (Administrator, "name=a")
        }
        ("POST", "/auth-keys" | "/api-tokens") => (Administrator, "description=k&ttl_days=7"),
        ("GET" | "POST", "/users/{user}/role" | "/users/{user}/remove") => {
            (Administrator, "from=member&role=member")
        }
        ("POST", "/invitations") => (Administrator, "email=new%40example.org&role=member"),
        (
            "POST",
            "/invitations/{invitation}/resend" | "/invitations/{invitation}/revoke" | "/audit-log/export",
        )
        | (
            "GET" | "POST",
            "/transfer"
            | "/auth-keys/{id}/delete"
            | "/api-tokens/{id}/revoke"
            | "/device-identities/{id}/delete",
        )
        | ("GET", "/audit-log" | "/provisioning") => (Administrator, ""),
        ("GET" | "POST", "/settings") => (Administrator, "name=Shed"),
        ("POST", "/settings/two-factor") => (Administrator, "required=no"),
        ("POST", "/settings/files") => (Administrator, "allowed=yes"),
        ("GET" | "POST", "/delete") => (Administrator, "confirm=no"),
        _ => return None,
    })
}

/// What people do with their own account: who, whose id, and a form.
#[expect(clippy::unnested_or_patterns, reason = "a row for each kind of page reads better")]
fn of_own_account<'w>(method: &str, pattern: &str, it: &'w World) -> Option<(Who, &'w str, &'static str)> {
    use Who::{Owner, Person};
    if let Some(below) = pattern.strip_prefix("/fresh") {
        return Some(match (method, below) {
            ("GET" | "POST", "") | ("POST", "/question" | "/provider/{provider}") => (Person, "", ""),
            _ => return None,
        });
    }
    Some(match (method, pattern.strip_prefix("/settings/account")?) {
        ("GET", "")
        | ("GET" | "POST", "/password" | "/email" | "/delete" | "/passkeys")
        | ("GET" | "POST", "/two-factor" | "/two-factor/turn-off")
        | ("POST", "/two-factor/recovery-codes" | "/passkeys/question" | "/name" | "/export")
        | ("POST", "/providers/{provider}/link" | "/providers/unlink")
        | ("POST", "/sessions/end-others") => (Person, "", ""),
        ("POST", "/passkeys/{id}/name") | ("GET" | "POST", "/passkeys/{id}/remove") => {
            (Owner, &it.passkey, "name=x")
        }
        // A link works for the account that asked for it; to others it is a dead one.
        ("GET" | "POST", "/email/{token}" | "/link-provider/{token}") => (Person, "none", ""),
        // Somebody else's id ends nothing and reads as done.
        ("POST", "/sessions/{id}/end") => (Person, &it.device, ""),
        _ => return None,
    })
}

/// Remote updates: who, whose id, and a body.
fn of_updates<'a>(method: &str, pattern: &str, it: &'a World) -> Option<(Who, &'a str, String)> {
    Some(match (method, pattern) {
        (
            "POST",
            "/deployments/{id}/start"
            | "/deployments/{id}/progress"
            | "/deployments/{id}/complete"
            | "/deployments/{id}/fail",
        ) => (Who::OwnDevice, &it.deployment, "{}".to_owned()),
        ("GET", "/remote-update" | "/remote-update/deployments")
        | ("GET" | "POST", "/remote-update/artefacts/new" | "/remote-update/rollouts/new") => {
            (Who::Person, "", String::new())
        }
        ("GET" | "POST", "/remote-update/artefacts/{id}/delete") => (Who::Owner, &it.artefact, String::new()),
        ("GET", "/remote-update/deployments/{id}")
        | ("POST", "/remote-update/deployments/{id}/cancel" | "/remote-update/deployments/{id}/give-up") => {
            (Who::Owner, &it.deployment, String::new())
        }
        ("GET", "/remote-update/rollouts/{id}") | ("POST", "/remote-update/rollouts/{id}/start") => {
            (Who::Owner, &it.rollout, String::new())
        }
        ("GET", "/devices/{id}/deployments") | ("GET" | "POST", "/devices/{id}/deploy") => {
            (Who::Owner, &it.device, "newest=none".to_owned())
        }
        _ => return None,
    })
}

/// What everybody may ask, whatever they carry.
fn is_open(method: &str, pattern: &str) -> bool {
    match method {
        "POST" => matches!(
            pattern,
            "/sign-in"
                | "/sign-up"
                | "/forgotten-password"
                | "/sign-in/second-step"
                | "/sign-in/second-step/question"
                | "/sign-in/passkey"
                | "/sign-in/provider/{provider}"
                | "/sign-in/passkey/question"
                | "/verify-email/{token}"
                | "/reset-password/{token}"
                | "/setup/{token}"
                | "/client/device"
                | "/client/token"
                | "/client/auth-key-exchange"
                | "/client/device-identity-exchange"
        ),
        _ => matches!(
            pattern,
            "/organisation/openapi.json"
                | "/organisation/docs"
                | "/up"
                | "/ready"
                | "/"
                | "/.well-known/bramble"
                | "/sign-in"
                | "/sign-up"
                | "/forgotten-password"
                | "/sign-up/check-your-mail"
                | "/forgotten-password/check-your-mail"
                | "/account-deleted"
                | "/sign-in/provider/{provider}/callback"
                | "/sign-in/second-step"
                | "/verify-email/{token}"
                | "/reset-password/{token}"
                | "/setup/{token}"
        ),
    }
}

#[expect(clippy::unnested_or_patterns, reason = "a row for each kind of page reads better")]
fn rule(method: &str, pattern: &str, it: &World) -> Option<Rule> {
    use Who::{Account, Device, Everybody, OwnDevice, Owner, Person};
    let World { account, device, session, key, code, link, .. } = it;
    let approve = format!("decision=approve&account={account}&name=x&entry=new");
    let sdp = json!({ "sdp": "x" }).to_string();
    let candidate = json!({ "candidate": { "candidate": "" } }).to_string();
    let (who, id, body): (_, &str, String) = match (method, pattern) {
        _ if is_open(method, pattern) => (Everybody, "none", String::new()),
        ("GET", "/verify-email")
        | ("POST", "/verify-email/resend" | "/sign-out" | "/sign-out-everywhere") => {
            (Account, "", String::new())
        }
        ("POST", "/organisations/new") => (Person, "", "name=Shed".to_owned()),
        ("GET" | "POST", "/devices/{id}/transfer") => (Owner, device, format!("account={account}")),
        // Whoever has the link may look at it and join.
        ("GET" | "POST", "/invitations/{token}") => (Person, link, String::new()),
        ("GET", "/live") => (Owner, "", String::new()),
        ("GET", "/organisations/new" | "/imager/" | "/settings" | "/settings/auth-keys" | "/verify")
        | ("GET", "/devices" | "/devices/rows" | "/devices/suggestions" | "/devices/new")
        | ("POST", "/settings/auth-keys") => (Person, "", String::new()),
        ("POST", "/imager/") => (Owner, "", format!("account={account}")),
        // Whoever sees a device's code may link it, but only to an account of their own.
        ("GET", "/verify/{code}") => (Person, code, String::new()),
        ("POST", "/verify/{code}") => (Owner, code, approve),
        ("GET" | "POST", "/settings/auth-keys/{id}/delete") => (Owner, key, String::new()),
        ("GET", "/devices/{id}" | "/devices/{id}/panel" | "/devices/{id}/settings")
        | ("GET", "/devices/{id}/shell" | "/devices/{id}/screen" | "/devices/{id}/files")
        | ("GET", "/devices/{id}/delete" | "/devices/{id}/sign-out")
        | ("POST", "/devices/{id}/sign-out" | "/devices/{id}/sessions/{session}/end") => {
            (Owner, device, String::new())
        }
        ("POST", "/devices/{id}/settings") => (Owner, device, "name=s1".to_owned()),
        ("POST", "/devices/{id}/delete") => (Owner, device, "confirm=s1".to_owned()),
        ("POST", "/sessions") => (Owner, "", json!({ "device_id": device, "kind": "shell" }).to_string()),
        ("POST", "/sessions/{id}/offer") => (Owner, session, sdp),
        ("POST", "/sessions/{id}/candidates") => (Owner, session, candidate),
        ("GET", "/sessions/{id}/events") | ("DELETE", "/sessions/{id}") => (Owner, session, String::new()),
        ("GET", "/events" | "/me" | "/deployments/pending" | "/client/ice-servers")
        | ("POST" | "DELETE", "/me")
        | ("POST", "/client/sessions/sync") => (Device, "", "{}".to_owned()),
        ("GET", "/client/sessions/{id}/offer") => (OwnDevice, session, String::new()),
        ("POST", "/client/sessions/{id}/answer") => (OwnDevice, session, sdp),
        ("POST", "/client/sessions/{id}/candidates") => (OwnDevice, session, candidate),
        ("POST", "/client/sessions/{id}/transfers") => {
            let report = json!({ "direction": "upload", "name": "a", "size": 1, "bytes": 0 });
            (OwnDevice, &it.files_session, report.to_string())
        }
        ("POST", "/client/sessions/{id}/state") => {
            (OwnDevice, session, json!({ "state": "connected" }).to_string())
        }
        _ => match of_organisation(method, pattern) {
            Some((who, body)) => (who, it.shown_id(pattern), body.to_owned()),
            None => match of_own_account(method, pattern, it).or_else(|| of_program(method, pattern, it)) {
                Some((who, id, body)) => (who, id, body.to_owned()),
                None => of_updates(method, pattern, it)?,
            },
        },
    };
    // What an administrator decides wants a proof; a name is no danger.
    let decides = method == "POST"
        && pattern.starts_with("/organisations/{organisation}/")
        && !["settings", "audit-log/export"].iter().any(|end| pattern.ends_with(&format!("}}/{end}")));
    let deploys = pattern.starts_with("/remote-update/") || pattern == "/devices/{id}/deploy";
    let fresh = decides
        || (method == "POST" && deploys)
        || matches!(
            (method, pattern),
            (
                "POST",
                "/sessions"
                    | "/imager/"
                    | "/organisations/new"
                    | "/devices/{id}/transfer"
                    | "/organisations/{organisation}/leave"
                    | "/invitations/{token}"
                    | "/verify/{code}"
                    | "/settings/auth-keys"
                    | "/settings/auth-keys/{id}/delete"
            ) | ("GET" | "POST", "/settings/account/password")
                | ("GET" | "POST", "/settings/account/two-factor" | "/settings/account/two-factor/turn-off")
                | ("GET" | "POST", "/settings/account/email" | "/settings/account/delete")
                | ("GET" | "POST", "/settings/account/passkeys" | "/settings/account/passkeys/{id}/remove")
                | ("POST", "/settings/account/passkeys/question" | "/settings/account/link-provider/{token}")
                | (
                    "POST",
                    "/settings/account/providers/{provider}/link" | "/settings/account/providers/unlink"
                )
                | ("POST", "/settings/account/email/{token}" | "/settings/account/export")
                | ("POST", "/settings/account/two-factor/recovery-codes")
                | ("POST", "/devices/{id}/delete" | "/devices/{id}/sign-out")
        );
    let path = path_of(pattern, id, it);
    Some(Rule { who, fresh, path, body })
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

/// An organisation of Ann's with a member and an invitation that waits.
async fn organisation(desk: &Desk, ann: &Person, member: &Person) -> (String, String, String, String) {
    let shed = desk.organisation(ann, "Shed").await;
    desk.join(shed, member, Role::Member).await;
    let link = desk.invitation(ann, shed, "ivy@example.org", Role::Member).await;
    let waiting = desk.app.store.invitations(shed, 10).await.expect("reads");
    let form = [("description", "k"), ("ttl_days", "7")];
    let made = ann.post(&format!("/organisations/{shed}/auth-keys"), &form).await;
    assert_eq!(made.status, StatusCode::OK);
    let keys = desk.app.store.auth_keys(shed, 1).await.expect("reads");
    (shed.to_string(), waiting[0].id.to_string(), link, keys[0].id.to_string())
}

/// What a program of the organisation has: its token, a device, a key, an artefact, a deployment, an
/// identity.
async fn of_organisation_programs(desk: &Desk, ann: &Person, organisation: &str) -> [String; 8] {
    let organisation = organisation.parse().expect("an id");
    let made = tokens::create_as_operator(&desk.app, organisation, "ci").await.expect("a token");
    let token = made.secret.expose().to_owned();
    let program = Program::with(desk, &token);
    let device = desk.device(ann, "o1").await;
    desk.give(ann, &device, organisation).await;
    let key = program.json("POST", "/organisation/auth-keys", json!({ "description": "k" })).await;
    let sum = "ab".repeat(32);
    let wanted = json!({ "name": "a", "uri": "https://x.example/a", "checksum": sum });
    let artefact = program.json("POST", "/organisation/artefacts", wanted).await.text("id");
    let path = format!("/organisation/devices/{}/deployments", device.id);
    let deployment = program.json("POST", &path, json!({ "artefact_id": artefact })).await.text("id");
    let identity = Board::new().register(&program, json!({ "description": "i" })).await.text("id");
    let shown = Board::new().register(&program, json!({ "description": "s" })).await.text("id");
    let other = tokens::create_as_operator(&desk.app, organisation, "s").await.expect("a token").id;
    let (device, other) = (device.id.to_string(), other.to_string());
    [token, device, key.text("id"), artefact, deployment, identity, other, shown]
}

/// A passkey that nobody can answer for.
async fn passkey(desk: &Desk, person: &Person) -> PasskeyId {
    let random: &dyn Random = &OsRandom;
    let new = Passkey {
        id: random.id(),
        user: person.user,
        credential_id: random.bytes::<16>().to_vec(),
        credential: "{}".to_owned(),
        name: "key".to_owned(),
        created_at: desk.app.clock.now(),
        last_used_at: None,
    };
    let tx = desk.app.store.begin().await.expect("begins");
    assert!(tx.insert_passkey(&new).await.expect("writes"));
    tx.commit().await.expect("commits");
    new.id
}

async fn world(desk: &Desk, ann: &Person, member: &Person) -> (World, Device) {
    let (organisation, invitation, link, shared_key) = organisation(desk, ann, member).await;
    let [
        api_token,
        its_device,
        its_key,
        its_artefact,
        its_deployment,
        its_identity,
        shown_token,
        shown_identity,
    ] = of_organisation_programs(desk, ann, &organisation).await;
    let device = desk.device(ann, "s1").await.online().await;
    ann.post(&format!("/devices/{}/settings", device.id), &[("name", "s1")]).await;
    let opened = ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await;
    device.describe(json!({ "capabilities": { "files": "enabled" } })).await;
    let files = ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "files" })).await;
    let made = ann.post("/settings/auth-keys", &[("description", "k"), ("ttl_days", "7")]).await;
    assert_eq!(made.status, StatusCode::OK);
    let keys = desk.app.store.auth_keys(ann.account, 10).await.expect("reads");
    let key = keys.iter().find(|key| key.exchanged_at.is_none()).expect("a key");
    let asked = json!({ "client_id": "t", "login_hint": "other" });
    let code = desk.device_call("POST", "/client/device", None, Some(asked)).await.text("user_code");
    device.describe(json!({ "capabilities": { "ota": "enabled" } })).await;
    let by = desk.manager(ann, ann.account).await;
    let artefact = desk.artefact(&by, "to be deleted").await;
    let rollout = rollouts::preview(&desk.app, &by, artefact, "").await.expect("a preview");
    let world = World {
        account: ann.account.to_string(),
        organisation,
        member: member.user.to_string(),
        invitation,
        link,
        shared_key,
        device: device.id.to_string(),
        session: opened.text("id"),
        files_session: files.text("id"),
        key: key.id.to_string(),
        passkey: passkey(desk, ann).await.to_string(),
        code,
        deployment: desk.deployment(ann, ann.account, device.id).await.to_string(),
        artefact: artefact.to_string(),
        rollout: rollout.to_string(),
        api_token,
        its_device,
        its_key,
        its_artefact,
        its_deployment,
        its_identity,
        shown_token,
        shown_identity,
    };
    (world, device)
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

/// A member whom the rule about second factors keeps out sees nothing of the organisation, an
/// administrator no more than others.
#[tokio::test]
async fn whoever_is_kept_out_reaches_nothing_of_the_organisation() {
    let desk = Desk::new().await;
    let (ann, mem) = (desk.person("ann").await, desk.person("mem").await);
    let (it, _) = world(&desk, &ann, &mem).await;
    desk.sql("DELETE FROM passkeys").await;
    let since = desk.app.clock.now().unix_timestamp() * 1_000_000;
    desk.sql(&format!("UPDATE accounts SET two_factor_required_at = {since} WHERE kind = 'organisation'"))
        .await;
    desk.clock.advance(TWO_FACTOR_GRACE);
    for email in [&ann.email, &mem.email] {
        let cookie = desk.sign_in(email).await;
        for (method, pattern, _) in TABLE.iter().filter(|row| row.1.contains("{organisation}")) {
            let rule = rule(method, pattern, &it).expect("a row");
            // Going is allowed to everybody but the last administrator.
            if *pattern == "/organisations/{organisation}/leave" {
                continue;
            }
            let (status, _) = send(&desk, method, &rule, With::Cookie(&cookie)).await;
            let nothing = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status);
            assert!(nothing, "{method} {pattern} to {email}: {status}");
        }
    }
}
