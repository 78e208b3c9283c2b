//! What somebody made in an organisation and leaves behind when they go by themselves. Keys, tokens and
//! invitations are the organisation's and stay: programs and images depend on them. Whoever is left to decide about them
//! is told, because the one who went may have kept their secrets.

use super::members::{self, tell_administrators};
use crate::app::App;
use crate::audit::Actor;
use crate::auth::SignedIn;
use crate::mail;
use bramble_store::users::User;
use bramble_store::{StoreError, Tx};
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, UserId};

/// How much it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftBehind {
    /// Auth keys that can still be used.
    pub keys: usize,
    /// API access tokens.
    pub tokens: usize,
    /// Invitations that wait.
    pub invitations: usize,
}

impl LeftBehind {
    fn some(keys: usize, tokens: usize, invitations: u64) -> Option<Self> {
        let invitations = usize::try_from(invitations).unwrap_or(usize::MAX);
        let any = keys > 0 || tokens > 0 || invitations > 0;
        any.then_some(Self { keys, tokens, invitations })
    }

    /// "2 auth keys, 1 API access token and 3 invitations".
    pub fn words(self) -> String {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let parts =
            [(self.keys, "auth key"), (self.tokens, "API access token"), (self.invitations, "invitation")];
        let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
        match parts.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => parts.concat(),
        }
    }
}

/// Why somebody is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// They left the organisation.
    Left,
    /// They deleted their account.
    Deleted,
    /// The operator disabled their account.
    Disabled,
}

/// What the caller would leave behind in each of their organisations, by its name.
pub async fn of_caller(app: &App, caller: &SignedIn) -> Result<Vec<(String, LeftBehind)>, StoreError> {
    let mut all = Vec::new();
    for entry in caller.belongings.iter().filter(|entry| entry.account.kind == AccountKind::Organisation) {
        let left = in_organisation(app, caller, entry.account.id).await?;
        all.extend(left.map(|left| (entry.account.name.clone(), left)));
    }
    Ok(all)
}

/// What the caller would leave behind in one of their organisations.
pub async fn in_organisation(
    app: &App,
    caller: &SignedIn,
    account: AccountId,
) -> Result<Option<LeftBehind>, StoreError> {
    let keys = app.store.usable_auth_keys_by(account, caller.user, app.clock.now()).await?;
    let tokens = app.store.api_tokens_by(account, caller.user).await?;
    let invitations = app.store.count_invitations_by(account, caller.user, app.clock.now()).await?;
    Ok(LeftBehind::some(keys.len(), tokens.len(), invitations))
}

/// Counts it, in the transaction in which the person goes; the account is locked.
pub(crate) async fn count(
    app: &App,
    tx: &Tx,
    account: AccountId,
    user: UserId,
) -> Result<Option<LeftBehind>, StoreError> {
    let keys = tx.usable_auth_keys_by(account, user, app.clock.now()).await?;
    let tokens = tx.api_tokens_by(account, user).await?;
    let invitations = tx.count_invitations_by(account, user, app.clock.now()).await?;
    Ok(LeftBehind::some(keys.len(), tokens.len(), invitations))
}

/// What somebody leaves behind whom the operator disables, in that transaction and behind it. Their invitations let
/// nobody in any more, least of all themselves under another address. The others are told if it is `new`.
pub(crate) async fn by_disabled(
    app: &App,
    tx: &Tx,
    account: AccountId,
    person: &User,
    new: bool,
) -> Result<Option<LeftBehind>, StoreError> {
    members::revoke_invitations_of(app, tx, &Actor::operator(), account, person.id).await?;
    let left = count(app, tx, account, person.id).await?;
    if new {
        tell(app, tx, account, &person.name, (Gone::Disabled, left)).await?;
    }
    Ok(left)
}

/// Tells those who administer the organisation now, if there is something. To be called when the person
/// is no longer one of them.
pub(crate) async fn tell(
    app: &App,
    tx: &Tx,
    account: AccountId,
    who: &str,
    (gone, left): (Gone, Option<LeftBehind>),
) -> Result<(), StoreError> {
    let Some(left) = left else { return Ok(()) };
    let organisation = tx.account(account).await?.map(|account| account.name).unwrap_or_default();
    tell_administrators(app, tx, account, |to| {
        mail::keys_left_behind(app, to, &organisation, who, &left.words(), gone)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_in_words() {
        for (keys, tokens, invitations, words) in [
            (2, 1, 0, "2 auth keys and 1 API access token"),
            (1, 0, 0, "1 auth key"),
            (0, 3, 0, "3 API access tokens"),
            (0, 0, 1, "1 invitation"),
            (1, 1, 2, "1 auth key, 1 API access token and 2 invitations"),
        ] {
            assert_eq!(LeftBehind::some(keys, tokens, invitations).expect("something").words(), words);
        }
        assert_eq!(LeftBehind::some(0, 0, 0), None);
    }
}
