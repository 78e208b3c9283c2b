//! Whoever manages the updates of an account.

use super::DeploymentError;
use crate::accounts;
use crate::app::App;
use crate::audit::Actor;
use crate::auth::{ApiToken, SignedIn};
use bramble_model::account::Deed;
use bramble_model::audit::Source;
use bramble_store::Tx;
use bramble_wire::{AccountId, ApiTokenId, UserId};

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

    /// Looks again, in the transaction that changes something and holds the account's lock: whoever lost
    /// their standing since, or whose token was revoked, changes nothing.
    pub async fn confirm(&self, app: &App, tx: &Tx) -> Result<(), DeploymentError> {
        let Some(id) = self.actor.id() else { return Ok(()) };
        let still = match self.actor.source() {
            Source::Dashboard => {
                let standing = tx.standing(UserId(id), self.account, app.clock.now()).await?;
                standing.is_some_and(|s| s.may(Deed::ManageUpdates))
            }
            Source::Api => tx.api_token(self.account, ApiTokenId(id)).await?.is_some(),
            _ => true,
        };
        if still { Ok(()) } else { Err(DeploymentError::NotFound) }
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
