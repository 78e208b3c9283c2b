//! People: signing up and in, their sessions, and what they are to an account.

use crate::app::App;
use bramble_model::account::Standing;
use bramble_store::StoreError;
use bramble_wire::{AccountId, UserId};

/// What a person is to an account; `None` if nothing, or if there is no such account (answer 404).
pub async fn standing(app: &App, user: UserId, account: AccountId) -> Result<Option<Standing>, StoreError> {
    app.store.standing(user, account).await
}

/// A person's own account. Every person has one from the first moment; `None` means that the person
/// was deleted meanwhile.
pub async fn personal_account(app: &App, user: UserId) -> Result<Option<AccountId>, StoreError> {
    app.store.personal_account(user).await
}
