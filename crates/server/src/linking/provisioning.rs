//! What the Provisioning tab has beside auth keys: API access tokens and device identities.

use super::LinkingError;
use super::identities::{self, Keeper};
use super::key_pages::{Pages, Place, Which, with_token};
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::devices::pages::{failed, server_url};
use crate::management::tokens::{self, MadeToken, TokenError};
use crate::organisations;
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_store::device_identities::DeviceIdentity;
use bramble_store::device_search::Slice;
use bramble_wire::{ApiTokenId, DeviceId, DeviceIdentityId};
use serde::Deserialize;

/// Device identities on a page.
const PAGE: u64 = 50;

pub(super) fn routes() -> Router<Ctx> {
    const TOKEN: &str = "/organisations/{organisation}/api-tokens/{id}/revoke";
    const IDENTITY: &str = "/organisations/{organisation}/device-identities/{id}/delete";
    Router::new()
        .route("/organisations/{organisation}/api-tokens", post(create_token))
        .route(TOKEN, get(confirm_token).post(revoke_token))
        .route(IDENTITY, get(confirm_identity).post(delete_identity))
}

/// What somebody typed for a new token.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    pub(super) description: String,
    /// Why none was made.
    #[serde(skip)]
    pub(super) error: String,
}

/// Tokens and identities, for the page.
pub(super) struct Rest {
    pub(super) token: Typed,
    pub(super) tokens: Vec<TokenRow>,
    pub(super) identities: Vec<IdentityRow>,
    pub(super) page: u64,
    pub(super) pages: u64,
}

pub(super) struct TokenRow {
    pub(super) id: ApiTokenId,
    pub(super) description: String,
    pub(super) made: Moment,
    pub(super) made_by: String,
    pub(super) used: Option<Moment>,
}

pub(super) struct IdentityRow {
    pub(super) id: DeviceIdentityId,
    pub(super) description: String,
    pub(super) device_name: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) made: Moment,
    pub(super) made_by: String,
    pub(super) exchanged: Option<Moment>,
    pub(super) device: Option<(DeviceId, String)>,
}

#[derive(Template)]
#[template(path = "linking/new_token.html")]
struct NewToken {
    frame: Frame,
    place: Place,
    secret: String,
    description: String,
    example: String,
}

#[derive(Template)]
#[template(path = "linking/revoke_token.html")]
struct RevokeToken {
    frame: Frame,
    place: Place,
    id: ApiTokenId,
    description: String,
}

#[derive(Template)]
#[template(path = "linking/delete_identity.html")]
struct DeleteIdentity {
    frame: Frame,
    place: Place,
    which: Which,
    id: DeviceIdentityId,
    description: String,
    device: Option<(DeviceId, String)>,
}

/// Reads it.
pub(super) async fn rest(
    app: &App,
    who: &SignedIn,
    place: &Place,
    token: Typed,
    page: u64,
) -> Result<Rest, LinkingError> {
    let now = app.clock.now();
    let tokens = tokens::list(app, who, place.account).await?;
    let tokens = tokens.into_iter().map(|token| TokenRow {
        id: token.id,
        description: token.description,
        made: Moment::new(token.created_at, now),
        made_by: token.created_by_name,
        used: token.last_used_at.map(|at| Moment::new(at, now)),
    });
    let by = Keeper::person(app, who, place.account).await?;
    let mut page = page.clamp(1, u64::from(u32::MAX));
    let slice = |page: u64| Slice { offset: (page - 1) * PAGE, limit: PAGE };
    let (mut found, total) = identities::list(app, &by, slice(page)).await?;
    // Of a page that is gone, the last one that is left.
    let last = total.div_ceil(PAGE).max(1);
    if page > last {
        page = last;
        found = identities::list(app, &by, slice(page)).await?.0;
    }
    let linked: Vec<_> = found.iter().filter_map(|identity| identity.device).collect();
    let devices = app.store.devices_by_id(place.account, &linked).await?;
    let row = |identity: DeviceIdentity| IdentityRow {
        id: identity.id,
        description: identity.description,
        device_name: identity.device_name,
        tags: identity.tags,
        made: Moment::new(identity.created_at, now),
        made_by: identity.created_by_name,
        exchanged: identity.exchanged_at.map(|at| Moment::new(at, now)),
        device: identity
            .device
            .and_then(|id| devices.iter().find(|device| device.id == id))
            .map(|device| (device.id, device.name.clone())),
    };
    let identities = found.into_iter().map(row).collect();
    Ok(Rest { token, tokens: tokens.collect(), identities, page, pages: total.div_ceil(PAGE) })
}

impl From<TokenError> for LinkingError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Store(error) => Self::Store(error),
            TokenError::NotFound => Self::NotFound,
            TokenError::Invalid(why) => Self::Invalid(why),
            TokenError::TooMany => Self::Invalid(error.to_string()),
        }
    }
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

async fn create_token(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Form(mut typed): Form<Typed>,
) -> Response {
    let place = in_organisation!(app, who, id);
    match tokens::create(&app, &who, place.account, &typed.description).await {
        Ok(made) => web::page(StatusCode::OK, &new_token(&app, &who, place, &made)),
        Err(TokenError::Store(error)) => failed(&app, &who, LinkingError::Store(error).into()),
        Err(TokenError::NotFound) => failed(&app, &who, LinkingError::NotFound.into()),
        Err(error) => {
            typed.error = error.to_string();
            with_token(&app, &who, place, typed).await
        }
    }
}

fn new_token(app: &App, who: &SignedIn, place: Place, made: &MadeToken) -> NewToken {
    let secret = made.secret.expose();
    NewToken {
        frame: frames::of_account(app, who, place.account, place.tab),
        place,
        example: format!(
            "curl --header 'Authorization: Bearer {secret}' {}/organisation/devices",
            server_url(app).trim_end_matches('/')
        ),
        secret: secret.to_owned(),
        description: made.description.clone(),
    }
}

async fn confirm_token(
    who: SignedIn,
    State(app): State<Ctx>,
    Path((organisation, id)): Path<(String, String)>,
) -> Response {
    let place = in_organisation!(app, who, organisation);
    let found = async {
        let id = id.parse().map_err(|_| LinkingError::NotFound)?;
        Ok::<_, LinkingError>(tokens::find(&app, &who, place.account, id).await?)
    };
    match found.await {
        Ok(token) => {
            let frame = frames::of_account(&app, &who, place.account, place.tab);
            let page = RevokeToken { frame, place, id: token.id, description: token.description };
            web::page(StatusCode::OK, &page)
        }
        Err(error) => failed(&app, &who, error.into()),
    }
}

async fn revoke_token(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path((organisation, id)): Path<(String, String)>,
) -> Response {
    let place = in_organisation!(app, who, organisation);
    let revoked = async {
        let id = id.parse().map_err(|_| LinkingError::NotFound)?;
        Ok::<_, LinkingError>(tokens::revoke(&app, &who, place.account, id).await?)
    };
    match revoked.await {
        Ok(()) => Redirect::to(&place.list).into_response(),
        Err(error) => failed(&app, &who, error.into()),
    }
}

async fn confirm_identity(
    who: SignedIn,
    State(app): State<Ctx>,
    Path((organisation, id)): Path<(String, String)>,
    which: Pages,
) -> Response {
    let (place, which) = (in_organisation!(app, who, organisation), Which::of(which));
    let found = async {
        let by = Keeper::person(&app, &who, place.account).await?;
        let id = id.parse().map_err(|_| LinkingError::NotFound)?;
        let identity = identities::find(&app, &by, id).await?;
        let device = match identity.device {
            Some(device) => app.store.device(place.account, device).await?,
            None => None,
        };
        Ok::<_, LinkingError>((identity, device.map(|device| (device.id, device.name))))
    };
    match found.await {
        Ok((identity, device)) => {
            let frame = frames::of_account(&app, &who, place.account, place.tab);
            let (id, description) = (identity.id, identity.description);
            web::page(StatusCode::OK, &DeleteIdentity { frame, place, which, id, description, device })
        }
        Err(error) => failed(&app, &who, error.into()),
    }
}

async fn delete_identity(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path((organisation, id)): Path<(String, String)>,
    which: Pages,
) -> Response {
    let (place, which) = (in_organisation!(app, who, organisation), Which::of(which));
    let deleted = async {
        let by = Keeper::person(&app, &who, place.account).await?;
        let id = id.parse().map_err(|_| LinkingError::NotFound)?;
        identities::delete(&app, &by, id).await
    };
    match deleted.await {
        Ok(_) => Redirect::to(&format!("{}{}", place.list, which.query())).into_response(),
        Err(error) => failed(&app, &who, error.into()),
    }
}
