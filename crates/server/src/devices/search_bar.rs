//! The search bar of the Devices tab: what it shows, and what it suggests.

use super::DeviceError;
use super::pages::personal;
use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::error::ApiFailure;
use crate::organisations;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bramble_model::account::{Deed, Standing};
use bramble_model::query::{MAX_PARTS, MAX_QUERY, Part, Qualifier, parts};
use bramble_model::text::fold;
use bramble_wire::device_api::AccountKind;
use serde::{Deserialize, Serialize};

/// Most suggestions at once: more than anybody reads while typing.
const MOST: usize = 8;
/// Most characters that suggestions go on from: no value is as long.
const LONGEST: usize = 64;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/devices/suggestions", get(suggestions))
        .route("/organisations/{organisation}/devices/suggestions", get(suggestions_of_organisation))
        .route("/organisations/{organisation}/tags", get(tags))
}

/// What somebody searches for, as the bar shows it.
pub(super) struct Bar {
    /// All of it.
    pub query: String,
    /// Its filters.
    pub chips: Vec<Chip>,
    /// The rest.
    pub text: String,
    /// The filters that this account has, in words.
    pub filters: &'static str,
    /// One of them.
    pub example: &'static str,
}

/// A filter.
pub(super) struct Chip {
    /// As it is typed.
    pub text: String,
    /// The query without it.
    pub others: String,
}

impl Bar {
    /// Of the `query` parameters of an address: a form without script sends one for each chip.
    pub(super) fn read(address: &str, kind: AccountKind) -> Self {
        let given: Vec<_> = url::form_urlencoded::parse(address.as_bytes())
            .filter(|(name, value)| name == "query" && !value.trim().is_empty())
            .map(|(_, value)| value)
            .collect();
        // Longer than any name: nothing that somebody typed is lost.
        let query: String = given.join(" ").trim().chars().take(MAX_QUERY).collect();
        let all: Vec<_> = parts(&query).take(MAX_PARTS).collect();
        let without = |left_out: usize| {
            let rest = all.iter().enumerate().filter(|(at, _)| *at != left_out);
            rest.map(|(_, part)| part.typed()).collect::<Vec<_>>().join(" ")
        };
        let filters = all.iter().enumerate().filter(|(_, part)| matches!(part, Part::Filter(..)));
        let chips = filters.map(|(at, part)| Chip { text: part.typed(), others: without(at) }).collect();
        let words = all.iter().filter(|part| matches!(part, Part::Word(_)));
        let text = words.map(|part| part.typed()).collect::<Vec<_>>().join(" ");
        let (filters, example) = match kind {
            AccountKind::Organisation => ("model:, memory:, os:, tag: and is:", "tag:"),
            AccountKind::Personal => ("model:, memory:, os: and is:", "model:"),
        };
        Self { query, chips, text, filters, example }
    }
}

#[derive(Debug, Serialize)]
struct Suggestion {
    value: String,
    label: String,
    hint: &'static str,
}

impl Suggestion {
    fn new(value: String, hint: &'static str) -> Self {
        Self { label: value.clone(), value, hint }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    q: String,
}

impl Typed {
    fn beginning(&self) -> String {
        // PostgreSQL takes no NUL in a text.
        fold(self.q.trim()).chars().filter(|c| *c != '\0').take(LONGEST).collect()
    }
}

async fn suggestions(who: SignedIn, State(app): State<Ctx>, Query(typed): Query<Typed>) -> Response {
    match personal(&app, &who).await {
        Ok(standing) => answer(suggest(&app, standing, &typed.beginning()).await),
        Err(error) => ApiFailure::from(error).into_response(),
    }
}

async fn suggestions_of_organisation(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Query(typed): Query<Typed>,
) -> Response {
    match organisations::enter(&app, &who, &id, Deed::ViewDevices).await {
        Ok(standing) => answer(suggest(&app, standing, &typed.beginning()).await),
        Err(error) => ApiFailure::from(error).into_response(),
    }
}

/// Tags that the organisation uses, for the fields that take tags.
async fn tags(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Query(typed): Query<Typed>,
) -> Response {
    match organisations::enter(&app, &who, &id, Deed::ViewDevices).await {
        Ok(standing) => {
            let found = values(&app, standing, Qualifier::Tag, &typed.beginning(), MOST).await;
            answer(found.map(|tags| tags.into_iter().map(|tag| Suggestion::new(tag, "")).collect()))
        }
        Err(error) => ApiFailure::from(error).into_response(),
    }
}

fn answer(found: Result<Vec<Suggestion>, DeviceError>) -> Response {
    match found {
        Ok(found) => Json(found).into_response(),
        Err(error) => ApiFailure::from(error).into_response(),
    }
}

/// How a word may go on: a filter's values once it is named, else names of filters, and tags.
async fn suggest(app: &App, standing: Standing, word: &str) -> Result<Vec<Suggestion>, DeviceError> {
    let tagged = standing.kind == AccountKind::Organisation;
    if let Some((name, beginning)) = word.split_once(':') {
        let Some(filter) = Qualifier::named(name) else { return Ok(Vec::new()) };
        let values = values(app, standing, filter, beginning, MOST).await?;
        let suggestion = |value| Suggestion::new(format!("{}:{value}", filter.as_str()), "");
        return Ok(values.into_iter().map(suggestion).collect());
    }
    let known = Qualifier::ALL.into_iter().filter(|it| *it != Qualifier::Tag || tagged);
    let fitting = known.filter(|it| it.as_str().starts_with(word));
    let mut found: Vec<_> =
        fitting.map(|it| Suggestion::new(format!("{}:", it.as_str()), meaning(it))).collect();
    if tagged && !word.is_empty() {
        let tags = values(app, standing, Qualifier::Tag, word, MOST - found.len()).await?;
        found.extend(tags.into_iter().map(|tag| Suggestion::new(format!("tag:{tag}"), "")));
    }
    Ok(found)
}

async fn values(
    app: &App,
    standing: Standing,
    filter: Qualifier,
    beginning: &str,
    most: usize,
) -> Result<Vec<String>, DeviceError> {
    match filter {
        Qualifier::Is => {
            let states = ["online", "offline"].into_iter().filter(|state| state.starts_with(beginning));
            Ok(states.map(str::to_owned).collect())
        }
        // A personal account has no tags.
        Qualifier::Tag if standing.kind == AccountKind::Personal => Ok(Vec::new()),
        _ => {
            let most = u64::try_from(most).unwrap_or(u64::MAX);
            Ok(app.store.filter_values(standing.account, filter, beginning, most).await?)
        }
    }
}

fn meaning(filter: Qualifier) -> &'static str {
    match filter {
        Qualifier::Model => "Which Raspberry Pi it is",
        Qualifier::Memory => "How much memory it has",
        Qualifier::Os => "Its operating system",
        Qualifier::Tag => "A tag that it has",
        Qualifier::Is => "Online or offline",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Bar {
        Bar::read(address, AccountKind::Organisation)
    }

    #[test]
    fn filters_are_chips_and_words_are_text() {
        let bar = read("query=front+tag%3Aa+%22two+words%22+MODEL%3A5&page=2");
        let chips: Vec<_> = bar.chips.iter().map(|chip| (chip.text.as_str(), chip.others.as_str())).collect();
        assert_eq!(
            chips,
            [("tag:a", r#"front "two words" model:5"#), ("model:5", r#"front tag:a "two words""#),]
        );
        assert_eq!(bar.text, r#"front "two words""#);
    }

    #[test]
    fn a_form_without_script_sends_each_chip() {
        let bar = read("query=tag%3Aa&query=os%3Adebian-12&query=");
        assert_eq!(bar.query, "tag:a os:debian-12");
        assert_eq!((bar.chips.len(), bar.text.as_str()), (2, ""));
    }

    #[test]
    fn nothing_and_too_much() {
        assert!(read("").query.is_empty());
        let bar = read(&"query=tag%3Ax&".repeat(100_000));
        assert_eq!(bar.query.chars().count(), MAX_QUERY);
        assert_eq!(bar.chips.len(), MAX_PARTS);
    }
}
