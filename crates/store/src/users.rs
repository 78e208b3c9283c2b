//! People and their personal accounts.

use crate::entity::{account, user};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_wire::{AccountId, UserId};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use std::fmt;

/// The column's word for a person's own account.
const PERSONAL: &str = "personal";

/// An Argon2 hash in PHC form. Not a secret like the password, but nothing that belongs into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// A person who can sign in.
#[derive(Debug, Clone)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// The address as it was typed.
    pub email: String,
    /// The address as it is compared.
    pub email_folded: String,
    /// Display name.
    pub name: String,
    /// `None`: this person cannot sign in with a password.
    pub password_hash: Option<PasswordHash>,
    /// The operator of this server, made through the set-up link or the command line.
    pub is_operator: bool,
    /// When the address was proved.
    pub verified_at: Option<Timestamp>,
    /// Since when the operator keeps this person out.
    pub disabled_at: Option<Timestamp>,
    /// When the password last changed.
    pub password_changed_at: Timestamp,
    /// When the person signed up.
    pub created_at: Timestamp,
}

/// A person to insert, with the id of the personal account that is made with it.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Who.
    pub id: UserId,
    /// The personal account.
    pub account: AccountId,
    /// The address as it was typed.
    pub email: String,
    /// The address as it is compared.
    pub email_folded: String,
    /// Display name.
    pub name: String,
    /// How the password is kept.
    pub password_hash: Option<PasswordHash>,
    /// The operator of this server.
    pub is_operator: bool,
    /// When the address was proved.
    pub verified_at: Option<Timestamp>,
    /// Now.
    pub created_at: Timestamp,
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self {
            id: UserId(row.id),
            email: row.email,
            email_folded: row.email_folded,
            name: row.name,
            password_hash: row.password_hash.map(PasswordHash),
            is_operator: row.is_operator,
            verified_at: row.verified_at.map(from_micros),
            disabled_at: row.disabled_at.map(from_micros),
            password_changed_at: from_micros(row.password_changed_at),
            created_at: from_micros(row.created_at),
        }
    }
}

impl Store {
    /// A person.
    pub async fn user(&self, id: UserId) -> Result<Option<User>> {
        Ok(user::Entity::find_by_id(id.0).one(&self.reader).await?.map(Into::into))
    }

    /// The person with this address, in the form in which addresses are compared.
    pub async fn user_by_email(&self, folded: &str) -> Result<Option<User>> {
        let found = user::Entity::find().filter(user::Column::EmailFolded.eq(folded));
        Ok(found.one(&self.reader).await?.map(Into::into))
    }

    /// Whether anybody has an account.
    pub async fn has_users(&self) -> Result<bool> {
        Ok(user::Entity::find().one(&self.reader).await?.is_some())
    }

    /// Everybody, by address: at most so many, after an address.
    pub async fn users(&self, after: &str, limit: u64) -> Result<Vec<User>> {
        let found = user::Entity::find()
            .filter(user::Column::EmailFolded.gt(after))
            .order_by_asc(user::Column::EmailFolded)
            .limit(limit);
        Ok(found.all(&self.reader).await?.into_iter().map(Into::into).collect())
    }

    /// A person's own account.
    pub async fn personal_account(&self, user: UserId) -> Result<Option<AccountId>> {
        let found = account::Entity::find().filter(account::Column::OwnerId.eq(user.0));
        Ok(found.one(&self.reader).await?.map(|row| AccountId(row.id)))
    }
}

impl Tx {
    /// Inserts a person with the personal account. `false` if the address is taken.
    pub async fn insert_user(&self, new: NewUser) -> Result<bool> {
        let at = to_micros(new.created_at);
        let row = user::ActiveModel {
            id: Set(new.id.0),
            email: Set(new.email),
            email_folded: Set(new.email_folded),
            name: Set(new.name.clone()),
            password_hash: Set(new.password_hash.map(|hash| hash.0)),
            is_operator: Set(new.is_operator),
            verified_at: Set(new.verified_at.map(to_micros)),
            disabled_at: Set(None),
            password_changed_at: Set(at),
            created_at: Set(at),
        };
        // Not an error, because on PostgreSQL an error would end the whole transaction.
        let keep = OnConflict::column(user::Column::EmailFolded).do_nothing().to_owned();
        let inserted =
            user::Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        if inserted == 0 {
            return Ok(false);
        }
        let row = account::ActiveModel {
            id: Set(new.account.0),
            kind: Set(PERSONAL.to_owned()),
            name: Set(new.name),
            owner_id: Set(Some(new.id.0)),
            created_at: Set(at),
            ..account::ActiveModel::default()
        };
        account::Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(true)
    }

    /// A person, locked until the end of the transaction: whoever changes the password, verifies the
    /// address or makes a session waits for the other.
    pub async fn lock_user(&self, id: UserId) -> Result<Option<User>> {
        let found = user::Entity::find_by_id(id.0).lock_exclusive().one(&self.inner).await?;
        Ok(found.map(Into::into))
    }

    /// The person with this address, locked.
    pub async fn lock_user_by_email(&self, folded: &str) -> Result<Option<User>> {
        let found = user::Entity::find().filter(user::Column::EmailFolded.eq(folded)).lock_exclusive();
        Ok(found.one(&self.inner).await?.map(Into::into))
    }

    /// The person with this address, not locked.
    pub async fn user_by_email(&self, folded: &str) -> Result<Option<User>> {
        let found = user::Entity::find().filter(user::Column::EmailFolded.eq(folded));
        Ok(found.one(&self.inner).await?.map(Into::into))
    }

    /// Removes a person with the personal account and everything in it. Organisations lose a member: that
    /// each keeps an administrator is the caller's business.
    pub async fn delete_user(&self, id: UserId) -> Result<bool> {
        let done = user::Entity::delete_by_id(id.0).exec(&self.inner).await?;
        Ok(done.rows_affected == 1)
    }

    /// Removes somebody who never proved their address and has nothing. `false` if that is not so.
    pub async fn delete_unverified_user(&self, id: UserId) -> Result<bool> {
        let devices = account::Entity::find()
            .filter(account::Column::OwnerId.eq(id.0))
            .filter(account::Column::DeviceCount.gt(0));
        let has_devices = devices.one(&self.inner).await?.is_some();
        if has_devices || !self.organisations_of(id).await?.is_empty() {
            return Ok(false);
        }
        let done = user::Entity::delete_many()
            .filter(user::Column::Id.eq(id.0))
            .filter(user::Column::VerifiedAt.is_null())
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Whether anybody has an account, in this transaction.
    pub async fn has_users(&self) -> Result<bool> {
        Ok(user::Entity::find().one(&self.inner).await?.is_some())
    }

    /// Marks the address as proved. `false` if it was already.
    pub async fn verify_user(&self, id: UserId, at: Timestamp) -> Result<bool> {
        let done = user::Entity::update_many()
            .col_expr(user::Column::VerifiedAt, Expr::value(to_micros(at)))
            .filter(user::Column::Id.eq(id.0))
            .filter(user::Column::VerifiedAt.is_null())
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Keeps a person out from now on, or lets them in again. `false` if it was so already.
    pub async fn set_user_disabled(&self, id: UserId, at: Option<Timestamp>) -> Result<bool> {
        let as_it_was = match at {
            Some(_) => user::Column::DisabledAt.is_null(),
            None => user::Column::DisabledAt.is_not_null(),
        };
        let done = user::Entity::update_many()
            .col_expr(user::Column::DisabledAt, Expr::value(at.map(to_micros)))
            .filter(user::Column::Id.eq(id.0))
            .filter(as_it_was)
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Sets a new password. A sign-in that the old one began cannot be finished.
    pub async fn set_password(&self, id: UserId, hash: &PasswordHash, at: Timestamp) -> Result<()> {
        self.delete_pending_sign_ins(id).await?;
        user::Entity::update_many()
            .col_expr(user::Column::PasswordHash, Expr::value(hash.0.clone()))
            .col_expr(user::Column::PasswordChangedAt, Expr::value(to_micros(at)))
            .filter(user::Column::Id.eq(id.0))
            .exec(&self.inner)
            .await?;
        Ok(())
    }

    /// Keeps the same password under newer parameters, unless it changed meanwhile.
    pub async fn rehash_password(&self, id: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<bool> {
        let done = user::Entity::update_many()
            .col_expr(user::Column::PasswordHash, Expr::value(new.0.clone()))
            .filter(user::Column::Id.eq(id.0))
            .filter(user::Column::PasswordHash.eq(old.0.clone()))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Gives a person another address, which was proved. The caller has made sure that nobody has it; whoever
    /// is slower gets a conflict.
    pub async fn set_email(&self, id: UserId, email: &str, folded: &str) -> Result<()> {
        user::Entity::update_many()
            .col_expr(user::Column::Email, Expr::value(email))
            .col_expr(user::Column::EmailFolded, Expr::value(folded))
            .filter(user::Column::Id.eq(id.0))
            .exec(&self.inner)
            .await?;
        Ok(())
    }

    /// Sets the display name, and that of the personal account.
    pub async fn set_user_name(&self, id: UserId, name: &str) -> Result<()> {
        user::Entity::update_many()
            .col_expr(user::Column::Name, Expr::value(name))
            .filter(user::Column::Id.eq(id.0))
            .exec(&self.inner)
            .await?;
        account::Entity::update_many()
            .col_expr(account::Column::Name, Expr::value(name))
            .filter(account::Column::OwnerId.eq(id.0))
            .exec(&self.inner)
            .await?;
        Ok(())
    }
}
