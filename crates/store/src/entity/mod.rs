//! The tables as sea-orm sees them. Nothing outside this crate names them: queries hand out plain
//! structs with typed ids and times.

pub(crate) mod account;
pub(crate) mod api_token;
pub(crate) mod artefact;
pub(crate) mod audit_event;
pub(crate) mod auth_key;
pub(crate) mod deployment;
pub(crate) mod deployment_key;
pub(crate) mod deployment_output;
pub(crate) mod device;
pub(crate) mod device_identity;
pub(crate) mod device_notice;
pub(crate) mod device_tag;
pub(crate) mod identity;
pub(crate) mod invitation;
pub(crate) mod known_browser;
pub(crate) mod link_request;
pub(crate) mod mail;
pub(crate) mod mail_link;
pub(crate) mod membership;
pub(crate) mod passkey;
pub(crate) mod pending_sign_in;
pub(crate) mod provider_flow;
pub(crate) mod recovery_code;
pub(crate) mod rollout;
pub(crate) mod rollout_device;
pub(crate) mod session;
pub(crate) mod setting;
pub(crate) mod spent_token;
pub(crate) mod two_factor;
pub(crate) mod user;
pub(crate) mod web_session;
