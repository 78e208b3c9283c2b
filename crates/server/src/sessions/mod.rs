//! Remote sessions: who may open one, how the two sides find each other, and how it ends.
//!
//! The store knows who, which device and since when ([`bramble_store::sessions`]); offers, answers and
//! candidates pass through [`Signalling`], in memory and for a minute. What happens inside a session
//! never comes here.
//!
//! To end sessions for a new reason: end them in the transaction of what causes it
//! ([`bramble_store::Tx::end_sessions`]), and call [`tell_ended`] after the commit.

pub mod api;
pub mod device_api;
mod signalling;
mod sweep;
mod transfers;

pub use signalling::Signalling;
pub use sweep::{run, sweep};

use crate::accounts::{self, NotAdmitted};
use crate::app::{App, Ctx};
use crate::audit::{self, Actor};
use crate::auth::throttle::Wait;
use crate::auth::{By, SignedIn};
use crate::devices;
use crate::error::ApiFailure;
use crate::live::Change;
use axum::Router;
use axum::http::StatusCode;
use bramble_model::Timestamp;
use bramble_model::account::{Deed, is_suspended};
use bramble_model::audit::Action;
use bramble_model::session::{MAX_LIVE_PER_USER_AND_DEVICE, State};
use bramble_relay::credentials::Side;
use bramble_store::devices::Device;
use bramble_store::sessions::{NewSession, Session, Which};
use bramble_store::{StoreError, Tx};
use bramble_wire::device_api::Capability;
use bramble_wire::events::Command;
use bramble_wire::signalling::{
    Answer, BrowserEvent, Description, IceCandidate, MAX_SDP, OpenSession, SessionKind, SessionOpened,
};
use bramble_wire::{AccountId, DeviceId, SessionId, UserId};
use time::Duration;

/// Why sessions end when a device switches their kind off.
pub const SWITCHED_OFF: &str = "Remote access was switched off on the device.";
/// Why a session ends when an administrator ends it.
const ENDED_BY_ADMINISTRATOR: &str = "The session was ended from the device's page.";
/// Why file sessions end when an administrator forbids file transfer.
pub const FILES_FORBIDDEN: &str = "An administrator switched file transfer off for this organisation.";
/// Why a session ends with the sign-in of its browser.
const SIGNED_OUT: &str = "You are no longer signed in where you opened this session.";
/// Why sessions end that ran in a client of the device that was killed.
const RESTARTED: &str = "The device's client was restarted.";
/// Why a session ends when its browser says so.
const CLOSED: &str = "The session was closed in the browser.";

/// Why something did not happen to a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none, or it is not the caller's.
    #[error("not found")]
    NotFound,
    /// Its device is of this organisation, which requires a second factor, and the caller has none.
    #[error("two-factor authentication is required")]
    SecondFactorRequired(AccountId),
    /// The device has no stream. Carries the sentence.
    #[error("{0}")]
    Offline(String),
    /// The device does not allow it. Carries the sentence.
    #[error("{0}")]
    NotAllowed(String),
    /// The organisation's trial is over and nobody pays. Carries its name.
    #[error("{0} has no billing")]
    Suspended(String),
    /// The person has as many sessions to this device as one person may.
    #[error("too many sessions")]
    TooMany,
    /// The server carries as many descriptions as it can hold.
    #[error("the server is busy")]
    Busy,
    /// Too often.
    #[error(transparent)]
    Wait(#[from] Wait),
    /// Said already.
    #[error("{0}")]
    Again(&'static str),
    /// Too large, or too many.
    #[error("{0}")]
    TooMuch(&'static str),
}

impl From<SessionError> for ApiFailure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Store(error) => error.into(),
            SessionError::NotFound => Self::not_found(),
            SessionError::SecondFactorRequired(account) => Self::second_factor_required(account),
            SessionError::Offline(text) => Self::new(StatusCode::CONFLICT, "device_offline", text),
            SessionError::NotAllowed(text) => Self::new(StatusCode::CONFLICT, "not_allowed", text),
            SessionError::Suspended(name) => Self::new(
                StatusCode::FORBIDDEN,
                "billing_required",
                format!("The devices of {name} cannot be reached until its billing has been set up."),
            ),
            SessionError::TooMany => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_sessions",
                "You have ten sessions to this device already. End one of them, then try again.",
            ),
            SessionError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "Too many sessions are starting at once. Try again in a moment.",
            )
            .retry_after(5),
            SessionError::Wait(wait) => {
                let seconds = u16::try_from(wait.seconds()).unwrap_or(u16::MAX);
                let text = format!("Too many reports. Try again in {}.", wait.words());
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", text).retry_after(seconds)
            }
            SessionError::Again(text) => Self::new(StatusCode::CONFLICT, "already_sent", text),
            SessionError::TooMuch(text) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text),
        }
    }
}

impl From<devices::DeviceError> for SessionError {
    fn from(error: devices::DeviceError) -> Self {
        match error {
            devices::DeviceError::Store(error) => Self::Store(error),
            devices::DeviceError::SecondFactorRequired(account) => Self::SecondFactorRequired(account),
            devices::DeviceError::NotFound | devices::DeviceError::Invalid(_) => Self::NotFound,
        }
    }
}

impl From<NotAdmitted> for SessionError {
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
    api::routes().merge(device_api::routes())
}

/// Words for people.
pub fn kind_words(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Shell => "Remote shell",
        SessionKind::Vnc => "Screen sharing",
        SessionKind::Files => "File transfer",
    }
}

/// Words for people, for one session.
pub fn words_for(session: &Session) -> &'static str {
    if session.watching { "Remote shell, watching" } else { kind_words(session.kind) }
}

/// Opens a session: policy, a row, a line in the audit log. The offer follows.
pub async fn open(app: &App, by: &SignedIn, wish: &OpenSession) -> Result<SessionOpened, SessionError> {
    let (device, standing) = devices::find(app, by, wish.device_id).await?;
    if !standing.may(Deed::OpenSession) {
        return Err(SessionError::NotFound);
    }
    if wish.watch && wish.kind != SessionKind::Shell {
        return Err(SessionError::NotAllowed("Only a remote shell can be watched.".to_owned()));
    }
    reachable(app, &device, wish.kind)?;
    let id: SessionId = app.random.id();
    let now = app.clock.now();
    let tx = app.store.begin().await?;
    if !tx.lock_account(device.account).await? {
        return Err(SessionError::NotFound);
    }
    // Again under the lock: whoever was removed a moment ago opens nothing.
    let standing = tx.standing(by.user, device.account, now).await?;
    accounts::admit(standing, Deed::OpenSession)?;
    let account = tx.account(device.account).await?.ok_or(SessionError::NotFound)?;
    if is_suspended(account.billing, account.trial_ends_at, now) {
        return Err(SessionError::Suspended(account.name));
    }
    if wish.kind == SessionKind::Files && account.files_forbidden {
        return Err(SessionError::NotAllowed(format!(
            "File transfer is switched off for the devices of {}. An administrator can switch it on in the \
             organisation's settings.",
            account.name
        )));
    }
    if tx.count_sessions_of(by.user, device.id).await? >= MAX_LIVE_PER_USER_AND_DEVICE {
        return Err(SessionError::TooMany);
    }
    let new = NewSession {
        id,
        kind: wish.kind,
        watching: wish.watch,
        account: device.account,
        device: device.id,
        user: by.user,
        web_session: by.session,
        opened_at: now,
    };
    tx.insert_session(new.clone()).await?;
    if !goes_on(&tx, &new, wish.former, now).await? {
        record_start(app, &tx, by, &device, wish).await?;
    }
    tx.commit().await?;
    app.live.tell(Change { account: device.account, device: Some(device.id) });
    tracing::info!(session.id = %id, device.id = %device.id, kind = wish.kind.as_str(), "session opened");
    Ok(SessionOpened { id, ice_servers: app.relay_ice_servers(id, Side::Browser) })
}

/// Whether this is the same window's next attempt to get back to what it had: the audit log has one line for all of
/// them. It is believed only of the same person, in the same sign-in, to the same device of the same organisation and
/// for the same purpose, and for as long as a browser may hear of the former's end. Whoever has signed in again
/// meanwhile, or came back later, leaves a line of their own.
async fn goes_on(
    tx: &Tx,
    new: &NewSession,
    former: Option<SessionId>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(former) = former else { return Ok(false) };
    let Some(former) = tx.session(former).await? else { return Ok(false) };
    Ok(former.id != new.id
        && former.user == new.user
        && former.web_session == Some(new.web_session)
        && (former.account, former.device) == (new.account, new.device)
        && (former.kind, former.watching) == (new.kind, new.watching)
        && former.ended_at.is_none_or(|at| now < at + END_TOLD))
}

async fn record_start(
    app: &App,
    tx: &Tx,
    by: &SignedIn,
    device: &Device,
    wish: &OpenSession,
) -> Result<(), StoreError> {
    let action = match wish.kind {
        SessionKind::Shell if wish.watch => Action::ShellWatched,
        SessionKind::Shell => Action::ShellStarted,
        SessionKind::Vnc => Action::ScreenStarted,
        SessionKind::Files => Action::FilesStarted,
    };
    audit::record(app, tx, device.account, &Actor::person(by), action, audit::device(device), "").await
}

fn reachable(app: &App, device: &Device, kind: SessionKind) -> Result<(), SessionError> {
    if device.token.is_none() {
        let text = format!("{} is signed out. Link it again, then try again.", device.name);
        return Err(SessionError::Offline(text));
    }
    if !app.link.is_online(device.id) {
        let seen = device.last_seen_at.map_or_else(
            || "It was never seen online".to_owned(),
            |at| format!("It was last seen {}", crate::web::times::Moment::new(at, app.clock.now()).text),
        );
        let text =
            format!("{} is offline. {seen}; check its power and network, then try again.", device.name);
        return Err(SessionError::Offline(text));
    }
    let (what, name) = (kind_words(kind), &device.name);
    match devices::capability(device, kind) {
        Some(Capability::Enabled) => Ok(()),
        Some(Capability::Available) => Err(SessionError::NotAllowed(format!(
            "{what} is switched off on {name}. Switch it on there, then try again."
        ))),
        Some(Capability::Unavailable) | None => {
            let reason = device.vnc_reason.as_ref().filter(|_| kind == SessionKind::Vnc);
            let reason = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            Err(SessionError::NotAllowed(format!("{what} is not available on {name}.{reason}")))
        }
    }
}

/// The live session of exactly this browser.
async fn of_browser(app: &App, by: &SignedIn, id: SessionId) -> Result<Session, SessionError> {
    let session = heard_by(app, by, id).await?;
    if session.state == State::Ended { Err(SessionError::NotFound) } else { Ok(session) }
}

/// The session of exactly this browser, live or ended a moment ago: a browser that lost its stream
/// meanwhile comes back for the end.
async fn heard_by(app: &App, by: &SignedIn, id: SessionId) -> Result<Session, SessionError> {
    let session = app.store.session(id).await?.ok_or(SessionError::NotFound)?;
    let theirs = session.user == by.user && session.web_session == Some(by.session);
    let heard = session.ended_at.is_none_or(|at| app.clock.now() < at + END_TOLD);
    if theirs && heard { Ok(session) } else { Err(SessionError::NotFound) }
}

/// What was opened a moment before the person was kept out does not begin or go on. It is ended within
/// seconds ([`crate::organisations::members::end_kept_out`]); ending it oneself is allowed.
async fn still_admitted(app: &App, by: &SignedIn, session: &Session) -> Result<(), SessionError> {
    let standing = accounts::standing(app, by.user, session.account).await?;
    accounts::admit(standing, Deed::OpenSession)?;
    Ok(())
}

/// The live session of exactly this device.
async fn of_device(app: &App, device: DeviceId, id: SessionId) -> Result<Session, SessionError> {
    let session = app.store.session(id).await?.ok_or(SessionError::NotFound)?;
    if session.device == device && session.state != State::Ended {
        Ok(session)
    } else {
        Err(SessionError::NotFound)
    }
}

/// Takes the browser's offer and tells the device. A device that cannot be told ends the session at
/// once, with the reason.
pub async fn offer(app: &App, by: &SignedIn, id: SessionId, offer: Description) -> Result<(), SessionError> {
    let session = of_browser(app, by, id).await?;
    still_admitted(app, by, &session).await?;
    if offer.sdp.len() > MAX_SDP {
        return Err(SessionError::TooMuch("The offer is too large."));
    }
    app.signalling.offer(&session, offer.sdp, app.clock.now())?;
    if !app.link.send(session.device, Command::Session { id }) {
        const WHY: &str = "The device is offline. Check its power and network, then try again.";
        end(app, Which::One(id), WHY, true).await?;
        return Err(SessionError::Offline(WHY.to_owned()));
    }
    Ok(())
}

/// Passes a candidate of the browser on, or keeps it until the device has fetched the offer.
pub async fn browser_candidate(
    app: &App,
    by: &SignedIn,
    id: SessionId,
    candidate: IceCandidate,
) -> Result<(), SessionError> {
    let session = of_browser(app, by, id).await?;
    still_admitted(app, by, &session).await?;
    signalling::check_candidate(id, &candidate)?;
    if let Some(candidate) = app.signalling.browser_candidate(&session, candidate, app.clock.now())? {
        app.link.send(session.device, Command::Candidate { id, candidate });
    }
    Ok(())
}

/// Ends a session from its own browser.
pub async fn close(app: &App, by: &SignedIn, id: SessionId) -> Result<(), SessionError> {
    of_browser(app, by, id).await?;
    end(app, Which::One(id), CLOSED, false).await?;
    Ok(())
}

/// Ends one session of a device, for somebody who manages it. `false` if it was over already.
pub async fn end_by_administrator(
    app: &App,
    by: &SignedIn,
    device: &Device,
    id: SessionId,
) -> Result<bool, NotAdmitted> {
    let Some(session) = app.store.session(id).await?.filter(|s| s.device == device.id) else {
        return Ok(false);
    };
    let person = app.store.user(session.user).await?.map(|user| user.name).unwrap_or_default();
    let tx = By::from(by).begin(app, device.account, Deed::ManageDevices).await?;
    let ended = tx.end_sessions(Which::One(id), ENDED_BY_ADMINISTRATOR, app.clock.now()).await?;
    if ended.is_empty() {
        return Ok(false);
    }
    let details = format!("{} of {person}", words_for(&session));
    let (actor, subject) = (Actor::person(by), audit::device(device));
    audit::record(app, &tx, device.account, &actor, Action::SessionEnded, subject, details).await?;
    tx.commit().await?;
    tell_ended(app, &ended, ENDED_BY_ADMINISTRATOR);
    Ok(true)
}

/// Ends every session of a person: signed out everywhere, another password, disabled. `reason` is a
/// sentence for the person who watches.
pub async fn end_for_user(app: &App, user: UserId, reason: &str) -> Result<(), StoreError> {
    end(app, Which::User(user), reason, false).await
}

/// Ends the sessions of a person whose browser is no longer signed in. To be called after sign-ins were
/// removed.
pub async fn end_signed_out(app: &App, user: UserId) -> Result<(), StoreError> {
    end(app, Which::SignedOut(user), SIGNED_OUT, false).await
}

/// Ends every session to a device, in the transaction of what causes it. [`tell_ended`] after the
/// commit.
pub async fn end_in(
    tx: &Tx,
    device: DeviceId,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    tx.end_sessions(Which::Device(device), reason, now).await
}

async fn end(app: &App, which: Which, reason: &str, failed: bool) -> Result<(), StoreError> {
    let tx = app.store.begin().await?;
    let ended = tx.end_sessions(which, reason, app.clock.now()).await?;
    tx.commit().await?;
    tell(app, &ended, reason, failed);
    Ok(())
}

/// By which the relay knows a device that tries it without a session.
fn relay_id(device: DeviceId) -> SessionId {
    SessionId(device.0)
}

/// Ends what a device relays without a session. To be called once its entry is gone.
pub fn end_trials(app: &App, device: DeviceId) {
    app.relay_end_session(relay_id(device));
}

/// Tells the device, the browser and the relay that sessions are over.
pub fn tell_ended(app: &App, ended: &[Session], reason: &str) {
    tell(app, ended, reason, false);
}

fn tell(app: &App, ended: &[Session], reason: &str, failed: bool) {
    for session in ended {
        let reason = reason.to_owned();
        app.link.send(session.device, Command::EndSession { id: session.id, reason: reason.clone() });
        app.relay_end_session(session.id);
        let last = if failed { BrowserEvent::Error { reason } } else { end_event(reason) };
        app.signalling.end(session.id, last, app.clock.now());
        app.live.tell(Change { account: session.account, device: Some(session.device) });
        tracing::info!(session.id = %session.id, device.id = %session.device, "session ended");
    }
}

/// What a browser hears of an end. Where nobody wanted it, the window may begin anew.
fn end_event(reason: String) -> BrowserEvent {
    BrowserEvent::End { again: reason == RESTARTED, reason }
}

/// The live sessions of a device with the names of their people, for its page.
pub async fn live_of_device(app: &App, device: DeviceId) -> Result<Vec<(Session, String)>, StoreError> {
    app.store.live_sessions(Which::Device(device)).await
}

/// Takes the device's answer, once.
pub async fn answer(app: &App, device: DeviceId, id: SessionId, answer: Answer) -> Result<(), SessionError> {
    let session = of_device(app, device, id).await?;
    match answer {
        Answer::Accepted { sdp } => {
            if sdp.len() > MAX_SDP {
                return Err(SessionError::TooMuch("The answer is too large."));
            }
            app.signalling.answer(&session, BrowserEvent::Answer { sdp }, app.clock.now())
        }
        Answer::Refused { error } => {
            let said = bramble_model::text::clip(&error, bramble_wire::device_api::MAX_STRING);
            let reason = if said.is_empty() { "The device refused the session.".to_owned() } else { said };
            // Whoever answers first is heard: this is an answer too.
            app.signalling.answer(
                &session,
                BrowserEvent::Error { reason: reason.clone() },
                app.clock.now(),
            )?;
            let tx = app.store.begin().await?;
            let ended = tx.end_sessions(Which::One(id), &reason, app.clock.now()).await?;
            tx.commit().await?;
            for session in ended {
                app.relay_end_session(session.id);
                app.live.tell(Change { account: session.account, device: Some(session.device) });
            }
            Ok(())
        }
    }
}

/// How long a browser may come back to hear how its session ended.
const END_TOLD: Duration = Duration::minutes(5);
/// How long after the device was last heard of a session may live on without the server: the spec's
/// 8 hours, and some time to come back and sync.
const UNATTENDED: Duration = Duration::minutes(8 * 60 + 15);
