//! Typed identifiers: UUIDs in lower case on the wire, a type of their own in the code, so that a
//! device's id can never be passed where a user's is meant.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id made from 16 random bytes (UUID version 4). The caller brings the randomness.
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self { id.0 }
        }
    )+};
}

typed_id! {
    /// A person who can sign in.
    UserId,
    /// An owner of devices and keys: a person's own account, or an organisation.
    AccountId,
    /// A linked device. Survives being linked again and being transferred.
    DeviceId,
    /// A key that links one device without a person.
    AuthKeyId,
    /// A token of the management API.
    ApiTokenId,
    /// A key pair that links its device again and again.
    DeviceIdentityId,
    /// An invitation into an organisation.
    InvitationId,
    /// A device waiting for somebody to approve its code.
    LinkRequestId,
    /// A remote shell, screen sharing or file session.
    SessionId,
    /// A passkey of a person.
    PasskeyId,
    /// A browser that signed in.
    WebSessionId,
    /// A line of the audit log.
    AuditEventId,
    /// A message in the outbox.
    MailId,
    /// An update that devices can be given: where it is and its checksum.
    ArtefactId,
    /// An artefact on its way to one device.
    DeploymentId,
    /// Deployments to many devices at once.
    RolloutId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_lower_case_uuids_on_the_wire() {
        let id: DeviceId = "69739B44-EBB2-468E-9E24-08126DEC4925".parse().expect("a UUID");
        let json = serde_json::to_string(&id).expect("serialises");
        assert_eq!(json, "\"69739b44-ebb2-468e-9e24-08126dec4925\"");
    }
}
