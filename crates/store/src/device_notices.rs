//! New devices that wait to be told of together: whoever was told of one a moment ago hears of the next
//! ones in a digest.

use crate::entity::device_notice::{ActiveModel, Column, Entity, Model};
use crate::entity::mail;
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_wire::AccountId;
use sea_orm::sea_query::{Expr, ExprTrait, Query as Sql, SelectStatement};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Set};
use uuid::Uuid;

/// A new device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNotice {
    /// Its id.
    pub id: Uuid,
    /// Who is told.
    pub recipient: String,
    /// The account that the device is new in. `None` in notices of a version before this was noted.
    pub account: Option<AccountId>,
    /// Who transferred it there; `None` if it was linked.
    pub transferred_by: Option<String>,
    /// The device's name.
    pub name: String,
    /// Its serial number.
    pub serial_number: String,
    /// Where it linked from, in words. Gone with the notice.
    pub place: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl From<Model> for DeviceNotice {
    fn from(row: Model) -> Self {
        let at = from_micros(row.at);
        let Model { id, recipient, name, serial_number, place, at: _, account_id, transferred_by } = row;
        let account = account_id.map(AccountId);
        Self { id, recipient, account, transferred_by, name, serial_number, place, at }
    }
}

impl Store {
    /// Who waits for a digest and got no mail of these kinds after that moment: at most so many.
    pub async fn digest_recipients(
        &self,
        kinds: &[&str],
        since: Timestamp,
        limit: u64,
    ) -> Result<Vec<String>> {
        let told = told(kinds, since)
            .and_where(Expr::col((mail::Entity, mail::Column::Recipient)).equals((Entity, Column::Recipient)))
            .to_owned();
        let found = Entity::find()
            .select_only()
            .column(Column::Recipient)
            .distinct()
            .filter(Expr::exists(told).not())
            .limit(limit);
        Ok(found.into_tuple().all(&self.reader).await?)
    }
}

impl Tx {
    /// Whether somebody got a mail of these kinds after that moment, or waits for a digest.
    pub async fn is_told_of_devices(
        &self,
        recipient: &str,
        kinds: &[&str],
        since: Timestamp,
    ) -> Result<bool> {
        let mails = mail::Entity::find()
            .filter(mail::Column::Recipient.eq(recipient))
            .filter(mail::Column::Kind.is_in(kinds.iter().copied()))
            .filter(mail::Column::CreatedAt.gt(to_micros(since)));
        if mails.count(&self.inner).await? > 0 {
            return Ok(true);
        }
        let waiting = Entity::find().filter(Column::Recipient.eq(recipient)).limit(1);
        Ok(waiting.one(&self.inner).await?.is_some())
    }

    /// Keeps a device for the next digest.
    pub async fn insert_device_notice(&self, notice: DeviceNotice) -> Result<()> {
        let row = ActiveModel {
            id: Set(notice.id),
            recipient: Set(notice.recipient),
            name: Set(notice.name),
            serial_number: Set(notice.serial_number),
            place: Set(notice.place),
            at: Set(to_micros(notice.at)),
            account_id: Set(notice.account.map(|account| account.0)),
            transferred_by: Set(notice.transferred_by),
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Takes what waits for somebody's digest, the oldest first. Of several nodes that do so at once each
    /// notice goes to one.
    pub async fn take_device_notices(&self, recipient: &str) -> Result<Vec<DeviceNotice>> {
        let taken = Entity::delete_many()
            .filter(Column::Recipient.eq(recipient))
            .exec_with_returning(&self.inner)
            .await?;
        let mut taken: Vec<DeviceNotice> = taken.into_iter().map(Into::into).collect();
        taken.sort_by(|a, b| (a.at, &a.serial_number).cmp(&(b.at, &b.serial_number)));
        Ok(taken)
    }
}

fn told(kinds: &[&str], since: Timestamp) -> SelectStatement {
    Sql::select()
        .expr(Expr::val(1))
        .from(mail::Entity)
        .and_where(mail::Column::Kind.is_in(kinds.iter().copied()))
        .and_where(Expr::col((mail::Entity, mail::Column::CreatedAt)).gt(to_micros(since)))
        .to_owned()
}
