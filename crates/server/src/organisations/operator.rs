//! What the operator sees and says of organisations: `bramble org list`, `bramble org billing`.

use crate::app::App;
use crate::audit::{self, Actor};
use crate::live::Change;
use crate::web::frames;
use bramble_model::account::Billing;
use bramble_model::audit::Action;
use bramble_model::text;
use bramble_store::StoreError;
use bramble_wire::AccountId;
use bramble_wire::device_api::AccountKind;
use serde::Serialize;

/// Organisations read at a time.
const PAGE: u64 = 200;
/// Organisations that one answer lists; its line must fit the socket's limit.
const MAX_LISTED: usize = 1000;

/// An organisation as the operator sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its id, which other commands take.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// How many people are in it.
    pub members: u64,
    /// How many of them administer it.
    pub administrators: u64,
    /// How many of those can sign in: the operator disabled the others.
    pub enabled_administrators: u64,
    /// How many devices it has.
    pub devices: u64,
    /// Whether it requires two-factor authentication, be it after the days of grace.
    pub two_factor_required: bool,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
}

/// Organisations, or those that come after an id, and what to go on after if there are more than one answer lists. Those
/// of one answer are in the order of their names.
pub async fn list(
    app: &App,
    after: Option<AccountId>,
) -> Result<(Vec<Listed>, Option<AccountId>), StoreError> {
    let (mut listed, more) = read(app, after).await?;
    let next = listed.last().filter(|_| more).map(|last| last.id);
    listed.sort_by_cached_key(|one| (text::fold(&one.name), one.id));
    Ok((listed, next))
}

/// By id.
async fn read(app: &App, mut after: Option<AccountId>) -> Result<(Vec<Listed>, bool), StoreError> {
    let mut listed = Vec::new();
    loop {
        let page = app.store.organisations(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok((listed, false)) };
        after = Some(last.id);
        let ids: Vec<AccountId> = page.iter().map(|account| account.id).collect();
        let counts = app.store.membership_counts(&ids).await?;
        for account in page {
            if listed.len() == MAX_LISTED {
                return Ok((listed, true));
            }
            let people = counts.get(&account.id).copied().unwrap_or_default();
            listed.push(Listed {
                id: account.id,
                name: account.name,
                members: people.members,
                administrators: people.administrators,
                enabled_administrators: people.enabled_administrators,
                devices: account.device_count,
                two_factor_required: account.two_factor_required_at.is_some(),
                created_at: account.created_at.unix_timestamp(),
            });
        }
    }
}

/// Notes how an organisation pays, and returns its name; `None` if there is none.
pub async fn set_billing(app: &App, id: AccountId, billing: Billing) -> Result<Option<String>, StoreError> {
    let tx = app.store.begin().await?;
    if !tx.lock_account(id).await? || !tx.set_billing(id, billing).await? {
        return Ok(None);
    }
    let Some(organisation) = tx.account(id).await? else { return Ok(None) };
    let subject = audit::organisation(id, &organisation.name);
    let actor = Actor::operator();
    audit::record(app, &tx, id, &actor, Action::BillingChanged, subject, billing.as_str()).await?;
    tx.commit().await?;
    app.live.tell(Change { account: id, device: None });
    Ok(Some(organisation.name))
}

/// The path of an organisation's first page.
pub fn page(id: AccountId) -> String {
    format!("{}/devices", frames::root(AccountKind::Organisation, id))
}
