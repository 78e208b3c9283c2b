//! What a browser with a session cookie calls.

use crate::app::Ctx;
use crate::auth::device::{MAX_BODY, OpenBody};
use crate::auth::{Fresh, SignedIn};
use crate::error::ApiFailure;
use axum::extract::{Path, State as With};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bramble_model::session::State;
use bramble_wire::SessionId;
use bramble_wire::signalling::{BrowserEvent, CandidateBody, Description, OpenSession, SessionOpened};
use futures_util::{Stream, StreamExt, stream};
use std::convert::Infallible;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/sessions", post(open))
        .route("/sessions/{id}", delete(close))
        .route("/sessions/{id}/offer", post(offer))
        .route("/sessions/{id}/candidates", post(candidate))
        .route("/sessions/{id}/events", get(events))
}

fn parse(id: &str) -> Result<SessionId, ApiFailure> {
    id.parse().map_err(|_| ApiFailure::not_found())
}

async fn open(
    Fresh(who): Fresh,
    With(app): With<Ctx>,
    OpenBody(wish): OpenBody<OpenSession>,
) -> Result<(StatusCode, Json<SessionOpened>), ApiFailure> {
    let opened = super::open(&app, &who, &wish).await?;
    Ok((StatusCode::CREATED, Json(opened)))
}

async fn offer(
    who: SignedIn,
    With(app): With<Ctx>,
    Path(id): Path<String>,
    OpenBody(description): OpenBody<Description, MAX_BODY>,
) -> Result<StatusCode, ApiFailure> {
    super::offer(&app, &who, parse(&id)?, description).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn candidate(
    who: SignedIn,
    With(app): With<Ctx>,
    Path(id): Path<String>,
    OpenBody(CandidateBody { candidate }): OpenBody<CandidateBody>,
) -> Result<StatusCode, ApiFailure> {
    super::browser_candidate(&app, &who, parse(&id)?, candidate).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn close(
    who: SignedIn,
    With(app): With<Ctx>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiFailure> {
    super::close(&app, &who, parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The number of the end where nothing else is known of the stream any more. A browser that heard it
/// and asks again has heard everything.
const LAST: &str = "last";

/// The stream of what the device says. A browser that comes back names the last event it heard.
async fn events(
    who: SignedIn,
    With(app): With<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiFailure> {
    let id = parse(&id)?;
    let session = super::heard_by(&app, &who, id).await?;
    if session.state != State::Ended {
        super::still_admitted(&app, &who, &session).await?;
    }
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    if session.state == State::Ended && !app.signalling.remembers(id) {
        if last == Some(LAST) {
            return Err(ApiFailure::not_found());
        }
        let end = super::end_event(session.reason.unwrap_or_default());
        return Ok(stream_of(stream::iter([line(LAST, &end)])));
    }
    let last = last.and_then(|last| last.parse::<usize>().ok());
    let told = app.signalling.listen(&session, app.clock.now())?;
    let position = last.map_or(0, |last| last.saturating_add(1));
    let state = (app, told, position, false);
    let batches = stream::unfold(state, move |(app, mut told, position, over)| async move {
        if over {
            return None;
        }
        loop {
            told.borrow_and_update();
            let (events, ended) = app.signalling.heard_since(id, position);
            if let Some((number, _)) = events.last() {
                let next = number + 1;
                return Some((events, (app, told, next, ended)));
            }
            if ended {
                return None;
            }
            tokio::select! {
                () = app.stopping.cancelled() => return None,
                // The sender goes when the session's place is forgotten.
                changed = told.changed() => if changed.is_err() { return None },
            }
        }
    });
    let lines = batches.flat_map(|events| {
        stream::iter(events.into_iter().map(|(number, event)| line(&number.to_string(), &event)))
    });
    Ok(stream_of(lines))
}

fn line(number: &str, event: &BrowserEvent) -> Event {
    let data = serde_json::to_string(event).unwrap_or_default();
    Event::default().id(number).event(event.name()).data(data)
}

fn stream_of(lines: impl Stream<Item = Event> + Send + 'static) -> Response {
    let mut response =
        Sse::new(lines.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default()).into_response();
    // A proxy that collects an answer before it passes it on would make the person wait.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}
