//! What the paths of the table name: an account, an organisation, and their things.

use crate::desk::{Desk, Device, Person};
use crate::management::Program;
use crate::management::identities::Board;
use bramble_model::account::Role;
use bramble_model::{OsRandom, Random};
use bramble_server::deployments::rollouts;
use bramble_server::management::tokens;
use bramble_store::passkeys::Passkey;
use bramble_wire::PasskeyId;
use http::StatusCode;
use serde_json::json;

/// Ann's things, by the names that paths have for them.
#[derive(Clone)]
pub(super) struct World {
    pub(super) account: String,
    pub(super) organisation: String,
    /// Of that organisation: a member, an invitation that waits, and its link.
    pub(super) member: String,
    pub(super) invitation: String,
    pub(super) link: String,
    pub(super) shared_key: String,
    pub(super) device: String,
    pub(super) session: String,
    pub(super) files_session: String,
    pub(super) key: String,
    pub(super) passkey: String,
    pub(super) code: String,
    pub(super) deployment: String,
    pub(super) artefact: String,
    pub(super) rollout: String,
    /// A token of the organisation, and what the organisation has.
    pub(super) api_token: String,
    pub(super) its_device: String,
    pub(super) its_key: String,
    pub(super) its_artefact: String,
    pub(super) its_deployment: String,
    pub(super) its_identity: String,
    /// A token and an identity that only pages touch.
    pub(super) shown_token: String,
    pub(super) shown_identity: String,
}

impl World {
    /// What `{id}` is in a page of the organisation.
    pub(super) fn shown_id(&self, pattern: &str) -> &str {
        if pattern.contains("/api-tokens/") {
            &self.shown_token
        } else if pattern.contains("/device-identities/") {
            &self.shown_identity
        } else {
            &self.shared_key
        }
    }
}

/// An organisation of Ann's with a member and an invitation that waits.
pub(super) async fn organisation(
    desk: &Desk,
    ann: &Person,
    member: &Person,
) -> (String, String, String, String) {
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
pub(super) async fn of_organisation_programs(desk: &Desk, ann: &Person, organisation: &str) -> [String; 8] {
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
pub(super) async fn passkey(desk: &Desk, person: &Person) -> PasskeyId {
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

pub(super) async fn world(desk: &Desk, ann: &Person, member: &Person) -> (World, Device) {
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
