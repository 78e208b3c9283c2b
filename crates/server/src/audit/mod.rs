//! The audit log: who did what to which thing. A line is written in the transaction that it tells
//! of, so none is missing and none is false.
//!
//! [`log`] reads it, `pages` shows it and sends it as CSV.
//!
//! How to add to it: an action in `bramble_model::audit`, then one call of [`record`].

mod csv;
pub mod log;
pub mod pages;

use crate::app::App;
use crate::auth::{ApiToken, SignedIn};
use crate::countries::Country;
use bramble_model::audit::{Action, Source};
use bramble_store::audit::{NewEvent, Party};
use bramble_store::devices::Device;
use bramble_store::{StoreError, Tx};
use bramble_wire::{
    AccountId, ApiTokenId, ArtefactId, AuthKeyId, DeviceId, DeviceIdentityId, InvitationId, UserId,
};
use uuid::Uuid;

/// Who does something, and from where.
#[derive(Debug, Clone)]
pub struct Actor {
    source: Source,
    party: Party,
    country: Option<Country>,
}

impl Actor {
    /// A person in the dashboard.
    pub fn person(who: &SignedIn) -> Self {
        let party = Party { kind: "user", id: Some(who.user.0), name: who.name.clone() };
        Self { source: Source::Dashboard, party, country: who.country }
    }

    /// A device.
    pub fn device(id: DeviceId, name: &str) -> Self {
        Self { source: Source::Device, party: device_named(id, name), country: None }
    }

    /// From that country.
    #[must_use]
    pub fn from(self, country: Option<Country>) -> Self {
        Self { country, ..self }
    }

    /// Something that claims a serial number and has no entry.
    pub fn unknown_device(serial_number: &str) -> Self {
        let party = Party { kind: "device", id: None, name: serial_number.to_owned() };
        Self { source: Source::Device, party, country: None }
    }

    /// A device that brought this key.
    pub fn auth_key(id: AuthKeyId, description: &str) -> Self {
        Self { source: Source::Device, party: auth_key(id, description), country: None }
    }

    /// A device that proved this identity.
    pub fn device_identity(id: DeviceIdentityId, description: &str) -> Self {
        Self { source: Source::Device, party: device_identity(id, description), country: None }
    }

    /// A program with a token of the management API.
    pub fn program(token: &ApiToken) -> Self {
        let party = api_token(token.id, &token.description);
        Self { source: Source::Api, party, country: token.country }
    }

    /// The operator's command line.
    pub fn operator() -> Self {
        let party = Party { kind: "operator", id: None, name: "Operator".to_owned() };
        Self { source: Source::Operator, party, country: None }
    }

    /// Whoever asked for something that goes on by itself, as it was noted then.
    pub fn noted(source: Source, id: Option<Uuid>, name: &str) -> Self {
        let kind = if source == Source::Api { "api_token" } else { "user" };
        Self { source, party: Party { kind, id, name: name.to_owned() }, country: None }
    }

    /// From where.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Its id, if it has one.
    pub fn id(&self) -> Option<Uuid> {
        self.party.id
    }

    /// The name that things made by this actor remember.
    pub fn name(&self) -> &str {
        &self.party.name
    }
}

/// A device as the subject of a line.
pub fn device(device: &Device) -> Party {
    device_named(device.id, &device.name)
}

/// A device as the subject of a line.
pub fn device_named(id: DeviceId, name: &str) -> Party {
    Party { kind: "device", id: Some(id.0), name: name.to_owned() }
}

/// A person as the subject of a line.
pub fn user(id: UserId, name: &str) -> Party {
    Party { kind: "user", id: Some(id.0), name: name.to_owned() }
}

/// An invitation as the subject of a line.
pub fn invitation(id: InvitationId, email: &str) -> Party {
    Party { kind: "invitation", id: Some(id.0), name: email.to_owned() }
}

/// An organisation as the subject of a line.
pub fn organisation(id: AccountId, name: &str) -> Party {
    Party { kind: "organisation", id: Some(id.0), name: name.to_owned() }
}

/// An auth key as the subject of a line.
pub fn auth_key(id: AuthKeyId, description: &str) -> Party {
    Party { kind: "auth_key", id: Some(id.0), name: description.to_owned() }
}

/// A device identity as the subject of a line.
pub fn device_identity(id: DeviceIdentityId, description: &str) -> Party {
    Party { kind: "device_identity", id: Some(id.0), name: description.to_owned() }
}

/// An artefact as the subject of a line.
pub fn artefact(id: ArtefactId, name: &str) -> Party {
    Party { kind: "artefact", id: Some(id.0), name: name.to_owned() }
}

/// Writes a line for each of many subjects.
pub async fn record_all(
    app: &App,
    tx: &Tx,
    account: AccountId,
    actor: &Actor,
    action: Action,
    lines: impl IntoIterator<Item = (Party, String)>,
) -> Result<(), StoreError> {
    let at = app.clock.now();
    let event = |(subject, details)| NewEvent {
        id: app.random.id(),
        account,
        at,
        source: actor.source,
        action,
        details,
        subject,
        actor: actor.party.clone(),
        country: actor.country.map(|it| it.to_string()),
    };
    tx.record_audits(lines.into_iter().map(event).collect()).await
}

/// A token of the management API as the subject of a line.
pub fn api_token(id: ApiTokenId, description: &str) -> Party {
    Party { kind: "api_token", id: Some(id.0), name: description.to_owned() }
}

/// Writes a line. `details` are facts for people: never a secret, never an address.
pub async fn record(
    app: &App,
    tx: &Tx,
    account: AccountId,
    actor: &Actor,
    action: Action,
    subject: Party,
    details: impl Into<String>,
) -> Result<(), StoreError> {
    tx.record_audit(NewEvent {
        id: app.random.id(),
        account,
        at: app.clock.now(),
        source: actor.source,
        action,
        details: details.into(),
        subject,
        actor: actor.party.clone(),
        country: actor.country.map(|it| it.to_string()),
    })
    .await
}
