//! Whoever manages the updates of an account.

use super::DeploymentError;
use crate::accounts;
use crate::app::App;
use crate::audit::Actor;
use crate::auth::{ApiToken, SignedIn};
use bramble_model::account::Deed;
use bramble_model::audit::Source;
use bramble_store::Tx;
use bramble_wire::{AccountId, UserId};

/// Somebody who proved that they manage the updates of an account: no operation on artefacts and
/// deployments begins without one.
#[derive(Debug, Clone)]
pub struct Manager {
    account: AccountId,
    actor: Actor,
}

impl Manager {
    /// A person, if their standing in the account is enough. To others the account has nothing.
    pub async fn person(app: &App, by: &SignedIn, account: AccountId) -> Result<Self, DeploymentError> {
        let standing = accounts::standing(app, by.user, account).await?;
        accounts::admit(standing, Deed::ManageUpdates)?;
        Ok(Self { account, actor: Actor::person(by) })
    }

    /// A program, of its token's organisation.
    pub fn program(token: &ApiToken) -> Self {
        Self { account: token.account, actor: Actor::program(token) }
    }

    /// Looks again, in the transaction that changes something: whoever lost their standing since changes
    /// nothing.
    pub async fn confirm(&self, app: &App, tx: &Tx) -> Result<(), DeploymentError> {
        let person = self.actor.id().filter(|_| self.actor.source() == Source::Dashboard);
        let Some(person) = person else { return Ok(()) };
        let standing = tx.standing(UserId(person), self.account, app.clock.now()).await?;
        standing.filter(|s| s.may(Deed::ManageUpdates)).map(|_| ()).ok_or(DeploymentError::NotFound)
    }

    /// Of which account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// As the audit log names them.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }
}
