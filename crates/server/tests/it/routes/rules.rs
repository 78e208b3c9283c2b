//! The table: for each route who may use it, of whom, and whether with a fresh proof.

use super::world::World;
use super::{Rule, Who};
use serde_json::json;

/// What programs call: who, of what, and a body.
pub(super) fn of_program<'w>(
    method: &str,
    pattern: &str,
    it: &'w World,
) -> Option<(Who, &'w str, &'static str)> {
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
pub(super) fn path_of(pattern: &str, id: &str, it: &World) -> String {
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
pub(super) fn of_organisation(method: &str, pattern: &str) -> Option<(Who, &'static str)> {
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
pub(super) fn of_own_account<'w>(
    method: &str,
    pattern: &str,
    it: &'w World,
) -> Option<(Who, &'w str, &'static str)> {
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
pub(super) fn of_updates<'a>(method: &str, pattern: &str, it: &'a World) -> Option<(Who, &'a str, String)> {
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
pub(super) fn is_open(method: &str, pattern: &str) -> bool {
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
pub(super) fn rule(method: &str, pattern: &str, it: &World) -> Option<Rule> {
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
