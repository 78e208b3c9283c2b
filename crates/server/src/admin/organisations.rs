//! `bramble org create|list|billing`.

use super::{Response, failed};
use crate::accounts::operator::find_person;
use crate::app::App;
use crate::organisations::{self, OrganisationError, operator};
use bramble_model::account::Billing;
use bramble_wire::AccountId;
use serde_json::json;

pub(super) async fn create(app: &App, name: &str, administrator: &str) -> Response {
    let person = match find_person(app, administrator).await {
        Ok(Some(person)) => person,
        Ok(None) => {
            let text = format!("Nobody here has the address {administrator}. See `bramble user list`.");
            return Response::refused(text);
        }
        Err(error) => return failed(error),
    };
    // Nobody could do anything in an organisation whose only administrator cannot enter it.
    if person.verified_at.is_none() {
        return Response::refused(format!(
            "{} has not confirmed this address yet. An organisation needs an administrator who can sign in.",
            person.email
        ));
    }
    if person.disabled_at.is_some() {
        return Response::refused(format!(
            "{} is disabled. An organisation needs an administrator who can sign in: see `bramble user enable`.",
            person.email
        ));
    }
    match organisations::create_as_operator(app, person.id, name).await {
        Ok(id) => {
            let page = app.config.url(&operator::page(id));
            let text = format!("Created the organisation {id}. {} administers it:\n  {page}", person.email);
            Response::done(text, json!({ "id": id, "administrator": person.email, "url": page }))
        }
        Err(OrganisationError::Store(error)) => failed(error),
        Err(error) => Response::refused(error.to_string()),
    }
}

pub(super) async fn billing(app: &App, id: AccountId, word: &str) -> Response {
    let Some(billing) = Billing::parse(word) else {
        return Response::refused("An organisation's billing is trial, paid or ended.");
    };
    let text = match operator::set_billing(app, id, billing).await {
        Ok(Some(name)) => match billing {
            Billing::Ended => format!(
                "Nobody pays for {name} any more: no remote access to its devices and no updates. Everything else stays as it is."
            ),
            Billing::Paid => format!("{name} pays."),
            Billing::Trial => format!("{name} tries. A trial without an end blocks nothing."),
        },
        Ok(None) => {
            return Response::refused("There is no organisation with this id. See `bramble org list`.");
        }
        Err(error) => return failed(error),
    };
    Response::done(text, json!({ "id": id, "billing": billing.as_str() }))
}

pub(super) async fn list(app: &App, after: Option<AccountId>) -> Response {
    let (organisations, next) = match operator::list(app, after).await {
        Ok(found) => found,
        Err(error) => return failed(error),
    };
    let mut lines: Vec<String> = organisations
        .iter()
        .map(|one| {
            let two_factor = if one.two_factor_required { ", two-factor required" } else { "" };
            let alone =
                if one.enabled_administrators == 0 { ", no administrator who can sign in" } else { "" };
            format!(
                "{}  {}  {}, {}{two_factor}{alone}",
                one.id,
                one.name,
                counted(one.members, "member"),
                counted(one.devices, "device")
            )
        })
        .collect();
    if lines.is_empty() && after.is_none() {
        lines.push("There is no organisation yet. See `bramble org create --help`.".to_owned());
    } else if lines.is_empty() {
        lines.push("No organisation comes after this one.".to_owned());
    }
    if let Some(next) = next {
        lines.push(format!("There are more organisations. Go on with `bramble org list --after {next}`."));
    }
    Response::done(lines.join("\n"), json!({ "organisations": organisations, "next": next }))
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
