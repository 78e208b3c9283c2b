//! The auth key of a personal account, on its Settings tab.

use super::LinkingError;
use super::keys::{self, MadeKey};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::devices::pages::{failed, server_url};
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::auth_key::{State as KeyState, TtlDays};
use bramble_model::{Timestamp, phrases};
use bramble_wire::{AccountId, AuthKeyId, DeviceId};
use serde::Deserialize;

/// What the expiry menu offers, in days. The form takes any number from 1 to 90.
const EXPIRY_CHOICES: [i64; 5] = [1, 7, 30, 60, 90];

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/settings", get(list))
        .route("/settings/auth-keys", get(list).post(create))
        .route("/settings/auth-keys/{id}/delete", get(confirm).post(delete))
}

#[derive(Template)]
#[template(path = "linking/keys.html")]
struct Keys {
    frame: Frame,
    /// A usable key, which a new one replaces.
    usable: bool,
    rows: Vec<KeyRow>,
    description: String,
    description_error: String,
    days: i64,
    days_error: String,
    choices: [i64; 5],
    made: Option<Made>,
}

struct Made {
    secret: String,
    command: String,
    expires: Moment,
}

struct KeyRow {
    id: AuthKeyId,
    description: String,
    made_by: String,
    made: Moment,
    state: RowState,
}

enum RowState {
    Usable(Moment),
    Expired(Moment),
    Used { at: Moment, device: Option<(DeviceId, String)> },
}

#[derive(Template)]
#[template(path = "linking/delete_key.html")]
struct DeleteKey {
    frame: Frame,
    id: AuthKeyId,
    description: String,
}

#[derive(Deserialize, Default)]
struct NewKey {
    #[serde(default)]
    description: String,
    #[serde(default)]
    ttl_days: String,
}

async fn list(who: SignedIn, State(app): State<Ctx>) -> Response {
    page(&app, &who, &NewKey::default(), None, None).await
}

async fn create(Fresh(who): Fresh, State(app): State<Ctx>, Form(typed): Form<NewKey>) -> Response {
    match try_create(&app, &who, &typed).await {
        Ok(made) => page(&app, &who, &NewKey::default(), Some(made), None).await,
        Err(LinkingError::Invalid(why)) => page(&app, &who, &typed, None, Some(why)).await,
        Err(error) => failed(&app, &who, error.into()),
    }
}

async fn try_create(app: &App, who: &SignedIn, typed: &NewKey) -> Result<MadeKey, LinkingError> {
    let invalid = |why: &str| LinkingError::Invalid(why.to_owned());
    let days = typed.ttl_days.trim().parse().map_err(|_| invalid(phrases::TTL_DAYS))?;
    let ttl = TtlDays::new(days).map_err(invalid)?;
    let account = personal(app, who).await?;
    keys::create_auth_key(app, who, account, &typed.description, ttl).await
}

async fn personal(app: &App, who: &SignedIn) -> Result<AccountId, LinkingError> {
    accounts::personal_account(app, who.user).await?.ok_or(LinkingError::NotFound)
}

async fn page(
    app: &App,
    who: &SignedIn,
    typed: &NewKey,
    made: Option<MadeKey>,
    error: Option<String>,
) -> Response {
    let now = app.clock.now();
    let rows = match rows(app, who, now).await {
        Ok(rows) => rows,
        Err(error) => return failed(app, who, error.into()),
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let error = error.unwrap_or_default();
    let about_days = error == phrases::TTL_DAYS;
    let page = Keys {
        frame: frames::personal(app, who, "Settings"),
        usable: rows.iter().any(|row| matches!(row.state, RowState::Usable(_))),
        rows,
        description: typed.description.clone(),
        days: typed.ttl_days.trim().parse().unwrap_or(EXPIRY_CHOICES[0]),
        description_error: if about_days { String::new() } else { error.clone() },
        days_error: if about_days { error } else { String::new() },
        choices: EXPIRY_CHOICES,
        made: made.map(|made| Made {
            command: format!(
                "rpi-connect signin --auth-key={} --server {}",
                made.secret.expose(),
                server_url(app)
            ),
            secret: made.secret.expose().to_owned(),
            expires: Moment::new(made.expires_at, now),
        }),
    };
    web::page(status, &page)
}

async fn rows(app: &App, who: &SignedIn, now: Timestamp) -> Result<Vec<KeyRow>, LinkingError> {
    let account = personal(app, who).await?;
    let keys = keys::list_auth_keys(app, who, account).await?;
    let used: Vec<_> = keys.iter().filter_map(|key| key.device).collect();
    let devices = app.store.devices_by_id(account, &used).await?;
    let row = |key: bramble_store::auth_keys::AuthKey| KeyRow {
        state: match key.state(now) {
            KeyState::Usable { expires_at } => RowState::Usable(Moment::new(expires_at, now)),
            KeyState::Expired { expired_at } => RowState::Expired(Moment::new(expired_at, now)),
            KeyState::Exchanged { at, device } => RowState::Used {
                at: Moment::new(at, now),
                device: device
                    .and_then(|id| devices.iter().find(|d| d.id == id))
                    .map(|device| (device.id, device.name.clone())),
            },
        },
        id: key.id,
        description: key.description,
        made_by: key.created_by_name,
        made: Moment::new(key.created_at, now),
    };
    Ok(keys.into_iter().map(row).collect())
}

async fn confirm(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    match find(&app, &who, &id).await {
        Ok((_, id, description)) => {
            let page = DeleteKey { frame: frames::personal(&app, &who, "Settings"), id, description };
            web::page(StatusCode::OK, &page)
        }
        Err(error) => failed(&app, &who, error.into()),
    }
}

async fn delete(Fresh(who): Fresh, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let deleted = async {
        let (account, id, _) = find(&app, &who, &id).await?;
        keys::delete_auth_key(&app, &who, account, id).await
    };
    match deleted.await {
        Ok(()) => Redirect::to("/settings").into_response(),
        Err(error) => failed(&app, &who, error.into()),
    }
}

async fn find(app: &App, who: &SignedIn, id: &str) -> Result<(AccountId, AuthKeyId, String), LinkingError> {
    let id = id.parse().map_err(|_| LinkingError::NotFound)?;
    let account = personal(app, who).await?;
    let key = keys::auth_key(app, who, account, id).await?;
    Ok((account, id, key.description))
}
