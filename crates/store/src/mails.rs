//! The outbox: messages are written in the transaction that they tell of and leave later.

use crate::entity::mail::{ActiveModel, Column, Entity, Model};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_wire::MailId;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, Order, QueryFilter, QueryOrder, QuerySelect, Set,
};
use std::fmt;
use time::Duration;

/// A message to write.
#[derive(Clone)]
pub struct NewMail {
    /// Its id.
    pub id: MailId,
    /// Which message it is, for the list.
    pub kind: &'static str,
    /// To whom.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// The plain form.
    pub text_body: String,
    /// The same in HTML.
    pub html_body: String,
    /// Now.
    pub created_at: Timestamp,
}

/// A message.
#[derive(Clone)]
pub struct Mail {
    /// Its id.
    pub id: MailId,
    /// Which message it is.
    pub kind: String,
    /// To whom.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// The plain form; empty once it was delivered or given up.
    pub text_body: String,
    /// The same in HTML; empty once it was delivered or given up.
    pub html_body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When the next attempt is due.
    pub next_attempt_at: Timestamp,
    /// How often delivery failed.
    pub attempts: i64,
    /// When it left.
    pub sent_at: Option<Timestamp>,
    /// When delivery was given up.
    pub gave_up_at: Option<Timestamp>,
    /// What the mail server said last.
    pub last_error: Option<String>,
}

// Bodies hold links that open accounts.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for NewMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMail").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl From<Model> for Mail {
    fn from(row: Model) -> Self {
        Self {
            id: MailId(row.id),
            kind: row.kind,
            recipient: row.recipient,
            subject: row.subject,
            text_body: row.text_body,
            html_body: row.html_body,
            created_at: from_micros(row.created_at),
            next_attempt_at: from_micros(row.next_attempt_at),
            attempts: row.attempts,
            sent_at: row.sent_at.map(from_micros),
            gave_up_at: row.gave_up_at.map(from_micros),
            last_error: row.last_error,
        }
    }
}

/// Waiting to leave: neither sent nor given up.
fn waiting() -> Condition {
    Condition::all().add(Column::SentAt.is_null()).add(Column::GaveUpAt.is_null())
}

/// Waiting, due, and in nobody's hands.
fn due(now: Timestamp) -> Condition {
    let free =
        Condition::any().add(Column::ClaimedUntil.is_null()).add(Column::ClaimedUntil.lte(to_micros(now)));
    waiting().add(Column::NextAttemptAt.lte(to_micros(now))).add(free)
}

impl Store {
    /// Messages, the newest first. Bodies included: the caller is the operator.
    pub async fn mails(&self, limit: u64) -> Result<Vec<Mail>> {
        let found = Entity::find()
            .order_by(Column::CreatedAt, Order::Desc)
            .order_by(Column::Id, Order::Desc)
            .limit(limit);
        Ok(found.all(&self.reader).await?.into_iter().map(Into::into).collect())
    }

    /// Messages to one address, the newest first.
    pub async fn mails_to(&self, recipient: &str, limit: u64) -> Result<Vec<Mail>> {
        let found = Entity::find()
            .filter(Column::Recipient.eq(recipient))
            .order_by(Column::CreatedAt, Order::Desc)
            .order_by(Column::Id, Order::Desc)
            .limit(limit);
        Ok(found.all(&self.reader).await?.into_iter().map(Into::into).collect())
    }

    /// One message.
    pub async fn mail(&self, id: MailId) -> Result<Option<Mail>> {
        Ok(Entity::find_by_id(id.0).one(&self.reader).await?.map(Into::into))
    }

    /// Takes up to `limit` due messages into this node's hands until `now + hold`. A node that dies with
    /// them loses them to the others after that.
    pub async fn claim_mails(&self, now: Timestamp, hold: Duration, limit: u64) -> Result<Vec<Mail>> {
        let candidates = Entity::find()
            .filter(due(now))
            .order_by(Column::NextAttemptAt, Order::Asc)
            .limit(limit)
            .all(&self.reader)
            .await?;
        let mut claimed = Vec::with_capacity(candidates.len());
        for row in candidates {
            let done = Entity::update_many()
                .col_expr(Column::ClaimedUntil, Expr::value(to_micros(now + hold)))
                .filter(Column::Id.eq(row.id))
                .filter(due(now))
                .exec(&self.writer)
                .await?;
            if done.rows_affected == 1 {
                claimed.push(row.into());
            }
        }
        Ok(claimed)
    }

    /// The message left: its bodies are erased.
    pub async fn mail_sent(&self, id: MailId, now: Timestamp) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::SentAt, Expr::value(to_micros(now)))
            .col_expr(Column::TextBody, Expr::value(""))
            .col_expr(Column::HtmlBody, Expr::value(""))
            .col_expr(Column::ClaimedUntil, Expr::value(Option::<i64>::None))
            .col_expr(Column::LastError, Expr::value(Option::<String>::None))
            .filter(Column::Id.eq(id.0))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// The message did not leave; it is due again at `next`, or given up.
    pub async fn mail_failed(
        &self,
        id: MailId,
        error: &str,
        next: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<()> {
        let mut change = Entity::update_many()
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .col_expr(Column::ClaimedUntil, Expr::value(Option::<i64>::None))
            .col_expr(Column::LastError, Expr::value(error))
            .filter(Column::Id.eq(id.0));
        change = match next {
            Some(next) => change.col_expr(Column::NextAttemptAt, Expr::value(to_micros(next))),
            None => change
                .col_expr(Column::GaveUpAt, Expr::value(to_micros(now)))
                .col_expr(Column::TextBody, Expr::value(""))
                .col_expr(Column::HtmlBody, Expr::value("")),
        };
        change.exec(&self.writer).await?;
        Ok(())
    }

    /// Nobody can send it now: it stays for the operator until `until`.
    pub async fn hold_mail(&self, id: MailId, until: Timestamp) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::NextAttemptAt, Expr::value(to_micros(until)))
            .col_expr(Column::ClaimedUntil, Expr::value(Option::<i64>::None))
            .filter(Column::Id.eq(id.0))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}

impl Tx {
    /// Writes a message.
    pub async fn insert_mail(&self, new: NewMail) -> Result<()> {
        let at = to_micros(new.created_at);
        let row = ActiveModel {
            id: Set(new.id.0),
            kind: Set(new.kind.to_owned()),
            recipient: Set(new.recipient),
            subject: Set(new.subject),
            text_body: Set(new.text_body),
            html_body: Set(new.html_body),
            created_at: Set(at),
            next_attempt_at: Set(at),
            attempts: Set(0),
            claimed_until: Set(None),
            sent_at: Set(None),
            gave_up_at: Set(None),
            last_error: Set(None),
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Removes messages older than a moment. Tells how many.
    pub async fn sweep_mails(&self, before: Timestamp) -> Result<u64> {
        let old = Entity::delete_many().filter(Column::CreatedAt.lt(to_micros(before)));
        Ok(old.exec(&self.inner).await?.rows_affected)
    }
}
