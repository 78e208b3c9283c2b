//! `/organisation/docs`: the API for people. It reads no cookie, so it looks the same to everybody.

use super::endpoint::{Endpoint, Field};
use super::{ALWAYS, endpoints, refusal, schema};
use crate::app::{App, Ctx};
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

#[derive(Template)]
#[template(path = "management/docs.html")]
struct Docs {
    frame: Frame,
    groups: Vec<Group>,
    limit: u32,
}

struct Group {
    name: &'static str,
    anchor: String,
    endpoints: Vec<Shown>,
}

struct Shown {
    it: &'static Endpoint,
    fields: &'static [Field],
    curl: String,
    status: u16,
    answer: String,
    refusals: Vec<(u16, &'static str)>,
}

pub(super) async fn show(State(app): State<Ctx>) -> Response {
    let group = |name: &'static str| Group {
        name,
        anchor: name.to_lowercase().replace(' ', "-"),
        endpoints: endpoints::all().filter(|it| it.group == name).map(|it| shown(&app, it)).collect(),
    };
    let page = Docs {
        frame: frames::signed_out(&app),
        groups: endpoints::GROUPS.into_iter().map(group).collect(),
        limit: app.config.limits.api_requests,
    };
    web::page(StatusCode::OK, &page)
}

fn shown(app: &App, it: &'static Endpoint) -> Shown {
    let schemas = schema::all();
    let schema = schemas.iter().find(|schema| schema.name == it.answer.schema());
    let answer = match it.answer.status() {
        204 => String::new(),
        _ => schema.map(|schema| schema.text.clone()).unwrap_or_default(),
    };
    let mut statuses: Vec<u16> = it.refusals.iter().copied().chain(ALWAYS).collect();
    statuses.sort_unstable();
    Shown {
        it,
        fields: it.body.as_ref().map_or(&[], |body| body.fields),
        curl: curl(app, it),
        status: it.answer.status(),
        answer,
        refusals: statuses.into_iter().map(|status| (status, refusal(status))).collect(),
    }
}

/// The request as somebody types it.
fn curl(app: &App, it: &Endpoint) -> String {
    let url = app.config.public_url.as_str().trim_end_matches('/');
    let thing = if it.path.contains("/devices/") { "DEVICE_ID" } else { "ID" };
    let mut parts = vec!["curl --header \"Authorization: Bearer $TOKEN\"".to_owned()];
    match it.method {
        "GET" | "POST" => {}
        method => parts.push(format!("--request {method}")),
    }
    if it.signed {
        parts.push("--header \"X-Connect-Identity-Signature: $SIGNATURE\"".to_owned());
    }
    if let Some(body) = &it.body {
        parts.push("--header 'Content-Type: application/json'".to_owned());
        parts.push(format!("--data '{}'", body.example));
    }
    parts.push(format!("{url}{}", it.path.replace("{id}", thing)));
    parts.join(" \\\n    ")
}
