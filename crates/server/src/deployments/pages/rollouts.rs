//! Deployments to every device that a search finds: the form, what it would do, and how far it got.

use super::{Menu, PAGE, Place, Reader, menu, number, offset, refused, sorry};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::deployments::rollouts::{self, MAX_DEVICES, RolloutError};
use crate::deployments::rows::{DeploymentRow, Pill, pill, rows};
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
use axum::routing::{get, post};
use bramble_model::account::Deed;
use bramble_model::deployment::Word;
use bramble_store::StoreError;
use bramble_store::deployments::Filter;
use bramble_store::rollouts::{Member, Rollout, State as RolloutState};
use bramble_wire::{DeviceId, RolloutId};
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/remote-update/rollouts/new", get(new).post(preview))
        .route("/organisations/{organisation}/remote-update/rollouts/new", get(new).post(preview))
        .route("/remote-update/rollouts/{id}", get(show))
        .route("/remote-update/rollouts/{id}/start", post(start))
}

#[derive(Template)]
#[template(path = "deployments/new_rollout.html")]
struct New {
    frame: Frame,
    tab: String,
    query: String,
    menu: Menu,
    error: String,
}

/// A preview: what would happen.
#[derive(Template)]
#[template(path = "deployments/preview.html")]
struct Preview {
    frame: Frame,
    tab: String,
    it: Shown,
    /// It can be started.
    open: bool,
    expires: Moment,
    devices: Part<Target>,
    skipped: Part<Skipped>,
    error: String,
}

/// A rollout: what happened.
#[derive(Template)]
#[template(path = "deployments/rollout.html")]
struct Progress {
    frame: Frame,
    tab: String,
    it: Shown,
    running: bool,
    started: Moment,
    /// Devices whose deployment is over, in percent.
    percent: u64,
    counts: Vec<Count>,
    devices: Part<DeploymentRow>,
    skipped: Part<Skipped>,
}

/// What both say.
struct Shown {
    id: RolloutId,
    artefact: String,
    query: String,
    total: u64,
    made_by: String,
    /// Where the same can be asked again.
    again: String,
}

struct Target {
    id: DeviceId,
    name: String,
}

struct Skipped {
    id: DeviceId,
    name: String,
    reason: String,
}

/// How many deployments are in a state, and where they are listed.
struct Count {
    pill: Pill,
    many: u64,
    href: String,
    chosen: bool,
}

/// A page of a list that is not alone on its page.
struct Part<T> {
    rows: Vec<T>,
    total: u64,
    page: u64,
    pages: u64,
    base: String,
}

impl<T> Part<T> {
    fn new(rows: Vec<T>, total: u64, page: u64, base: String) -> Self {
        Self { rows, total, page, pages: total.div_ceil(PAGE).max(1), base }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    query: String,
    #[serde(default)]
    artefact: String,
    /// The beginning of the artefact's name, where the menu does not hold all.
    #[serde(default)]
    find: String,
}

async fn new(reader: Reader, State(app): State<Ctx>, Query(wish): Query<Wish>) -> Response {
    match reader.manager(&app).await {
        Ok(_) => form(&app, &reader, &wish, "", StatusCode::OK).await,
        Err(error) => refused(&app, &reader.who, error),
    }
}

async fn form(app: &App, reader: &Reader, wish: &Wish, error: &str, status: StatusCode) -> Response {
    let place = &reader.place;
    let menu = match menu(app, place, &wish.artefact, &wish.find).await {
        Ok(found) => found,
        Err(error) => return failed(app, &reader.who, error.into()),
    };
    let shown = New {
        frame: place.frame(app, &reader.who),
        tab: place.tab(),
        query: wish.query.clone(),
        menu,
        error: error.to_owned(),
    };
    page(status, &shown)
}

async fn preview(_: Fresh, reader: Reader, State(app): State<Ctx>, Form(wish): Form<Wish>) -> Response {
    let by = match reader.manager(&app).await {
        Ok(by) => by,
        Err(error) => return refused(&app, &reader.who, error),
    };
    if wish.artefact.is_empty() {
        let why = "Choose an artefact.";
        return form(&app, &reader, &wish, why, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let made = async {
        let artefact = wish.artefact.parse().map_err(|_| DeploymentError::NotFound)?;
        rollouts::preview(&app, &by, artefact, &wish.query).await
    };
    let error = match made.await {
        Ok(id) => return Redirect::to(&format!("/remote-update/rollouts/{id}")).into_response(),
        Err(error) => error,
    };
    let why = match error {
        RolloutError::Deployment(error) => return refused(&app, &reader.who, error),
        RolloutError::NoDevices => {
            "No device that this search finds can be deployed to. Remote updates have to be allowed on it."
                .to_owned()
        }
        RolloutError::TooMany => {
            format!(
                "The search finds more than {MAX_DEVICES} devices. Search for fewer, one group after another."
            )
        }
        RolloutError::TooManyPreviews | RolloutError::Expired | RolloutError::WrongCount => {
            "There are many previews open. Wait ten minutes until they expire, then try again.".to_owned()
        }
    };
    form(&app, &reader, &wish, &why, StatusCode::UNPROCESSABLE_ENTITY).await
}

/// A rollout that the reader may see: what is only a preview yet, who manages updates alone.
async fn find(app: &App, who: &SignedIn, id: &str) -> Result<(Rollout, Place), DeploymentError> {
    let id: RolloutId = id.parse().map_err(|_| DeploymentError::NotFound)?;
    let found = app.store.rollout_anywhere(id).await?.ok_or(DeploymentError::NotFound)?;
    let deed = match found.state {
        RolloutState::Preview => Deed::ManageUpdates,
        RolloutState::Running | RolloutState::Done => Deed::ViewDevices,
    };
    let standing = accounts::standing(app, who.user, found.account).await?;
    Ok((found, Place::of(accounts::admit(standing, deed)?)))
}

#[derive(Debug, Default, Deserialize)]
struct Pages {
    #[serde(default)]
    page: String,
    #[serde(default)]
    skipped: String,
    #[serde(default)]
    state: String,
}

impl Pages {
    /// The address of the same page up to the number of `list`'s page: turning one list leaves the other.
    fn base(&self, found: &Rollout, list: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(state) = Word::parse(&self.state) {
            query.append_pair("state", state.as_str());
        }
        for (name, page) in [("page", &self.page), ("skipped", &self.skipped)] {
            if name != list && number(page) > 1 {
                query.append_pair(name, &number(page).to_string());
            }
        }
        query.append_pair(list, "");
        format!("/remote-update/rollouts/{}?{}", found.id, query.finish())
    }
}

async fn show(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Query(pages): Query<Pages>,
) -> Response {
    match find(&app, &who, &id).await {
        Ok((found, place)) => shown(&app, &who, &found, &place, &pages, "").await,
        Err(error) => refused(&app, &who, error),
    }
}

async fn shown(
    app: &App,
    who: &SignedIn,
    found: &Rollout,
    place: &Place,
    pages: &Pages,
    error: &str,
) -> Response {
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    if found.state == RolloutState::Preview {
        match preview_of(app, who, found, place, pages, error).await {
            Ok(shown) => page(status, &shown),
            Err(error) => failed(app, who, error.into()),
        }
    } else {
        match running(app, who, found, place, pages).await {
            Ok(shown) => page(status, &shown),
            Err(error) => failed(app, who, error.into()),
        }
    }
}

async fn common(app: &App, found: &Rollout, place: &Place) -> Result<Shown, StoreError> {
    let artefact = app.store.artefact(found.account, found.artefact).await?;
    let again = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("query", &found.query)
        .append_pair("artefact", &found.artefact.to_string())
        .finish();
    Ok(Shown {
        id: found.id,
        artefact: artefact.map(|it| it.description.name).unwrap_or_default(),
        query: found.query.trim().to_owned(),
        total: found.total,
        made_by: found.created_by_name.clone(),
        again: format!("{}/rollouts/new?{again}", place.tab()),
    })
}

async fn skipped(app: &App, found: &Rollout, pages: &Pages) -> Result<Part<Skipped>, StoreError> {
    let number = number(&pages.skipped);
    let (rows, total) = app.store.rollout_members(found.id, true, offset(number), PAGE).await?;
    let row = |it: Member| Skipped { id: it.device, name: it.name, reason: it.reason.unwrap_or_default() };
    let base = pages.base(found, "skipped");
    Ok(Part::new(rows.into_iter().map(row).collect(), total, number, base))
}

async fn preview_of(
    app: &App,
    who: &SignedIn,
    found: &Rollout,
    place: &Place,
    pages: &Pages,
    error: &str,
) -> Result<Preview, StoreError> {
    let (now, number) = (app.clock.now(), number(&pages.page));
    let (rows, total) = app.store.rollout_members(found.id, false, offset(number), PAGE).await?;
    let rows = rows.into_iter().map(|it| Target { id: it.device, name: it.name }).collect();
    let base = pages.base(found, "page");
    Ok(Preview {
        frame: place.frame(app, who),
        tab: place.tab(),
        it: common(app, found, place).await?,
        open: found.expires_at > now,
        expires: Moment::new(found.expires_at, now),
        devices: Part::new(rows, total, number, base),
        skipped: skipped(app, found, pages).await?,
        error: error.to_owned(),
    })
}

async fn running(
    app: &App,
    who: &SignedIn,
    found: &Rollout,
    place: &Place,
    pages: &Pages,
) -> Result<Progress, StoreError> {
    let (state, number) = (Word::parse(&pages.state), number(&pages.page));
    let filter = Filter { rollout: Some(found.id), state, device: None };
    let (deployments, total) = app.store.deployments(found.account, filter, offset(number), PAGE).await?;
    let own = format!("/remote-update/rollouts/{}", found.id);
    let base = pages.base(found, "page");
    let counted = app.store.count_deployments(found.id).await?;
    let many = |word: Word| counted.iter().find(|(it, _)| *it == word).map_or(0, |(_, many)| *many);
    let count = |word: Word| Count {
        pill: Pill { busy: false, ..pill(word) },
        many: many(word),
        href: format!("{own}?state={}", word.as_str()),
        chosen: state == Some(word),
    };
    let over = many(Word::Succeeded) + many(Word::Failed) + many(Word::Cancelled);
    Ok(Progress {
        frame: place.frame(app, who).live(found.account),
        tab: place.tab(),
        it: common(app, found, place).await?,
        running: found.state == RolloutState::Running,
        started: Moment::new(found.started_at.unwrap_or(found.created_at), app.clock.now()),
        percent: (over * 100).checked_div(found.total).unwrap_or(100),
        counts: Word::ALL.into_iter().map(count).filter(|it| it.many > 0 || it.chosen).collect(),
        devices: Part::new(rows(app, &place.standing, deployments).await?, total, number, base),
        skipped: skipped(app, found, pages).await?,
    })
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    confirm: String,
}

async fn start(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Form(typed): Form<Typed>,
) -> Response {
    let (found, place) = match find(&app, &who, &id).await {
        Ok(found) => found,
        Err(error) => return refused(&app, &who, error),
    };
    let started = async {
        let by = Manager::person(&app, &who, place.account()).await?;
        rollouts::start(&app, &by, found.id, &typed.confirm).await
    };
    match started.await {
        Ok(()) => Redirect::to(&format!("/remote-update/rollouts/{}", found.id)).into_response(),
        Err(RolloutError::WrongCount) => {
            let why = format!("That is not the number of devices. Type {} to go on.", found.total);
            shown(&app, &who, &found, &place, &Pages::default(), &why).await
        }
        Err(RolloutError::Deployment(error)) => refused(&app, &who, error),
        Err(_) => {
            let text = "A preview lasts ten minutes, so that nobody starts what has changed since. Nothing was done; make a \
                        new one.";
            sorry(&app, &who, StatusCode::CONFLICT, "This preview has expired", text)
        }
    }
}
