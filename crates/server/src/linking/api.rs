//! Auth keys in the management API.

use super::LinkingError;
use super::keys::Wish;
use super::programs;
use crate::app::Ctx;
use crate::auth::ApiToken;
use crate::management::{Failure, Fields, Id, Page, created, deleted, moment};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use bramble_store::auth_keys::AuthKey;
use bramble_store::organisation_keys::Change;
use bramble_wire::{AuthKeyId, management as wire};

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisation/auth-keys", get(list).post(create))
        .route("/organisation/auth-keys/{id}", get(show).patch(update).delete(delete))
}

impl From<LinkingError> for Failure {
    fn from(error: LinkingError) -> Self {
        match error {
            LinkingError::Store(error) => error.into(),
            LinkingError::Changed => Self::unprocessable("This auth key can no longer be edited."),
            LinkingError::Invalid(what) => Self::validation(&[what]),
            _ => Self::not_found(),
        }
    }
}

fn shown(key: AuthKey, secret: Option<String>) -> wire::AuthKey {
    wire::AuthKey {
        id: key.id,
        description: key.description,
        device_name: key.device_name,
        tags: key.tags,
        secret,
        expires_at: moment(key.expires_at),
        exchanged_at: key.exchanged_at.map(moment),
        created_at: moment(key.created_at),
    }
}

async fn create(State(app): State<Ctx>, token: ApiToken, mut fields: Fields) -> Result<Response, Failure> {
    let wish = Wish {
        description: fields.required("description"),
        ttl: fields.ttl_days("ttl_days"),
        device_name: fields.optional("device_name").value(),
        tags: fields.tags("tags").value().unwrap_or_default(),
    };
    fields.finish()?;
    let (key, secret) = programs::create(&app, &token, wish).await?;
    Ok(created(shown(key, Some(secret.expose().to_owned()))))
}

async fn list(State(app): State<Ctx>, token: ApiToken, page: Page) -> Result<Json<wire::AuthKeys>, Failure> {
    let (keys, total) = programs::list(&app, &token, page.slice()).await?;
    let auth_keys = keys.into_iter().map(|key| shown(key, None)).collect();
    Ok(Json(wire::AuthKeys { auth_keys, meta: page.meta(total) }))
}

async fn show(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<AuthKeyId>,
) -> Result<Json<wire::AuthKey>, Failure> {
    Ok(Json(shown(programs::find(&app, &token, id).await?, None)))
}

async fn update(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<AuthKeyId>,
    mut fields: Fields,
) -> Result<Json<wire::AuthKey>, Failure> {
    // Whether there is such a key comes before what is wrong with the body, and so does its state.
    if !programs::find(&app, &token, id).await?.is_usable(app.clock.now()) {
        return Err(LinkingError::Changed.into());
    }
    let change = change(&mut fields);
    fields.finish()?;
    Ok(Json(shown(programs::update(&app, &token, id, change).await?, None)))
}

/// What a PATCH of a key or an identity says.
pub(super) fn change(fields: &mut Fields) -> Change {
    Change {
        description: fields.kept("description"),
        device_name: fields.optional("device_name").change(),
        tags: fields.tags("tags").change().map(Option::unwrap_or_default),
    }
}

async fn delete(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<AuthKeyId>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let was = programs::delete(&app, &token, id).await?;
    Ok(deleted(&headers, shown(was, None)))
}
