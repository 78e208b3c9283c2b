//! The artefact library: what an account's devices can be given. The server keeps the address and the
//! checksum and never fetches anything from there.

mod api;

use crate::app::{App, Ctx};
use crate::audit;
use crate::deployments::{DeploymentError, Manager};
use crate::error::ApiFailure;
use axum::Router;
use axum::http::StatusCode;
use bramble_model::artefact::{Description, Problems};
use bramble_model::audit::Action;
use bramble_model::phrases;
use bramble_store::artefacts::{Artefact, Deletion};
use bramble_store::{StoreError, Tx};
use bramble_wire::ArtefactId;

/// Why something was not done to an artefact.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none, or it is not the caller's.
    #[error("not found")]
    NotFound,
    /// Fields have no possible value.
    #[error("what was given cannot be taken")]
    Invalid(Problems),
    /// It was deployed once.
    #[error("{}", phrases::DEPLOYED_ARTEFACT)]
    Deployed,
}

/// Every URL of this slice.
pub fn routes() -> Router<Ctx> {
    api::routes()
}

impl From<ArtefactError> for ApiFailure {
    fn from(error: ArtefactError) -> Self {
        match error {
            ArtefactError::Store(error) => error.into(),
            ArtefactError::NotFound => Self::not_found(),
            ArtefactError::Invalid(_) | ArtefactError::Deployed => {
                Self::message(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
        }
    }
}

/// Adds an artefact.
pub async fn add(
    app: &App,
    by: &Manager,
    name: &str,
    uri: &str,
    checksum: &str,
) -> Result<Artefact, ArtefactError> {
    let description = Description::new(name, uri, checksum).map_err(ArtefactError::Invalid)?;
    let new = Artefact {
        id: app.random.id(),
        account: by.account(),
        description,
        created_by_name: by.actor().name().to_owned(),
        created_at: app.clock.now(),
    };
    let tx = app.store.begin().await?;
    if !tx.lock_account(by.account()).await? {
        return Err(ArtefactError::NotFound);
    }
    confirm(app, &tx, by).await?;
    match tx.insert_artefact(new.clone()).await {
        Err(error) if error.is_conflict() => return Err(ArtefactError::Invalid(taken())),
        inserted => inserted?,
    }
    let subject = audit::artefact(new.id, &new.description.name);
    let details = format!("Checksum {}", new.description.checksum);
    audit::record(app, &tx, new.account, by.actor(), Action::ArtefactCreated, subject, details).await?;
    tx.commit().await?;
    tracing::info!(artefact.id = %new.id, "artefact added");
    Ok(new)
}

async fn confirm(app: &App, tx: &Tx, by: &Manager) -> Result<(), ArtefactError> {
    by.confirm(app, tx).await.map_err(|error| match error {
        DeploymentError::Store(error) => ArtefactError::Store(error),
        _ => ArtefactError::NotFound,
    })
}

fn taken() -> Problems {
    Problems { name: Some(phrases::NAME_TAKEN.to_owned()), ..Problems::default() }
}

/// An artefact of the caller's account.
pub async fn find(app: &App, by: &Manager, id: ArtefactId) -> Result<Artefact, ArtefactError> {
    app.store.artefact(by.account(), id).await?.ok_or(ArtefactError::NotFound)
}

/// A page of the library by name, of those whose name begins so, and how many there are.
pub async fn list(
    app: &App,
    by: &Manager,
    prefix: &str,
    offset: u64,
    limit: u64,
) -> Result<(Vec<Artefact>, u64), StoreError> {
    app.store.artefacts(by.account(), prefix, offset, limit).await
}

/// Removes an artefact that was never deployed, and returns what it was.
pub async fn delete(app: &App, by: &Manager, id: ArtefactId) -> Result<Artefact, ArtefactError> {
    let tx = app.store.begin().await?;
    // Whoever deploys it holds the same lock.
    if !tx.lock_account(by.account()).await? {
        return Err(ArtefactError::NotFound);
    }
    confirm(app, &tx, by).await?;
    let artefact = tx.artefact(by.account(), id).await?.ok_or(ArtefactError::NotFound)?;
    match tx.delete_artefact(by.account(), id).await? {
        Deletion::Deleted => {}
        Deletion::Deployed => return Err(ArtefactError::Deployed),
        Deletion::NotFound => return Err(ArtefactError::NotFound),
    }
    let subject = audit::artefact(id, &artefact.description.name);
    audit::record(app, &tx, by.account(), by.actor(), Action::ArtefactDeleted, subject, "").await?;
    tx.commit().await?;
    tracing::info!(artefact.id = %id, "artefact deleted");
    Ok(artefact)
}
