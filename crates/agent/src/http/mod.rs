//! A small HTTP client for one server: HTTP/1.1 over TLS, signed requests, bounded answers, a few kept
//! connections, and the event stream's parser.
//!
//! What it is not: a browser. It follows no redirect (a token must not wander), keeps no cookies, and
//! speaks to the one origin it was made for. How to add to it: endpoints belong in `control::api`; what
//! every request needs belongs here.

pub mod backoff;
pub(crate) mod client;
pub mod network;
mod sign;
pub mod sse;
pub mod tls;

pub use client::{Client, EventStream, HttpError, Request, Response};
