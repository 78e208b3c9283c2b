//! Single-use links that went out by mail, and the set-up link.

use crate::entity::mail_link;
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::UserId;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// What a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Proves an address.
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
    /// Creates the operator's account.
    SetUp,
    /// Gives an account another address.
    ChangeEmail,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::SetUp => "set_up",
            Self::ChangeEmail => "change_email",
        }
    }
}

/// A link that can still be used.
#[derive(Debug, Clone)]
pub struct MailLink {
    /// For whom; `None` for the set-up link.
    pub user: Option<UserId>,
    /// For which address, in the form in which addresses are compared.
    pub email_folded: Option<String>,
    /// The same as it was typed, where it is another one than the person's.
    pub email: Option<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A link to insert.
#[derive(Debug, Clone)]
pub struct NewMailLink {
    /// Its id.
    pub id: uuid::Uuid,
    /// What it does.
    pub purpose: Purpose,
    /// For whom; `None` for the set-up link.
    pub user: Option<UserId>,
    /// For which address.
    pub email_folded: Option<String>,
    /// The same as it was typed, where it is another one than the person's.
    pub email: Option<String>,
    /// Now.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

impl From<mail_link::Model> for MailLink {
    fn from(row: mail_link::Model) -> Self {
        Self {
            user: row.user_id.map(UserId),
            email_folded: row.email_folded,
            email: row.email,
            expires_at: from_micros(row.expires_at),
        }
    }
}

impl Store {
    /// A link that can be used now; it stays usable.
    pub async fn mail_link(
        &self,
        token: &SecretHash,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<MailLink>> {
        let found = mail_link::Entity::find()
            .filter(mail_link::Column::TokenHash.eq(token.to_vec()))
            .filter(mail_link::Column::Purpose.eq(purpose.as_str()))
            .filter(mail_link::Column::UsedAt.is_null())
            .filter(mail_link::Column::ExpiresAt.gt(to_micros(now)));
        Ok(found.one(&self.reader).await?.map(Into::into))
    }
}

impl Tx {
    /// Inserts a link. Earlier ones of the same purpose for the same person stop working.
    pub async fn insert_mail_link(&self, token: &SecretHash, new: NewMailLink) -> Result<()> {
        self.revoke_mail_links(new.purpose, new.user).await?;
        let row = mail_link::ActiveModel {
            id: Set(new.id),
            token_hash: Set(token.to_vec()),
            purpose: Set(new.purpose.as_str().to_owned()),
            user_id: Set(new.user.map(|user| user.0)),
            email_folded: Set(new.email_folded),
            email: Set(new.email),
            created_at: Set(to_micros(new.created_at)),
            expires_at: Set(to_micros(new.expires_at)),
            used_at: Set(None),
        };
        mail_link::Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Uses a link up. Of any number of requests with the same link one gets it.
    pub async fn use_mail_link(
        &self,
        token: &SecretHash,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<MailLink>> {
        let used = mail_link::Entity::update_many()
            .col_expr(mail_link::Column::UsedAt, Expr::value(to_micros(now)))
            .filter(mail_link::Column::TokenHash.eq(token.to_vec()))
            .filter(mail_link::Column::Purpose.eq(purpose.as_str()))
            .filter(mail_link::Column::UsedAt.is_null())
            .filter(mail_link::Column::ExpiresAt.gt(to_micros(now)))
            .exec(&self.inner)
            .await?;
        if used.rows_affected == 0 {
            return Ok(None);
        }
        let found = mail_link::Entity::find().filter(mail_link::Column::TokenHash.eq(token.to_vec()));
        Ok(found.one(&self.inner).await?.map(Into::into))
    }

    /// Makes the unused links of a purpose useless: for one person, or those for nobody in particular.
    pub async fn revoke_mail_links(&self, purpose: Purpose, user: Option<UserId>) -> Result<()> {
        let of = match user {
            Some(user) => mail_link::Column::UserId.eq(user.0),
            None => mail_link::Column::UserId.is_null(),
        };
        mail_link::Entity::delete_many()
            .filter(mail_link::Column::Purpose.eq(purpose.as_str()))
            .filter(of)
            .filter(mail_link::Column::UsedAt.is_null())
            .exec(&self.inner)
            .await?;
        Ok(())
    }

    /// Removes links that expired before a moment.
    pub async fn sweep_mail_links(&self, expired_before: Timestamp) -> Result<u64> {
        let old = mail_link::Entity::delete_many()
            .filter(mail_link::Column::ExpiresAt.lt(to_micros(expired_before)));
        Ok(old.exec(&self.inner).await?.rows_affected)
    }
}
