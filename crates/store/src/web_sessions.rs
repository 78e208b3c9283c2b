//! Signed-in browsers, and browsers that signed in before.

use crate::entity::{known_browser, user, web_session};
use crate::users::User;
use crate::value::{from_micros, to_micros};
use crate::{Result, Store, Tx};
use bramble_model::{SecretHash, Timestamp};
use bramble_wire::{UserId, WebSessionId};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Set};

/// Most sessions that a list shows; the oldest beyond are removed at sign-in.
pub const MAX_SESSIONS_PER_USER: u64 = 100;
/// Most browsers remembered for one person; the longest unseen beyond are forgotten.
pub const MAX_KNOWN_BROWSERS_PER_USER: u64 = 50;

/// A signed-in browser.
#[derive(Debug, Clone)]
pub struct WebSession {
    /// Which.
    pub id: WebSessionId,
    /// Whose.
    pub user: UserId,
    /// What the browser calls itself.
    pub user_agent: String,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When the person last proved who they are.
    pub fresh_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

impl From<web_session::Model> for WebSession {
    fn from(row: web_session::Model) -> Self {
        Self {
            id: WebSessionId(row.id),
            user: UserId(row.user_id),
            user_agent: row.user_agent,
            created_at: from_micros(row.created_at),
            last_seen_at: from_micros(row.last_seen_at),
            fresh_at: from_micros(row.fresh_at),
            expires_at: from_micros(row.expires_at),
        }
    }
}

impl Store {
    /// The session of a cookie and its person.
    pub async fn web_session(&self, token: &SecretHash) -> Result<Option<(WebSession, User)>> {
        let found = web_session::Entity::find()
            .filter(web_session::Column::TokenHash.eq(token.to_vec()))
            .find_also_related(user::Entity)
            .one(&self.reader)
            .await?;
        Ok(found.and_then(|(session, user)| Some((session.into(), user?.into()))))
    }

    /// A person's sessions that are not over, the last used first.
    pub async fn web_sessions(
        &self,
        user: UserId,
        now: Timestamp,
        seen_since: Timestamp,
    ) -> Result<Vec<WebSession>> {
        let found = web_session::Entity::find()
            .filter(web_session::Column::UserId.eq(user.0))
            .filter(web_session::Column::ExpiresAt.gt(to_micros(now)))
            .filter(web_session::Column::LastSeenAt.gt(to_micros(seen_since)))
            .order_by_desc(web_session::Column::LastSeenAt)
            .order_by_asc(web_session::Column::Id)
            .limit(MAX_SESSIONS_PER_USER);
        Ok(found.all(&self.reader).await?.into_iter().map(Into::into).collect())
    }

    /// Whether this browser signed in to this account before.
    pub async fn is_known_browser(&self, token: &SecretHash, user: UserId) -> Result<bool> {
        let found = known_browser::Entity::find_by_id((token.to_vec(), user.0));
        Ok(found.one(&self.reader).await?.is_some())
    }

    /// Notes that a session is in use, at most as often as `unless_since` says.
    pub async fn touch_web_session(
        &self,
        id: WebSessionId,
        now: Timestamp,
        unless_since: Timestamp,
    ) -> Result<()> {
        web_session::Entity::update_many()
            .col_expr(web_session::Column::LastSeenAt, Expr::value(to_micros(now)))
            .filter(web_session::Column::Id.eq(id.0))
            .filter(web_session::Column::LastSeenAt.lte(to_micros(unless_since)))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}

impl Tx {
    /// Inserts a session, and removes the longest unused of a person who has too many.
    pub async fn insert_web_session(&self, token: &SecretHash, new: &WebSession) -> Result<()> {
        let row = web_session::ActiveModel {
            id: Set(new.id.0),
            token_hash: Set(token.to_vec()),
            user_id: Set(new.user.0),
            user_agent: Set(new.user_agent.clone()),
            created_at: Set(to_micros(new.created_at)),
            last_seen_at: Set(to_micros(new.last_seen_at)),
            fresh_at: Set(to_micros(new.fresh_at)),
            expires_at: Set(to_micros(new.expires_at)),
        };
        web_session::Entity::insert(row).exec_without_returning(&self.inner).await?;
        let surplus: Vec<uuid::Uuid> = web_session::Entity::find()
            .select_only()
            .column(web_session::Column::Id)
            .filter(web_session::Column::UserId.eq(new.user.0))
            .order_by_desc(web_session::Column::LastSeenAt)
            .offset(MAX_SESSIONS_PER_USER)
            .limit(MAX_SESSIONS_PER_USER)
            .into_tuple()
            .all(&self.inner)
            .await?;
        if !surplus.is_empty() {
            let old = web_session::Entity::delete_many().filter(web_session::Column::Id.is_in(surplus));
            old.exec(&self.inner).await?;
        }
        Ok(())
    }

    /// A session gets a new cookie after its person proved who they are. `false` if it is gone, or if
    /// somebody else rotated it first.
    pub async fn rotate_web_session(
        &self,
        id: WebSessionId,
        old: &SecretHash,
        new: &SecretHash,
        fresh_at: Timestamp,
    ) -> Result<bool> {
        let done = web_session::Entity::update_many()
            .col_expr(web_session::Column::TokenHash, Expr::value(new.to_vec()))
            .col_expr(web_session::Column::FreshAt, Expr::value(to_micros(fresh_at)))
            .col_expr(web_session::Column::LastSeenAt, Expr::value(to_micros(fresh_at)))
            .filter(web_session::Column::Id.eq(id.0))
            .filter(web_session::Column::TokenHash.eq(old.to_vec()))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Ends one session of a person. `false` if the person has no such session.
    pub async fn delete_web_session(&self, user: UserId, id: WebSessionId) -> Result<bool> {
        let done = web_session::Entity::delete_many()
            .filter(web_session::Column::Id.eq(id.0))
            .filter(web_session::Column::UserId.eq(user.0))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Ends all sessions of a person, but one if it is named. Tells how many.
    pub async fn delete_web_sessions(&self, user: UserId, but: Option<WebSessionId>) -> Result<u64> {
        let mut old = web_session::Entity::delete_many().filter(web_session::Column::UserId.eq(user.0));
        if let Some(but) = but {
            old = old.filter(web_session::Column::Id.ne(but.0));
        }
        Ok(old.exec(&self.inner).await?.rows_affected)
    }

    /// Removes sessions that are over and browsers that were not seen for long. Tells how many sessions.
    pub async fn sweep_web_sessions(
        &self,
        now: Timestamp,
        idle_since: Timestamp,
        browsers_since: Timestamp,
    ) -> Result<u64> {
        let done = web_session::Entity::delete_many()
            .filter(
                web_session::Column::ExpiresAt
                    .lte(to_micros(now))
                    .or(web_session::Column::LastSeenAt.lte(to_micros(idle_since))),
            )
            .exec(&self.inner)
            .await?;
        known_browser::Entity::delete_many()
            .filter(known_browser::Column::LastSeenAt.lte(to_micros(browsers_since)))
            .exec(&self.inner)
            .await?;
        Ok(done.rows_affected)
    }

    /// Whether any browser is remembered for a person.
    pub async fn has_known_browser(&self, user: UserId) -> Result<bool> {
        let found = known_browser::Entity::find().filter(known_browser::Column::UserId.eq(user.0));
        Ok(found.one(&self.inner).await?.is_some())
    }

    /// Remembers a browser for a person. `true` if it was not known.
    pub async fn remember_browser(&self, token: &SecretHash, user: UserId, now: Timestamp) -> Result<bool> {
        let seen = known_browser::Entity::update_many()
            .col_expr(known_browser::Column::LastSeenAt, Expr::value(to_micros(now)))
            .filter(known_browser::Column::TokenHash.eq(token.to_vec()))
            .filter(known_browser::Column::UserId.eq(user.0))
            .exec(&self.inner)
            .await?;
        if seen.rows_affected == 1 {
            return Ok(false);
        }
        let row = known_browser::ActiveModel {
            token_hash: Set(token.to_vec()),
            user_id: Set(user.0),
            created_at: Set(to_micros(now)),
            last_seen_at: Set(to_micros(now)),
        };
        let keep = OnConflict::columns([known_browser::Column::TokenHash, known_browser::Column::UserId])
            .do_nothing()
            .to_owned();
        let added =
            known_browser::Entity::insert(row).on_conflict(keep).exec_without_returning(&self.inner).await?;
        let surplus: Vec<Vec<u8>> = known_browser::Entity::find()
            .select_only()
            .column(known_browser::Column::TokenHash)
            .filter(known_browser::Column::UserId.eq(user.0))
            .order_by_desc(known_browser::Column::LastSeenAt)
            .offset(MAX_KNOWN_BROWSERS_PER_USER)
            .limit(MAX_KNOWN_BROWSERS_PER_USER)
            .into_tuple()
            .all(&self.inner)
            .await?;
        if !surplus.is_empty() {
            let old = known_browser::Entity::delete_many()
                .filter(known_browser::Column::UserId.eq(user.0))
                .filter(known_browser::Column::TokenHash.is_in(surplus));
            old.exec(&self.inner).await?;
        }
        Ok(added == 1)
    }

    /// Forgets every browser of a person: after a reset, no browser has a budget of its own.
    pub async fn forget_browsers(&self, user: UserId) -> Result<()> {
        let all = known_browser::Entity::delete_many().filter(known_browser::Column::UserId.eq(user.0));
        all.exec(&self.inner).await?;
        Ok(())
    }
}
