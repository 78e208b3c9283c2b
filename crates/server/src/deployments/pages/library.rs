//! The Remote update tab: the artefact library, and what is on its way.

use super::{NewArtefact, PAGE, Place, Reader, number, offset, refused};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::artefacts::{self, ArtefactError};
use crate::auth::{Fresh, SignedIn};
use crate::deployments::rows::{DeploymentRow, rows};
use crate::deployments::{DeploymentError, Manager};
use crate::devices::pages::failed;
use crate::web::layout::Frame;
use crate::web::page;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::account::Deed;
use bramble_model::artefact::{without_password, without_secrets};
use bramble_model::deployment::Word;
use bramble_model::phrases;
use bramble_store::StoreError;
use bramble_store::artefacts::Artefact;
use bramble_store::deployments::Filter;
use bramble_store::rollouts::{Rollout, State as RolloutState};
use bramble_wire::{ArtefactId, RolloutId};
use serde::Deserialize;

/// Deployments and rollouts that the tab names; the others have pages of their own.
const RECENT: u64 = 10;

pub(super) fn routes() -> Router<Ctx> {
    let below = |root: &str| {
        Router::new()
            .route(&format!("{root}/remote-update"), get(tab))
            .route(&format!("{root}/remote-update/artefacts/new"), get(new).post(add))
            .route(&format!("{root}/remote-update/deployments"), get(deployments))
    };
    below("")
        .merge(below("/organisations/{organisation}"))
        .route("/remote-update/artefacts/{id}/delete", get(confirm).post(delete))
}

#[derive(Template)]
#[template(path = "deployments/tab.html")]
struct Library {
    frame: Frame,
    /// The page's own address below the account's root.
    tab: String,
    manages: bool,
    artefacts: Vec<ArtefactRow>,
    /// The beginning of names that was searched for.
    name: String,
    total: u64,
    page: u64,
    pages: u64,
    base: String,
    recent: Vec<DeploymentRow>,
    rollouts: Vec<RolloutRow>,
}

struct ArtefactRow {
    id: ArtefactId,
    name: String,
    uri: String,
    checksum: String,
    made: Moment,
    made_by: String,
    /// It was deployed once and stays.
    deployed: bool,
}

struct RolloutRow {
    id: RolloutId,
    query: String,
    total: u64,
    running: bool,
    made: Moment,
    made_by: String,
}

#[derive(Template)]
#[template(path = "deployments/list.html")]
struct List {
    frame: Frame,
    tab: String,
    rows: Vec<DeploymentRow>,
    states: Vec<StateChoice>,
    total: u64,
    page: u64,
    pages: u64,
    base: String,
}

/// A state to filter by.
struct StateChoice {
    word: &'static str,
    label: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "deployments/new_artefact.html")]
struct New {
    frame: Frame,
    tab: String,
    form: NewArtefact,
}

#[derive(Template)]
#[template(path = "deployments/delete_artefact.html")]
struct Delete {
    frame: Frame,
    tab: String,
    id: ArtefactId,
    name: String,
    /// Why it stays, if it does.
    error: String,
}

#[derive(Debug, Default, Deserialize)]
struct Search {
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: String,
}

async fn tab(reader: Reader, State(app): State<Ctx>, Query(search): Query<Search>) -> Response {
    let Reader { who, place } = reader;
    match tab_of(&app, &who, &place, &search).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(error) => failed(&app, &who, error.into()),
    }
}

async fn tab_of(app: &App, who: &SignedIn, place: &Place, search: &Search) -> Result<Library, StoreError> {
    let (account, now, number) = (place.account(), app.clock.now(), number(&search.page));
    let name: String = search.name.chars().take(bramble_model::text::MAX_NAME).collect();
    let (found, total) = app.store.artefacts(account, &name, offset(number), PAGE).await?;
    let ids: Vec<_> = found.iter().map(|it| it.id).collect();
    let deployed = app.store.deployed_artefacts(&ids).await?;
    let artefact = |it: Artefact| ArtefactRow {
        id: it.id,
        name: it.description.name,
        uri: if place.manages() {
            without_password(&it.description.uri)
        } else {
            without_secrets(&it.description.uri)
        },
        checksum: it.description.checksum,
        made: Moment::new(it.created_at, now),
        made_by: it.created_by_name,
        deployed: deployed.contains(&it.id),
    };
    let rollout = |it: Rollout| RolloutRow {
        id: it.id,
        query: it.query,
        total: it.total,
        running: it.state == RolloutState::Running,
        made: Moment::new(it.started_at.unwrap_or(it.created_at), now),
        made_by: it.created_by_name,
    };
    let (recent, _) = app.store.deployments(account, Filter::default(), 0, RECENT).await?;
    let encoded: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    Ok(Library {
        frame: place.frame(app, who).live(account),
        manages: place.manages(),
        artefacts: found.into_iter().map(artefact).collect(),
        total,
        page: number,
        pages: total.div_ceil(PAGE).max(1),
        base: format!("{}?name={encoded}&page=", place.tab()),
        name,
        recent: rows(app, &place.standing, recent).await?,
        rollouts: app.store.rollouts(account, RECENT).await?.into_iter().map(rollout).collect(),
        tab: place.tab(),
    })
}

async fn deployments(reader: Reader, State(app): State<Ctx>, Query(search): Query<Search>) -> Response {
    let Reader { who, place } = reader;
    let state = Word::parse(&search.state);
    let filter = Filter { state, ..Filter::default() };
    let number = number(&search.page);
    let found = async {
        let (found, total) = app.store.deployments(place.account(), filter, offset(number), PAGE).await?;
        Ok::<_, StoreError>((rows(&app, &place.standing, found).await?, total))
    };
    let (rows, total) = match found.await {
        Ok(found) => found,
        Err(error) => return failed(&app, &who, error.into()),
    };
    let choice = |word: Word| StateChoice {
        word: word.as_str(),
        label: crate::deployments::rows::pill(word).label,
        chosen: state == Some(word),
    };
    let shown = List {
        frame: place.frame(&app, &who).live(place.account()),
        rows,
        states: Word::ALL.into_iter().map(choice).collect(),
        total,
        page: number,
        pages: total.div_ceil(PAGE).max(1),
        base: format!("{}/deployments?state={}&page=", place.tab(), state.map_or("", Word::as_str)),
        tab: place.tab(),
    };
    page(StatusCode::OK, &shown)
}

async fn new(reader: Reader, State(app): State<Ctx>) -> Response {
    if let Err(error) = reader.manager(&app).await {
        return refused(&app, &reader.who, error);
    }
    form(&app, &reader, NewArtefact::default())
}

fn form(app: &App, reader: &Reader, form: NewArtefact) -> Response {
    let status = if form.is_refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = reader.place.frame(app, &reader.who);
    page(status, &New { frame, tab: reader.place.tab(), form })
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uri: String,
    #[serde(default)]
    checksum: String,
}

async fn add(_: Fresh, reader: Reader, State(app): State<Ctx>, Form(typed): Form<Typed>) -> Response {
    let by = match reader.manager(&app).await {
        Ok(by) => by,
        Err(error) => return refused(&app, &reader.who, error),
    };
    match artefacts::add(&app, &by, &typed.name, &typed.uri, &typed.checksum).await {
        Ok(_) => Redirect::to(&reader.place.tab()).into_response(),
        Err(ArtefactError::Invalid(problems)) => {
            let Typed { name, uri, checksum } = typed;
            let typed = NewArtefact { name, uri, checksum, ..NewArtefact::default() };
            form(&app, &reader, typed.refused(problems))
        }
        Err(error) => failed(&app, &reader.who, error.into()),
    }
}

/// An artefact, for somebody who may delete it.
async fn find(app: &App, who: &SignedIn, id: &str) -> Result<(Artefact, Place, Manager), DeploymentError> {
    let id: ArtefactId = id.parse().map_err(|_| DeploymentError::NotFound)?;
    let artefact = app.store.artefact_anywhere(id).await?.ok_or(DeploymentError::NotFound)?;
    let standing = accounts::standing(app, who.user, artefact.account).await?;
    let standing = accounts::admit(standing, Deed::ManageUpdates)?;
    let by = Manager::person(app, who, artefact.account).await?;
    Ok((artefact, Place::of(standing), by))
}

async fn confirm(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    match find(&app, &who, &id).await {
        Ok((artefact, place, _)) => {
            let deployed = match app.store.deployed_artefacts(&[artefact.id]).await {
                Ok(deployed) => !deployed.is_empty(),
                Err(error) => return failed(&app, &who, error.into()),
            };
            confirmation(
                &app,
                &who,
                &artefact,
                &place,
                if deployed { phrases::DEPLOYED_ARTEFACT } else { "" },
            )
        }
        Err(error) => refused(&app, &who, error),
    }
}

fn confirmation(app: &App, who: &SignedIn, artefact: &Artefact, place: &Place, error: &str) -> Response {
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shown = Delete {
        frame: place.frame(app, who),
        tab: place.tab(),
        id: artefact.id,
        name: artefact.description.name.clone(),
        error: error.to_owned(),
    };
    page(status, &shown)
}

async fn delete(Fresh(who): Fresh, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let (artefact, place, by) = match find(&app, &who, &id).await {
        Ok(found) => found,
        Err(error) => return refused(&app, &who, error),
    };
    match artefacts::delete(&app, &by, artefact.id).await {
        Ok(_) => Redirect::to(&place.tab()).into_response(),
        Err(error @ ArtefactError::Deployed) => {
            confirmation(&app, &who, &artefact, &place, &error.to_string())
        }
        Err(error) => failed(&app, &who, error.into()),
    }
}
