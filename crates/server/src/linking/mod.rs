//! Linking: how a device gets its entry and its token, by an auth key ([`exchange`]), by a key pair of
//! its own ([`identities`]) or by a code that a person approves ([`code`]).
//!
//! Serial numbers are identifiers, never credentials: they are compared within one account only, and
//! linking neither reads nor changes another account's devices.

mod api;
pub mod code;
pub mod device_api;
pub mod exchange;
pub mod identities;
mod imager_pages;
pub mod key_pages;
mod key_rows;
pub mod keys;
mod memory;
pub mod programs;
mod provisioning;
pub mod verify_pages;

pub use memory::Linking;

use crate::accounts::NotAdmitted;
use crate::app::{App, Ctx};
use crate::audit::{self, Actor};
use crate::auth::throttle::Wait;
use crate::deployments;
use crate::devices;
use crate::error::ApiFailure;
use crate::live::Change;
use crate::mail;
use axum::Router;
use axum::http::StatusCode;
use bramble_model::audit::Action;
use bramble_model::tags::Tags;
use bramble_model::{Secret, SecretHash, Timestamp, text};
use bramble_store::deployments::Deployment;
use bramble_store::devices::{Device, NewDevice};
use bramble_store::sessions::Session;
use bramble_store::{StoreError, Tx};
use bramble_wire::device_api::error::{INVALID_AUTH_KEY, INVALID_DEVICE_IDENTITY, INVALID_REQUEST};
use bramble_wire::device_api::{MAX_HOSTNAME, MAX_STRING};
use bramble_wire::{AccountId, DeviceId};
use std::net::IpAddr;
use time::Duration;

/// Seconds after which a refused device may ask for a code again.
const CODES_AGAIN_SECONDS: u16 = 60;
/// How long requests are kept after they expired, so that a late poll hears `expired_token`.
const REQUESTS_KEPT: Duration = Duration::hours(1);

/// Why linking did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LinkingError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Unknown, expired, used or malformed: the caller does not learn which.
    #[error("the auth key cannot be used")]
    UnusableKey,
    /// No such identity, or it is not proved, or the request is an old one: the caller does not learn
    /// which.
    #[error("the device identity cannot be used")]
    UnusableIdentity,
    /// A field has no possible value.
    #[error("{0}")]
    Invalid(String),
    /// Too many requests wait, here or from this address.
    #[error("too many devices are waiting to be approved")]
    TooManyOpen,
    /// Nobody waits with this code.
    #[error("no device is waiting with this code")]
    UnknownCode,
    /// Too many codes were tried.
    #[error("too many codes were tried")]
    TooManyTries,
    /// Too many exchanges of identities, from one address or of one identity.
    #[error("too many device identities were exchanged")]
    TooManyExchanges(#[from] Wait),
    /// The person may not do this in that account, or there is no such account.
    #[error("not found")]
    NotFound,
    /// The device to replace changed while the page was open.
    #[error("the device to replace is no longer there")]
    Changed,
}

impl From<LinkingError> for ApiFailure {
    fn from(error: LinkingError) -> Self {
        match error {
            LinkingError::Store(error) => error.into(),
            LinkingError::UnusableKey => Self::new(
                StatusCode::UNAUTHORIZED,
                INVALID_AUTH_KEY,
                "This auth key cannot be used. Make a new one in the dashboard.",
            ),
            LinkingError::UnusableIdentity => Self::described(
                StatusCode::UNAUTHORIZED,
                INVALID_DEVICE_IDENTITY,
                "This device identity is unknown here, or the request does not prove it.",
            ),
            LinkingError::Invalid(what) => Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, what),
            LinkingError::TooManyOpen => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "Too many devices are waiting to be approved. Try again in a minute.",
            )
            .retry_after(CODES_AGAIN_SECONDS),
            LinkingError::TooManyExchanges(wait) => Self::described(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                format!("Too many exchanges of device identities. Try again in {}.", wait.words()),
            )
            .retry_after(u16::try_from(wait.seconds()).unwrap_or(u16::MAX)),
            LinkingError::UnknownCode
            | LinkingError::TooManyTries
            | LinkingError::NotFound
            | LinkingError::Changed => Self::not_found(),
        }
    }
}

impl From<NotAdmitted> for LinkingError {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Store(error) => Self::Store(error),
            NotAdmitted::NotFound | NotAdmitted::SecondFactorRequired(_) => Self::NotFound,
        }
    }
}

impl From<devices::DeviceError> for LinkingError {
    fn from(error: devices::DeviceError) -> Self {
        match error {
            devices::DeviceError::Store(error) => Self::Store(error),
            devices::DeviceError::NotFound | devices::DeviceError::SecondFactorRequired(_) => Self::NotFound,
            devices::DeviceError::Invalid(what) => Self::Invalid(what),
        }
    }
}

/// Every URL of this slice.
pub fn routes() -> Router<Ctx> {
    api::routes()
        .merge(identities::api::routes())
        .merge(device_api::routes())
        .merge(verify_pages::routes())
        .merge(key_pages::routes())
        .merge(provisioning::routes())
        .merge(imager_pages::routes())
}

/// Erases what has outlived its purpose. Called every few minutes.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    tx.erase_link_request_addresses(now - bramble_model::link_request::LIFETIME).await?;
    tx.delete_link_requests(now - REQUESTS_KEPT).await?;
    tx.commit().await?;
    app.linking.sweep(now);
    Ok(())
}

/// What a device says of itself when it links, checked.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) serial_number: String,
    pub(crate) hostname: Option<String>,
    pub(crate) model: Option<String>,
}

impl Claim {
    fn new(serial_number: &str, hostname: &str, model: Option<&str>) -> Result<Self, LinkingError> {
        if !text::is_serial_number(serial_number) {
            return Err(LinkingError::Invalid(
                "The serial number must be 1 to 64 printable characters without spaces.".to_owned(),
            ));
        }
        fits("hostname", hostname, MAX_HOSTNAME)?;
        fits("model", model.unwrap_or_default(), MAX_STRING)?;
        let shown = |text: &str| Some(text::clean(text)).filter(|text| !text.is_empty());
        Ok(Self {
            serial_number: serial_number.to_owned(),
            hostname: shown(hostname),
            model: model.and_then(shown),
        })
    }

    /// The name that a device gets when nobody chose one.
    fn default_name(&self) -> &str {
        self.hostname.as_deref().or(self.model.as_deref()).unwrap_or(&self.serial_number)
    }
}

/// Refuses a field that is too long.
pub(crate) fn fits(field: &str, value: &str, limit: usize) -> Result<(), LinkingError> {
    if value.chars().count() > limit {
        return Err(LinkingError::Invalid(format!("{field} is too long (maximum is {limit} characters)")));
    }
    Ok(())
}

/// What linking did, for those who are told after the commit.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) device: DeviceId,
    pub(crate) name: String,
    account: AccountId,
    relinked: bool,
    ended: Vec<Session>,
    interrupted: Vec<Deployment>,
}

/// Adds a device to an account, whose lock the transaction holds.
async fn add_device(
    app: &App,
    tx: &Tx,
    account: AccountId,
    claim: &Claim,
    name: &str,
    (token, tags): (Option<&Secret>, &Tags),
    actor: &Actor,
) -> Result<Done, StoreError> {
    let is_second = !tx.devices_with_serial(account, &claim.serial_number).await?.is_empty();
    let name = if is_second { another_name(tx, account, name).await? } else { name.to_owned() };
    let device: DeviceId = app.random.id();
    tx.insert_device(NewDevice {
        id: device,
        account,
        name: name.clone(),
        serial_number: claim.serial_number.clone(),
        hostname: claim.hostname.clone(),
        board_model: claim.model.clone(),
        token: token.map(Secret::hash),
        tags: tags.clone(),
        at: app.clock.now(),
    })
    .await?;
    let subject = audit::device_named(device, &name);
    let details = format!("Serial number {}", claim.serial_number);
    audit::record(app, tx, account, actor, Action::DeviceLinked, subject, details).await?;
    Ok(Done { device, name, account, relinked: false, ended: Vec::new(), interrupted: Vec::new() })
}

/// "kiosk (2)", or the next number that is free.
async fn another_name(tx: &Tx, account: AccountId, name: &str) -> Result<String, StoreError> {
    /// After so many the name may be there twice: names are for people, ids tell devices apart.
    const LAST: u32 = 100;
    // Room for the number.
    let base: String = name.chars().take(text::MAX_NAME - 8).collect();
    for number in 2..LAST {
        let candidate = format!("{base} ({number})");
        if !tx.has_device_named(account, &candidate).await? {
            return Ok(candidate);
        }
    }
    Ok(format!("{base} ({LAST})"))
}

/// Links an existing entry again: id and history stay, and name and tags unless others are given; the
/// old token and its sessions end.
async fn relink(
    app: &App,
    tx: &Tx,
    existing: &Device,
    (name, tags): (Option<&str>, &Tags),
    token: Option<SecretHash>,
    actor: &Actor,
) -> Result<Done, StoreError> {
    let now = app.clock.now();
    tx.forget_link_requests_of(existing.id).await?;
    tx.relink_device(existing.id, name, token, now).await?;
    if !tags.is_empty() {
        tx.set_device_tags(existing.account, existing.id, tags).await?;
    }
    let ended = crate::sessions::end_in(tx, existing.id, "The device was linked again.", now).await?;
    let interrupted = deployments::interrupt_in(app, tx, existing.id, actor).await?;
    let details = format!("Serial number {}", existing.serial_number);
    let subject = || audit::device_named(existing.id, name.unwrap_or(&existing.name));
    audit::record(app, tx, existing.account, actor, Action::DeviceRelinked, subject(), details).await?;
    if name.is_some_and(|name| name != existing.name) {
        let details = format!("Before: {}", existing.name);
        audit::record(app, tx, existing.account, actor, Action::DeviceRenamed, subject(), details).await?;
    }
    if !tags.is_empty() && tags.as_slice() != existing.tags.as_slice() {
        let details = tags.as_slice().join(", ");
        audit::record(app, tx, existing.account, actor, Action::DeviceTagged, subject(), details).await?;
    }
    Ok(Done {
        device: existing.id,
        name: name.unwrap_or(&existing.name).to_owned(),
        account: existing.account,
        relinked: true,
        ended,
        interrupted,
    })
}

/// Writes the mails about a linked device.
async fn tell_by_mail(
    app: &App,
    tx: &Tx,
    done: &Done,
    serial_number: &str,
    address: Option<IpAddr>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let device = mail::NewDevice {
        id: done.device,
        name: done.name.clone(),
        serial_number: serial_number.to_owned(),
        came: mail::Came::Linked {
            address: address.map(|a| a.to_string()),
            country: address.and_then(|a| app.countries.of_address(a)).map(|it| it.to_string()),
        },
        at,
    };
    mail::digest::new_device(app, tx, done.account, &device).await
}

/// Tells everybody, after the commit.
fn tell(app: &App, done: &Done) {
    app.outbox.wake();
    if done.relinked {
        crate::sessions::tell_ended(app, &done.ended, "The device was linked again.");
        deployments::tell_ended(app, &done.interrupted);
        app.link.disconnect(done.device, Some(bramble_wire::events::Command::SignOut {}));
        app.live.tell(Change { account: done.account, device: Some(done.device) });
        tracing::info!(device.id = %done.device, "device linked again");
    } else {
        app.live.tell(Change { account: done.account, device: None });
        tracing::info!(device.id = %done.device, "device linked");
    }
}
