//! Deployments: where each stands. Every change of state is one statement that names the state before
//! it; whoever changes none came too late.

use crate::entity::deployment::{ActiveModel, Column, Entity, Model};
use crate::entity::deployment_output as output;
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::deployment::{State, Word};
use bramble_wire::{AccountId, ArtefactId, DeploymentId, DeviceId, RolloutId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Id.
    pub id: DeploymentId,
    /// In whose account it was made.
    pub account: AccountId,
    /// To which device, be it there still or not.
    pub device: DeviceId,
    /// The device's name when it was made.
    pub device_name: String,
    /// Of what.
    pub artefact: ArtefactId,
    /// The rollout that made it, if one did.
    pub rollout: Option<RolloutId>,
    /// Where it stands.
    pub state: State,
    /// How far it got, if the device told.
    pub percent: Option<u8>,
    /// Who made it.
    pub created_by_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// A deployment to insert.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    /// Chosen by the caller.
    pub id: DeploymentId,
    /// In which account.
    pub account: AccountId,
    /// To which device.
    pub device: DeviceId,
    /// Its name now.
    pub device_name: String,
    /// Of what.
    pub artefact: ArtefactId,
    /// By which rollout, if by one.
    pub rollout: Option<RolloutId>,
    /// Who makes it.
    pub created_by_name: String,
    /// When.
    pub at: Timestamp,
}

/// Which deployments of an account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// To this device only.
    pub device: Option<DeviceId>,
    /// In this state only.
    pub state: Option<Word>,
    /// Of this rollout only.
    pub rollout: Option<RolloutId>,
}

impl Filter {
    fn condition(self, account: AccountId) -> Condition {
        Condition::all()
            .add(Column::AccountId.eq(account.0))
            .add_option(self.device.map(|id| Column::DeviceId.eq(id.0)))
            .add_option(self.state.map(|state| Column::State.eq(state.as_str())))
            .add_option(self.rollout.map(|id| Column::RolloutId.eq(id.0)))
    }
}

impl Store {
    /// A deployment of this account.
    pub async fn deployment(&self, account: AccountId, id: DeploymentId) -> Result<Option<Deployment>> {
        let of_account = Column::AccountId.eq(account.0);
        let row = Entity::find_by_id(id.0).filter(of_account).one(&self.reader).await?;
        Ok(row.and_then(deployment))
    }

    /// A deployment of whatever account, for callers that then look up their standing in its account.
    pub async fn deployment_anywhere(&self, id: DeploymentId) -> Result<Option<Deployment>> {
        Ok(Entity::find_by_id(id.0).one(&self.reader).await?.and_then(deployment))
    }

    /// A page of an account's deployments, the newest first, and how many there are.
    pub async fn deployments(
        &self,
        account: AccountId,
        filter: Filter,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<Deployment>, u64)> {
        let found = Entity::find().filter(filter.condition(account));
        let total = found.clone().count(&self.reader).await?;
        let rows = found
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .offset(offset)
            .limit(limit)
            .all(&self.reader)
            .await?;
        Ok((rows.into_iter().filter_map(deployment).collect(), total))
    }

    /// How many deployments of a rollout are in each state.
    pub async fn count_deployments(&self, rollout: RolloutId) -> Result<Vec<(Word, u64)>> {
        let rows = Entity::find()
            .select_only()
            .column(Column::State)
            .column_as(Column::Id.count(), "many")
            .filter(Column::RolloutId.eq(rollout.0))
            .group_by(Column::State)
            .into_tuple::<(String, i64)>()
            .all(&self.reader)
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(word, many)| Some((Word::parse(&word)?, u64::try_from(many).ok()?)))
            .collect())
    }

    /// What waits for a device.
    pub async fn pending_deployment(&self, device: DeviceId) -> Result<Option<DeploymentId>> {
        let id = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(in_state(device, Word::Pending))
            .into_tuple::<uuid::Uuid>()
            .one(&self.reader)
            .await?;
        Ok(id.map(Into::into))
    }

    /// The end of what a deployment printed, if it told.
    pub async fn deployment_output(&self, id: DeploymentId) -> Result<Option<String>> {
        Ok(output::Entity::find_by_id(id.0).one(&self.reader).await?.map(|row| row.output))
    }
}

impl Tx {
    /// A deployment of this account.
    pub async fn deployment(&self, account: AccountId, id: DeploymentId) -> Result<Option<Deployment>> {
        let of_account = Column::AccountId.eq(account.0);
        let row = Entity::find_by_id(id.0).filter(of_account).one(&self.inner).await?;
        Ok(row.and_then(deployment))
    }

    /// The newest deployment of a device in this account.
    pub async fn newest_deployment(
        &self,
        account: AccountId,
        device: DeviceId,
    ) -> Result<Option<DeploymentId>> {
        let filter = Filter { device: Some(device), ..Filter::default() };
        let id = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(filter.condition(account))
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .into_tuple::<uuid::Uuid>()
            .one(&self.inner)
            .await?;
        Ok(id.map(Into::into))
    }

    /// Adds a pending deployment. The caller holds the account's lock and has failed what was pending.
    pub async fn insert_deployment(&self, new: NewDeployment) -> Result<()> {
        self.insert_deployments(vec![new]).await
    }

    /// Adds pending deployments, one for a device at most.
    pub async fn insert_deployments(&self, new: Vec<NewDeployment>) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let rows = new.into_iter().map(|new| ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account.0),
            device_id: Set(new.device.0),
            device_name: Set(new.device_name),
            artefact_id: Set(new.artefact.0),
            rollout_id: Set(new.rollout.map(|id| id.0)),
            state: Set(Word::Pending.as_str().to_owned()),
            state_reason: Set(None),
            percent: Set(None),
            created_by_name: Set(new.created_by_name),
            created_at: Set(to_micros(new.at)),
            updated_at: Set(to_micros(new.at)),
            started_at: Set(None),
            finished_at: Set(None),
        });
        Entity::insert_many(rows).exec_without_returning(&self.inner).await?;
        Ok(())
    }

    /// Moves a deployment from one state to the next. `false` if it was not in that state any more:
    /// somebody else was first.
    pub async fn move_deployment(
        &self,
        id: DeploymentId,
        from: Word,
        to: &State,
        at: Timestamp,
    ) -> Result<bool> {
        let done = Entity::update_many()
            .set(moved(to, at))
            .filter(Column::Id.eq(id.0))
            .filter(Column::State.eq(from.as_str()))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Fails every deployment of these devices that is in a state, but one, and returns them.
    pub async fn fail_deployments(
        &self,
        devices: &[DeviceId],
        from: Word,
        but: Option<DeploymentId>,
        reason: &str,
        at: Timestamp,
    ) -> Result<Vec<Deployment>> {
        let row = ActiveModel {
            state: Set(Word::Failed.as_str().to_owned()),
            state_reason: Set(Some(reason.to_owned())),
            finished_at: Set(Some(to_micros(at))),
            updated_at: Set(to_micros(at)),
            ..ActiveModel::default()
        };
        self.end_deployments(row, devices, from, but).await
    }

    /// Cancels what is pending for a device, and returns it.
    pub async fn cancel_deployments(&self, device: DeviceId, at: Timestamp) -> Result<Vec<Deployment>> {
        let row = moved(&State::Cancelled { finished_at: at }, at);
        self.end_deployments(row, &[device], Word::Pending, None).await
    }

    async fn end_deployments(
        &self,
        row: ActiveModel,
        devices: &[DeviceId],
        from: Word,
        but: Option<DeploymentId>,
    ) -> Result<Vec<Deployment>> {
        let rows = Entity::update_many()
            .set(row)
            .filter(Column::DeviceId.is_in(devices.iter().map(|id| id.0)))
            .filter(Column::State.eq(from.as_str()))
            .filter(Condition::all().add_option(but.map(|id| Column::Id.ne(id.0))))
            .exec_with_returning(&self.inner)
            .await?;
        Ok(rows.into_iter().filter_map(deployment).collect())
    }

    /// Notes how far a deployment got. `false` if it is not in progress.
    pub async fn note_progress(&self, id: DeploymentId, percent: Option<u8>, at: Timestamp) -> Result<bool> {
        let mut row = ActiveModel { updated_at: Set(to_micros(at)), ..ActiveModel::default() };
        if let Some(percent) = percent {
            row.percent = Set(Some(percent.into()));
        }
        let done = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id.0))
            .filter(Column::State.eq(Word::InProgress.as_str()))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Keeps what a deployment printed, in place of what was kept before. The caller has cut it.
    pub async fn set_deployment_output(&self, id: DeploymentId, text: &str, at: Timestamp) -> Result<()> {
        let row = output::ActiveModel {
            deployment_id: Set(id.0),
            // PostgreSQL keeps no U+0000 in text.
            output: Set(text.replace('\0', "")),
            updated_at: Set(to_micros(at)),
        };
        let replace = OnConflict::column(output::Column::DeploymentId)
            .update_columns([output::Column::Output, output::Column::UpdatedAt])
            .to_owned();
        output::Entity::insert(row).on_conflict(replace).exec_without_returning(&self.inner).await?;
        Ok(())
    }
}

fn in_state(device: DeviceId, state: Word) -> Condition {
    Condition::all().add(Column::DeviceId.eq(device.0)).add(Column::State.eq(state.as_str()))
}

fn moved(to: &State, at: Timestamp) -> ActiveModel {
    let mut row = ActiveModel {
        state: Set(to.word().as_str().to_owned()),
        state_reason: Set(to.reason().map(str::to_owned)),
        started_at: Set(to.started_at().map(to_micros)),
        finished_at: Set(to.finished_at().map(to_micros)),
        updated_at: Set(to_micros(at)),
        ..ActiveModel::default()
    };
    if to.word() == Word::Succeeded {
        row.percent = Set(Some(100));
    }
    row
}

fn deployment(row: Model) -> Option<Deployment> {
    let (started_at, finished_at) = (row.started_at.map(from_micros), row.finished_at.map(from_micros));
    let state = match Word::parse(&row.state)? {
        Word::Pending => State::Pending,
        Word::InProgress => State::InProgress { started_at: started_at? },
        Word::Succeeded => State::Succeeded { started_at: started_at?, finished_at: finished_at? },
        Word::Failed => State::Failed {
            started_at,
            finished_at: finished_at?,
            reason: row.state_reason.unwrap_or_default(),
        },
        Word::Cancelled => State::Cancelled { finished_at: finished_at? },
    };
    Some(Deployment {
        id: row.id.into(),
        account: row.account_id.into(),
        device: row.device_id.into(),
        device_name: row.device_name,
        artefact: row.artefact_id.into(),
        rollout: row.rollout_id.map(Into::into),
        state,
        percent: row.percent.and_then(|percent| u8::try_from(percent).ok()),
        created_by_name: row.created_by_name,
        created_at: from_micros(row.created_at),
        updated_at: from_micros(row.updated_at),
    })
}
