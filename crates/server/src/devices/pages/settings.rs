//! A device's settings, and the pages that ask before it is deleted or signed out.

use super::super::{self as devices, DeviceError, manageable};
use super::{parse, unwell};
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::account::Standing;
use bramble_store::devices::Device;
use bramble_wire::DeviceId;
use bramble_wire::device_api::AccountKind;
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/devices/{id}/settings", get(settings).post(update))
        .route("/devices/{id}/delete", get(confirm_delete).post(delete))
        .route("/devices/{id}/sign-out", get(confirm_sign_out).post(sign_out))
}

#[derive(Template)]
#[template(path = "devices/settings.html")]
struct Settings {
    frame: Frame,
    id: DeviceId,
    current_name: String,
    typed_name: String,
    /// Of a device of an organisation.
    tags: Option<TagField>,
    error: String,
    signed_out: bool,
}

/// The tags as they were typed, and where suggestions come from.
struct TagField {
    tags: Vec<String>,
    suggest: String,
    error: String,
}

#[derive(Template)]
#[template(path = "devices/confirm.html")]
struct Confirm {
    frame: Frame,
    id: DeviceId,
    name: String,
    deed: &'static str,
    error: String,
}

impl Confirm {
    fn deletes(&self) -> bool {
        self.deed == "delete"
    }
}

async fn settings(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let found = async { manageable(&app, &who, parse(&id)?).await };
    match found.await {
        Ok((device, standing)) => settings_page(&app, &who, (device, standing), None, ""),
        Err(error) => unwell(&app, &who, error),
    }
}

fn settings_page(
    app: &App,
    who: &SignedIn,
    (device, standing): (Device, Standing),
    typed: Option<Update>,
    error: &str,
) -> Response {
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let about_tags = error.starts_with("Tags ");
    let (typed_name, tags) = match typed {
        Some(typed) => (typed.name, typed.tags),
        None => (device.name.clone(), device.tags),
    };
    let root = frames::root(standing.kind, standing.account);
    let tags = (standing.kind == AccountKind::Organisation).then(|| TagField {
        tags,
        suggest: format!("{root}/tags"),
        error: if about_tags { error.to_owned() } else { String::new() },
    });
    let page = Settings {
        frame: frames::of_account(app, who, device.account, "Devices"),
        id: device.id,
        typed_name,
        current_name: device.name,
        tags,
        error: if about_tags { String::new() } else { error.to_owned() },
        signed_out: device.token.is_none(),
    };
    web::page(status, &page)
}

/// What the settings form says.
#[derive(Debug, Default)]
struct Update {
    name: String,
    tags: Vec<String>,
}

impl Update {
    /// Each tag is a field of its own; without JavaScript they stand in one, separated.
    fn parse(form: &[u8]) -> Self {
        let mut update = Self::default();
        for (field, value) in url::form_urlencoded::parse(form) {
            match field.as_ref() {
                "name" => update.name = value.into_owned(),
                "tags" => {
                    let words = value.split([',', ' ']).filter(|word| !word.is_empty());
                    update.tags.extend(words.map(str::to_owned));
                }
                _ => {}
            }
        }
        update
    }
}

async fn update(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    form: axum::body::Bytes,
) -> Response {
    let typed = Update::parse(&form);
    let updated = async { devices::update(&app, &who, parse(&id)?, &typed.name, &typed.tags).await };
    match updated.await {
        Ok(()) => Redirect::to(&format!("/devices/{id}")).into_response(),
        Err(DeviceError::Invalid(why)) => {
            let found = async { manageable(&app, &who, parse(&id)?).await };
            match found.await {
                Ok(found) => settings_page(&app, &who, found, Some(typed), &why),
                Err(error) => unwell(&app, &who, error),
            }
        }
        Err(error) => unwell(&app, &who, error),
    }
}

async fn confirm_delete(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    confirm(&app, &who, &id, "delete", "").await
}

async fn confirm_sign_out(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    confirm(&app, &who, &id, "sign-out", "").await
}

async fn confirm(app: &App, who: &SignedIn, id: &str, deed: &'static str, error: &str) -> Response {
    let found = async { manageable(app, who, parse(id)?).await };
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    match found.await {
        Ok((Device { id, name, account, .. }, _)) => {
            let frame = frames::of_account(app, who, account, "Devices");
            web::page(status, &Confirm { frame, id, name, deed, error: error.to_owned() })
        }
        Err(error) => unwell(app, who, error),
    }
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    confirm: String,
}

async fn delete(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Form(typed): Form<Typed>,
) -> Response {
    let mut list = "/devices".to_owned();
    let deleted = async {
        let (device, standing) = manageable(&app, &who, parse(&id)?).await?;
        list = format!("{}/devices", frames::root(standing.kind, standing.account));
        if typed.confirm.trim() != device.name {
            return Ok(false);
        }
        devices::delete(&app, &who, device.id).await.map(|()| true)
    };
    match deleted.await {
        Ok(true) => Redirect::to(&list).into_response(),
        Ok(false) => {
            confirm(&app, &who, &id, "delete", "That is not the name of this device. Type it exactly.").await
        }
        Err(error) => unwell(&app, &who, error),
    }
}

async fn sign_out(Fresh(who): Fresh, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let done = async { devices::sign_out(&app, &who, parse(&id)?).await };
    match done.await {
        Ok(()) => Redirect::to(&format!("/devices/{id}")).into_response(),
        Err(error) => unwell(&app, &who, error),
    }
}
