//! Everything that is kept about a person, as one JSON document that is read part by part while the
//! browser takes it. No secrets are in it, not even hashed ones.

use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::auth::cookies::SESSION_IDLE;
use bramble_model::Timestamp;
use bramble_model::audit::Action;
use bramble_model::query::Query;
use bramble_store::StoreError;
use bramble_store::audit::{Event, Place};
use bramble_store::deployments::{Deployment, Filter};
use bramble_store::device_search::Slice;
use bramble_store::devices::Device;
use bramble_store::sessions::Session;
use bramble_wire::{AccountId, SessionId};
use bytes::Bytes;
use futures_util::Stream;
use serde_json::{Value, json};
use std::sync::Arc;
use time::format_description::well_known::Rfc3339;

/// Entries that are read at once.
const BATCH: u64 = 200;
/// Most entries of the lists that are short in any case.
const SHORT: u64 = 1000;

/// What is written next. The lists that may be long come after everything else, each from where it was
/// left.
enum Part {
    Short,
    Devices(u64),
    Artefacts(u64),
    Deployments(u64),
    Sessions(Option<SessionId>),
    Activity(Option<Place>),
    End,
}

/// The document. It ends early when the database fails: what was taken until then is no valid JSON.
pub fn export(
    app: Ctx,
    caller: SignedIn,
    own: AccountId,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static {
    let caller = Arc::new(caller);
    futures_util::stream::try_unfold(Part::Short, move |part| {
        let (app, caller) = (Arc::clone(&app), Arc::clone(&caller));
        async move {
            let (text, next) = match part {
                Part::Short => (short(&app, &caller, own).await?, Part::Devices(0)),
                Part::Devices(at) => devices(&app, own, at).await?,
                Part::Artefacts(at) => artefacts(&app, own, at).await?,
                Part::Deployments(at) => deployments(&app, own, at).await?,
                Part::Sessions(after) => sessions(&app, &caller, after).await?,
                Part::Activity(after) => activity(&app, own, after).await?,
                Part::End => return Ok(None),
            };
            Ok(Some((Bytes::from(text), next)))
        }
    })
}

/// The beginning of the document, up to the first long list.
async fn short(app: &App, caller: &SignedIn, own: AccountId) -> Result<String, StoreError> {
    let now = app.clock.now();
    let user = app.store.user(caller.user).await?;
    let person = user.map(|user| {
        json!({
            "id": user.id, "name": user.name, "email": user.email, "is_operator": user.is_operator,
            "created_at": text(user.created_at), "verified_at": user.verified_at.map(text),
            "has_password": user.password_hash.is_some(),
            "password_changed_at": text(user.password_changed_at),
        })
    });
    let accounts: Vec<Value> = app.store.accounts_of(caller.user).await?.iter().map(belonging).collect();
    let two_factor = super::two_factor_status(app, caller.user).await?;
    let two_factor =
        two_factor.map(|on| json!({ "since": text(on.since), "recovery_codes_left": on.codes_left }));
    let passkeys = app.store.passkeys(caller.user).await?;
    let passkeys: Vec<Value> = passkeys
        .into_iter()
        .map(|passkey| {
            json!({
                "id": passkey.id, "name": passkey.name, "added_at": text(passkey.created_at),
                "last_used_at": passkey.last_used_at.map(text),
            })
        })
        .collect();
    let identities = app.store.identities(caller.user).await?;
    let identities: Vec<Value> = identities
        .into_iter()
        .map(|it| {
            json!({
                "issuer": it.issuer, "subject": it.subject, "email": it.email,
                "linked_at": text(it.created_at), "last_used_at": it.last_used_at.map(text),
            })
        })
        .collect();
    let browsers = app.store.web_sessions(caller.user, now, now - SESSION_IDLE).await?;
    let browsers: Vec<Value> = browsers
        .into_iter()
        .map(|browser| {
            json!({
                "id": browser.id, "user_agent": browser.user_agent, "signed_in_at": text(browser.created_at),
                "last_seen_at": text(browser.last_seen_at), "expires_at": text(browser.expires_at),
            })
        })
        .collect();
    let keys = app.store.auth_keys(own, SHORT).await?;
    let keys: Vec<Value> = keys
        .into_iter()
        .map(|key| {
            json!({
                "id": key.id, "description": key.description, "created_at": text(key.created_at),
                "expires_at": text(key.expires_at), "used_at": key.exchanged_at.map(text),
                "used_by_serial_number": key.exchanged_serial, "device_id": key.device,
            })
        })
        .collect();
    let mails = app.store.mails_to(&caller.email, SHORT).await?;
    let mails: Vec<Value> = mails
        .into_iter()
        .map(|mail| {
            json!({ "subject": mail.subject, "written_at": text(mail.created_at), "sent_at": mail.sent_at.map(text) })
        })
        .collect();
    let first = json!({
        "server": app.config.origin(), "exported_at": text(now), "person": person, "accounts": accounts,
        "two_factor": two_factor, "passkeys": passkeys,
        "providers": identities, "browsers": browsers, "auth_keys": keys, "mails": mails,
    });
    let mut document = first.to_string();
    document.pop();
    document.push_str(",\n\"devices\":[");
    Ok(document)
}

fn belonging(entry: &bramble_store::memberships::Belonging) -> Value {
    json!({
        "id": entry.account.id, "kind": entry.account.kind, "name": entry.account.name,
        "role": entry.role.as_str(),
    })
}

/// A part of a list. It is its last if it is not full; then `following` begins.
fn list(entries: &[Value], first: bool, following: &str) -> (String, bool) {
    let entries_text: Vec<String> = entries.iter().map(Value::to_string).collect();
    let mut text = String::new();
    if !first && !entries.is_empty() {
        text.push(',');
    }
    text.push('\n');
    text.push_str(&entries_text.join(",\n"));
    let last = (entries.len() as u64) < BATCH;
    if last {
        text.push_str("\n]");
        text.push_str(following);
    }
    (text, last)
}

async fn devices(app: &App, own: AccountId, offset: u64) -> Result<(String, Part), StoreError> {
    let slice = Slice { offset, limit: BATCH };
    let (found, _) = app.store.devices(own, &Query::default(), &[], slice).await?;
    let found: Vec<Value> = found.iter().map(device).collect();
    let (text, last) = list(&found, offset == 0, ",\n\"artefacts\":[");
    Ok((text, if last { Part::Artefacts(0) } else { Part::Devices(offset + BATCH) }))
}

fn device(device: &Device) -> Value {
    json!({
        "id": device.id, "name": device.name, "serial_number": device.serial_number, "tags": device.tags,
        "created_at": text(device.created_at), "linked_at": text(device.linked_at),
        "relinked_at": device.relinked_at.map(text), "last_seen_at": device.last_seen_at.map(text),
        "signed_in": device.token.is_some(), "hostname": device.hostname,
        "client_version": device.client_version, "board": device.board, "os": device.os,
        "kernel_architecture": device.kernel_architecture, "capabilities": device.capabilities,
        "pico": device.pico,
    })
}

async fn artefacts(app: &App, own: AccountId, offset: u64) -> Result<(String, Part), StoreError> {
    let (found, _) = app.store.artefacts(own, "", offset, BATCH).await?;
    let entry = |it: bramble_store::artefacts::Artefact| {
        json!({
            "id": it.id, "name": it.description.name, "uri": it.description.uri,
            "checksum": it.description.checksum, "created_at": text(it.created_at),
        })
    };
    let found: Vec<Value> = found.into_iter().map(entry).collect();
    let (text, last) = list(&found, offset == 0, ",\n\"deployments\":[");
    Ok((text, if last { Part::Deployments(0) } else { Part::Artefacts(offset + BATCH) }))
}

async fn deployments(app: &App, own: AccountId, offset: u64) -> Result<(String, Part), StoreError> {
    let (found, _) = app.store.deployments(own, Filter::default(), offset, BATCH).await?;
    let entry = |it: Deployment| {
        json!({
            "id": it.id, "device_id": it.device, "device_name": it.device_name, "artefact_id": it.artefact,
            "state": it.state.word().as_str(), "created_at": text(it.created_at),
            "updated_at": text(it.updated_at),
        })
    };
    let found: Vec<Value> = found.into_iter().map(entry).collect();
    let (text, last) = list(&found, offset == 0, ",\n\"remote_sessions\":[");
    Ok((text, if last { Part::Sessions(None) } else { Part::Deployments(offset + BATCH) }))
}

/// The person's sessions to devices, of whatever account.
async fn sessions(
    app: &App,
    caller: &SignedIn,
    after: Option<SessionId>,
) -> Result<(String, Part), StoreError> {
    let found = app.store.sessions_of(caller.user, after, BATCH).await?;
    let next = found.last().map(|session| session.id);
    let entry = |it: Session| {
        json!({
            "id": it.id, "kind": it.kind, "device_id": it.device, "account_id": it.account,
            "opened_at": text(it.opened_at), "connected_at": it.connected_at.map(text),
            "ended_at": it.ended_at.map(text), "path": it.path, "reason": it.reason,
        })
    };
    let found: Vec<Value> = found.into_iter().map(entry).collect();
    let (text, last) = list(&found, after.is_none(), ",\n\"activity\":[");
    Ok((text, if last { Part::Activity(None) } else { Part::Sessions(next) }))
}

/// The audit log of the personal account.
async fn activity(app: &App, own: AccountId, after: Option<Place>) -> Result<(String, Part), StoreError> {
    let found = app.store.audit_events_after(own, &[], after, BATCH).await?;
    let next = found.last().map(Event::place);
    let entry = |it: Event| {
        json!({
            "at": text(it.at), "source": it.source, "action": it.action.map(Action::title),
            "details": it.details, "subject": it.subject, "actor": it.actor, "country": it.country,
        })
    };
    let found: Vec<Value> = found.into_iter().map(entry).collect();
    let (text, last) = list(&found, after.is_none(), "}\n");
    Ok((text, if last { Part::End } else { Part::Activity(next) }))
}

fn text(at: Timestamp) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
