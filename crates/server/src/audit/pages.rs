//! The Audit log tab.

use super::{csv, log};
use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::organisations::{self, pages::refused};
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bramble_model::account::Deed;
use bramble_model::audit::Action;
use bramble_store::audit::{Event, Place};
use bramble_wire::AccountId;
use std::sync::Arc;

/// Lines that are read at once while the log is sent.
const BATCH: u64 = 500;

/// Every URL of this slice.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisations/{organisation}/audit-log", get(show))
        .route("/organisations/{organisation}/audit-log/export", post(export))
}

#[derive(Template)]
#[template(path = "audit/log.html")]
struct LogPage {
    frame: Frame,
    root: String,
    choices: Vec<Choice>,
    /// How many actions are chosen.
    chosen: usize,
    lines: Vec<Line>,
    total: u64,
    page: u64,
    pages: u64,
    base: String,
}

struct Choice {
    code: &'static str,
    title: &'static str,
    chosen: bool,
}

struct Line {
    at: Moment,
    source: String,
    action: &'static str,
    details: String,
    subject: String,
    actor: String,
    country: Option<String>,
}

/// `?action=…&action=…&page=…`: what a form with boxes to tick sends.
#[derive(Debug, Default)]
struct Filter {
    actions: Vec<Action>,
    page: u64,
}

impl Filter {
    fn parse(query: &[u8]) -> Self {
        let mut filter = Self { actions: Vec::new(), page: 1 };
        for (name, value) in url::form_urlencoded::parse(query) {
            match name.as_ref() {
                "action" => {
                    let known = Action::parse(&value).filter(|action| !filter.actions.contains(action));
                    filter.actions.extend(known);
                }
                "page" => filter.page = value.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        filter
    }
}

async fn show(
    State(app): State<Ctx>,
    who: SignedIn,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let filter = Filter::parse(query.unwrap_or_default().as_bytes());
    let found = async {
        let standing = organisations::enter(&app, &who, &id, Deed::ViewAuditLog).await?;
        let found = log::page(&app, &who, standing.account, &filter.actions, filter.page).await?;
        Ok::<_, organisations::OrganisationError>((standing, found))
    };
    let (standing, (lines, total)) = match found.await {
        Ok(found) => found,
        Err(error) => return refused(&app, &who, error),
    };
    let root = frames::root(standing.kind, standing.account);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for action in &filter.actions {
        query.append_pair("action", action.code());
    }
    let (query, now) = (query.finish(), app.clock.now());
    let and = if query.is_empty() { "" } else { "&" };
    let page = LogPage {
        frame: frames::of_account(&app, &who, standing.account, "Audit log"),
        choices: Action::ALL
            .iter()
            .map(|action| Choice {
                code: action.code(),
                title: action.title(),
                chosen: filter.actions.contains(action),
            })
            .collect(),
        chosen: filter.actions.len(),
        lines: lines.into_iter().map(|event| line(event, now)).collect(),
        total,
        page: filter.page,
        pages: total.div_ceil(log::PAGE).max(1),
        base: format!("{root}/audit-log?{query}{and}page="),
        root,
    };
    web::page(StatusCode::OK, &page)
}

fn line(event: Event, now: bramble_model::Timestamp) -> Line {
    Line {
        at: Moment::new(event.at, now),
        action: event.action.map_or("Unknown", |action| action.title()),
        source: event.source,
        details: event.details,
        subject: event.subject,
        actor: event.actor,
        country: event.country,
    }
}

async fn export(State(app): State<Ctx>, who: SignedIn, Path(id): Path<String>, form: Bytes) -> Response {
    let filter = Filter::parse(&form);
    let noted = async {
        let standing = organisations::enter(&app, &who, &id, Deed::ViewAuditLog).await?;
        log::export(&app, &who, standing.account, &filter.actions).await?;
        Ok::<_, organisations::OrganisationError>(standing)
    };
    let standing = match noted.await {
        Ok(standing) => standing,
        Err(error) => return refused(&app, &who, error),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"audit-log.csv\"")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(lines(app, standing.account, filter.actions))).into_response()
}

/// The whole log, read part by part as the browser takes it.
fn lines(
    app: Ctx,
    account: AccountId,
    actions: Vec<Action>,
) -> impl futures_util::Stream<Item = Result<Bytes, bramble_store::StoreError>> {
    enum Next {
        Headings,
        After(Option<Place>),
        End,
    }
    futures_util::stream::try_unfold(Next::Headings, move |next| {
        let (app, actions) = (Arc::clone(&app), actions.clone());
        async move {
            let after = match next {
                Next::Headings => return Ok(Some((Bytes::from(csv::HEADINGS), Next::After(None)))),
                Next::After(after) => after,
                Next::End => return Ok(None),
            };
            let events = part(&app, account, &actions, after).await?;
            let Some(last) = events.last() else { return Ok(None) };
            let next =
                if (events.len() as u64) < BATCH { Next::End } else { Next::After(Some(last.place())) };
            let text: String = events.iter().map(csv::line).collect();
            Ok(Some((Bytes::from(text), next)))
        }
    })
}

async fn part(
    app: &App,
    account: AccountId,
    actions: &[Action],
    after: Option<Place>,
) -> Result<Vec<Event>, bramble_store::StoreError> {
    app.store.audit_events_after(account, actions, after, BATCH).await
}
