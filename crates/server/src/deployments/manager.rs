//! Whoever manages the updates of an account.

use super::DeploymentError;
use crate::accounts;
use crate::app::App;
use crate::audit::Actor;
use crate::auth::{ApiToken, By, Right, SignedIn};
use bramble_model::account::Deed;
use bramble_store::Tx;
use bramble_wire::AccountId;

/// Somebody who proved that they manage the updates of an account: no operation on artefacts and
/// deployments begins without one.
#[derive(Debug, Clone)]
pub struct Manager {
    account: AccountId,
    actor: Actor,
    right: Right,
}

impl Manager {
    /// A person, if their standing in the account is enough. To others the account has nothing.
    pub async fn person(app: &App, by: &SignedIn, account: AccountId) -> Result<Self, DeploymentError> {
        let standing = accounts::standing(app, by.user, account).await?;
        accounts::admit(standing, Deed::ManageUpdates)?;
        let by = By::from(by);
        Ok(Self { account, actor: by.actor(), right: by.right() })
    }

    /// A program, of its token's organisation.
    pub fn program(token: &ApiToken) -> Self {
        let by = By::from(token);
        Self { account: token.account, actor: by.actor(), right: by.right() }
    }

    /// Looks again, in the transaction that changes something and holds the account's lock: whoever lost
    /// their standing since, or whose token was revoked, changes nothing.
    pub async fn confirm(&self, app: &App, tx: &Tx) -> Result<(), DeploymentError> {
        Ok(self.right.check(app, tx, self.account, Deed::ManageUpdates).await?)
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
