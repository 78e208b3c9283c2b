//! Giving devices to another account: one from its page, all personal ones to an organisation.

use super::pages::failed;
use super::{DeviceError, transfer};
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::organisations;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::Timestamp;
use bramble_model::account::Deed;
use bramble_model::query::Query;
use bramble_store::device_search::Slice;
use bramble_store::devices::Device;
use bramble_wire::AccountId;
use bramble_wire::device_api::AccountKind;
use serde::Deserialize;

/// Devices that the page names; all of them move.
const SHOWN: u64 = 100;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/devices/{id}/transfer", get(choose).post(move_one))
        .route("/organisations/{organisation}/transfer", get(choose_all).post(move_all))
}

#[derive(Template)]
#[template(path = "devices/transfer.html")]
struct One {
    frame: Frame,
    device: Device,
    targets: Vec<Target>,
    error: String,
}

/// An account that may take the device.
struct Target {
    id: AccountId,
    name: String,
    chosen: bool,
    personal: bool,
}

#[derive(Template)]
#[template(path = "devices/transfer_all.html")]
struct All {
    frame: Frame,
    root: String,
    organisation: String,
    names: Vec<String>,
    total: u64,
    /// Those that stayed, after the transfer.
    stayed: Vec<String>,
}

impl All {
    fn button(&self) -> String {
        format!("Transfer {} {}", self.total, if self.total == 1 { "device" } else { "devices" })
    }
}

fn targets(who: &SignedIn, now: Timestamp, from: AccountId, chosen: Option<AccountId>) -> Vec<Target> {
    who.administered(now)
        .filter(|entry| entry.account.id != from)
        .map(|entry| Target {
            id: entry.account.id,
            name: match entry.account.kind {
                AccountKind::Personal => "Personal".to_owned(),
                AccountKind::Organisation => entry.account.name.clone(),
            },
            chosen: chosen == Some(entry.account.id),
            personal: entry.account.kind == AccountKind::Personal,
        })
        .collect()
}

async fn choose(State(app): State<Ctx>, who: SignedIn, Path(id): Path<String>) -> Response {
    show(&app, &who, &id, None, "").await
}

async fn show(app: &App, who: &SignedIn, id: &str, chosen: Option<AccountId>, error: &str) -> Response {
    let found = async {
        let id = id.parse().map_err(|_| DeviceError::NotFound)?;
        super::manageable(app, who, id).await
    };
    match found.await {
        Ok((device, _)) => {
            let frame = frames::of_account(app, who, device.account, "Devices");
            let targets = targets(who, app.clock.now(), device.account, chosen);
            let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
            page(status, &One { frame, device, targets, error: error.to_owned() })
        }
        Err(error) => failed(app, who, error.into()),
    }
}

#[derive(Debug, Default, Deserialize)]
struct Chosen {
    #[serde(default)]
    account: String,
}

async fn move_one(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path(id): Path<String>,
    Form(chosen): Form<Chosen>,
) -> Response {
    let moved = async {
        let device = id.parse().map_err(|_| DeviceError::NotFound)?;
        let to = chosen.account.parse().map_err(|_| DeviceError::NotFound)?;
        transfer::transfer(&app, &who, device, to).await
    };
    match moved.await {
        Ok(()) => Redirect::to(&format!("/devices/{id}")).into_response(),
        Err(DeviceError::Invalid(why)) => show(&app, &who, &id, chosen.account.parse().ok(), &why).await,
        Err(error) => failed(&app, &who, error.into()),
    }
}

async fn choose_all(State(app): State<Ctx>, who: SignedIn, Path(id): Path<String>) -> Response {
    show_all(&app, &who, &id, Vec::new()).await
}

async fn show_all(app: &App, who: &SignedIn, id: &str, stayed: Vec<String>) -> Response {
    let standing = match organisations::enter(app, who, id, Deed::ManageDevices).await {
        Ok(standing) => standing,
        Err(error) => return organisations::pages::refused(app, who, error),
    };
    let found = async {
        let own = super::pages::personal(app, who).await?.account;
        Ok::<_, DeviceError>(
            app.store.devices(own, &Query::default(), &[], Slice { offset: 0, limit: SHOWN }).await?,
        )
    };
    let (devices, total) = match found.await {
        Ok(found) => found,
        Err(error) => return failed(app, who, error.into()),
    };
    let entry = who.belongings.iter().find(|entry| entry.account.id == standing.account);
    let shown = All {
        frame: frames::of_account(app, who, standing.account, "Devices"),
        root: frames::root(standing.kind, standing.account),
        organisation: entry.map(|entry| entry.account.name.clone()).unwrap_or_default(),
        names: devices.into_iter().map(|device| device.name).collect(),
        total,
        stayed,
    };
    page(StatusCode::OK, &shown)
}

async fn move_all(State(app): State<Ctx>, Fresh(who): Fresh, Path(id): Path<String>) -> Response {
    let standing = match organisations::enter(&app, &who, &id, Deed::ManageDevices).await {
        Ok(standing) => standing,
        Err(error) => return organisations::pages::refused(&app, &who, error),
    };
    match transfer::transfer_all(&app, &who, standing.account).await {
        Ok(stayed) if stayed.is_empty() => {
            Redirect::to(&format!("/organisations/{}/devices", standing.account)).into_response()
        }
        Ok(stayed) => {
            let stayed = stayed.into_iter().map(|device| device.name).collect();
            show_all(&app, &who, &id, stayed).await
        }
        Err(error) => failed(&app, &who, error.into()),
    }
}
