//! The operator's commands: the same [`Request`] reaches a running server over `DIR/admin.sock`
//! ([`socket`]), so that it acts on live connections, or is done right here when none runs ([`client`]).
//!
//! Whoever can open the socket is the operator: it has mode 0600, and the peer must be the server's own
//! user or root. To add a command: a variant of [`Request`], its work in [`handle`] by an operation of
//! its slice, its flags in `cli`.

pub mod client;
mod keys_and_tokens;
mod organisations;
mod people;
pub mod socket;

pub(crate) use keys_and_tokens::MAX_KEYS;

use crate::accounts::{self, NewUser};
use crate::app::App;
use crate::auth::password::Password;
use crate::linking::keys::{self, MadeKey};
use crate::mail;
use bramble_model::auth_key::TtlDays;
use bramble_model::text;
use bramble_store::StoreError;
use bramble_wire::{AccountId, MailId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A command.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// `bramble user create`.
    UserCreate {
        /// Address.
        email: String,
        /// Display name.
        name: String,
        /// Password. A secret.
        password: String,
        /// Whether the address counts as proved.
        verified: bool,
    },
    /// `bramble user list`.
    UserList {
        /// Only those whose address comes after this one.
        #[serde(default)]
        after: String,
    },
    /// `bramble user disable`.
    UserDisable {
        /// Address.
        email: String,
        /// Also if an organisation is left without an administrator who can sign in.
        #[serde(default)]
        force: bool,
    },
    /// `bramble user enable`.
    UserEnable {
        /// Address.
        email: String,
    },
    /// `bramble user reset-2fa`.
    UserResetTwoFactor {
        /// Address.
        email: String,
    },
    /// `bramble org create`.
    OrgCreate {
        /// Its name.
        name: String,
        /// Address of its first administrator.
        administrator: String,
    },
    /// `bramble org list`.
    OrgList {
        /// Only those whose id comes after this one.
        #[serde(default)]
        after: Option<AccountId>,
    },
    /// `bramble org billing`.
    OrgBilling {
        /// Which.
        organisation: AccountId,
        /// `trial`, `paid` or `ended`.
        billing: String,
    },
    /// `bramble auth-key create`.
    AuthKeyCreate {
        /// Whose personal account, by address.
        user: String,
        /// What the key is for.
        description: String,
        /// How long it can be used.
        ttl_days: Option<u16>,
    },
    /// `bramble auth-key create --org`, and `bramble provision`: a key for each name.
    OrgAuthKeysCreate {
        /// The organisation's id.
        organisation: AccountId,
        /// What the keys are for. A device that gets a name has it after this.
        description: String,
        /// The names that the devices get; one key without a name if there is none.
        device_names: Vec<String>,
        /// The tags that the devices get.
        tags: Vec<String>,
        /// How long they can be used.
        ttl_days: Option<u16>,
    },
    /// `bramble token create`.
    TokenCreate {
        /// The organisation's id.
        organisation: AccountId,
        /// What the token is for.
        description: String,
    },
    /// `bramble identity release`.
    IdentityRelease {
        /// PEM.
        public_key: String,
    },
    /// `bramble deployment-key rotate`.
    DeploymentKeyRotate,
    /// `bramble mail list`.
    MailList,
    /// `bramble mail show`.
    MailShow {
        /// Which.
        id: MailId,
    },
}

impl std::fmt::Debug for Request {
    /// The kind only: a password may be inside.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UserCreate { .. } => "UserCreate",
            Self::UserList { .. } => "UserList",
            Self::UserDisable { .. } => "UserDisable",
            Self::UserEnable { .. } => "UserEnable",
            Self::UserResetTwoFactor { .. } => "UserResetTwoFactor",
            Self::OrgCreate { .. } => "OrgCreate",
            Self::OrgList { .. } => "OrgList",
            Self::OrgBilling { .. } => "OrgBilling",
            Self::AuthKeyCreate { .. } => "AuthKeyCreate",
            Self::OrgAuthKeysCreate { .. } => "OrgAuthKeysCreate",
            Self::TokenCreate { .. } => "TokenCreate",
            Self::IdentityRelease { .. } => "IdentityRelease",
            Self::DeploymentKeyRotate => "DeploymentKeyRotate",
            Self::MailList => "MailList",
            Self::MailShow { .. } => "MailShow",
        })
    }
}

/// What came of it. Not `Debug`: a new key may be inside.
#[derive(Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[expect(missing_debug_implementations, reason = "a new key may be inside")]
pub enum Response {
    /// Done.
    Done {
        /// For people.
        text: String,
        /// For programs.
        json: Value,
    },
    /// Not done.
    Refused {
        /// Why, and what to do.
        text: String,
        /// For programs, where there is more to know than that.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        json: Value,
    },
}

impl Response {
    fn done(text: impl Into<String>, json: Value) -> Self {
        Self::Done { text: text.into(), json }
    }

    fn refused(text: impl Into<String>) -> Self {
        Self::Refused { text: text.into(), json: Value::Null }
    }
}

/// Does what was asked.
pub async fn handle(app: &App, request: Request) -> Response {
    let kind = format!("{request:?}");
    let response = match request {
        Request::UserCreate { email, name, password, verified } => {
            let new = NewUser { email, name, password: Password::new(password), verified };
            user_create(app, new).await
        }
        Request::UserList { after } => people::list(app, &after).await,
        Request::UserDisable { email, force } => people::disable(app, &email, force).await,
        Request::UserEnable { email } => people::enable(app, &email).await,
        Request::UserResetTwoFactor { email } => people::reset_two_factor(app, &email).await,
        Request::OrgCreate { name, administrator } => organisations::create(app, &name, &administrator).await,
        Request::OrgList { after } => organisations::list(app, after).await,
        Request::OrgBilling { organisation, billing } => {
            organisations::billing(app, organisation, &billing).await
        }
        Request::AuthKeyCreate { user, description, ttl_days } => {
            auth_key_create(app, &user, &description, ttl_days).await
        }
        Request::OrgAuthKeysCreate { organisation, description, device_names, tags, ttl_days } => {
            let wish = keys_and_tokens::Wish { description, device_names, tags, ttl_days };
            keys_and_tokens::auth_keys_create(app, organisation, wish).await
        }
        Request::TokenCreate { organisation, description } => {
            keys_and_tokens::token_create(app, organisation, &description).await
        }
        Request::IdentityRelease { public_key } => keys_and_tokens::identity_release(app, &public_key).await,
        Request::DeploymentKeyRotate => keys_and_tokens::deployment_key_rotate(app).await,
        Request::MailList => mail::list(app).await.map_or_else(failed, |mails| mail_list(&mails)),
        Request::MailShow { id } => {
            mail::show(app, id).await.map_or_else(failed, |mail| mail_show(mail.as_ref()))
        }
    };
    tracing::info!(command = kind, done = matches!(response, Response::Done { .. }), "operator's command");
    response
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_or_else")]
fn failed(error: StoreError) -> Response {
    Response::refused(format!("{error}. Nothing was changed."))
}

async fn user_create(app: &App, new: NewUser) -> Response {
    let email = new.email.clone();
    match accounts::create_user(app, new).await {
        Ok(id) => Response::done(format!("Created {email} ({id})."), json!({ "id": id, "email": email })),
        Err(error) => Response::refused(error.to_string()),
    }
}

async fn auth_key_create(app: &App, email: &str, description: &str, ttl_days: Option<u16>) -> Response {
    match try_auth_key_create(app, email, description, ttl_days).await {
        Ok(made) => {
            let command = format!(
                "rpi-connect signin --auth-key={} --server {}",
                made.secret.expose(),
                app.config.origin()
            );
            let text = format!("{}\n\nIt links one device, with:\n  {command}", made.secret.expose());
            let json = json!({
                "id": made.id,
                "description": made.description,
                "secret": made.secret.expose(),
                "expires_at": made.expires_at.unix_timestamp(),
                "command": command,
            });
            Response::done(text, json)
        }
        Err(text) => Response::refused(text),
    }
}

async fn try_auth_key_create(
    app: &App,
    email: &str,
    description: &str,
    ttl_days: Option<u16>,
) -> Result<MadeKey, String> {
    let folded = text::email(email).ok_or("That is not an email address.")?;
    let person = app.store.user_by_email(&folded).await.map_err(|error| error.to_string())?;
    let person = person.ok_or_else(|| format!("Nobody here has the address {email}."))?;
    let ttl = ttl_days.map_or(Ok(TtlDays::ONE), |days| TtlDays::new(days.into()))?;
    keys::create_auth_key_as_operator(app, person.id, description, ttl)
        .await
        .map_err(|error| error.to_string())
}

fn mail_list(mails: &[mail::Listed]) -> Response {
    let lines: Vec<String> = mails
        .iter()
        .map(|mail| {
            format!(
                "{}  {}  {:8}  {}  {}",
                mail.id, mail.created_at, mail.state, mail.recipient, mail.subject
            )
        })
        .collect();
    let text = if lines.is_empty() { "The outbox is empty.".to_owned() } else { lines.join("\n") };
    Response::done(text, json!(mails))
}

fn mail_show(mail: Option<&mail::Shown>) -> Response {
    let Some(mail) = mail else {
        return Response::refused("There is no such mail. See `bramble mail list`.");
    };
    let listed = &mail.listed;
    let text = format!("To: {}\nSubject: {}\n\n{}", listed.recipient, listed.subject, mail.text);
    Response::done(text, json!(mail))
}
