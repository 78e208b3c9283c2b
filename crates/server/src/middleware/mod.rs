//! What happens around every request, in order, in one function: [`around`].

mod body;
pub mod csrf;
mod finish;
mod headers;
mod log;

use crate::app::Ctx;
use crate::management;
use crate::web::errors;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

/// The largest form, in bytes, unless its route says more.
const MAX_FORM: usize = 64 * 1024;

/// Wraps all routes. The first layer is the innermost.
pub fn around(router: Router, app: &Ctx) -> Router {
    let limits = &app.config.limits;
    router
        .layer(CatchPanicLayer::custom(errors::panicked))
        .layer(from_fn_with_state(Arc::clone(app), finish::anyway))
        .layer(from_fn_with_state(Arc::clone(app), csrf::guard))
        .layer(from_fn_with_state(limits.body, body::deadline))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(RequestBodyLimitLayer::new(limits.body_bytes))
        .layer(from_fn(errors::word))
        .layer(from_fn(management::guard::charset))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(Arc::clone(app), headers::set))
        .layer(from_fn_with_state(Arc::clone(app), log::line))
}
