//! Devices: what they say of themselves, and what people do with their entries. How they get an
//! entry is `linking`'s work.

pub mod api;
pub mod device_api;
mod notices;
pub mod pages;
pub mod programs;
pub mod rows;
mod search_bar;
pub mod transfer;
mod transfer_pages;

use crate::accounts::{self, NotAdmitted};
use crate::app::{App, Ctx};
use crate::audit::{self, Actor};
use crate::auth::{By, Device as Caller, SignedIn};
use crate::deployments::{self, Leaving};
use crate::error::ApiFailure;
use crate::live::Change;
use crate::sessions;
use axum::Router;
use axum::http::StatusCode;
use bramble_model::account::{Deed, Standing};
use bramble_model::audit::Action;
use bramble_model::query::Query;
use bramble_model::tags::Tags;
use bramble_model::{phrases, text};
use bramble_store::deployments::Deployment;
use bramble_store::device_search::Slice;
use bramble_store::devices::Device;
use bramble_store::sessions::{Session, Which};
use bramble_store::{StoreError, Tx};
use bramble_wire::device_api::error::INVALID_REQUEST;
use bramble_wire::device_api::{
    AccountKind, Board, Capabilities, Capability, MAX_HOSTNAME, MAX_STRING, Me, Os, Pico,
};
use bramble_wire::events::Command;
use bramble_wire::signalling::SessionKind;
use bramble_wire::{AccountId, DeviceId};

/// Devices of one page of the list.
pub const PAGE: u64 = 100;

/// Why something was not done to a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none, or it is not the caller's.
    #[error("not found")]
    NotFound,
    /// It is of this organisation, which requires a second factor, and the caller has none.
    #[error("two-factor authentication is required")]
    SecondFactorRequired(AccountId),
    /// A field has no possible value.
    #[error("{0}")]
    Invalid(String),
}

impl From<DeviceError> for ApiFailure {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Store(error) => error.into(),
            DeviceError::NotFound => Self::not_found(),
            DeviceError::SecondFactorRequired(account) => Self::second_factor_required(account),
            DeviceError::Invalid(what) => Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, what),
        }
    }
}

impl From<NotAdmitted> for DeviceError {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Store(error) => Self::Store(error),
            NotAdmitted::NotFound => Self::NotFound,
            NotAdmitted::SecondFactorRequired(account) => Self::SecondFactorRequired(account),
        }
    }
}

/// Every URL of this slice.
pub fn routes() -> Router<Ctx> {
    api::routes().merge(device_api::routes()).merge(pages::routes()).merge(transfer_pages::routes())
}

/// A device that this person may see, and what the person is to its account.
pub async fn find(app: &App, by: &SignedIn, id: DeviceId) -> Result<(Device, Standing), DeviceError> {
    let device = app.store.device_anywhere(id).await?.ok_or(DeviceError::NotFound)?;
    let standing = accounts::standing(app, by.user, device.account).await?;
    let standing = accounts::admit(standing, Deed::ViewDevices)?;
    Ok((device, standing))
}

async fn manageable(app: &App, by: &SignedIn, id: DeviceId) -> Result<(Device, Standing), DeviceError> {
    let (device, standing) = find(app, by, id).await?;
    if standing.may(Deed::ManageDevices) { Ok((device, standing)) } else { Err(DeviceError::NotFound) }
}

/// A page of an account's devices that match a query ([`bramble_model::query`]), by name, and how many
/// match.
pub async fn search(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    query: &str,
    page: u64,
) -> Result<(Vec<Device>, u64), DeviceError> {
    let standing = accounts::standing(app, by.user, account).await?;
    standing.filter(|s| s.may(Deed::ViewDevices)).ok_or(DeviceError::NotFound)?;
    let slice = Slice { offset: page.saturating_sub(1).saturating_mul(PAGE), limit: PAGE };
    let query = Query::parse(query);
    Ok(app.store.devices(account, &query, &online(app, account, &query), slice).await?)
}

/// The devices of an account that are online, if a query asks for them.
pub fn online(app: &App, account: AccountId, query: &Query) -> Vec<DeviceId> {
    if query.online || query.offline { app.link.online(account) } else { Vec::new() }
}

/// Merges what a device says of itself, and ends the sessions that it no longer allows.
pub async fn describe(app: &App, device: &Caller, me: Me) -> Result<(), DeviceError> {
    let me = checked(me)?;
    // A fleet that comes back after a restart says what is known already: nothing is written.
    if !is_news(&device.record, &me) {
        return Ok(());
    }
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    tx.describe_device(device.id, &me).await?;
    let mut ended = Vec::new();
    for (kind, capability) in kinds(me.capabilities) {
        if capability.is_some_and(|c| c != Capability::Enabled) {
            let which = Which::Kind(device.id, kind);
            ended.extend(tx.end_sessions(which, sessions::SWITCHED_OFF, now).await?);
        }
    }
    tx.commit().await?;
    sessions::tell_ended(app, &ended, sessions::SWITCHED_OFF);
    app.live.tell(Change { account: device.account, device: Some(device.id) });
    Ok(())
}

fn is_news(known: &Device, me: &Me) -> bool {
    fn differs<T: PartialEq>(said: Option<&T>, known: Option<&T>) -> bool {
        said.is_some() && said != known
    }
    let (said, had) = (&me.capabilities, &known.capabilities);
    let capabilities =
        [(said.vnc, had.vnc), (said.shell, had.shell), (said.ota, had.ota), (said.files, had.files)];
    let (board, os) = (me.board.as_ref(), me.os.as_ref());
    let texts = [
        (me.vnc_reason.as_ref().filter(|text| !text.is_empty()), &known.vnc_reason),
        (me.hostname.as_ref(), &known.hostname),
        (me.client_version.as_ref(), &known.client_version),
        (me.kernel_architecture.as_ref(), &known.kernel_architecture),
        (board.and_then(|b| b.model.as_ref()), &known.board.model),
        (board.and_then(|b| b.revision.as_ref()), &known.board.revision),
        (board.and_then(|b| b.memory.as_ref()), &known.board.memory),
        (os.and_then(|o| o.name.as_ref()), &known.os.name),
        (os.and_then(|o| o.version.as_ref()), &known.os.version),
        (os.and_then(|o| o.filter.as_ref()), &known.os.filter),
    ];
    capabilities.iter().any(|(said, known)| differs(said.as_ref(), known.as_ref()))
        || texts.iter().any(|(said, known)| differs(*said, known.as_ref()))
        || (known.vnc_reason.is_some() && me.vnc_reason.as_ref().is_some_and(String::is_empty))
        || differs(me.pico.as_ref(), known.pico.as_ref())
        || differs(me.clock_off.as_ref(), known.clock_off.as_ref())
        || (me.signing.is_some() && !known.signing_required)
}

fn kinds(c: Capabilities) -> [(SessionKind, Option<Capability>); 3] {
    [(SessionKind::Shell, c.shell), (SessionKind::Vnc, c.vnc), (SessionKind::Files, c.files)]
}

/// What a device says of sessions of a kind.
pub fn capability(device: &Device, kind: SessionKind) -> Option<Capability> {
    kinds(device.capabilities).into_iter().find(|(k, _)| *k == kind).and_then(|(_, c)| c)
}

/// Refuses what is too long, cleans what is shown.
fn checked(mut me: Me) -> Result<Me, DeviceError> {
    let clean = |name: &str, text: &mut Option<String>, limit: usize| {
        if let Some(value) = text {
            if value.chars().count() > limit {
                let why = format!("{name} is too long (maximum is {limit} characters)");
                return Err(DeviceError::Invalid(why));
            }
            *value = text::clean(value);
        }
        Ok(())
    };
    clean("hostname", &mut me.hostname, MAX_HOSTNAME)?;
    clean("vnc_reason", &mut me.vnc_reason, MAX_STRING)?;
    clean("client_version", &mut me.client_version, MAX_STRING)?;
    clean("kernel_architecture", &mut me.kernel_architecture, MAX_STRING)?;
    if let Some(Board { model, revision, memory }) = &mut me.board {
        clean("board.model", model, MAX_STRING)?;
        clean("board.revision", revision, MAX_STRING)?;
        clean("board.memory", memory, MAX_STRING)?;
    }
    if let Some(Os { name, version, filter }) = &mut me.os {
        clean("os.name", name, MAX_STRING)?;
        clean("os.version", version, MAX_STRING)?;
        clean("os.filter", filter, MAX_STRING)?;
    }
    if let Some(Pico { platform, board_name, program_name, sdk_version, rom_version, chip_version }) =
        &mut me.pico
    {
        for text in [platform, board_name, program_name, sdk_version, rom_version, chip_version] {
            clean("pico", text, MAX_STRING)?;
        }
    }
    me.clock_off = me.clock_off.map(|off| off.clamp(-notices::LONGEST_OFF, notices::LONGEST_OFF));
    Ok(me)
}

/// What changes of a device's entry; the rest stays.
#[derive(Debug, Default)]
pub struct Edit {
    /// Another name, not yet checked.
    pub name: Option<String>,
    /// Other tags in the place of those it has. Devices of organisations only.
    pub tags: Option<Tags>,
}

/// Changes name and, in an organisation, tags, as the settings page asks.
pub async fn update(
    app: &App,
    by: &SignedIn,
    id: DeviceId,
    name: &str,
    tags: &[String],
) -> Result<(), DeviceError> {
    let (device, standing) = manageable(app, by, id).await?;
    let tags = match standing.kind {
        AccountKind::Personal => None,
        AccountKind::Organisation => {
            Some(Tags::new(tags).map_err(|why| DeviceError::Invalid(why.to_string()))?)
        }
    };
    edit(app, by.into(), &device, Edit { name: Some(name.to_owned()), tags }).await
}

/// Changes an entry.
pub async fn edit(app: &App, by: By<'_>, device: &Device, edit: Edit) -> Result<(), DeviceError> {
    let name = match edit.name.as_deref().map(text::clean) {
        Some(name) if name.is_empty() => return Err(DeviceError::Invalid(phrases::blank("Name"))),
        Some(name) if name.chars().count() > text::MAX_NAME => {
            return Err(DeviceError::Invalid(phrases::too_long("Name")));
        }
        name => name.filter(|name| *name != device.name),
    };
    let tags = edit.tags.filter(|tags| tags.as_slice() != device.tags);
    if name.is_none() && tags.is_none() {
        return Ok(());
    }
    let (account, id) = (device.account, device.id);
    let tx = by.begin(app, account, Deed::ManageDevices).await?;
    let actor = &by.actor();
    let subject = audit::device_named(id, name.as_deref().unwrap_or(&device.name));
    if let Some(name) = &name {
        if !tx.rename_device(account, id, name).await? {
            return Err(DeviceError::NotFound);
        }
        let details = format!("Before: {}", device.name);
        audit::record(app, &tx, account, actor, Action::DeviceRenamed, subject.clone(), details).await?;
    }
    if let Some(tags) = &tags {
        if !tx.set_device_tags(account, id, tags).await? {
            return Err(DeviceError::NotFound);
        }
        let details = match tags.as_slice() {
            [] => "No tags".to_owned(),
            tags => tags.join(", "),
        };
        audit::record(app, &tx, account, actor, Action::DeviceTagged, subject, details).await?;
    }
    tx.commit().await?;
    app.live.tell(Change { account, device: Some(id) });
    Ok(())
}

/// Removes a device: its entry, its token, its sessions.
pub async fn delete(app: &App, by: &SignedIn, id: DeviceId) -> Result<(), DeviceError> {
    let (device, _) = manageable(app, by, id).await?;
    delete_for(app, by.into(), &device).await
}

/// Removes a device.
pub(crate) async fn delete_for(app: &App, by: By<'_>, device: &Device) -> Result<(), DeviceError> {
    let tx = by.begin(app, device.account, Deed::ManageDevices).await?;
    let gone = delete_in(app, &tx, &by.actor(), device).await?;
    tx.commit().await?;
    tell_gone(app, &gone);
    Ok(())
}

/// What somebody reads whose session ends with a device.
const DELETED: &str = "The device was deleted.";

/// A device that was deleted, for those who are told after the commit.
#[derive(Debug)]
pub(crate) struct Gone {
    id: DeviceId,
    account: AccountId,
    sessions: Vec<Session>,
    deployments: Vec<Deployment>,
}

/// Removes a device in a transaction that holds its account's lock. [`tell_gone`] after the commit.
pub(crate) async fn delete_in(
    app: &App,
    tx: &Tx,
    actor: &Actor,
    device: &Device,
) -> Result<Gone, DeviceError> {
    let (id, account) = (device.id, device.account);
    let sessions = sessions::end_in(tx, id, DELETED, app.clock.now()).await?;
    let deployments = deployments::leave_in(app, tx, id, Leaving::Deleted, actor).await?;
    if !tx.delete_device(account, id).await? {
        return Err(DeviceError::NotFound);
    }
    let subject = audit::device(device);
    let details = format!("Serial number {}", device.serial_number);
    audit::record(app, tx, account, actor, Action::DeviceDeleted, subject, details).await?;
    Ok(Gone { id, account, sessions, deployments })
}

/// Tells everybody, after the commit.
pub(crate) fn tell_gone(app: &App, gone: &Gone) {
    sessions::tell_ended(app, &gone.sessions, DELETED);
    deployments::tell_ended(app, &gone.deployments);
    sessions::end_trials(app, gone.id);
    app.link.disconnect(gone.id, Some(Command::SignOut {}));
    app.live.tell(Change { account: gone.account, device: None });
    tracing::info!(device.id = %gone.id, "device deleted");
}

/// Signs a device out from the dashboard: its entry stays, offline, until it is linked again.
pub async fn sign_out(app: &App, by: &SignedIn, id: DeviceId) -> Result<(), DeviceError> {
    let (device, _) = manageable(app, by, id).await?;
    let by = By::from(by);
    let tx = by.begin(app, device.account, Deed::ManageDevices).await?;
    end_token(app, tx, &device, &by.actor()).await
}

/// The device signs itself out.
pub async fn sign_out_itself(app: &App, caller: &Caller) -> Result<(), DeviceError> {
    let actor = Actor::device(caller.id, &caller.name).from(caller.country);
    end_token(app, app.store.begin().await?, &caller.record, &actor).await
}

/// Ends what signs a device in, in a transaction that it commits.
pub(crate) async fn end_token(app: &App, tx: Tx, device: &Device, actor: &Actor) -> Result<(), DeviceError> {
    const WHY: &str = "The device was signed out.";
    // An approval that was not answered yet must not sign it in again.
    tx.forget_link_requests_of(device.id).await?;
    let revoked = tx.revoke_device_token(device.account, device.id).await?;
    let ended = sessions::end_in(&tx, device.id, WHY, app.clock.now()).await?;
    if revoked {
        let subject = audit::device(device);
        audit::record(app, &tx, device.account, actor, Action::DeviceSignedOut, subject, "").await?;
    }
    tx.commit().await?;
    sessions::tell_ended(app, &ended, WHY);
    app.link.disconnect(device.id, Some(Command::SignOut {}));
    app.live.tell(Change { account: device.account, device: Some(device.id) });
    tracing::info!(device.id = %device.id, "device signed out");
    Ok(())
}
