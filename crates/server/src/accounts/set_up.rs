//! The set-up link: as long as nobody has an account, each start prints a link that makes the
//! operator's. The token is sealed in the settings, so that every start and node prints the same one;
//! using it removes it in the transaction that makes the account.

use super::new_user::Identity;
use super::{AccountError, Browser};
use crate::app::App;
use crate::auth::password::Password;
use bramble_model::{Secret, SecretKind};
use bramble_store::StoreError;
use bramble_wire::UserId;

/// The setting, and the purpose under which its value is sealed.
const TOKEN: &str = "set_up_token";

/// Prints the set-up link as long as nobody has an account. Not a log line: logs are sent elsewhere
/// and kept.
pub async fn announce_set_up(app: &App) -> Result<(), StoreError> {
    if let Some(url) = set_up_link(app).await? {
        tracing::info!("nobody has an account yet: the set-up link was printed to standard error");
        eprintln!("Create the account of this server's operator here: {url}");
    }
    Ok(())
}

/// The set-up link as long as nobody has an account: the same at every start and on every node.
pub async fn set_up_link(app: &App) -> Result<Option<String>, StoreError> {
    let tx = app.store.begin().await?;
    if tx.has_users().await? {
        tx.remove_setting(TOKEN).await?;
        tx.commit().await?;
        return Ok(None);
    }
    let fresh = Secret::generate(SecretKind::MailLink, &*app.random);
    let sealed = app.master_key.seal(TOKEN, fresh.expose().as_bytes(), &*app.random);
    let stands = tx.setting_or(TOKEN, sealed).await?;
    tx.commit().await?;
    let token = open(app, &stands).unwrap_or(fresh);
    let url = app.config.url(&format!("/setup/{}", token.expose()));
    Ok(Some(url))
}

fn open(app: &App, sealed: &[u8]) -> Option<Secret> {
    let text = app.master_key.open(TOKEN, sealed).ok()?;
    Secret::parse(SecretKind::MailLink, std::str::from_utf8(&text).ok()?)
}

/// Whether this is the set-up link and can still be used.
pub async fn set_up_is_open(app: &App, token: &Secret) -> Result<bool, StoreError> {
    let Some(sealed) = app.store.setting(TOKEN).await? else { return Ok(false) };
    let right = open(app, &sealed).is_some_and(|kept| kept.hash() == token.hash());
    Ok(right && !app.store.has_users().await?)
}

/// Makes the operator's account. Of any number of requests one does.
pub async fn set_up(
    app: &App,
    token: &Secret,
    name: &str,
    email: &str,
    password: &Password,
    browser: &Browser,
) -> Result<(UserId, super::Begun), AccountError> {
    if !set_up_is_open(app, token).await? {
        return Err(AccountError::DeadLink);
    }
    let identity = Identity::check(name, email).map_err(AccountError::Invalid)?;
    let about = [identity.name.as_str(), identity.email.as_str()];
    let hash = app.passwords.hash_new(&*app.random, password, &about).await?;
    let hash = hash.map_err(|weakness| AccountError::Invalid(weakness.into()))?;
    let row = identity.row(app, hash, true, true);
    let id = row.id;
    let tx = app.store.begin().await?;
    // Removing the setting comes first: on PostgreSQL it makes the others wait.
    if !tx.remove_setting(TOKEN).await? || tx.has_users().await? || !tx.insert_user(row).await? {
        return Err(AccountError::DeadLink);
    }
    let begun = super::sign_in::begin(app, &tx, id, browser).await?;
    tx.commit().await?;
    tracing::info!(user.id = %id, "the operator's account was made through the set-up link");
    Ok((id, begun))
}
