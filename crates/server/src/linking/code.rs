//! Linking with a code that a person approves (RFC 8628).

use super::{Claim, Done, LinkingError, add_device, fits, relink, tell, tell_by_mail};
use crate::accounts;
use crate::app::App;
use crate::audit::Actor;
use crate::auth::SignedIn;
use crate::auth::throttle::{Scope, address_key};
use bramble_model::account::Deed;
use bramble_model::auth_key::LOST_ANSWER;
use bramble_model::link_request::{INTERVAL, LIFETIME, MAX_OPEN, MAX_OPEN_PER_ADDRESS, UserCode};
use bramble_model::tags::Tags;
use bramble_model::{Secret, SecretKind, phrases, text};
use bramble_store::devices::Device;
use bramble_store::link_requests::{LinkRequest, NewLinkRequest, State};
use bramble_wire::device_api::{CodeAnswer, CodeRequest, Linked, MAX_STRING, TokenRequest};
use bramble_wire::{AccountId, DeviceId};
use std::net::IpAddr;
use time::Duration;

/// How much sooner than the interval a poll may arrive: networks do not keep the beat.
const POLL_SLACK: Duration = Duration::seconds(1);
/// Draws of a user code until one is free. With 10,000 of 2^40 taken the second is as good as certain.
const DRAWS: usize = 4;

/// Why there is no token (yet): the errors of RFC 8628, 3.5.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// Something else.
    #[error(transparent)]
    Linking(#[from] LinkingError),
    /// Nobody has decided.
    #[error("nobody has approved this device yet")]
    Pending,
    /// Asked too soon.
    #[error("asked again too soon")]
    SlowDown,
    /// The time is over.
    #[error("the code has expired")]
    Expired,
    /// Somebody refused.
    #[error("somebody refused this device")]
    Denied,
    /// Unknown or used.
    #[error("unknown or used device code")]
    InvalidGrant,
}

impl From<bramble_store::StoreError> for PollError {
    fn from(error: bramble_store::StoreError) -> Self {
        Self::Linking(error.into())
    }
}

/// Gives a device a code.
pub async fn request_code(
    app: &App,
    address: IpAddr,
    request: &CodeRequest,
) -> Result<CodeAnswer, LinkingError> {
    let hostname = request.hostname.as_deref().unwrap_or_default();
    let claim = Claim::new(&request.login_hint, hostname, request.model.as_deref())?;
    fits("client_id", &request.client_id, MAX_STRING)?;
    let now = app.clock.now();
    // Open requests count by address; a customer with IPv6 has as many of those as they like.
    let place = address_key(address);
    if app.throttle.attempt(now, Scope::CodeRequests, &place).is_err() {
        return Err(LinkingError::TooManyOpen);
    }
    for _ in 0..DRAWS {
        let device_code = Secret::generate(SecretKind::DeviceCode, &*app.random);
        let user_code = UserCode::generate(&*app.random);
        let new = NewLinkRequest {
            id: app.random.id(),
            device_code: device_code.hash(),
            user_code: user_code.clone(),
            serial_number: claim.serial_number.clone(),
            hostname: claim.hostname.clone().unwrap_or_default(),
            model: claim.model.clone().unwrap_or_default(),
            client_id: text::clean(&request.client_id),
            address: address.to_canonical().to_string(),
            created_at: now,
            expires_at: now + LIFETIME,
        };
        let tx = app.store.begin().await?;
        match tx.insert_link_request(new, MAX_OPEN, MAX_OPEN_PER_ADDRESS).await {
            Ok(true) => tx.commit().await?,
            Ok(false) => {
                app.throttle.take_back(Scope::CodeRequests, &place);
                return Err(LinkingError::TooManyOpen);
            }
            Err(error) if error.is_conflict() => continue,
            Err(error) => return Err(error.into()),
        }
        let page = format!("{}/verify", app.config.public_url.as_str().trim_end_matches('/'));
        return Ok(CodeAnswer {
            device_code: device_code.expose().to_owned(),
            user_code: user_code.to_string(),
            verification_uri_complete: format!("{page}/{user_code}"),
            verification_uri: page,
            expires_in: LIFETIME.whole_seconds().unsigned_abs(),
            interval: INTERVAL.whole_seconds().unsigned_abs(),
        });
    }
    Err(LinkingError::TooManyOpen)
}

/// Answers a device that asks whether its code was approved.
pub async fn poll(app: &App, request: &TokenRequest) -> Result<Linked, PollError> {
    fits("client_id", &request.client_id, MAX_STRING)?;
    let code = Secret::parse(SecretKind::DeviceCode, &request.device_code).ok_or(PollError::InvalidGrant)?;
    let code = code.hash();
    let found = app.store.link_request_by_device_code(code).await?.ok_or(PollError::InvalidGrant)?;
    let now = app.clock.now();
    match found.state {
        State::Open if found.expires_at <= now => Err(PollError::Expired),
        State::Open if app.linking.may_poll(found.id, now, INTERVAL - POLL_SLACK) => Err(PollError::Pending),
        State::Open => Err(PollError::SlowDown),
        State::Denied => {
            app.linking.polled_last(found.id);
            Err(PollError::Denied)
        }
        State::Approved { .. } => {
            app.linking.polled_last(found.id);
            issue(app, code).await
        }
    }
}

/// The token of an approved device: the first time, and again while the answer may have been lost.
async fn issue(app: &App, code: bramble_model::SecretHash) -> Result<Linked, PollError> {
    let token = Secret::generate(SecretKind::DeviceToken, &*app.random);
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    let found = tx.lock_link_request(code).await?.ok_or(PollError::InvalidGrant)?;
    let State::Approved { device, at, issued } = found.state else { return Err(PollError::InvalidGrant) };
    let (given, first) = match issued {
        None if now >= at + LOST_ANSWER => return Err(PollError::Expired),
        None => (tx.issue_device_token(device, token.hash(), now).await?, now),
        Some((_, first)) if now >= first + LOST_ANSWER => return Err(PollError::InvalidGrant),
        Some((former, first)) => {
            (tx.replace_unused_device_token(device, former, token.hash(), now).await?, first)
        }
    };
    if !given {
        return Err(PollError::InvalidGrant);
    }
    tx.note_link_request_token(found.id, token.hash(), first).await?;
    tx.commit().await?;
    Ok(Linked { device_id: device, access_token: token.expose().to_owned() })
}

/// What a person who typed a code sees before deciding.
#[derive(Debug)]
pub struct Waiting {
    /// The request.
    pub request: LinkRequest,
    /// The account that the person chose.
    pub account: AccountId,
    /// That account's devices with the same serial number, which may be replaced.
    pub same_serial: Vec<Device>,
}

/// Finds the device that waits with a code.
pub async fn look_up(
    app: &App,
    by: &SignedIn,
    address: IpAddr,
    code: &str,
    account: AccountId,
) -> Result<Waiting, LinkingError> {
    let request = find_open(app, by, address, code).await?;
    may_link(app, by, account).await?;
    let mut same_serial = app.store.devices_with_serial(account, &request.serial_number).await?;
    same_serial.retain(|d| !d.linked_by_identity);
    Ok(Waiting { request, account, same_serial })
}

/// Approves: the device gets its entry now and its token at its next poll.
pub async fn approve(
    app: &App,
    by: &SignedIn,
    address: IpAddr,
    code: &str,
    account: AccountId,
    name: &str,
    replace: Option<DeviceId>,
) -> Result<(DeviceId, String), LinkingError> {
    may_link(app, by, account).await?;
    let request = find_open(app, by, address, code).await?;
    let name = text::clean(name);
    if name.is_empty() {
        return Err(LinkingError::Invalid(phrases::blank("Name")));
    }
    if name.chars().count() > text::MAX_NAME {
        return Err(LinkingError::Invalid(phrases::too_long("Name")));
    }
    let done = approve_in(app, by, &request, account, &name, replace).await?;
    tell(app, &done);
    Ok((done.device, done.name))
}

async fn approve_in(
    app: &App,
    by: &SignedIn,
    request: &LinkRequest,
    account: AccountId,
    name: &str,
    replace: Option<DeviceId>,
) -> Result<Done, LinkingError> {
    let actor = Actor::person(by);
    let now = app.clock.now();
    let claim = Claim::new(&request.serial_number, &request.hostname, Some(&request.model))?;
    let tx = app.store.begin().await?;
    if !tx.lock_account(account).await? {
        return Err(LinkingError::NotFound);
    }
    // Again under the lock, so that whoever was removed a moment ago adds nothing.
    let standing = tx.standing(by.user, account, now).await?;
    standing.filter(|s| s.may(Deed::ManageDevices)).ok_or(LinkingError::NotFound)?;
    let done = if let Some(id) = replace {
        let existing = tx.device(account, id).await?;
        let fitting = existing.filter(|d| d.serial_number == claim.serial_number && !d.linked_by_identity);
        relink(app, &tx, &fitting.ok_or(LinkingError::Changed)?, (Some(name), &Tags::default()), None, &actor)
            .await?
    } else {
        add_device(app, &tx, account, &claim, name, (None, &Tags::default()), &actor).await?
    };
    if !tx.decide_link_request(request.id, by.user, Some(done.device), now).await? {
        return Err(LinkingError::UnknownCode);
    }
    let from = request.address.parse().ok();
    tell_by_mail(app, &tx, &done, &claim.serial_number, from, now).await?;
    tx.commit().await?;
    Ok(done)
}

/// Refuses.
pub async fn deny(app: &App, by: &SignedIn, address: IpAddr, code: &str) -> Result<(), LinkingError> {
    let request = find_open(app, by, address, code).await?;
    let tx = app.store.begin().await?;
    if !tx.decide_link_request(request.id, by.user, None, app.clock.now()).await? {
        return Err(LinkingError::UnknownCode);
    }
    tx.commit().await?;
    Ok(())
}

/// Finds an open request. A code that nobody waits with counts against the one who typed it.
async fn find_open(
    app: &App,
    by: &SignedIn,
    address: IpAddr,
    code: &str,
) -> Result<LinkRequest, LinkingError> {
    let now = app.clock.now();
    let (person, place) = (by.user.to_string(), address_key(address));
    let tries = [(Scope::CodeAccount, &person), (Scope::CodeAddress, &place)];
    for (scope, key) in tries {
        if app.throttle.attempt(now, scope, key).is_err() {
            tracing::warn!(user.id = %by.user, "too many user codes were tried");
            return Err(LinkingError::TooManyTries);
        }
    }
    let code = UserCode::parse(code).ok_or(LinkingError::UnknownCode)?;
    let found = app.store.open_link_request(&code, now).await?.ok_or(LinkingError::UnknownCode)?;
    // Only wrong codes count. One right code does not excuse the wrong ones before it.
    for (scope, key) in tries {
        app.throttle.take_back(scope, key);
    }
    Ok(found)
}

async fn may_link(app: &App, by: &SignedIn, account: AccountId) -> Result<(), LinkingError> {
    let standing = accounts::standing(app, by.user, account).await?;
    standing.filter(|s| s.may(Deed::ManageDevices)).map(|_| ()).ok_or(LinkingError::NotFound)
}
