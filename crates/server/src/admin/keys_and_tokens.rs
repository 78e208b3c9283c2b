//! Keys and tokens of organisations: `bramble auth-key create --org`, `bramble provision`, `bramble token
//! create`, `bramble identity release`; and the server's own key: `bramble deployment-key rotate`.

use super::{Response, failed};
use crate::app::App;
use crate::deployments;
use crate::linking::LinkingError;
use crate::linking::identities::{self, proof::PublicKey};
use crate::linking::keys::{self, Wish as KeyWish};
use crate::management::tokens::{self, TokenError};
use bramble_model::auth_key::TtlDays;
use bramble_model::tags::Tags;
use bramble_wire::AccountId;
use bramble_wire::device_api::AccountKind;
use serde_json::{Value, json};

/// Keys of one command; its answer must fit the socket's limit.
pub(crate) const MAX_KEYS: usize = 100;

/// What new keys should be.
pub(super) struct Wish {
    pub(super) description: String,
    pub(super) device_names: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) ttl_days: Option<u16>,
}

pub(super) async fn auth_keys_create(app: &App, organisation: AccountId, wish: Wish) -> Response {
    match try_auth_keys_create(app, organisation, wish).await {
        Ok(keys) => {
            let secrets: Vec<&str> = keys.iter().filter_map(|key| key["secret"].as_str()).collect();
            let text = format!("{}\n\nEach links one device.", secrets.join("\n"));
            Response::done(
                text,
                json!({ "organisation": organisation, "server": app.config.origin(), "auth_keys": keys }),
            )
        }
        Err(text) => Response::refused(text),
    }
}

async fn try_auth_keys_create(app: &App, organisation: AccountId, wish: Wish) -> Result<Vec<Value>, String> {
    let found = app.store.account(organisation).await.map_err(|error| error.to_string())?;
    if found.is_none_or(|account| account.kind != AccountKind::Organisation) {
        return Err("There is no organisation with this id. See `bramble org list`.".to_owned());
    }
    if wish.device_names.len() > MAX_KEYS {
        return Err(format!("At most {MAX_KEYS} keys at a time."));
    }
    let ttl = wish.ttl_days.map_or(Ok(TtlDays::ONE), |days| TtlDays::new(days.into()))?;
    let tags = Tags::new(&wish.tags).map_err(|why| why.to_string())?;
    let names = if wish.device_names.is_empty() {
        vec![None]
    } else {
        wish.device_names.into_iter().map(Some).collect()
    };
    let mut keys = Vec::new();
    for device_name in names {
        let description = match &device_name {
            Some(name) if wish.description.is_empty() => name.clone(),
            _ => wish.description.clone(),
        };
        let wish = KeyWish { description, ttl, device_name: device_name.clone(), tags: tags.clone() };
        let made = keys::create_organisation_key_as_operator(app, organisation, wish).await;
        let made = made.map_err(|error| error.to_string())?;
        keys.push(json!({
            "id": made.id,
            "description": made.description,
            "device_name": device_name,
            "secret": made.secret.expose(),
            "expires_at": made.expires_at.unix_timestamp(),
        }));
    }
    Ok(keys)
}

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

pub(super) async fn deployment_key_rotate(app: &App) -> Response {
    match deployments::keys::rotate(app).await {
        Ok(Some(id)) => {
            let text = format!(
                "Deployments are signed with the new key {id} from now on. A device takes it when it gets its next \
                 deployment, because the old key vouches for it."
            );
            Response::done(text, json!({ "id": id }))
        }
        Ok(None) => Response::refused("Somebody else made a new key at this moment. Nothing was changed."),
        Err(error) => Response::refused(error.to_string()),
    }
}
