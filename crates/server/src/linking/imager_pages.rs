//! `/imager/`: where Raspberry Pi Imager sends people for an auth key, which it takes back by a link of its
//! own.

use super::LinkingError;
use super::keys::{self, MadeKey, Wish};
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::devices::pages::failed;
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bramble_model::auth_key::TtlDays;
use bramble_model::tags::Tags;
use bramble_wire::AccountId;
use bramble_wire::device_api::AccountKind;
use serde::Deserialize;

/// What the key is for, in the list of keys.
const DESCRIPTION: &str = "Raspberry Pi Imager";

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/imager/", get(choose).post(create))
}

/// An account in which the person may make keys.
struct Choice {
    id: AccountId,
    name: String,
}

#[derive(Template)]
#[template(path = "linking/imager.html")]
struct Imager {
    frame: Frame,
    choices: Vec<Choice>,
    server: String,
    made: Option<Made>,
}

struct Made {
    secret: String,
    expires: Moment,
}

#[derive(Debug, Deserialize)]
struct Chosen {
    #[serde(default)]
    account: String,
}

async fn choose(who: SignedIn, State(app): State<Ctx>) -> Response {
    show(&app, &who, None)
}

async fn create(Fresh(who): Fresh, State(app): State<Ctx>, Form(chosen): Form<Chosen>) -> Response {
    let made = async {
        let account = chosen.account.parse().map_err(|_| LinkingError::NotFound)?;
        let wish = Wish {
            description: DESCRIPTION.to_owned(),
            ttl: TtlDays::ONE,
            device_name: None,
            tags: Tags::default(),
        };
        keys::create_auth_key(&app, &who, account, wish).await
    };
    match made.await {
        Ok(made) => show(&app, &who, Some(made)),
        Err(error) => failed(&app, &who, error.into()),
    }
}

fn show(app: &App, who: &SignedIn, made: Option<MadeKey>) -> Response {
    let choices = who.administered(app.clock.now()).map(|belonging| Choice {
        id: belonging.account.id,
        name: match belonging.account.kind {
            AccountKind::Personal => "Personal".to_owned(),
            AccountKind::Organisation => belonging.account.name.clone(),
        },
    });
    let page = Imager {
        frame: frames::personal(app, who, ""),
        choices: choices.collect(),
        server: app.config.origin(),
        made: made.map(|made| Made {
            secret: made.secret.expose().to_owned(),
            expires: Moment::new(made.expires_at, app.clock.now()),
        }),
    };
    web::page(StatusCode::OK, &page)
}
