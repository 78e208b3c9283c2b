//! The audit log. Names are copied into each line, so that it still reads after what it tells of is
//! gone.

use crate::entity::audit_event::{ActiveModel, Column, Entity, Model};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::audit::{Action, Source};
use bramble_wire::{AccountId, AuditEventId};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select, Set,
};
use uuid::Uuid;

/// Who did it, or what it was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// `user`, `device`, `auth_key`, `session`, `operator`, `system`.
    pub kind: &'static str,
    /// The id, if it has one.
    pub id: Option<Uuid>,
    /// The name at that moment.
    pub name: String,
}

/// Something that happened, to be recorded in the transaction that does it.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Chosen by the caller.
    pub id: AuditEventId,
    /// In whose log.
    pub account: AccountId,
    /// When.
    pub at: Timestamp,
    /// Where the change came from.
    pub source: Source,
    /// What.
    pub action: Action,
    /// Facts for people; never a secret, never an address.
    pub details: String,
    /// To what.
    pub subject: Party,
    /// By whom.
    pub actor: Party,
    /// From which country, in two letters, where known.
    pub country: Option<String>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Id.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// Where the change came from, as [`Source::as_str`] spells it.
    pub source: String,
    /// What; `None` for a line of another version.
    pub action: Option<Action>,
    /// Facts for people.
    pub details: String,
    /// To what.
    pub subject: String,
    /// By whom.
    pub actor: String,
    /// Two letters, where known.
    pub country: Option<String>,
}

impl Tx {
    /// Writes a line.
    pub async fn record_audit(&self, event: NewEvent) -> Result<()> {
        Entity::insert(line(event)).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Writes many lines.
    pub async fn record_audits(&self, events: Vec<NewEvent>) -> Result<()> {
        if !events.is_empty() {
            Entity::insert_many(events.into_iter().map(line)).exec_without_returning(&self.inner).await?;
        }
        Ok(())
    }
}

fn line(event: NewEvent) -> ActiveModel {
    ActiveModel {
        id: Set(event.id.into()),
        account_id: Set(event.account.into()),
        at: Set(to_micros(event.at)),
        source: Set(event.source.as_str().to_owned()),
        action: Set(event.action.code().to_owned()),
        details: Set(event.details),
        subject_kind: Set(event.subject.kind.to_owned()),
        subject_id: Set(event.subject.id),
        subject_name: Set(event.subject.name),
        actor_kind: Set(event.actor.kind.to_owned()),
        actor_id: Set(event.actor.id),
        actor_name: Set(event.actor.name),
        country: Set(event.country),
    }
}

/// Where a part of the log ends: what follows is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    at: Timestamp,
    id: AuditEventId,
}

impl Event {
    /// The place of this line.
    pub fn place(&self) -> Place {
        Place { at: self.at, id: self.id }
    }
}

impl Store {
    /// The newest lines of an account's log.
    pub async fn audit_events(&self, account: AccountId, limit: u64) -> Result<Vec<Event>> {
        self.audit_events_after(account, &[], None, limit).await
    }

    /// Lines of an account's log, the newest first: of these actions (none given: of all), after a place.
    pub async fn audit_events_after(
        &self,
        account: AccountId,
        actions: &[Action],
        after: Option<Place>,
        limit: u64,
    ) -> Result<Vec<Event>> {
        let mut found = Entity::find().filter(matching(account, actions));
        if let Some(Place { at, id }) = after {
            let at = to_micros(at);
            let same = Condition::all().add(Column::At.eq(at)).add(Column::Id.lt(id.0));
            found = found.filter(Condition::any().add(Column::At.lt(at)).add(same));
        }
        let rows = newest_first(found).limit(limit).all(&self.reader).await?;
        Ok(rows.into_iter().map(event).collect())
    }

    /// A part of an account's log, the newest first, and how many lines there are.
    pub async fn audit_page(
        &self,
        account: AccountId,
        actions: &[Action],
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<Event>, u64)> {
        let found = Entity::find().filter(matching(account, actions));
        let total = found.clone().count(&self.reader).await?;
        let rows = newest_first(found).offset(offset).limit(limit).all(&self.reader).await?;
        Ok((rows.into_iter().map(event).collect(), total))
    }
}

impl Tx {
    /// Removes lines from before this moment: at most so many at once, so that nobody waits long.
    pub async fn delete_audit_events(&self, before: Timestamp, limit: u64) -> Result<u64> {
        let old: Vec<Uuid> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::At.lt(to_micros(before)))
            .limit(limit)
            .into_tuple()
            .all(&self.inner)
            .await?;
        let done = Entity::delete_many().filter(Column::Id.is_in(old)).exec(&self.inner).await?;
        Ok(done.rows_affected)
    }
}

fn matching(account: AccountId, actions: &[Action]) -> Condition {
    let all = Condition::all().add(Column::AccountId.eq(Uuid::from(account)));
    if actions.is_empty() {
        return all;
    }
    all.add(Column::Action.is_in(actions.iter().map(|action| action.code())))
}

fn newest_first(found: Select<Entity>) -> Select<Entity> {
    found.order_by_desc(Column::At).order_by_desc(Column::Id)
}

fn event(row: Model) -> Event {
    Event {
        id: row.id.into(),
        at: from_micros(row.at),
        source: row.source,
        action: Action::parse(&row.action),
        details: row.details,
        subject: row.subject_name,
        actor: row.actor_name,
        country: row.country,
    }
}
