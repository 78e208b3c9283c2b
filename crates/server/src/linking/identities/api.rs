//! Device identities in the management API.

use super::proof::{NotNow, Proof, PublicKey};
use super::{Keeper, Wish};
use crate::app::Ctx;
use crate::auth::ApiToken;
use crate::linking::api::change;
use crate::management::{Failure, Fields, Id, Page, Read, created, deleted, moment};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use bramble_model::phrases;
use bramble_store::device_identities::DeviceIdentity;
use bramble_store::organisation_keys::Change;
use bramble_wire::{DeviceIdentityId, management as wire};

pub(in crate::linking) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisation/device-identities", get(list).post(create))
        .route("/organisation/device-identities/{id}", get(show).patch(update).delete(delete))
}

impl From<NotNow> for Failure {
    fn from(error: NotNow) -> Self {
        Self::new(StatusCode::FORBIDDEN, error.to_string())
    }
}

fn shown(identity: DeviceIdentity) -> wire::DeviceIdentity {
    wire::DeviceIdentity {
        id: identity.id,
        description: identity.description,
        device_name: identity.device_name,
        tags: identity.tags,
        created_at: moment(identity.created_at),
        public_key: identity.public_key,
    }
}

async fn create(State(app): State<Ctx>, token: ApiToken, request: Read) -> Result<Response, Failure> {
    let Read { parts, body, mut fields } = request;
    let proof = Proof::of(&app.config.public_url, &parts, &body, true, app.clock.unix())?;
    let mut key = None;
    fields.checked("public_key", |pem| {
        key = PublicKey::parse(pem);
        key.is_none().then(|| phrases::PUBLIC_KEY.to_owned())
    });
    let description = fields.required("description");
    let device_name = fields.optional("device_name").value();
    let tags = fields.tags("tags").value().unwrap_or_default();
    if key.as_ref().is_some_and(|key| !proof.is_by(key)) {
        fields.problem(phrases::SIGNATURE);
    }
    fields.finish()?;
    // A key that is none is among the problems above.
    let key = key.ok_or_else(|| Failure::validation(&[phrases::PUBLIC_KEY]))?;
    let wish = Wish { key, description, device_name, tags };
    Ok(created(shown(super::create(&app, &Keeper::program(&token), wish).await?)))
}

async fn list(
    State(app): State<Ctx>,
    token: ApiToken,
    page: Page,
) -> Result<Json<wire::DeviceIdentities>, Failure> {
    let (found, total) = super::list(&app, &Keeper::program(&token), page.slice()).await?;
    let device_identities = found.into_iter().map(shown).collect();
    Ok(Json(wire::DeviceIdentities { device_identities, meta: page.meta(total) }))
}

async fn show(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeviceIdentityId>,
) -> Result<Json<wire::DeviceIdentity>, Failure> {
    Ok(Json(shown(super::find(&app, &Keeper::program(&token), id).await?)))
}

async fn update(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeviceIdentityId>,
    mut fields: Fields,
) -> Result<Json<wire::DeviceIdentity>, Failure> {
    let by = Keeper::program(&token);
    let wish = if super::find(&app, &by, id).await?.exchanged_at.is_some() {
        Change { description: fields.kept("description"), ..Change::default() }
    } else {
        change(&mut fields)
    };
    fields.finish()?;
    Ok(Json(shown(super::update(&app, &by, id, wish).await?)))
}

async fn delete(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeviceIdentityId>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let was = super::delete(&app, &Keeper::program(&token), id).await?;
    Ok(deleted(&headers, shown(was)))
}
