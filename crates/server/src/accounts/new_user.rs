//! Making people, and their names.

use super::{AccountError, Problems};
use crate::app::App;
use crate::auth::password::Password;
use bramble_model::text;
use bramble_store::users::{NewUser as Row, PasswordHash};
use bramble_wire::UserId;

/// A person whom the operator makes: `bramble user create`.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Address.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Password.
    pub password: Password,
    /// Without proof of the address.
    pub verified: bool,
}

/// Name and address, checked.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) email_folded: String,
}

impl Identity {
    /// Checks both, so that a form can show both problems at once.
    pub(super) fn check(name: &str, email: &str) -> Result<Self, Problems> {
        let folded = text::email(email);
        let email_problem = folded.is_none().then(|| {
            if email.trim().is_empty() {
                "Enter your email address.".to_owned()
            } else {
                "This is not an email address. Write it like ada@example.org.".to_owned()
            }
        });
        match (check_name(name), folded) {
            (Ok(name), Some(email_folded)) => Ok(Self { name, email: email.trim().to_owned(), email_folded }),
            (name, _) => Err(Problems { name: name.err(), email: email_problem, password: None }),
        }
    }

    /// As a new row.
    pub(super) fn row(self, app: &App, hash: PasswordHash, is_operator: bool, verified: bool) -> Row {
        let now = app.clock.now();
        Row {
            id: app.random.id(),
            account: app.random.id(),
            email: self.email,
            email_folded: self.email_folded,
            name: self.name,
            password_hash: Some(hash),
            is_operator,
            verified_at: verified.then_some(now),
            created_at: now,
        }
    }
}

fn check_name(name: &str) -> Result<String, String> {
    let name = text::clean(name);
    if name.is_empty() {
        Err("Enter your name as others should see it.".to_owned())
    } else if name.chars().count() > text::MAX_NAME {
        Err(format!("Use a name of at most {} characters.", text::MAX_NAME))
    } else {
        Ok(name)
    }
}

/// Makes a person for the operator.
pub async fn create_user(app: &App, new: NewUser) -> Result<UserId, AccountError> {
    let identity = Identity::check(&new.name, &new.email).map_err(AccountError::Invalid)?;
    let about = [identity.name.as_str(), identity.email.as_str()];
    let hash = app.passwords.hash_new(&*app.random, &new.password, &about).await?;
    let hash = hash.map_err(|weakness| AccountError::Invalid(weakness.into()))?;
    let row = identity.row(app, hash, false, new.verified);
    let id = row.id;
    let tx = app.store.begin().await?;
    if !tx.insert_user(row).await? {
        return Err(AccountError::Taken);
    }
    tx.commit().await?;
    tracing::info!(user.id = %id, "the operator made an account");
    Ok(id)
}

/// Changes a person's display name.
pub async fn rename(app: &App, user: UserId, name: &str) -> Result<(), AccountError> {
    let problem = |text| AccountError::Invalid(Problems { name: Some(text), ..Problems::default() });
    let name = check_name(name).map_err(problem)?;
    let tx = app.store.begin().await?;
    tx.set_user_name(user, &name).await?;
    Ok(tx.commit().await?)
}
