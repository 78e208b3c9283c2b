//! The `bramble` server: everything but `main`.
//!
//! [`app`] builds, serves and stops it; [`routes`] has every URL on one screen; [`front_door`] takes
//! connections and tells what speaks on them; [`auth`] proves the caller by type. One folder per noun
//! ("slice") holds its operations in `mod.rs` and its thin edges in `pages.rs`, `api.rs` and
//! `device_api.rs`. Edges call operations, operations call the store and the link, nothing calls
//! back up.

pub mod accounts;
pub mod admin;
pub mod app;
pub mod artefacts;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod config;
pub mod countries;
pub mod deployments;
pub mod devices;
pub mod error;
pub mod front_door;
pub mod jobs;
pub mod lifecycle;
pub mod link;
pub mod linking;
pub mod live;
pub mod mail;
pub mod management;
pub mod metrics;
pub mod middleware;
pub mod organisations;
pub mod relaying;
pub mod routes;
pub mod sessions;
pub mod start;
pub mod web;
