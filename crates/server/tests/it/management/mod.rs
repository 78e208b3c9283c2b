//! The management API, asked as scripts ask it.

mod auth_keys;
mod bad_input;
mod common;
mod devices;
pub mod identities;
mod lists;
mod nodes;
mod openapi;
mod tools;
mod updates;

use crate::desk::{Answer, Desk, request};
use axum::body::Body;
use bramble_server::management::tokens;
use bramble_wire::AccountId;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;

/// A program with a token.
pub struct Program<'d> {
    desk: &'d Desk,
    pub token: String,
    pub address: String,
}

impl<'d> Program<'d> {
    /// One with a token of this organisation.
    pub async fn of(desk: &'d Desk, organisation: AccountId) -> Self {
        let made = tokens::create_as_operator(&desk.app, organisation, "ci").await.expect("a token");
        Self::with(desk, made.secret.expose())
    }

    /// One with whatever for a token.
    pub fn with(desk: &'d Desk, token: &str) -> Self {
        Self { desk, token: token.to_owned(), address: "203.0.113.5".to_owned() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, &[], Vec::new()).await
    }

    pub async fn json(&self, method: &str, path: &str, body: Value) -> Answer {
        let kind = [(CONTENT_TYPE.as_str(), "application/json")];
        self.raw(method, path, &kind, body.to_string().into()).await
    }

    pub async fn form(&self, method: &str, path: &str, form: &str) -> Answer {
        let kind = [(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")];
        self.raw(method, path, &kind, form.to_owned().into()).await
    }

    pub async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = request(method.parse().expect("a method"), path, &self.address);
        if !self.token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.desk.send(request.body(Body::from(body)).expect("a request")).await
    }
}

/// A header as text.
pub fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().expect("text"))
}
