//! Organisations' members: who belongs to which account, and as what.

use crate::accounts::Account;
use crate::entity::{account, membership, passkey, session, two_factor, user};
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::Timestamp;
use bramble_model::account::{Billing, Role, Standing, two_factor_deadline};
use bramble_model::session::State;
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, UserId};
use sea_orm::sea_query::{Expr, OnConflict, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Set,
};
use std::collections::HashMap;

/// An account that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belonging {
    /// The account.
    pub account: Account,
    /// As what.
    pub role: Role,
}

/// A member as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// Display name.
    pub name: String,
    /// Address.
    pub email: String,
    /// As what.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
    /// Whether the person proves more than a password.
    pub second_factor: bool,
    /// Whether the operator keeps the person out: then they count as nothing.
    pub disabled: bool,
}

/// How many people are in an organisation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeopleCount {
    /// All of them.
    pub members: u64,
    /// Those who administer it.
    pub administrators: u64,
    /// Those of them who can sign in.
    pub enabled_administrators: u64,
}

impl Store {
    /// A page of an organisation's members by name, and how many there are.
    pub async fn members(&self, account: AccountId, offset: u64, limit: u64) -> Result<(Vec<Member>, u64)> {
        let rows = membership::Entity::find()
            .filter(membership::Column::AccountId.eq(account.0))
            .all(&self.reader)
            .await?;
        let total = rows.len() as u64;
        let ids = rows.iter().map(|row| row.user_id);
        let people = user::Entity::find()
            .filter(user::Column::Id.is_in(ids))
            .order_by_asc(user::Column::Name)
            .order_by_asc(user::Column::Id)
            .offset(offset)
            .limit(limit)
            .all(&self.reader)
            .await?;
        let mut members = Vec::with_capacity(people.len());
        for person in people {
            if let Some(row) = rows.iter().find(|row| row.user_id == person.id) {
                members.extend(member_of(&self.reader, row, person).await?);
            }
        }
        Ok((members, total))
    }

    /// How many people are in these organisations. One without anybody is not in the answer.
    pub async fn membership_counts(&self, accounts: &[AccountId]) -> Result<HashMap<AccountId, PeopleCount>> {
        let rows = membership::Entity::find()
            .select_only()
            .column(membership::Column::AccountId)
            .column(membership::Column::Role)
            .column_as(membership::Column::UserId.count(), "many")
            .filter(membership::Column::AccountId.is_in(accounts.iter().map(|account| account.0)))
            .group_by(membership::Column::AccountId)
            .group_by(membership::Column::Role)
            .into_tuple::<(uuid::Uuid, String, i64)>()
            .all(&self.reader)
            .await?;
        let mut counts: HashMap<AccountId, PeopleCount> = HashMap::new();
        for (account, role, many) in rows {
            let many = u64::try_from(many).unwrap_or_default();
            let count = counts.entry(AccountId(account)).or_default();
            count.members += many;
            if Role::parse(&role) == Some(Role::Administrator) {
                count.administrators += many;
            }
        }
        let enabled = membership::Entity::find()
            .select_only()
            .column(membership::Column::AccountId)
            .column_as(membership::Column::UserId.count(), "many")
            .filter(membership::Column::AccountId.is_in(accounts.iter().map(|account| account.0)))
            .filter(membership::Column::Role.eq(Role::Administrator.as_str()))
            .filter(membership::Column::UserId.in_subquery(enabled()))
            .group_by(membership::Column::AccountId)
            .into_tuple::<(uuid::Uuid, i64)>()
            .all(&self.reader)
            .await?;
        for (account, many) in enabled {
            counts.entry(AccountId(account)).or_default().enabled_administrators =
                u64::try_from(many).unwrap_or_default();
        }
        Ok(counts)
    }

    /// One member.
    pub async fn member(&self, account: AccountId, user: UserId) -> Result<Option<Member>> {
        member(&self.reader, account, user).await
    }

    /// Whether a person proves more than a password.
    pub async fn has_second_factor(&self, user: UserId) -> Result<bool> {
        has_second_factor(&self.reader, user).await
    }

    /// Organisations that would have no administrator without this person.
    pub async fn administered_alone_by(&self, user: UserId) -> Result<Vec<Account>> {
        alone(&self.reader, user).await
    }

    /// Who has a session that has not ended in an organisation from which they are kept out at this moment,
    /// because it requires a second factor. It begins at the sessions, of which there are few.
    pub async fn sessions_kept_out(&self, now: Timestamp) -> Result<Vec<(AccountId, UserId)>> {
        let over = to_micros(now - bramble_model::account::TWO_FACTOR_GRACE);
        let strict = account::Entity::find()
            .select_only()
            .column(account::Column::Id)
            .filter(account::Column::TwoFactorRequiredAt.lte(over))
            .into_query();
        let pairs: Vec<(uuid::Uuid, uuid::Uuid)> = session::Entity::find()
            .select_only()
            .column(session::Column::AccountId)
            .column(session::Column::UserId)
            .distinct()
            .filter(session::Column::State.ne(State::Ended.as_str()))
            .filter(session::Column::AccountId.in_subquery(strict))
            .into_tuple()
            .all(&self.reader)
            .await?;
        let mut found = Vec::new();
        for (account, user) in pairs {
            if !has_second_factor(&self.reader, UserId(user)).await? {
                found.push((AccountId(account), UserId(user)));
            }
        }
        Ok(found)
    }

    /// Every account that a person belongs to: the personal one, then the organisations by name.
    pub async fn accounts_of(&self, user: UserId) -> Result<Vec<Belonging>> {
        let own =
            account::Entity::find().filter(account::Column::OwnerId.eq(user.0)).one(&self.reader).await?;
        let own = own.map(|row| Belonging { account: row.into(), role: Role::Administrator });
        let rows = membership::Entity::find()
            .filter(membership::Column::UserId.eq(user.0))
            .all(&self.reader)
            .await?;
        let mut all: Vec<Belonging> = own.into_iter().collect();
        if rows.is_empty() {
            return Ok(all);
        }
        let ids = rows.iter().map(|row| row.account_id);
        let accounts =
            account::Entity::find().filter(account::Column::Id.is_in(ids)).all(&self.reader).await?;
        let role = |account: &account::Model| {
            rows.iter().find(|row| row.account_id == account.id).and_then(|row| Role::parse(&row.role))
        };
        let mut organisations: Vec<Belonging> = accounts
            .into_iter()
            .filter_map(|row| Some(Belonging { role: role(&row)?, account: row.into() }))
            .collect();
        organisations
            .sort_by_cached_key(|entry| (bramble_model::text::fold(&entry.account.name), entry.account.id.0));
        all.append(&mut organisations);
        Ok(all)
    }

    /// What a person is to an account; `None` if nothing, or if there is no such account.
    pub async fn standing(
        &self,
        user: UserId,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Option<Standing>> {
        standing(&self.reader, user, account, now).await
    }
}

impl Tx {
    /// What a person is to an account, in this transaction. For a decision that a concurrent change of
    /// role must not overtake, lock the account first.
    pub async fn standing(
        &self,
        user: UserId,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Option<Standing>> {
        standing(&self.inner, user, account, now).await
    }

    /// One member. Meaningful while the account is locked.
    pub async fn member(&self, account: AccountId, user: UserId) -> Result<Option<Member>> {
        member(&self.inner, account, user).await
    }

    /// Whether the person with this address is a member.
    pub async fn is_member_by_email(&self, account: AccountId, folded: &str) -> Result<bool> {
        let person =
            user::Entity::find().filter(user::Column::EmailFolded.eq(folded)).one(&self.inner).await?;
        let Some(person) = person else { return Ok(false) };
        let found = membership::Entity::find_by_id((account.0, person.id)).one(&self.inner).await?;
        Ok(found.is_some())
    }

    /// Whether a person proves more than a password.
    pub async fn has_second_factor(&self, user: UserId) -> Result<bool> {
        has_second_factor(&self.inner, user).await
    }

    /// Adds a person to an organisation. `false` if the person is in it already.
    pub async fn insert_membership(
        &self,
        account: AccountId,
        user: UserId,
        role: Role,
        at: Timestamp,
    ) -> Result<bool> {
        let row = membership::ActiveModel {
            account_id: Set(account.0),
            user_id: Set(user.0),
            role: Set(role.as_str().to_owned()),
            joined_at: Set(to_micros(at)),
        };
        let keep = OnConflict::columns([membership::Column::AccountId, membership::Column::UserId])
            .do_nothing()
            .to_owned();
        let done =
            membership::Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        Ok(done == 1)
    }

    /// Gives a member another role. `false` if it is the same, or the person is no member.
    pub async fn set_role(&self, account: AccountId, user: UserId, role: Role) -> Result<bool> {
        let done = membership::Entity::update_many()
            .col_expr(membership::Column::Role, Expr::value(role.as_str()))
            .filter(membership::Column::AccountId.eq(account.0))
            .filter(membership::Column::UserId.eq(user.0))
            .filter(membership::Column::Role.ne(role.as_str()))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Takes a person out of an organisation. `false` if the person was no member.
    pub async fn delete_membership(&self, account: AccountId, user: UserId) -> Result<bool> {
        let done = membership::Entity::delete_many()
            .filter(membership::Column::AccountId.eq(account.0))
            .filter(membership::Column::UserId.eq(user.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// The organisations that a person is in, in the order of their ids. Meaningful while the person is
    /// locked: then nobody joins as them.
    pub async fn organisations_of(&self, user: UserId) -> Result<Vec<AccountId>> {
        let rows = membership::Entity::find().filter(membership::Column::UserId.eq(user.0));
        let mut ids: Vec<uuid::Uuid> =
            rows.all(&self.inner).await?.into_iter().map(|row| row.account_id).collect();
        ids.sort_unstable();
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// Organisations that would have no administrator without this person.
    pub async fn administered_alone_by(&self, user: UserId) -> Result<Vec<Account>> {
        alone(&self.inner, user).await
    }

    /// How many administrators an organisation has beside this person. One who was disabled does not count.
    /// Meaningful while its account is locked.
    pub async fn count_administrators_beside(&self, account: AccountId, user: UserId) -> Result<u64> {
        administrators_beside(&self.inner, account, user).await
    }
}

async fn member(
    connection: &impl ConnectionTrait,
    account: AccountId,
    user: UserId,
) -> Result<Option<Member>> {
    let Some(row) = membership::Entity::find_by_id((account.0, user.0)).one(connection).await? else {
        return Ok(None);
    };
    let Some(person) = user::Entity::find_by_id(user.0).one(connection).await? else { return Ok(None) };
    member_of(connection, &row, person).await
}

async fn member_of(
    connection: &impl ConnectionTrait,
    row: &membership::Model,
    person: user::Model,
) -> Result<Option<Member>> {
    let Some(role) = Role::parse(&row.role) else { return Ok(None) };
    let second_factor = has_second_factor(connection, UserId(person.id)).await?;
    Ok(Some(Member {
        user: UserId(person.id),
        disabled: person.disabled_at.is_some(),
        name: person.name,
        email: person.email,
        role,
        joined_at: from_micros(row.joined_at),
        second_factor,
    }))
}

async fn administrators_beside(
    connection: &impl ConnectionTrait,
    account: AccountId,
    user: UserId,
) -> Result<u64> {
    let others = membership::Entity::find()
        .filter(membership::Column::AccountId.eq(account.0))
        .filter(membership::Column::UserId.ne(user.0))
        .filter(membership::Column::Role.eq(Role::Administrator.as_str()))
        .filter(membership::Column::UserId.in_subquery(enabled()));
    Ok(others.count(connection).await?)
}

/// Everybody who can sign in.
fn enabled() -> SelectStatement {
    Query::select()
        .column(user::Column::Id)
        .from(user::Entity)
        .and_where(user::Column::DisabledAt.is_null())
        .to_owned()
}

async fn alone(connection: &impl ConnectionTrait, user: UserId) -> Result<Vec<Account>> {
    let administrator = membership::Column::Role.eq(Role::Administrator.as_str());
    let theirs = membership::Entity::find()
        .filter(membership::Column::UserId.eq(user.0))
        .filter(administrator)
        .all(connection)
        .await?;
    let mut alone = Vec::new();
    for row in theirs {
        if administrators_beside(connection, AccountId(row.account_id), user).await? == 0 {
            alone.extend(
                account::Entity::find_by_id(row.account_id).one(connection).await?.map(Account::from),
            );
        }
    }
    Ok(alone)
}

async fn standing(
    connection: &impl ConnectionTrait,
    user: UserId,
    id: AccountId,
    now: Timestamp,
) -> Result<Option<Standing>> {
    let Some(row) = account::Entity::find_by_id(id.0).one(connection).await? else { return Ok(None) };
    let account = Account::from(row);
    if account.kind == AccountKind::Personal {
        let role = Role::Administrator;
        let own = Standing { user, account: id, kind: account.kind, role, blocked: false };
        return Ok(Some(own).filter(|_| account.owner == Some(user)));
    }
    let Some(member) = membership::Entity::find_by_id((id.0, user.0)).one(connection).await? else {
        return Ok(None);
    };
    let Some(role) = Role::parse(&member.role) else { return Ok(None) };
    let over = two_factor_deadline(account.two_factor_required_at).is_some_and(|deadline| deadline <= now);
    let blocked = over && !has_second_factor(connection, user).await?;
    Ok(Some(Standing { user, account: id, kind: account.kind, role, blocked }))
}

/// Whether a person proves more than a password: what organisations may require.
pub(crate) async fn has_second_factor(connection: &impl ConnectionTrait, user: UserId) -> Result<bool> {
    if two_factor::Entity::find_by_id(user.0).one(connection).await?.is_some() {
        return Ok(true);
    }
    // A passkey's authenticator verified its owner: whoever has one has two factors.
    let passkeys = passkey::Entity::find().filter(passkey::Column::UserId.eq(user.0));
    Ok(passkeys.one(connection).await?.is_some())
}

impl From<account::Model> for Account {
    fn from(row: account::Model) -> Self {
        Self {
            id: row.id.into(),
            kind: if row.kind == "organisation" { AccountKind::Organisation } else { AccountKind::Personal },
            name: row.name,
            owner: row.owner_id.map(Into::into),
            device_count: u64::try_from(row.device_count).unwrap_or_default(),
            two_factor_required_at: row.two_factor_required_at.map(from_micros),
            files_forbidden: row.files_forbidden_at.is_some(),
            trial_ends_at: row.trial_ends_at.map(from_micros),
            billing: row.billing.as_deref().and_then(Billing::parse),
            created_at: from_micros(row.created_at),
        }
    }
}
