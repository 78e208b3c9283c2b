//! Who asks for an operation that people and programs share.

use super::{ApiToken, SignedIn};
use crate::accounts::{self, NotAdmitted};
use crate::app::App;
use crate::audit::Actor;
use bramble_model::account::Deed;
use bramble_store::{StoreError, Tx};
use bramble_wire::{AccountId, ApiTokenId, UserId};

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
        self.right().begin(app, account, deed).await
    }

    /// What is looked up again.
    pub fn right(&self) -> Right {
        match self {
            Self::Person(who) => Right::Person(who.user),
            Self::Program(token) => Right::Program(token.account, token.id),
        }
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

/// Whose right is looked up again before something changes. Nothing of what was proved is kept but who it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// A person's standing in the account.
    Person(UserId),
    /// A token, and the organisation that it is of.
    Program(AccountId, ApiTokenId),
    /// The command line on the server's own machine, which may everything.
    Operator,
}

impl Right {
    /// Begins a change in an account: it is locked, and the right looked up under the lock.
    pub async fn begin(self, app: &App, account: AccountId, deed: Deed) -> Result<Tx, NotAdmitted> {
        let tx = app.store.begin().await?;
        if !tx.lock_account(account).await? {
            return Err(NotAdmitted::NotFound);
        }
        self.check(app, &tx, account, deed).await?;
        Ok(tx)
    }

    /// Looks it up in a transaction.
    pub async fn check(self, app: &App, tx: &Tx, account: AccountId, deed: Deed) -> Result<(), NotAdmitted> {
        match self {
            Self::Person(user) => {
                accounts::admit(tx.standing(user, account, app.clock.now()).await?, deed)?;
            }
            Self::Program(of, token) => {
                let theirs = of == account && programs_may(deed);
                if !theirs || tx.api_token(account, token).await?.is_none() {
                    return Err(NotAdmitted::NotFound);
                }
            }
            Self::Operator => {}
        }
        Ok(())
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
