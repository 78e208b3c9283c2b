//! What a device calls about its sessions.

use super::{RESTARTED, SessionError, of_device, relay_id, signalling, tell_ended};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::Device;
use crate::auth::device::DeviceBody;
use crate::auth::throttle::Scope;
use crate::error::ApiFailure;
use crate::live::Change;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bramble_model::account::Deed;
use bramble_model::session::State as Stands;
use bramble_model::text;
use bramble_relay::credentials::Side;
use bramble_store::StoreError;
use bramble_store::sessions::{Session, Which};
use bramble_wire::SessionId;
use bramble_wire::device_api::{IceServers, MAX_STRING, SessionIds};
use bramble_wire::events::Command;
use bramble_wire::signalling::{
    Answer, CandidateBody, Offer, Permissions, ReportedState, SessionKind, StateReport, TransferReport,
    Visitor,
};

/// Sessions that one device may name at once: ten people with ten each.
const MAX_SYNC: usize = 100;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/client/ice-servers", get(ice_servers))
        .route("/client/sessions/sync", post(sync))
        .route("/client/sessions/{id}/offer", get(offer))
        .route("/client/sessions/{id}/answer", post(answer))
        .route("/client/sessions/{id}/candidates", post(candidate))
        .route("/client/sessions/{id}/state", post(state))
        .route("/client/sessions/{id}/transfers", post(transfer))
}

fn parse(id: &str) -> Result<SessionId, ApiFailure> {
    id.parse().map_err(|_| ApiFailure::not_found())
}

/// What a session of this device would get, for its owner to find out why sessions find no way. The
/// credentials are the device's own; deleting it ends what they relay.
async fn ice_servers(State(app): State<Ctx>, device: Device) -> Result<Json<IceServers>, ApiFailure> {
    if let Err(wait) = app.throttle.attempt(app.clock.now(), Scope::IceServers, &device.id.to_string()) {
        let seconds = u16::try_from(wait.seconds()).unwrap_or(u16::MAX);
        let text = format!("This device asked for relays too often. Try again in {}.", wait.words());
        return Err(
            ApiFailure::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", text).retry_after(seconds)
        );
    }
    Ok(Json(IceServers { ice_servers: app.relay_ice_servers(relay_id(device.id), Side::Device) }))
}

async fn offer(
    State(app): State<Ctx>,
    device: Device,
    Path(id): Path<String>,
) -> Result<Json<Offer>, ApiFailure> {
    let session = of_device(&app, device.id, parse(&id)?).await?;
    if !may_go_on(&app, &session).await? {
        return Err(SessionError::NotFound.into());
    }
    let person = app.store.user(session.user).await?.ok_or(SessionError::NotFound)?;
    let (sdp, early) = app.signalling.fetch_offer(session.id).ok_or(SessionError::NotFound)?;
    for candidate in early {
        app.link.send(device.id, Command::Candidate { id: session.id, candidate });
    }
    Ok(Json(Offer {
        kind: session.kind,
        sdp,
        ice_servers: app.relay_ice_servers(session.id, Side::Device),
        user: Visitor { name: person.name, id: Some(person.id) },
        permissions: Permissions { input: !session.watching, files: session.kind == SessionKind::Files },
    }))
}

async fn answer(
    State(app): State<Ctx>,
    Path(id): Path<String>,
    DeviceBody(device, said): DeviceBody<Answer>,
) -> Result<StatusCode, ApiFailure> {
    super::answer(&app, device.id, parse(&id)?, said).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn candidate(
    State(app): State<Ctx>,
    Path(id): Path<String>,
    DeviceBody(device, CandidateBody { candidate }): DeviceBody<CandidateBody>,
) -> Result<StatusCode, ApiFailure> {
    let session = of_device(&app, device.id, parse(&id)?).await?;
    signalling::check_candidate(session.id, &candidate)?;
    app.signalling.device_candidate(&session, candidate, app.clock.now())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn state(
    State(app): State<Ctx>,
    Path(id): Path<String>,
    DeviceBody(device, report): DeviceBody<StateReport>,
) -> Result<StatusCode, ApiFailure> {
    let session = of_device(&app, device.id, parse(&id)?).await?;
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    match report.state {
        ReportedState::Connected => {
            if !tx.connect_session(session.id, device.id, report.path, now).await? {
                return Err(SessionError::NotFound.into());
            }
            tx.commit().await?;
            app.live.tell(Change { account: session.account, device: Some(device.id) });
        }
        ReportedState::Ended => {
            let said = text::clip(report.reason.as_deref().unwrap_or_default(), MAX_STRING);
            let reason = if said.is_empty() { "The session ended on the device.".to_owned() } else { said };
            let ended = tx.end_sessions(Which::One(session.id), &reason, now).await?;
            tx.commit().await?;
            tell_ended(&app, &ended, &reason);
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn transfer(
    State(app): State<Ctx>,
    Path(id): Path<String>,
    DeviceBody(device, report): DeviceBody<TransferReport>,
) -> Result<StatusCode, ApiFailure> {
    super::transfers::report(&app, &device, parse(&id)?, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// After every connection: which of the sessions that the device still runs may go on. Those that the
/// device no longer runs are over; offers that it has not fetched are announced again.
async fn sync(
    State(app): State<Ctx>,
    DeviceBody(device, SessionIds { ids, restarted }): DeviceBody<SessionIds>,
) -> Result<Json<SessionIds>, ApiFailure> {
    let ids: Vec<_> = ids.into_iter().take(MAX_SYNC).collect();
    let mut go_on = Vec::new();
    for (session, _) in app.store.live_sessions(Which::Device(device.id)).await? {
        let runs = ids.contains(&session.id);
        let over = match session.state {
            _ if !may_go_on(&app, &session).await? => Some("Your access to the device was withdrawn."),
            Stands::Connected if !runs && restarted => Some(RESTARTED),
            Stands::Connected if !runs => Some("The device no longer runs this session."),
            _ => None,
        };
        match over {
            Some(why) => super::end(&app, Which::One(session.id), why, false).await?,
            None if runs => go_on.push(session.id),
            None => {}
        }
    }
    for id in app.signalling.unfetched(device.id) {
        app.link.send(device.id, Command::Session { id });
    }
    Ok(Json(SessionIds { ids: go_on, restarted: false }))
}

/// Whether the person may still reach the device, and is still signed in where the session was opened, and whether
/// the device's account still allows what it is for.
async fn may_go_on(app: &App, session: &Session) -> Result<bool, StoreError> {
    if session.web_session.is_none() {
        return Ok(false);
    }
    let Some(device) = app.store.device_anywhere(session.device).await? else { return Ok(false) };
    if session.kind == SessionKind::Files
        && app.store.account(device.account).await?.is_none_or(|account| account.files_forbidden)
    {
        return Ok(false);
    }
    let person = app.store.user(session.user).await?;
    let standing = accounts::standing(app, session.user, device.account).await?;
    Ok(person.is_some_and(|p| p.disabled_at.is_none()) && standing.is_some_and(|s| s.may(Deed::OpenSession)))
}
