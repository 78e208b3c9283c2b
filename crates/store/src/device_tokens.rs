//! Tokens of devices: given, given again, used, taken away.

use crate::entity::device::{ActiveModel, Column, Entity};
use crate::value::to_micros;
use crate::{Result, Tx};
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::{AccountId, DeviceId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

impl Tx {
    /// Gives an approved entry its first token. `false` if it got one already.
    pub async fn issue_device_token(&self, id: DeviceId, token: SecretHash, at: Timestamp) -> Result<bool> {
        self.update_device(
            Entity::update_many()
                .set(fresh_token(token, at))
                .filter(Column::Id.eq(id.0))
                .filter(Column::TokenHash.is_null()),
        )
        .await
    }

    /// Replaces a token whose answer was lost. `false` if it was used, or is not the current one.
    pub async fn replace_unused_device_token(
        &self,
        id: DeviceId,
        former: SecretHash,
        token: SecretHash,
        at: Timestamp,
    ) -> Result<bool> {
        self.update_device(
            Entity::update_many()
                .set(fresh_token(token, at))
                .filter(Column::Id.eq(id.0))
                .filter(Column::TokenHash.eq(former.to_vec()))
                .filter(Column::TokenUsedAt.is_null()),
        )
        .await
    }

    /// Notes that the token arrived. `false` if it was noted before, or is no longer the token.
    pub async fn mark_device_token_used(
        &self,
        id: DeviceId,
        token: SecretHash,
        at: Timestamp,
    ) -> Result<bool> {
        self.update_device(
            Entity::update_many()
                .set(ActiveModel { token_used_at: Set(Some(to_micros(at))), ..ActiveModel::default() })
                .filter(Column::Id.eq(id.0))
                .filter(Column::TokenHash.eq(token.to_vec()))
                .filter(Column::TokenUsedAt.is_null()),
        )
        .await
    }

    /// Takes the token away; the entry stays.
    pub async fn revoke_device_token(&self, account: AccountId, id: DeviceId) -> Result<bool> {
        let row = ActiveModel {
            token_hash: Set(None),
            token_issued_at: Set(None),
            token_used_at: Set(None),
            ..ActiveModel::default()
        };
        self.update_device(
            Entity::update_many()
                .set(row)
                .filter(Column::Id.eq(id.0))
                .filter(Column::AccountId.eq(account.0))
                .filter(Column::TokenHash.is_not_null()),
        )
        .await
    }
}

fn fresh_token(token: SecretHash, at: Timestamp) -> ActiveModel {
    ActiveModel {
        token_hash: Set(Some(token.to_vec())),
        token_issued_at: Set(Some(to_micros(at))),
        token_used_at: Set(None),
        ..ActiveModel::default()
    }
}
