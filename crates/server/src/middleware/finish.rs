//! What somebody asked for is done to its end, also when they leave before the answer: a change that is
//! in the store is told to everybody whom it concerns.

use crate::app::Ctx;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

pub(super) async fn anyway(State(app): State<Ctx>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let answer = app.tasks.spawn(next.run(request).in_current_span().with_current_subscriber()).await;
    // Panics are caught inside; without a runtime nobody is left to hear this.
    answer.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
