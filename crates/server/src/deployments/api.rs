//! Deployments in the management API.

use super::{DeploymentError, Manager};
use crate::app::Ctx;
use crate::auth::ApiToken;
use crate::devices;
use crate::management::{Failure, Fields, Id, Page, created, moment, parameter};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use bramble_model::deployment::Word;
use bramble_model::{phrases, text};
use bramble_store::deployments::{Deployment, Filter};
use bramble_wire::{DeploymentId, DeviceId, management as wire};

/// Letters of an unknown state that the refusal repeats.
const SHOWN: usize = 40;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisation/devices/{id}/deployments", get(list).post(create))
        .route("/organisation/deployments/{id}", get(show))
        .route("/organisation/deployments/{id}/cancel", put(cancel))
        .route("/organisation/deployments/{id}/output", get(output))
}

impl From<DeploymentError> for Failure {
    fn from(error: DeploymentError) -> Self {
        match error {
            DeploymentError::Store(error) => error.into(),
            // Programs have no second factor, and need none.
            DeploymentError::NotFound | DeploymentError::SecondFactorRequired(_) => Self::not_found(),
            DeploymentError::Refused(refused) => Self::unprocessable(refused.to_string()),
            DeploymentError::Blocked => Self::new(StatusCode::FORBIDDEN, phrases::DEPLOYMENTS_BLOCKED),
            DeploymentError::Invalid(what) => Self::unprocessable(what),
            DeploymentError::Key(why) => {
                tracing::error!(why, "the deployment key cannot be used");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The deployment key cannot be used.")
            }
        }
    }
}

fn shown(deployment: &Deployment) -> wire::Deployment {
    wire::Deployment {
        id: deployment.id,
        state: deployment.state.word().as_str().to_owned(),
        state_reason: deployment.state.reason().map(str::to_owned),
        device_id: deployment.device,
        artefact_id: deployment.artefact,
        created_at: moment(deployment.created_at),
        updated_at: moment(deployment.updated_at),
    }
}

async fn list(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(device): Id<DeviceId>,
    page: Page,
    RawQuery(query): RawQuery,
) -> Result<Json<wire::Deployments>, Failure> {
    devices::programs::find(&app, &token, device).await?;
    let state = parameter(query.as_deref(), "state").map(|word| state(&word)).transpose()?;
    let filter = Filter { device: Some(device), state, rollout: None };
    let by = Manager::program(&token);
    let (found, total) = super::list(&app, &by, filter, page.offset(), page.per_page).await?;
    let deployments = found.iter().map(shown).collect();
    Ok(Json(wire::Deployments { deployments, meta: page.meta(total) }))
}

fn state(word: &str) -> Result<Word, Failure> {
    let unknown = || Failure::bad_request(format!("Unknown state \"{}\"", text::clip(word, SHOWN)));
    Word::parse(word).ok_or_else(unknown)
}

async fn create(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(device): Id<DeviceId>,
    mut fields: Fields,
) -> Result<Response, Failure> {
    devices::programs::find(&app, &token, device).await?;
    let artefact = fields.text("artefact_id").value();
    fields.finish()?;
    let artefact = artefact.filter(|id| !id.is_empty());
    let artefact = artefact.ok_or_else(|| Failure::bad_request("artefact_id is missing"))?;
    // What is no id names nothing.
    let artefact = artefact.parse().map_err(|_| Failure::not_found())?;
    Ok(created(shown(&super::create(&app, &Manager::program(&token), device, artefact).await?)))
}

async fn show(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeploymentId>,
) -> Result<Json<wire::Deployment>, Failure> {
    Ok(Json(shown(&super::find(&app, &Manager::program(&token), id).await?)))
}

async fn cancel(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeploymentId>,
) -> Result<Json<wire::Deployment>, Failure> {
    Ok(Json(shown(&super::cancel(&app, &Manager::program(&token), id).await?)))
}

async fn output(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeploymentId>,
) -> Result<Json<wire::DeploymentOutput>, Failure> {
    let output = super::output(&app, &Manager::program(&token), id).await?;
    Ok(Json(wire::DeploymentOutput { output }))
}
