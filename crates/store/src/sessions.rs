//! Remote sessions: who, which device, since when. Offers and answers never come here.

use crate::entity::session::{ActiveModel, Column, Entity, Model};
use crate::entity::user;
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::session::State;
use bramble_wire::signalling::{Path, SessionKind};
use bramble_wire::{AccountId, DeviceId, SessionId, UserId, WebSessionId};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

/// Most live sessions that one query hands out.
const MOST: u64 = 1000;

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// What for.
    pub kind: SessionKind,
    /// It only watches: what is typed in it goes nowhere.
    pub watching: bool,
    /// Where it stands.
    pub state: State,
    /// The account of the device when it was opened.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// Who opened it.
    pub user: UserId,
    /// In which browser; `None` once that browser's sign-in is gone.
    pub web_session: Option<WebSessionId>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When the device reported open channels.
    pub connected_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it is reached.
    pub path: Option<Path>,
    /// Why it ended, for people.
    pub reason: Option<String>,
}

/// A session to insert.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Chosen by the caller.
    pub id: SessionId,
    /// What for.
    pub kind: SessionKind,
    /// Only to watch.
    pub watching: bool,
    /// The device's account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// Who.
    pub user: UserId,
    /// In which browser.
    pub web_session: WebSessionId,
    /// When.
    pub opened_at: Timestamp,
}

/// Which live sessions.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// All to this device.
    Device(DeviceId),
    /// All to this device of one kind.
    Kind(DeviceId, SessionKind),
    /// All to devices of one account of one kind.
    AccountKind(AccountId, SessionKind),
    /// All of this person.
    User(UserId),
    /// All of this person to devices of one account.
    Member(AccountId, UserId),
    /// All to devices of one account.
    Account(AccountId),
    /// All of this person whose browser is no longer signed in.
    SignedOut(UserId),
    /// This one.
    One(SessionId),
    /// All opened before this moment.
    OpenedBefore(Timestamp),
    /// All that the device has not reported and that were opened before this moment.
    WaitingSince(Timestamp),
    /// All whose browser is no longer signed in.
    Orphaned,
}

impl Which {
    fn condition(self) -> Condition {
        let live = Condition::all().add(Column::State.ne(State::Ended.as_str()));
        match self {
            Self::Device(id) => live.add(Column::DeviceId.eq(id.0)),
            Self::Kind(id, kind) => live.add(Column::DeviceId.eq(id.0)).add(Column::Kind.eq(kind.as_str())),
            Self::AccountKind(id, kind) => {
                live.add(Column::AccountId.eq(id.0)).add(Column::Kind.eq(kind.as_str()))
            }
            Self::User(id) => live.add(Column::UserId.eq(id.0)),
            Self::Member(account, user) => {
                live.add(Column::AccountId.eq(account.0)).add(Column::UserId.eq(user.0))
            }
            Self::Account(id) => live.add(Column::AccountId.eq(id.0)),
            Self::SignedOut(id) => live.add(Column::UserId.eq(id.0)).add(Column::WebSessionId.is_null()),
            Self::One(id) => live.add(Column::Id.eq(id.0)),
            Self::OpenedBefore(at) => live.add(Column::OpenedAt.lt(to_micros(at))),
            Self::WaitingSince(at) => {
                live.add(Column::State.eq(State::Waiting.as_str())).add(Column::OpenedAt.lt(to_micros(at)))
            }
            Self::Orphaned => live.add(Column::WebSessionId.is_null()),
        }
    }
}

impl Store {
    /// Everything that is kept of a person's sessions, over or not, by id: at most so many, after an id.
    pub async fn sessions_of(
        &self,
        user: UserId,
        after: Option<SessionId>,
        limit: u64,
    ) -> Result<Vec<Session>> {
        let mut found = Entity::find().filter(Column::UserId.eq(user.0));
        if let Some(after) = after {
            found = found.filter(Column::Id.gt(after.0));
        }
        let rows = found.order_by_asc(Column::Id).limit(limit).all(&self.reader).await?;
        Ok(rows.iter().filter_map(session).collect())
    }

    /// A session.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        Ok(Entity::find_by_id(id.0).one(&self.reader).await?.as_ref().and_then(session))
    }

    /// Live sessions, the oldest first, with the names of their people.
    pub async fn live_sessions(&self, which: Which) -> Result<Vec<(Session, String)>> {
        let rows = Entity::find()
            .filter(which.condition())
            .order_by_asc(Column::OpenedAt)
            .limit(MOST)
            .all(&self.reader)
            .await?;
        let mut people: Vec<_> = rows.iter().map(|row| row.user_id).collect();
        people.sort_unstable();
        people.dedup();
        let names: std::collections::HashMap<_, _> = user::Entity::find()
            .select_only()
            .column(user::Column::Id)
            .column(user::Column::Name)
            .filter(user::Column::Id.is_in(people))
            .into_tuple::<(uuid::Uuid, String)>()
            .all(&self.reader)
            .await?
            .into_iter()
            .collect();
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let name = names.get(&row.user_id).cloned().unwrap_or_default();
                Some((session(&row)?, name))
            })
            .collect())
    }

    /// How many live sessions of each kind each of these devices has.
    pub async fn count_live_sessions(
        &self,
        devices: &[DeviceId],
    ) -> Result<Vec<(DeviceId, SessionKind, u64)>> {
        let rows = Entity::find()
            .select_only()
            .column(Column::DeviceId)
            .column(Column::Kind)
            .column_as(Column::Id.count(), "many")
            .filter(Column::DeviceId.is_in(devices.iter().map(|id| id.0)))
            .filter(Column::State.ne(State::Ended.as_str()))
            .group_by(Column::DeviceId)
            .group_by(Column::Kind)
            .into_tuple::<(uuid::Uuid, String, i64)>()
            .all(&self.reader)
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, word, many)| Some((id.into(), kind(&word)?, u64::try_from(many).ok()?)))
            .collect())
    }
}

impl Tx {
    /// A session.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        Ok(Entity::find_by_id(id.0).one(&self.inner).await?.as_ref().and_then(session))
    }

    /// Adds a session.
    pub async fn insert_session(&self, new: NewSession) -> Result<()> {
        let row = ActiveModel {
            id: Set(new.id.0),
            kind: Set(new.kind.as_str().to_owned()),
            watching: Set(new.watching),
            state: Set(State::Waiting.as_str().to_owned()),
            account_id: Set(new.account.0),
            device_id: Set(new.device.0),
            user_id: Set(new.user.0),
            web_session_id: Set(Some(new.web_session.0)),
            opened_at: Set(to_micros(new.opened_at)),
            ..ActiveModel::default()
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// How many live sessions a person has to a device.
    pub async fn count_sessions_of(&self, user: UserId, device: DeviceId) -> Result<u64> {
        Ok(Entity::find()
            .filter(Which::Device(device).condition())
            .filter(Column::UserId.eq(user.0))
            .count(&self.inner)
            .await?)
    }

    /// `waiting → connected`, and how it is reached. A repeated report may change the path. `false` if
    /// the session is over.
    pub async fn connect_session(
        &self,
        id: SessionId,
        device: DeviceId,
        path: Option<Path>,
        at: Timestamp,
    ) -> Result<bool> {
        let word = path.map(|p| if p == Path::Direct { "direct" } else { "relayed" }.to_owned());
        let mut row =
            ActiveModel { state: Set(State::Connected.as_str().to_owned()), ..ActiveModel::default() };
        if word.is_some() {
            row.path = Set(word);
        }
        let done = Entity::update_many()
            .set(row)
            .filter(Which::One(id).condition())
            .filter(Column::DeviceId.eq(device.0))
            .exec(&self.inner)
            .await?;
        let first = ActiveModel { connected_at: Set(Some(to_micros(at))), ..ActiveModel::default() };
        Entity::update_many()
            .set(first)
            .filter(Which::One(id).condition())
            .filter(Column::DeviceId.eq(device.0))
            .filter(Column::ConnectedAt.is_null())
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Ends live sessions and returns them: whoever gets a session here tells its two sides, and
    /// nobody gets it twice.
    pub async fn end_sessions(&self, which: Which, reason: &str, at: Timestamp) -> Result<Vec<Session>> {
        let row = ActiveModel {
            state: Set(State::Ended.as_str().to_owned()),
            ended_at: Set(Some(to_micros(at))),
            reason: Set(Some(reason.to_owned())),
            ..ActiveModel::default()
        };
        let rows =
            Entity::update_many().set(row).filter(which.condition()).exec_with_returning(&self.inner).await?;
        Ok(rows.iter().filter_map(session).collect())
    }

    /// Removes sessions that ended before this moment. Returns how many.
    pub async fn delete_ended_sessions(&self, before: Timestamp) -> Result<u64> {
        let done =
            Entity::delete_many().filter(Column::EndedAt.lt(to_micros(before))).exec(&self.inner).await?;
        Ok(done.rows_affected)
    }
}

fn kind(word: &str) -> Option<SessionKind> {
    [SessionKind::Shell, SessionKind::Vnc, SessionKind::Files].into_iter().find(|k| k.as_str() == word)
}

fn session(row: &Model) -> Option<Session> {
    Some(Session {
        id: row.id.into(),
        kind: kind(&row.kind)?,
        watching: row.watching,
        state: State::parse(&row.state)?,
        account: row.account_id.into(),
        device: row.device_id.into(),
        user: row.user_id.into(),
        web_session: row.web_session_id.map(Into::into),
        opened_at: from_micros(row.opened_at),
        connected_at: row.connected_at.map(from_micros),
        ended_at: row.ended_at.map(from_micros),
        path: match row.path.as_deref() {
            Some("direct") => Some(Path::Direct),
            Some("relayed") => Some(Path::Relayed),
            _ => None,
        },
        reason: row.reason.clone(),
    })
}
