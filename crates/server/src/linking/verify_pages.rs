//! `/verify`: a person types the code that a device shows, sees which device asks, and decides.

use super::LinkingError;
use super::code::{self, Waiting};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::countries::Country;
use crate::devices::pages::failed;
use crate::front_door::ClientAddress;
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::Timestamp;
use bramble_model::link_request::UserCode;
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, DeviceId};
use serde::Deserialize;
use std::net::IpAddr;

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/verify", get(ask)).route("/verify/{code}", get(show).post(decide))
}

#[derive(Template)]
#[template(path = "linking/enter_code.html")]
struct EnterCode {
    frame: Frame,
    code: String,
    error: String,
}

#[derive(Template)]
#[template(path = "linking/approve.html")]
struct Approve {
    frame: Frame,
    code: String,
    serial_number: String,
    model: String,
    address: String,
    country: Option<Country>,
    typed_name: String,
    error: String,
    accounts: Vec<AccountChoice>,
    /// The account whose devices with the same serial number the page offers to replace.
    shown_for: AccountId,
    same_serial: Vec<Replaceable>,
    chosen: String,
}

struct AccountChoice {
    id: AccountId,
    name: String,
    selected: bool,
}

struct Replaceable {
    value: String,
    label: String,
}

#[derive(Template)]
#[template(path = "linking/done.html")]
struct Done {
    frame: Frame,
    /// The new entry, or `None` after a refusal.
    device: Option<(DeviceId, String)>,
}

#[derive(Deserialize)]
struct Typed {
    code: Option<String>,
}

async fn ask(who: SignedIn, State(app): State<Ctx>, Query(typed): Query<Typed>) -> Response {
    let Some(code) = typed.code else { return enter(&app, &who, "", "", StatusCode::OK) };
    // The code is looked up on its own page, which the device's link leads to as well.
    if let Some(code) = UserCode::parse(&code) {
        return Redirect::to(&format!("/verify/{code}")).into_response();
    }
    let text = "A code has eight letters and digits, for example TKD8-F392. Check what the device shows.";
    enter(&app, &who, &code, text, StatusCode::UNPROCESSABLE_ENTITY)
}

fn enter(app: &App, who: &SignedIn, code: &str, error: &str, status: StatusCode) -> Response {
    let page = EnterCode {
        frame: frames::personal(app, who, ""),
        code: code.chars().take(32).collect(),
        error: error.to_owned(),
    };
    web::page(status, &page)
}

async fn show(
    who: SignedIn,
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    Path(code): Path<String>,
) -> Response {
    match waiting(&app, &who, address, &code, None).await {
        Ok(waiting) => approval(&app, &who, &waiting, None, "", StatusCode::OK),
        Err(error) => refused(&app, &who, &code, error),
    }
}

async fn waiting(
    app: &App,
    who: &SignedIn,
    address: IpAddr,
    code: &str,
    account: Option<AccountId>,
) -> Result<Waiting, LinkingError> {
    let account = match account {
        Some(account) => account,
        None => accounts::personal_account(app, who.user).await?.ok_or(LinkingError::NotFound)?,
    };
    code::look_up(app, who, address, code, account).await
}

fn approval(
    app: &App,
    who: &SignedIn,
    waiting: &Waiting,
    typed: Option<&Verdict>,
    error: &str,
    status: StatusCode,
) -> Response {
    let request = &waiting.request;
    let suggested = [&request.hostname, &request.model, &request.serial_number];
    let suggested = suggested.into_iter().find(|text| !text.is_empty()).cloned().unwrap_or_default();
    let same_serial: Vec<_> = waiting
        .same_serial
        .iter()
        .map(|device| Replaceable { value: device.id.to_string(), label: format!("Replace {}", device.name) })
        .collect();
    let page = Approve {
        frame: frames::personal(app, who, ""),
        code: UserCode::parse(&request.user_code).map(|code| code.to_string()).unwrap_or_default(),
        serial_number: request.serial_number.clone(),
        model: request.model.clone(),
        country: request.address.parse().ok().and_then(|address| app.countries.of_address(address)),
        address: request.address.clone(),
        typed_name: typed.map_or(suggested, |typed| typed.name.clone()),
        error: error.to_owned(),
        accounts: choices(who, app.clock.now(), waiting.account),
        shown_for: waiting.account,
        chosen: typed.map_or_else(
            || same_serial.first().map_or_else(|| "new".to_owned(), |first| first.value.clone()),
            |typed| typed.entry.clone(),
        ),
        same_serial,
    };
    web::page(status, &page)
}

/// The accounts that the device may be linked to: those that the person administers.
fn choices(who: &SignedIn, now: Timestamp, chosen: AccountId) -> Vec<AccountChoice> {
    who.administered(now)
        .map(|entry| AccountChoice {
            id: entry.account.id,
            name: match entry.account.kind {
                AccountKind::Personal => "Personal".to_owned(),
                AccountKind::Organisation => entry.account.name.clone(),
            },
            selected: entry.account.id == chosen,
        })
        .collect()
}

#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    decision: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    account: String,
    /// The account for which `entry` was offered.
    #[serde(default)]
    shown_for: String,
    /// `new`, or the id of the device to replace.
    #[serde(default)]
    entry: String,
}

async fn decide(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    Path(code): Path<String>,
    Form(verdict): Form<Verdict>,
) -> Response {
    if verdict.decision == "deny" {
        return match code::deny(&app, &who, address, &code).await {
            Ok(()) => {
                web::page(StatusCode::OK, &Done { frame: frames::personal(&app, &who, ""), device: None })
            }
            Err(error) => refused(&app, &who, &code, error),
        };
    }
    if verdict.decision != "approve" {
        // Nothing is ever approved by default.
        let code: String = url::form_urlencoded::byte_serialize(code.as_bytes()).collect();
        return Redirect::to(&format!("/verify/{code}")).into_response();
    }
    let replace = match verdict.entry.as_str() {
        "" | "new" => None,
        id => match id.parse() {
            Ok(id) => Some(id),
            Err(_) => return refused(&app, &who, &code, LinkingError::Changed),
        },
    };
    let Ok(account) = verdict.account.parse() else {
        return refused(&app, &who, &code, LinkingError::NotFound);
    };
    // Of another account the page did not show which devices could be replaced: ask once more.
    if !verdict.shown_for.is_empty() && verdict.shown_for != verdict.account {
        match waiting(&app, &who, address, &code, Some(account)).await {
            Ok(waiting) if !waiting.same_serial.is_empty() => {
                let entry = waiting.same_serial[0].id.to_string();
                let verdict = Verdict { entry, ..verdict };
                return approval(&app, &who, &waiting, Some(&verdict), "", StatusCode::OK);
            }
            Ok(_) => {}
            Err(error) => return refused(&app, &who, &code, error),
        }
    }
    match code::approve(&app, &who, address, &code, account, &verdict.name, replace).await {
        Ok(device) => {
            web::page(StatusCode::OK, &Done { frame: frames::personal(&app, &who, ""), device: Some(device) })
        }
        Err(LinkingError::Invalid(why)) => match waiting(&app, &who, address, &code, Some(account)).await {
            Ok(waiting) => {
                approval(&app, &who, &waiting, Some(&verdict), &why, StatusCode::UNPROCESSABLE_ENTITY)
            }
            Err(error) => refused(&app, &who, &code, error),
        },
        Err(error) => refused(&app, &who, &code, error),
    }
}

fn refused(app: &App, who: &SignedIn, code: &str, error: LinkingError) -> Response {
    let (status, text) = match error {
        LinkingError::UnknownCode => (
            StatusCode::NOT_FOUND,
            "No device is waiting with this code. Codes are valid for 15 minutes and work once: check what \
             you typed, or start again on the device.",
        ),
        LinkingError::TooManyTries => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong codes. Wait an hour, then start again on the device.",
        ),
        LinkingError::Changed => (
            StatusCode::CONFLICT,
            "The device that you chose to replace has changed meanwhile. Enter the code again to see how \
             it stands now.",
        ),
        other => return failed(app, who, other.into()),
    };
    enter(app, who, code, text, status)
}
