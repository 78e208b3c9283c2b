//! Everything that crosses a process boundary: typed ids, the device API, the event stream,
//! session signalling and what travels inside a session's data channels.
//!
//! What it is: serde types and the words of the protocol. What it is not: nothing here runs, opens,
//! reads a clock or makes a decision; that is `bramble-model`'s and the programs' work.
//!
//! How to add to it: put the type beside its neighbours in the file named after who speaks it, show
//! its JSON in a doc test, and say where the protocol fact comes from (part A is spoken by existing
//! clients and cannot change; part B is ours).

#![warn(missing_docs)]

pub mod channel;
pub mod deployments;
pub mod device_api;
pub mod events;
pub mod files;
pub mod ids;
pub mod management;
pub mod signalling;
pub mod signature;

pub use ids::{
    AccountId, ApiTokenId, ArtefactId, AuditEventId, AuthKeyId, DeploymentId, DeviceId, DeviceIdentityId,
    InvitationId, LinkRequestId, MailId, PasskeyId, RolloutId, SessionId, UserId, WebSessionId,
};
