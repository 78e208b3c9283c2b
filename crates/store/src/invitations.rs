//! Invitations into organisations that nobody accepted yet. An address has at most one for each
//! organisation: inviting again replaces it, and with it the link that was sent.

use crate::entity::invitation::{ActiveModel, Column, Entity, Model};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::account::Role;
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::{AccountId, InvitationId, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Id.
    pub id: InvitationId,
    /// Into which organisation.
    pub account: AccountId,
    /// To whom it was sent.
    pub email: String,
    /// The same as it is compared.
    pub email_folded: String,
    /// As what.
    pub role: Role,
    /// Who invited, as the name was then.
    pub invited_by: String,
    /// When the link was sent last.
    pub sent_at: Timestamp,
    /// Until when the link works.
    pub expires_at: Timestamp,
}

/// An invitation to keep.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Chosen by the caller.
    pub id: InvitationId,
    /// Into which organisation.
    pub account: AccountId,
    /// What the link carries.
    pub token: SecretHash,
    /// As it was typed.
    pub email: String,
    /// As it is compared.
    pub email_folded: String,
    /// As what.
    pub role: Role,
    /// Who invites.
    pub invited_by: UserId,
    /// The name of who invites.
    pub invited_by_name: String,
    /// Now.
    pub at: Timestamp,
    /// Until when the link works.
    pub expires_at: Timestamp,
}

impl Store {
    /// The invitation that a link carries, expired or not.
    pub async fn invitation_by_token(&self, token: SecretHash) -> Result<Option<Invitation>> {
        let found = Entity::find().filter(Column::TokenHash.eq(token.to_vec()));
        Ok(found.one(&self.reader).await?.and_then(invitation))
    }

    /// One of an organisation's invitations.
    pub async fn invitation(&self, account: AccountId, id: InvitationId) -> Result<Option<Invitation>> {
        let found = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0));
        Ok(found.one(&self.reader).await?.and_then(invitation))
    }

    /// An organisation's invitations, the newest first: at most so many.
    pub async fn invitations(&self, account: AccountId, limit: u64) -> Result<Vec<Invitation>> {
        let found = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .order_by_desc(Column::SentAt)
            .order_by_asc(Column::EmailFolded)
            .limit(limit);
        Ok(found.all(&self.reader).await?.into_iter().filter_map(invitation).collect())
    }

    /// How many of an organisation's invitations this person sent last that can still be accepted.
    pub async fn count_invitations_by(
        &self,
        account: AccountId,
        user: UserId,
        now: Timestamp,
    ) -> Result<u64> {
        count_by(&self.reader, account, user, now).await
    }
}

impl Tx {
    /// Keeps an invitation in the place of an earlier one to the same address. The caller has locked the
    /// account.
    pub async fn put_invitation(&self, new: NewInvitation) -> Result<()> {
        Entity::delete_many()
            .filter(Column::AccountId.eq(new.account.0))
            .filter(Column::EmailFolded.eq(new.email_folded.as_str()))
            .exec(&self.inner)
            .await?;
        let row = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            token_hash: Set(new.token.to_vec()),
            email: Set(new.email),
            email_folded: Set(new.email_folded),
            role: Set(new.role.as_str().to_owned()),
            invited_by: Set(Some(new.invited_by.0)),
            invited_by_name: Set(new.invited_by_name),
            created_at: Set(to_micros(new.at)),
            sent_at: Set(to_micros(new.at)),
            expires_at: Set(to_micros(new.expires_at)),
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Takes an invitation away. Whoever gets it here has used it up, or revoked it: nobody gets it twice.
    pub async fn take_invitation(&self, account: AccountId, id: InvitationId) -> Result<Option<Invitation>> {
        let rows = Entity::delete_many()
            .filter(Column::Id.eq(id.0))
            .filter(Column::AccountId.eq(account.0))
            .exec_with_returning(&self.inner)
            .await?;
        Ok(rows.into_iter().next().and_then(invitation))
    }

    /// Takes away the invitations that this person sent last, and returns them.
    pub async fn take_invitations_by(&self, account: AccountId, user: UserId) -> Result<Vec<Invitation>> {
        let rows = Entity::delete_many()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::InvitedBy.eq(user.0))
            .exec_with_returning(&self.inner)
            .await?;
        Ok(rows.into_iter().filter_map(invitation).collect())
    }

    /// One of an organisation's invitations. Meaningful while the account is locked.
    pub async fn invitation(&self, account: AccountId, id: InvitationId) -> Result<Option<Invitation>> {
        let found = Entity::find_by_id(id.0).filter(Column::AccountId.eq(account.0));
        Ok(found.one(&self.inner).await?.and_then(invitation))
    }

    /// The invitation that a link carries, in this transaction. The caller has locked the account.
    pub async fn invitation_by_token(&self, token: SecretHash) -> Result<Option<Invitation>> {
        let found = Entity::find().filter(Column::TokenHash.eq(token.to_vec()));
        Ok(found.one(&self.inner).await?.and_then(invitation))
    }

    /// Removes invitations whose link stopped working before this moment.
    pub async fn delete_expired_invitations(&self, before: Timestamp) -> Result<u64> {
        let done =
            Entity::delete_many().filter(Column::ExpiresAt.lt(to_micros(before))).exec(&self.inner).await?;
        Ok(done.rows_affected)
    }

    /// How many invitations of an organisation wait, beside that to this address.
    pub async fn count_invitations_beside(&self, account: AccountId, folded: &str) -> Result<u64> {
        let others =
            Entity::find().filter(Column::AccountId.eq(account.0)).filter(Column::EmailFolded.ne(folded));
        Ok(others.count(&self.inner).await?)
    }

    /// How many of an organisation's invitations this person sent last that can still be accepted.
    pub async fn count_invitations_by(
        &self,
        account: AccountId,
        user: UserId,
        now: Timestamp,
    ) -> Result<u64> {
        count_by(&self.inner, account, user, now).await
    }
}

async fn count_by(
    connection: &impl ConnectionTrait,
    account: AccountId,
    user: UserId,
    now: Timestamp,
) -> Result<u64> {
    let theirs = Entity::find()
        .filter(Column::AccountId.eq(account.0))
        .filter(Column::InvitedBy.eq(user.0))
        .filter(Column::ExpiresAt.gt(to_micros(now)));
    Ok(theirs.count(connection).await?)
}

fn invitation(row: Model) -> Option<Invitation> {
    Some(Invitation {
        id: row.id.into(),
        account: row.account_id.into(),
        email: row.email,
        email_folded: row.email_folded,
        role: Role::parse(&row.role)?,
        invited_by: row.invited_by_name,
        sent_at: from_micros(row.sent_at),
        expires_at: from_micros(row.expires_at),
    })
}
