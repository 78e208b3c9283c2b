//! `bramble token create`, `bramble identity release`.

use super::{Response, failed};
use crate::app::App;
use crate::linking::LinkingError;
use crate::linking::identities::{self, proof::PublicKey};
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

pub(super) async fn identity_release(app: &App, public_key: &str) -> Response {
    let Some(key) = PublicKey::parse(public_key) else {
        return Response::refused("This is no public key of a device identity: PEM, on the curve P-256.");
    };
    match identities::release(app, &key).await {
        Ok(Some(identity)) => {
            let text = format!(
                "Released the key of “{}” ({}). Another organisation can register it now; the device that it \
                 linked is signed out.",
                identity.description, identity.id
            );
            Response::done(text, json!({ "id": identity.id, "organisation": identity.account }))
        }
        Ok(None) => Response::refused("Nobody here has registered this key."),
        Err(LinkingError::Store(error)) => failed(error),
        Err(error) => Response::refused(error.to_string()),
    }
}
