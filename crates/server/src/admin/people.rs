//! `bramble user list|disable|enable|reset-2fa`.

use super::{Response, failed};
use crate::accounts;
use crate::accounts::operator::{self, DisableError, Disabled};
use crate::app::App;
use bramble_store::accounts::Account;
use bramble_store::users::User;
use serde_json::{Value, json};

pub(super) async fn list(app: &App, after: &str) -> Response {
    let (people, more) = match operator::list_people(app, after).await {
        Ok(found) => found,
        Err(error) => return failed(error),
    };
    let mut lines: Vec<String> = people
        .iter()
        .map(|person| {
            let marks = [
                (person.operator, "operator"),
                (!person.verified, "not verified"),
                (person.disabled, "disabled"),
                (person.two_factor, "two-factor"),
            ];
            let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            format!("{}  {}  {}", person.email, person.name, marks.join(", ")).trim_end().to_owned()
        })
        .collect();
    if lines.is_empty() && after.is_empty() {
        lines.push("Nobody has an account yet.".to_owned());
    } else if lines.is_empty() {
        lines.push(format!("No address comes after {after}."));
    }
    let next = people.last().filter(|_| more).map(|person| &person.email);
    if let Some(next) = next {
        lines.push(format!("There are more people. Go on with `bramble user list --after {next}`."));
    }
    Response::done(lines.join("\n"), json!({ "users": people, "next": next }))
}

async fn find(app: &App, email: &str) -> Result<User, Response> {
    match operator::find_person(app, email).await {
        Ok(Some(user)) => Ok(user),
        Ok(None) => {
            Err(Response::refused(format!("Nobody here has the address {email}. See `bramble user list`.")))
        }
        Err(error) => Err(failed(error)),
    }
}

pub(super) async fn disable(app: &App, email: &str, force: bool) -> Response {
    let user = match find(app, email).await {
        Ok(user) => user,
        Err(response) => return response,
    };
    match operator::disable(app, &user, force).await {
        Ok(done) => disabled_answer(&user, &done),
        Err(DisableError::Store(error)) => failed(error),
        Err(DisableError::Changed) => {
            Response::refused(format!("The account of {} changed meanwhile. Try again.", user.email))
        }
        Err(DisableError::LastAdministrator(organisations)) => Response::Refused {
            text: format!(
                "Nobody else who can sign in administers these organisations of {}:{}\nNothing was changed. Have \
                 another administrator appointed there first, or disable the account anyway with --force.",
                user.email,
                listed(&organisations)
            ),
            json: json!({
                "id": user.id,
                "email": user.email,
                "changed": false,
                "error": "last_administrator",
                "organisations_without_administrator": for_programs(&organisations),
            }),
        },
    }
}

fn disabled_answer(user: &User, done: &Disabled) -> Response {
    let text =
        if done.changed { "is disabled now and signed out everywhere" } else { "was disabled already" };
    let alone = &done.without_administrator;
    let warning = if alone.is_empty() {
        String::new()
    } else {
        let names = listed(alone);
        format!(
            "\nNobody who can sign in administers these organisations until `bramble user enable`:{names}"
        )
    };
    let left: Vec<_> =
        done.left.iter().map(|(it, left)| format!("\n  {}  {}: {}", it.id, it.name, left.words())).collect();
    let left = if left.is_empty() {
        String::new()
    } else {
        format!("\nThe account made these, which go on working until somebody revokes them:{}", left.concat())
    };
    let for_programs_left = done.left.iter().map(|(it, left)| {
        json!({ "id": it.id, "name": it.name, "auth_keys": left.keys, "api_tokens": left.tokens })
    });
    Response::done(
        format!("{} {text}.{warning}{left}", user.email),
        json!({
            "id": user.id,
            "email": user.email,
            "changed": done.changed,
            "organisations_without_administrator": for_programs(alone),
            "left_behind": for_programs_left.collect::<Vec<_>>(),
        }),
    )
}

/// A line for each.
fn listed(organisations: &[Account]) -> String {
    let lines: Vec<_> = organisations.iter().map(|it| format!("\n  {}  {}", it.id, it.name)).collect();
    lines.concat()
}

fn for_programs(organisations: &[Account]) -> Vec<Value> {
    organisations.iter().map(|it| json!({ "id": it.id, "name": it.name })).collect()
}

pub(super) async fn enable(app: &App, email: &str) -> Response {
    let user = match find(app, email).await {
        Ok(user) => user,
        Err(response) => return response,
    };
    match operator::enable(app, &user).await {
        Ok(changed) => {
            let text = if changed { "can sign in again" } else { "was not disabled" };
            changed_answer(&user, text, changed)
        }
        Err(error) => failed(error),
    }
}

pub(super) async fn reset_two_factor(app: &App, email: &str) -> Response {
    let user = match find(app, email).await {
        Ok(user) => user,
        Err(response) => return response,
    };
    match operator::reset_two_factor(app, &user).await {
        Ok(changed) => {
            let text = if changed {
                "has no second factor any more and was told so by mail"
            } else {
                "had no second factor"
            };
            changed_answer(&user, text, changed)
        }
        Err(accounts::AccountError::Store(error)) => failed(error),
        Err(error) => Response::refused(error.to_string()),
    }
}

fn changed_answer(user: &User, text: &str, changed: bool) -> Response {
    Response::done(
        format!("{} {text}.", user.email),
        json!({ "id": user.id, "email": user.email, "changed": changed }),
    )
}
