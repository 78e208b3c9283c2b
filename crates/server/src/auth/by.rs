//! Who asks for an operation that people and programs share.

use super::{ApiToken, SignedIn};
use crate::accounts::{self, NotAdmitted};
use crate::app::App;
use crate::audit::Actor;
use bramble_model::account::Deed;
use bramble_store::{StoreError, Tx};
use bramble_wire::{AccountId, UserId};

/// A person in the dashboard, or a program with a token of an organisation. Operations take
/// `impl Into<By<'_>>`, so that edges hand over what their extractor proved.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// A person.
    Person(&'a SignedIn),
    /// A program.
    Program(&'a ApiToken),
}

impl<'a> From<&'a SignedIn> for By<'a> {
    fn from(who: &'a SignedIn) -> Self {
        Self::Person(who)
    }
}

impl<'a> From<&'a ApiToken> for By<'a> {
    fn from(token: &'a ApiToken) -> Self {
        Self::Program(token)
    }
}

impl By<'_> {
    /// Whether the caller may do this in that account.
    pub async fn may(&self, app: &App, account: AccountId, deed: Deed) -> Result<bool, StoreError> {
        match self {
            Self::Person(who) => {
                let standing = accounts::standing(app, who.user, account).await?;
                Ok(standing.is_some_and(|standing| standing.may(deed)))
            }
            Self::Program(token) => Ok(token.account == account && programs_may(deed)),
        }
    }

    /// Begins a change in an account: it is locked, and the caller's right looked up under the lock, so
    /// that whoever lost it a moment ago changes nothing.
    pub async fn begin(&self, app: &App, account: AccountId, deed: Deed) -> Result<Tx, NotAdmitted> {
        let tx = app.store.begin().await?;
        if !tx.lock_account(account).await? {
            return Err(NotAdmitted::NotFound);
        }
        match self {
            Self::Person(who) => {
                accounts::admit(tx.standing(who.user, account, app.clock.now()).await?, deed)?;
            }
            Self::Program(token) => {
                let theirs = token.account == account && programs_may(deed);
                if !theirs || tx.api_token(account, token.id).await?.is_none() {
                    return Err(NotAdmitted::NotFound);
                }
            }
        }
        Ok(tx)
    }

    /// As it stands in the audit log.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Person(who) => Actor::person(who),
            Self::Program(token) => Actor::program(token),
        }
    }

    /// The person, if it is one.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Person(who) => Some(who.user),
            Self::Program(_) => None,
        }
    }
}

/// What the management API has endpoints for. People, settings and sessions are not among it.
fn programs_may(deed: Deed) -> bool {
    match deed {
        Deed::ViewDevices | Deed::ManageDevices | Deed::ManageKeys | Deed::ManageUpdates => true,
        Deed::OpenSession
        | Deed::ViewMembers
        | Deed::ManageMembers
        | Deed::ManageSettings
        | Deed::ViewAuditLog => false,
    }
}
