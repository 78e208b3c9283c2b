//! Auth keys: of a personal account on its Settings tab, of an organisation on its Provisioning tab.

use super::LinkingError;
use super::key_rows::{KeyRow, RowState, replaces, rows as rows_of};
use super::keys::{self, MadeKey, Wish};
use super::provisioning::{self, Rest, Typed as TypedToken};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::devices::pages::{failed, server_url};
use crate::organisations::{self, OrganisationError};
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_model::account::Deed;
use bramble_model::auth_key::TtlDays;
use bramble_model::phrases;
use bramble_model::tags::Tags;
use bramble_wire::{AccountId, AuthKeyId};
use serde::Deserialize;

/// What the expiry menu offers, in days. The form takes any number from 1 to 90.
const EXPIRY_CHOICES: [i64; 5] = [1, 7, 30, 60, 90];

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/settings", get(list))
        .route("/settings/auth-keys", get(list).post(create))
        .route("/settings/auth-keys/{id}/delete", get(confirm).post(delete))
        .route("/organisations/{organisation}/provisioning", get(provisioning))
        .route("/organisations/{organisation}/auth-keys", post(create_in_organisation))
        .route(
            "/organisations/{organisation}/auth-keys/{id}/delete",
            get(confirm_in_organisation).post(delete_in_organisation),
        )
}

/// The account whose keys a page is about.
pub(super) struct Place {
    pub(super) account: AccountId,
    pub(super) organisation: bool,
    /// Where keys are made: the path before `/auth-keys`.
    pub(super) root: String,
    /// The page with the list.
    pub(super) list: String,
    pub(super) tab: &'static str,
}

/// What a page answers.
#[derive(Default)]
struct Asked {
    key: NewKey,
    made: Option<MadeKey>,
    error: Option<String>,
    token: TypedToken,
    /// Which pages of the keys and the device identities.
    which: Which,
}

impl Place {
    async fn personal(app: &App, who: &SignedIn) -> Result<Self, LinkingError> {
        let account = accounts::personal_account(app, who.user).await?.ok_or(LinkingError::NotFound)?;
        let (root, list) = ("/settings".to_owned(), "/settings".to_owned());
        Ok(Self { account, organisation: false, root, list, tab: "Settings" })
    }

    pub(super) async fn organisation(app: &App, who: &SignedIn, id: &str) -> Result<Self, OrganisationError> {
        let standing = organisations::enter(app, who, id, Deed::ManageKeys).await?;
        let root = frames::root(standing.kind, standing.account);
        let list = format!("{root}/provisioning");
        Ok(Self { account: standing.account, organisation: true, root, list, tab: "Provisioning" })
    }
}

#[derive(Template)]
#[template(path = "linking/keys.html")]
struct Keys {
    frame: Frame,
    place: Place,
    which: Which,
    /// A usable key, which a new one replaces.
    replaces: bool,
    rows: Vec<KeyRow>,
    page: u64,
    pages: u64,
    description: String,
    description_error: String,
    device_name: String,
    device_name_error: String,
    tags: String,
    tags_error: String,
    days: i64,
    days_error: String,
    choices: [i64; 5],
    made: Option<Made>,
    /// What an organisation has beside its keys.
    rest: Option<Rest>,
}

struct Made {
    secret: String,
    command: String,
    expires: Moment,
}

#[derive(Template)]
#[template(path = "linking/delete_key.html")]
struct DeleteKey {
    frame: Frame,
    place: Place,
    id: AuthKeyId,
    description: String,
    which: Which,
}

impl DeleteKey {
    /// What the list calls it.
    const fn verb(&self) -> &'static str {
        if self.place.organisation { "Revoke" } else { "Delete" }
    }
}

#[derive(Clone, Deserialize, Default)]
struct NewKey {
    #[serde(default)]
    description: String,
    #[serde(default)]
    ttl_days: String,
    #[serde(default)]
    device_name: String,
    /// Separated by commas or spaces.
    #[serde(default)]
    tags: String,
}

/// A page of the personal account.
macro_rules! at_home {
    ($app:expr, $who:expr) => {
        match Place::personal(&$app, &$who).await {
            Ok(place) => place,
            Err(error) => return failed(&$app, &$who, error.into()),
        }
    };
}

/// A page of the organisation that the path names.
macro_rules! in_organisation {
    ($app:expr, $who:expr, $id:expr) => {
        match Place::organisation(&$app, &$who, &$id).await {
            Ok(place) => place,
            Err(error) => return organisations::pages::refused(&$app, &$who, error),
        }
    };
}

async fn list(who: SignedIn, State(app): State<Ctx>, which: Pages) -> Response {
    let place = at_home!(app, who);
    page(&app, &who, place, Asked { which: Which::of(which), ..Asked::default() }).await
}

/// Pages of the lists, counted from 1; 0 is the first, too.
#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    keys: u64,
    #[serde(default)]
    identities: u64,
}

impl Which {
    pub(super) fn of(asked: Result<Query<Self>, QueryRejection>) -> Self {
        let Self { keys, identities } = asked.map_or_else(|_| Self::default(), |Query(which)| which);
        let page = |asked: u64| asked.clamp(1, u64::from(u32::MAX));
        Self { keys: page(keys), identities: page(identities) }
    }

    /// What an address needs to name these pages: whoever deletes one of many comes back to where they were.
    pub(super) fn query(self) -> String {
        let pages = [("keys", self.keys), ("identities", self.identities)];
        let named = pages.iter().filter(|(_, page)| *page > 1).map(|(name, page)| format!("{name}={page}"));
        let query = named.collect::<Vec<_>>().join("&");
        if query.is_empty() { query } else { format!("?{query}") }
    }
}

/// What an address asks for, of which pages.
pub(super) type Pages = Result<Query<Which>, QueryRejection>;

async fn provisioning(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    which: Pages,
) -> Response {
    let place = in_organisation!(app, who, id);
    page(&app, &who, place, Asked { which: Which::of(which), ..Asked::default() }).await
}

/// The Provisioning tab with what was typed for a token, and why none was made.
pub(super) async fn with_token(app: &App, who: &SignedIn, place: Place, token: TypedToken) -> Response {
    page(app, who, place, Asked { token, ..Asked::default() }).await
}

async fn create(Fresh(who): Fresh, State(app): State<Ctx>, Form(typed): Form<NewKey>) -> Response {
    let place = at_home!(app, who);
    create_at(&app, &who, place, &typed).await
}

async fn create_in_organisation(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Form(typed): Form<NewKey>,
) -> Response {
    let place = in_organisation!(app, who, id);
    create_at(&app, &who, place, &typed).await
}

async fn create_at(app: &App, who: &SignedIn, place: Place, typed: &NewKey) -> Response {
    let asked = match try_create(app, who, &place, typed).await {
        Ok(made) => Asked { made: Some(made), ..Asked::default() },
        Err(LinkingError::Invalid(why)) => Asked { key: typed.clone(), error: Some(why), ..Asked::default() },
        Err(error) => return failed(app, who, error.into()),
    };
    page(app, who, place, asked).await
}

async fn try_create(
    app: &App,
    who: &SignedIn,
    place: &Place,
    typed: &NewKey,
) -> Result<MadeKey, LinkingError> {
    let invalid = |why: &str| LinkingError::Invalid(why.to_owned());
    let days = typed.ttl_days.trim().parse().map_err(|_| invalid(phrases::TTL_DAYS))?;
    let mut wish = Wish {
        description: typed.description.clone(),
        ttl: TtlDays::new(days).map_err(invalid)?,
        device_name: None,
        tags: Tags::default(),
    };
    if place.organisation {
        let words = typed.tags.split([',', ' ']).filter(|word| !word.is_empty());
        wish.tags = Tags::new(words).map_err(|why| LinkingError::Invalid(why.to_string()))?;
        wish.device_name = Some(typed.device_name.clone());
    }
    keys::create_auth_key(app, who, place.account, wish).await
}

async fn page(app: &App, who: &SignedIn, place: Place, asked: Asked) -> Response {
    let now = app.clock.now();
    let Asked { key: typed, made, error, token, which } = asked;
    let wrong = error.is_some() || !token.error.is_empty();
    let read = async {
        let mut which = which;
        let mut rows = rows_of(app, who, place.account, which.keys).await?;
        // Of a page that is gone, the last one that is left.
        let last = rows.1.div_ceil(keys::PAGE).max(1);
        if which.keys > last {
            which.keys = last;
            rows = rows_of(app, who, place.account, last).await?;
        }
        let rest = if place.organisation {
            Some(provisioning::rest(app, who, &place, token, which.identities).await?)
        } else {
            None
        };
        Ok::<_, LinkingError>((rows, rest, which))
    };
    let ((rows, total), rest, which) = match read.await {
        Ok(read) => read,
        Err(error) => return failed(app, who, error.into()),
    };
    let replaces = match replaces(app, &place).await {
        Ok(replaces) => replaces,
        Err(error) => return failed(app, who, error.into()),
    };
    let status = if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let error = error.unwrap_or_default();
    // The sentences of the contract begin with their field.
    let about = |field: &str| if error.starts_with(field) { error.clone() } else { String::new() };
    let page = Keys {
        frame: frames::of_account(app, who, place.account, place.tab),
        replaces,
        place,
        rows,
        page: which.keys.max(1),
        which,
        pages: total.div_ceil(keys::PAGE),
        rest,
        description: typed.description.clone(),
        device_name: typed.device_name.clone(),
        tags: typed.tags.clone(),
        days: typed.ttl_days.trim().parse().unwrap_or(EXPIRY_CHOICES[0]),
        description_error: about("Description"),
        device_name_error: about("Device name"),
        tags_error: about("Tags"),
        days_error: about("Ttl days"),
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

async fn confirm(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>, which: Pages) -> Response {
    let place = at_home!(app, who);
    confirm_at(&app, &who, place, &id, Which::of(which)).await
}

async fn confirm_in_organisation(
    who: SignedIn,
    State(app): State<Ctx>,
    Path((organisation, id)): Path<(String, String)>,
    which: Pages,
) -> Response {
    let place = in_organisation!(app, who, organisation);
    confirm_at(&app, &who, place, &id, Which::of(which)).await
}

async fn confirm_at(app: &App, who: &SignedIn, place: Place, id: &str, which: Which) -> Response {
    match find(app, who, place.account, id).await {
        Ok((id, description)) => {
            let frame = frames::of_account(app, who, place.account, place.tab);
            web::page(StatusCode::OK, &DeleteKey { frame, place, id, description, which })
        }
        Err(error) => failed(app, who, error.into()),
    }
}

async fn delete(Fresh(who): Fresh, State(app): State<Ctx>, Path(id): Path<String>, which: Pages) -> Response {
    let place = at_home!(app, who);
    delete_at(&app, &who, place, &id, Which::of(which)).await
}

async fn delete_in_organisation(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path((organisation, id)): Path<(String, String)>,
    which: Pages,
) -> Response {
    let place = in_organisation!(app, who, organisation);
    delete_at(&app, &who, place, &id, Which::of(which)).await
}

async fn delete_at(app: &App, who: &SignedIn, place: Place, id: &str, which: Which) -> Response {
    let deleted = async {
        let (id, _) = find(app, who, place.account, id).await?;
        keys::delete_auth_key(app, who, place.account, id).await
    };
    match deleted.await {
        Ok(()) => Redirect::to(&format!("{}{}", place.list, which.query())).into_response(),
        Err(error) => failed(app, who, error.into()),
    }
}

async fn find(
    app: &App,
    who: &SignedIn,
    account: AccountId,
    id: &str,
) -> Result<(AuthKeyId, String), LinkingError> {
    let id = id.parse().map_err(|_| LinkingError::NotFound)?;
    let key = keys::auth_key(app, who, account, id).await?;
    Ok((id, key.description))
}
