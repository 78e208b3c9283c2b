//! Rollouts: deployments to many devices at once. A preview freezes which devices; once it is started,
//! a job takes them in order, some at a time, and each batch is one transaction, so that a server that
//! was killed goes on where it stopped.

use crate::entity::rollout::{ActiveModel, Column, Entity, Model};
use crate::entity::rollout_device as member;
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_wire::{AccountId, ArtefactId, DeviceId, RolloutId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

/// Rows of one INSERT.
const ROWS: usize = 500;

/// Where a rollout stands. `preview → running → done`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Shown, not started; forgotten when its time is over.
    Preview,
    /// Its deployments are being made.
    Running,
    /// All are made.
    Done,
}

impl State {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "preview",
            Self::Running => "running",
            Self::Done => "done",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Preview, Self::Running, Self::Done].into_iter().find(|state| state.as_str() == word)
    }
}

/// What became of a device of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its turn comes.
    Waiting,
    /// It has its deployment.
    Deployed,
    /// It gets none; the row says why.
    Skipped,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Deployed => "deployed",
            Self::Skipped => "skipped",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Deployed, Self::Skipped].into_iter().find(|it| it.as_str() == word)
    }
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Id.
    pub id: RolloutId,
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub artefact: ArtefactId,
    /// The search that found the devices.
    pub query: String,
    /// Where it stands.
    pub state: State,
    /// Devices that get, or get to, a deployment.
    pub total: u64,
    /// Devices that were found and get none.
    pub skipped: u64,
    /// Deployments made so far.
    pub done: u64,
    /// Who made it.
    pub created_by: Option<Uuid>,
    /// Who made it.
    pub created_by_name: String,
    /// From where, as `bramble_model::audit::Source` spells it.
    pub source: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be started.
    pub expires_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When all deployments were made.
    pub finished_at: Option<Timestamp>,
}

/// A device of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its place.
    pub position: u64,
    /// Which.
    pub device: DeviceId,
    /// Its name at the preview.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was skipped.
    pub reason: Option<String>,
}

impl Store {
    /// A rollout of whatever account, for callers that then look up their standing in its account.
    pub async fn rollout_anywhere(&self, id: RolloutId) -> Result<Option<Rollout>> {
        Ok(Entity::find_by_id(id.0).one(&self.reader).await?.and_then(rollout))
    }

    /// The newest rollouts of an account that were started.
    pub async fn rollouts(&self, account: AccountId, limit: u64) -> Result<Vec<Rollout>> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::State.ne(State::Preview.as_str()))
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .limit(limit)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().filter_map(rollout).collect())
    }

    /// Rollouts that are not finished, the oldest first.
    pub async fn running_rollouts(&self, limit: u64) -> Result<Vec<Rollout>> {
        let rows = Entity::find()
            .filter(Column::State.eq(State::Running.as_str()))
            .order_by_asc(Column::CreatedAt)
            .limit(limit)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().filter_map(rollout).collect())
    }

    /// A page of a rollout's devices: those that were skipped, or the others.
    pub async fn rollout_members(
        &self,
        id: RolloutId,
        skipped: bool,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<Member>, u64)> {
        let word = Outcome::Skipped.as_str();
        let outcome =
            if skipped { member::Column::Outcome.eq(word) } else { member::Column::Outcome.ne(word) };
        let found = member::Entity::find().filter(member::Column::RolloutId.eq(id.0)).filter(outcome);
        let total = found.clone().count(&self.reader).await?;
        let rows = found
            .order_by_asc(member::Column::Position)
            .offset(offset)
            .limit(limit)
            .all(&self.reader)
            .await?;
        Ok((rows.into_iter().filter_map(of_row).collect(), total))
    }
}

impl Tx {
    /// Adds a preview with its devices.
    pub async fn insert_rollout(&self, new: Rollout, members: &[Member]) -> Result<()> {
        let row = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            artefact_id: Set(new.artefact.0),
            query: Set(new.query),
            state: Set(new.state.as_str().to_owned()),
            wave: Set(0),
            total: Set(count(new.total)),
            skipped: Set(count(new.skipped)),
            done: Set(count(new.done)),
            created_by: Set(new.created_by),
            created_by_name: Set(new.created_by_name),
            source: Set(new.source),
            created_at: Set(to_micros(new.created_at)),
            expires_at: Set(to_micros(new.expires_at)),
            started_at: Set(None),
            finished_at: Set(None),
        };
        Entity::insert(row).exec_without_returning(&self.inner).await?;
        for some in members.chunks(ROWS) {
            let rows = some.iter().map(|it| member::ActiveModel {
                rollout_id: Set(new.id.0),
                position: Set(count(it.position)),
                device_id: Set(it.device.0),
                device_name: Set(it.name.clone()),
                wave: Set(0),
                outcome: Set(it.outcome.as_str().to_owned()),
                reason: Set(it.reason.clone()),
            });
            member::Entity::insert_many(rows).exec_without_returning(&self.inner).await?;
        }
        Ok(())
    }

    /// A rollout of this account.
    pub async fn rollout(&self, account: AccountId, id: RolloutId) -> Result<Option<Rollout>> {
        let of_account = Column::AccountId.eq(account.0);
        let row = Entity::find_by_id(id.0).filter(of_account).one(&self.inner).await?;
        Ok(row.and_then(rollout))
    }

    /// `preview → running`. `false` if it was started, or its time is over.
    pub async fn start_rollout(&self, id: RolloutId, at: Timestamp) -> Result<bool> {
        let row = ActiveModel {
            state: Set(State::Running.as_str().to_owned()),
            started_at: Set(Some(to_micros(at))),
            ..ActiveModel::default()
        };
        let done = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id.0))
            .filter(Column::State.eq(State::Preview.as_str()))
            .filter(Column::ExpiresAt.gt(to_micros(at)))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// The next devices whose turn it is. The caller holds the account's lock.
    pub async fn next_rollout_members(&self, id: RolloutId, limit: u64) -> Result<Vec<Member>> {
        let rows = member::Entity::find()
            .filter(member::Column::RolloutId.eq(id.0))
            .filter(member::Column::Outcome.eq(Outcome::Waiting.as_str()))
            .order_by_asc(member::Column::Position)
            .limit(limit)
            .all(&self.inner)
            .await?;
        Ok(rows.into_iter().filter_map(of_row).collect())
    }

    /// Notes that these got their deployments, and that those were skipped and why.
    pub async fn note_rollout_batch(
        &self,
        id: RolloutId,
        deployed: &[u64],
        skipped: &[u64],
        reason: &str,
    ) -> Result<()> {
        let places = |some: &[u64]| some.iter().map(|place| count(*place)).collect::<Vec<_>>();
        let of = |some| {
            member::Entity::update_many()
                .filter(member::Column::RolloutId.eq(id.0))
                .filter(member::Column::Position.is_in(some))
        };
        if !deployed.is_empty() {
            let word = Expr::value(Outcome::Deployed.as_str());
            let update = of(places(deployed)).col_expr(member::Column::Outcome, word);
            update.exec(&self.inner).await?;
        }
        if !skipped.is_empty() {
            of(places(skipped))
                .col_expr(member::Column::Outcome, Expr::value(Outcome::Skipped.as_str()))
                .col_expr(member::Column::Reason, Expr::value(reason))
                .exec(&self.inner)
                .await?;
        }
        let (done, gone) = (count(deployed.len() as u64), count(skipped.len() as u64));
        Entity::update_many()
            .col_expr(Column::Done, Expr::col(Column::Done).add(done))
            .col_expr(Column::Total, Expr::col(Column::Total).sub(gone))
            .col_expr(Column::Skipped, Expr::col(Column::Skipped).add(gone))
            .filter(Column::Id.eq(id.0))
            .exec(&self.inner)
            .await?;
        Ok(())
    }

    /// `running → done`.
    pub async fn finish_rollout(&self, id: RolloutId, at: Timestamp) -> Result<bool> {
        let row = ActiveModel {
            state: Set(State::Done.as_str().to_owned()),
            finished_at: Set(Some(to_micros(at))),
            ..ActiveModel::default()
        };
        let done = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id.0))
            .filter(Column::State.eq(State::Running.as_str()))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// How many previews of an account can still be started.
    pub async fn count_previews(&self, account: AccountId) -> Result<u64> {
        Ok(Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::State.eq(State::Preview.as_str()))
            .count(&self.inner)
            .await?)
    }

    /// Forgets previews whose time is over at this moment.
    pub async fn delete_previews(&self, before: Timestamp) -> Result<u64> {
        let done = Entity::delete_many()
            .filter(Column::State.eq(State::Preview.as_str()))
            .filter(Column::ExpiresAt.lte(to_micros(before)))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected)
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn of_row(row: member::Model) -> Option<Member> {
    Some(Member {
        position: u64::try_from(row.position).ok()?,
        device: row.device_id.into(),
        name: row.device_name,
        outcome: Outcome::parse(&row.outcome)?,
        reason: row.reason,
    })
}

fn rollout(row: Model) -> Option<Rollout> {
    Some(Rollout {
        id: row.id.into(),
        account: row.account_id.into(),
        artefact: row.artefact_id.into(),
        query: row.query,
        state: State::parse(&row.state)?,
        total: u64::try_from(row.total).ok()?,
        skipped: u64::try_from(row.skipped).ok()?,
        done: u64::try_from(row.done).ok()?,
        created_by: row.created_by,
        created_by_name: row.created_by_name,
        source: row.source,
        created_at: from_micros(row.created_at),
        expires_at: from_micros(row.expires_at),
        started_at: row.started_at.map(from_micros),
        finished_at: row.finished_at.map(from_micros),
    })
}
