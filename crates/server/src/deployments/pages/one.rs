//! A deployment's page.

use super::{Place, refused};
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::deployments::rows::{DeploymentRow, rows};
use crate::deployments::{self, DeploymentError, Manager};
use crate::web::layout::Frame;
use crate::web::page;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_model::text;
use bramble_store::deployments::Deployment;
use bramble_wire::{DeploymentId, RolloutId};

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/remote-update/deployments/{id}", get(show))
        .route("/remote-update/deployments/{id}/cancel", post(cancel))
        .route("/remote-update/deployments/{id}/give-up", post(give_up))
}

#[derive(Template)]
#[template(path = "deployments/show.html")]
struct Show {
    frame: Frame,
    tab: String,
    row: DeploymentRow,
    rollout: Option<RolloutId>,
    started: Option<Moment>,
    finished: Option<Moment>,
    /// The end of what it printed, for who manages updates.
    output: Option<String>,
    manages: bool,
}

/// A deployment that the reader may see, and the account it is in.
async fn find(app: &App, who: &SignedIn, id: &str) -> Result<(Deployment, Place), DeploymentError> {
    let id: DeploymentId = id.parse().map_err(|_| DeploymentError::NotFound)?;
    let found = app.store.deployment_anywhere(id).await?.ok_or(DeploymentError::NotFound)?;
    let place = Place::with(app, who, found.account).await?;
    Ok((found, place))
}

async fn show(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    match look(&app, &who, &id).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(error) => refused(&app, &who, error),
    }
}

async fn look(app: &App, who: &SignedIn, id: &str) -> Result<Show, DeploymentError> {
    let (found, place) = find(app, who, id).await?;
    let now = app.clock.now();
    let output = if place.manages() {
        let by = Manager::person(app, who, place.account()).await?;
        deployments::output(app, &by, found.id)
            .await?
            .map(|text| text::printed(&text))
            .filter(|it| !it.is_empty())
    } else {
        None
    };
    let rollout = found.rollout;
    let started = found.state.started_at().map(|at| Moment::new(at, now));
    let finished = found.state.finished_at().map(|at| Moment::new(at, now));
    let row = rows(app, &place.standing, vec![found]).await?.pop().ok_or(DeploymentError::NotFound)?;
    Ok(Show {
        frame: place.frame(app, who).live(place.account()),
        tab: place.tab(),
        row,
        rollout,
        started,
        finished,
        output,
        manages: place.manages(),
    })
}

/// Somebody who manages the updates of the account that a deployment is in.
async fn manager(app: &App, who: &SignedIn, id: &str) -> Result<(DeploymentId, Manager), DeploymentError> {
    let (found, place) = find(app, who, id).await?;
    Ok((found.id, Manager::person(app, who, place.account()).await?))
}

async fn cancel(Fresh(who): Fresh, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let done = async {
        let (id, by) = manager(&app, &who, &id).await?;
        deployments::cancel(&app, &by, id).await
    };
    moved(&app, &who, done.await)
}

async fn give_up(Fresh(who): Fresh, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let done = async {
        let (id, by) = manager(&app, &who, &id).await?;
        deployments::give_up(&app, &by, id).await
    };
    moved(&app, &who, done.await)
}

fn moved(app: &App, who: &SignedIn, moved: Result<Deployment, DeploymentError>) -> Response {
    match moved {
        Ok(it) => Redirect::to(&format!("/remote-update/deployments/{}", it.id)).into_response(),
        Err(error) => refused(app, who, error),
    }
}
