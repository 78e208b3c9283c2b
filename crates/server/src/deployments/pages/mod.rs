//! The Remote update tab and what it leads to. Whoever is in the account may look; only who manages its
//! updates changes anything, and only after a fresh sign-in.

mod device;
mod library;
mod one;
mod rollouts;

use super::{DeploymentError, Manager};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::devices::pages::{Failed, failed};
use crate::error::ApiFailure;
use crate::organisations;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::page;
use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use bramble_model::account::{Deed, Standing};
use bramble_model::phrases;
use bramble_store::StoreError;
use bramble_wire::AccountId;

pub(super) fn routes() -> Router<Ctx> {
    library::routes().merge(device::routes()).merge(one::routes()).merge(rollouts::routes())
}

/// The tab's word.
const TAB: &str = "Remote update";
/// Rows of one page of a list.
const PAGE: u64 = 100;
/// Artefacts that a menu offers at once.
const CHOICES: u64 = 200;

/// The account whose updates a page shows, and what its reader is to it.
struct Place {
    standing: Standing,
    /// Where the account's pages begin.
    root: String,
}

impl Place {
    fn of(standing: Standing) -> Self {
        Self { root: frames::root(standing.kind, standing.account), standing }
    }

    /// The account that something found by its id belongs to, if the reader is in it.
    async fn with(app: &App, who: &SignedIn, account: AccountId) -> Result<Self, DeploymentError> {
        let standing = accounts::standing(app, who.user, account).await?;
        Ok(Self::of(accounts::admit(standing, Deed::ViewDevices)?))
    }

    fn account(&self) -> AccountId {
        self.standing.account
    }

    fn manages(&self) -> bool {
        self.standing.may(Deed::ManageUpdates)
    }

    /// Its first page about updates.
    fn tab(&self) -> String {
        format!("{}/remote-update", self.root)
    }

    fn frame(&self, app: &App, who: &SignedIn) -> Frame {
        frames::of_account(app, who, self.account(), TAB)
    }
}

/// A page about the account that its path names: an organisation, or the reader's own.
struct Reader {
    who: SignedIn,
    place: Place,
}

impl FromRequestParts<Ctx> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Ctx) -> Result<Self, Response> {
        let who = <SignedIn as FromRequestParts<Ctx>>::from_request_parts(parts, app).await?;
        let Ok(params) = <RawPathParams as FromRequestParts<Ctx>>::from_request_parts(parts, app).await
        else {
            return Err(failed(app, &who, ApiFailure::not_found()));
        };
        let named = params.iter().find(|(name, _)| *name == "organisation").map(|(_, id)| id.to_owned());
        let standing = match named {
            None => match crate::devices::pages::personal(app, &who).await {
                Ok(standing) => standing,
                Err(error) => return Err(failed(app, &who, error.into())),
            },
            Some(id) => match organisations::enter(app, &who, &id, Deed::ViewDevices).await {
                Ok(standing) => standing,
                Err(error) => return Err(organisations::pages::refused(app, &who, error)),
            },
        };
        Ok(Self { who, place: Place::of(standing) })
    }
}

impl Reader {
    /// Somebody who changes things here. To others the account has none of it.
    async fn manager(&self, app: &App) -> Result<Manager, DeploymentError> {
        Manager::person(app, &self.who, self.place.account()).await
    }
}

const NAME_TAKEN: &str = "There is an artefact of this name already. Choose another name.";
const NO_URI: &str = "Devices cannot fetch from this. Write the whole address, like https://example.com/kiosk-1.4.tar.zst, without spaces.";
const NO_CHECKSUM: &str =
    "This is no SHA-256. Copy all 64 hexadecimal digits of what “otamaker” or “sha256sum” printed.";

/// An artefact that a menu offers.
struct Choice {
    id: String,
    name: String,
    chosen: bool,
}

/// A menu of artefacts, and the search in it where there are more than it shows.
#[derive(Default)]
struct Menu {
    choices: Vec<Choice>,
    /// There are more than these.
    more: bool,
    /// The beginning of names that was searched for.
    find: String,
    /// None begins like that.
    nothing: bool,
}

impl Menu {
    fn is_searchable(&self) -> bool {
        self.more || !self.find.is_empty()
    }

    /// The account has no artefact at all.
    fn is_empty(&self) -> bool {
        self.choices.is_empty() && self.find.is_empty()
    }
}

/// The artefacts of an account whose name begins like `find`, by name, and the chosen one in any case.
async fn menu(app: &App, place: &Place, chosen: &str, find: &str) -> Result<Menu, StoreError> {
    let find: String = find.trim().chars().take(bramble_model::text::MAX_NAME).collect();
    let (mut found, total) = app.store.artefacts(place.account(), &find, 0, CHOICES).await?;
    let more = total > found.len() as u64;
    let nothing = found.is_empty();
    if let Ok(id) = chosen.parse()
        && !found.iter().any(|it| it.id == id)
    {
        found.extend(app.store.artefact(place.account(), id).await?);
    }
    let choice = |it: bramble_store::artefacts::Artefact| {
        let id = it.id.to_string();
        Choice { chosen: id == chosen, id, name: it.description.name }
    };
    Ok(Menu {
        choices: found.into_iter().map(choice).collect(),
        more,
        nothing: nothing && !find.is_empty(),
        find,
    })
}

/// What somebody typed to describe a new artefact, and what is wrong with it.
#[derive(Default)]
struct NewArtefact {
    name: String,
    name_error: String,
    uri: String,
    uri_error: String,
    checksum: String,
    checksum_error: String,
}

impl NewArtefact {
    fn refused(mut self, problems: bramble_model::artefact::Problems) -> Self {
        // The sentences of the contract name the problem; people want the cure, too.
        let cured = |problem: Option<String>, sentence: &str, cure: &str| match problem {
            Some(problem) if problem == sentence => cure.to_owned(),
            problem => problem.unwrap_or_default(),
        };
        self.name_error = cured(problems.name, phrases::NAME_TAKEN, NAME_TAKEN);
        self.uri_error = cured(problems.uri, phrases::URI, NO_URI);
        self.checksum_error = cured(problems.checksum, phrases::CHECKSUM, NO_CHECKSUM);
        self
    }

    fn is_refused(&self) -> bool {
        [&self.name_error, &self.uri_error, &self.checksum_error].iter().any(|it| !it.is_empty())
    }
}

/// Nothing was done, and why, as a page.
fn sorry(app: &App, who: &SignedIn, status: StatusCode, title: &'static str, text: &'static str) -> Response {
    page(status, &Failed { frame: frames::personal(app, who, ""), title, text })
}

fn refused(app: &App, who: &SignedIn, error: DeploymentError) -> Response {
    match error {
        DeploymentError::Blocked => {
            let text = "The trial is over. Set up billing to deploy again; devices keep what they have.";
            sorry(app, who, StatusCode::FORBIDDEN, "Deployments are blocked", text)
        }
        DeploymentError::Refused(_) => {
            let text =
                "The deployment has moved on while your page was open. Nothing was done; look at it again.";
            sorry(app, who, StatusCode::CONFLICT, "That has changed meanwhile", text)
        }
        other => failed(app, who, other.into()),
    }
}

/// A number of a page in an address.
fn number(text: &str) -> u64 {
    text.parse().unwrap_or(1).max(1)
}

/// The first row of a page.
fn offset(page: u64) -> u64 {
    page.saturating_sub(1).saturating_mul(PAGE)
}
