//! Artefacts in the management API.

use super::ArtefactError;
use crate::app::Ctx;
use crate::auth::ApiToken;
use crate::deployments::Manager;
use crate::management::{Failure, Fields, Id, Page, created, deleted, parameter};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use bramble_model::artefact::{checksum_problem, uri_problem};
use bramble_model::phrases;
use bramble_store::artefacts::Artefact;
use bramble_wire::{ArtefactId, management as wire};

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisation/artefacts", get(list).post(create))
        .route("/organisation/artefacts/{id}", get(show).delete(delete))
}

impl From<ArtefactError> for Failure {
    fn from(error: ArtefactError) -> Self {
        match error {
            ArtefactError::Store(error) => error.into(),
            ArtefactError::NotFound => Self::not_found(),
            ArtefactError::Invalid(problems) => Self::validation(&problems.sentences().collect::<Vec<_>>()),
            ArtefactError::Deployed => Self::unprocessable(phrases::DEPLOYED_ARTEFACT),
        }
    }
}

fn shown(artefact: Artefact) -> wire::Artefact {
    let it = artefact.description;
    wire::Artefact { id: artefact.id, name: it.name, uri: it.uri, checksum: it.checksum }
}

async fn list(
    State(app): State<Ctx>,
    token: ApiToken,
    page: Page,
    RawQuery(query): RawQuery,
) -> Result<Json<wire::Artefacts>, Failure> {
    let prefix = parameter(query.as_deref(), "name").unwrap_or_default();
    let by = Manager::program(&token);
    let (found, total) = super::list(&app, &by, &prefix, page.offset(), page.per_page).await?;
    let artefacts = found.into_iter().map(shown).collect();
    Ok(Json(wire::Artefacts { artefacts, meta: page.meta(total) }))
}

async fn show(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<ArtefactId>,
) -> Result<Json<wire::Artefact>, Failure> {
    Ok(Json(shown(super::find(&app, &Manager::program(&token), id).await?)))
}

async fn create(State(app): State<Ctx>, token: ApiToken, mut fields: Fields) -> Result<Response, Failure> {
    let name = fields.required("name");
    let uri = fields.checked("uri", uri_problem);
    let checksum = fields.checked("checksum", checksum_problem);
    fields.finish()?;
    let made = super::add(&app, &Manager::program(&token), &name, &uri, &checksum).await?;
    Ok(created(shown(made)))
}

async fn delete(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<ArtefactId>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let was = super::delete(&app, &Manager::program(&token), id).await?;
    Ok(deleted(&headers, shown(was)))
}
