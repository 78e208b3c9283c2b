//! Second factors, recovery codes, and sign-ins that wait for the second factor.

use crate::entity::{pending_sign_in, recovery_code, two_factor};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::UserId;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use std::fmt;

/// A person's authenticator app.
#[derive(Clone)]
pub struct TwoFactor {
    /// The seed, sealed by the caller.
    pub seed_sealed: Vec<u8>,
    /// The last step whose code was accepted.
    pub last_step: i64,
    /// Since when.
    pub turned_on_at: Timestamp,
}

impl fmt::Debug for TwoFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoFactor").field("turned_on_at", &self.turned_on_at).finish_non_exhaustive()
    }
}

impl From<two_factor::Model> for TwoFactor {
    fn from(row: two_factor::Model) -> Self {
        Self {
            seed_sealed: row.seed_sealed,
            last_step: row.last_step,
            turned_on_at: from_micros(row.turned_on_at),
        }
    }
}

impl Store {
    /// A person's second factor; `None` if it is off.
    pub async fn two_factor(&self, user: UserId) -> Result<Option<TwoFactor>> {
        Ok(two_factor::Entity::find_by_id(user.0).one(&self.reader).await?.map(Into::into))
    }

    /// How many recovery codes a person has left.
    pub async fn recovery_codes_left(&self, user: UserId) -> Result<u64> {
        let of = recovery_code::Entity::find().filter(recovery_code::Column::UserId.eq(user.0));
        Ok(of.count(&self.reader).await?)
    }

    /// Whose sign-in waits under this token.
    pub async fn pending_sign_in(&self, token: &SecretHash, now: Timestamp) -> Result<Option<UserId>> {
        let found = pending_sign_in::Entity::find_by_id(token.to_vec())
            .filter(pending_sign_in::Column::ExpiresAt.gt(to_micros(now)));
        Ok(found.one(&self.reader).await?.map(|row| UserId(row.user_id)))
    }
}

impl Tx {
    /// A person's second factor; `None` if it is off.
    pub async fn two_factor(&self, user: UserId) -> Result<Option<TwoFactor>> {
        Ok(two_factor::Entity::find_by_id(user.0).one(&self.inner).await?.map(Into::into))
    }

    /// Turns the second factor on. `false` if it was on already.
    pub async fn turn_on_two_factor(&self, user: UserId, new: &TwoFactor) -> Result<bool> {
        let row = two_factor::ActiveModel {
            user_id: Set(user.0),
            seed_sealed: Set(new.seed_sealed.clone()),
            last_step: Set(new.last_step),
            turned_on_at: Set(to_micros(new.turned_on_at)),
        };
        let keep = OnConflict::column(two_factor::Column::UserId).do_nothing().to_owned();
        let added =
            two_factor::Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        Ok(added == 1)
    }

    /// Turns the authenticator app off, and ends waiting sign-ins with it. Without a passkey the recovery
    /// codes go, too. `false` if it was off already.
    pub async fn turn_off_two_factor(&self, user: UserId) -> Result<bool> {
        let done = two_factor::Entity::delete_by_id(user.0).exec(&self.inner).await?;
        if self.count_passkeys(user).await? == 0 {
            self.replace_recovery_codes(user, &[]).await?;
        }
        self.delete_pending_sign_ins(user).await?;
        Ok(done.rows_affected == 1)
    }

    /// Accepts the code of a step. `false` if this step or a later one was accepted before: of any number
    /// of requests with the same code one gets in.
    pub async fn accept_two_factor_step(&self, user: UserId, step: i64) -> Result<bool> {
        let done = two_factor::Entity::update_many()
            .col_expr(two_factor::Column::LastStep, Expr::value(step))
            .filter(two_factor::Column::UserId.eq(user.0))
            .filter(two_factor::Column::LastStep.lt(step))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Gives a person these recovery codes and no others.
    pub async fn replace_recovery_codes(&self, user: UserId, codes: &[SecretHash]) -> Result<()> {
        let old = recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(user.0));
        old.exec(&self.inner).await?;
        if codes.is_empty() {
            return Ok(());
        }
        let rows = codes
            .iter()
            .map(|code| recovery_code::ActiveModel { user_id: Set(user.0), code_hash: Set(code.to_vec()) });
        recovery_code::Entity::insert_many(rows).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Uses a recovery code up and tells how many are left; `None` if there is no such code any more.
    pub async fn use_recovery_code(&self, user: UserId, code: &SecretHash) -> Result<Option<u64>> {
        let gone = recovery_code::Entity::delete_by_id((user.0, code.to_vec())).exec(&self.inner).await?;
        if gone.rows_affected == 0 {
            return Ok(None);
        }
        let of = recovery_code::Entity::find().filter(recovery_code::Column::UserId.eq(user.0));
        Ok(Some(of.count(&self.inner).await?))
    }

    /// Lets a sign-in wait for the second factor.
    pub async fn insert_pending_sign_in(
        &self,
        token: &SecretHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<()> {
        let row = pending_sign_in::ActiveModel {
            token_hash: Set(token.to_vec()),
            user_id: Set(user.0),
            expires_at: Set(to_micros(expires_at)),
        };
        pending_sign_in::Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Uses a waiting sign-in up. `false` if it is over: of two requests with the same token one gets it.
    pub async fn use_pending_sign_in(
        &self,
        token: &SecretHash,
        user: UserId,
        now: Timestamp,
    ) -> Result<bool> {
        let done = pending_sign_in::Entity::delete_many()
            .filter(pending_sign_in::Column::TokenHash.eq(token.to_vec()))
            .filter(pending_sign_in::Column::UserId.eq(user.0))
            .filter(pending_sign_in::Column::ExpiresAt.gt(to_micros(now)))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Ends every waiting sign-in of a person.
    pub async fn delete_pending_sign_ins(&self, user: UserId) -> Result<()> {
        let all = pending_sign_in::Entity::delete_many().filter(pending_sign_in::Column::UserId.eq(user.0));
        all.exec(&self.inner).await?;
        Ok(())
    }

    /// Removes waiting sign-ins that are over.
    pub async fn sweep_pending_sign_ins(&self, now: Timestamp) -> Result<()> {
        let old = pending_sign_in::Entity::delete_many()
            .filter(pending_sign_in::Column::ExpiresAt.lte(to_micros(now)));
        old.exec(&self.inner).await?;
        Ok(())
    }
}
