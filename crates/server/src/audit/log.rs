//! Reading the log: for administrators of an organisation, for 90 days.

use super::{Actor, organisation, record};
use crate::accounts;
use crate::app::App;
use crate::auth::SignedIn;
use crate::organisations::OrganisationError;
use bramble_model::account::Deed;
use bramble_model::audit::Action;
use bramble_store::StoreError;
use bramble_store::audit::Event;
use bramble_wire::AccountId;
use time::Duration;

/// Lines of one page.
pub const PAGE: u64 = 100;
/// How long lines are kept.
pub const KEPT: Duration = Duration::days(90);
/// Lines that are removed in one transaction.
const AT_ONCE: u64 = 1000;

/// A page of the log, and how many lines there are.
pub async fn page(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    actions: &[Action],
    page: u64,
) -> Result<(Vec<Event>, u64), OrganisationError> {
    may_read(app, by, account).await?;
    let offset = page.saturating_sub(1).saturating_mul(PAGE);
    Ok(app.store.audit_page(account, actions, offset, PAGE).await?)
}

/// Notes that somebody takes a copy of the log away; the lines follow.
pub async fn export(
    app: &App,
    by: &SignedIn,
    account: AccountId,
    actions: &[Action],
) -> Result<(), OrganisationError> {
    may_read(app, by, account).await?;
    let name = app.store.account(account).await?.ok_or(OrganisationError::NotFound)?.name;
    let details = match actions {
        [] => "All actions".to_owned(),
        some => some.iter().map(|action| action.title()).collect::<Vec<_>>().join(", "),
    };
    let tx = app.store.begin().await?;
    let subject = organisation(account, &name);
    record(app, &tx, account, &Actor::person(by), Action::AuditLogExported, subject, details).await?;
    Ok(tx.commit().await?)
}

async fn may_read(app: &App, by: &SignedIn, account: AccountId) -> Result<(), OrganisationError> {
    let standing = accounts::standing(app, by.user, account).await?;
    standing.filter(|s| s.may(Deed::ViewAuditLog)).map(|_| ()).ok_or(OrganisationError::NotFound)
}

/// Removes what is older than 90 days. Called every hour.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let before = app.clock.now() - KEPT;
    loop {
        let tx = app.store.begin().await?;
        let removed = tx.delete_audit_events(before, AT_ONCE).await?;
        tx.commit().await?;
        if removed < AT_ONCE {
            return Ok(());
        }
    }
}
