//! `bramble token create`.

use super::{Response, failed};
use crate::app::App;
use crate::management::tokens::{self, TokenError};
use bramble_wire::AccountId;
use serde_json::json;

pub(super) async fn token_create(app: &App, organisation: AccountId, description: &str) -> Response {
    match tokens::create_as_operator(app, organisation, description).await {
        Ok(made) => {
            let text = format!(
                "{}\n\nIt is shown only this once. Whoever holds it can do what an administrator can do with \
                 the organisation's devices, auth keys and device identities.",
                made.secret.expose()
            );
            let json =
                json!({ "id": made.id, "description": made.description, "secret": made.secret.expose() });
            Response::done(text, json)
        }
        Err(TokenError::Store(error)) => failed(error),
        Err(TokenError::NotFound) => Response::refused("There is no organisation with this id."),
        Err(error) => Response::refused(error.to_string()),
    }
}
