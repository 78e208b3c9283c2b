//! The Users tab: members, roles, and invitations that wait.

use super::refused;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::organisations::{self, OrganisationError, invitations, members};
use crate::web::frames;
use crate::web::layout::{Frame, Tone};
use crate::web::page;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_model::account::{Deed, Role, Standing};
use bramble_store::memberships::Member;
use bramble_wire::{InvitationId, UserId};
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisations/{organisation}/users", get(show))
        .route("/organisations/{organisation}/invitations", post(invite))
        .route("/organisations/{organisation}/invitations/{invitation}/resend", post(resend))
        .route("/organisations/{organisation}/invitations/{invitation}/revoke", post(revoke))
        .route("/organisations/{organisation}/users/{user}/role", get(role_form).post(change_role))
        .route("/organisations/{organisation}/users/{user}/remove", get(remove_form).post(remove))
}

#[derive(Template)]
#[template(path = "organisations/users.html")]
struct Users {
    frame: Frame,
    root: String,
    rows: Vec<Row>,
    waiting: Vec<Waiting>,
    manages: bool,
    total: u64,
    page: u64,
    pages: u64,
    base: String,
    email: String,
    administrator: bool,
    error: String,
}

/// A member.
struct Row {
    user: UserId,
    name: String,
    email: String,
    role: Role,
    joined: Moment,
    second_factor: bool,
    disabled: bool,
    this: bool,
}

/// An invitation.
struct Waiting {
    id: InvitationId,
    email: String,
    role: Role,
    invited_by: String,
    sent: Moment,
    expires: Moment,
    expired: bool,
}

/// Asks before a role changes or somebody goes.
#[derive(Template)]
#[template(path = "organisations/member.html")]
struct Ask {
    frame: Frame,
    root: String,
    name: String,
    user: UserId,
    role: Role,
    deed: &'static str,
    keys: Vec<String>,
    tokens: Vec<String>,
    invitations: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    page: String,
    #[serde(default)]
    done: String,
}

impl Asked {
    fn words(&self) -> Option<&'static str> {
        match self.done.as_str() {
            "invited" => Some("The invitation was sent."),
            "revoked" => Some("The invitation was revoked. Its link no longer works."),
            "role" => Some("The user's role was changed."),
            "removed" => {
                Some("The user was removed. Their sessions to the organisation's devices have ended.")
            }
            _ => None,
        }
    }
}

fn root(standing: &Standing) -> String {
    frames::root(standing.kind, standing.account)
}

fn done(standing: &Standing, what: &str) -> Response {
    Redirect::to(&format!("{}/users?done={what}", root(standing))).into_response()
}

async fn show(
    State(app): State<Ctx>,
    who: SignedIn,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    match organisations::enter(&app, &who, &id, Deed::ViewMembers).await {
        Ok(standing) => render(&app, &who, standing, &asked, &Invited::default(), "").await,
        Err(error) => refused(&app, &who, error),
    }
}

async fn render(
    app: &App,
    who: &SignedIn,
    standing: Standing,
    asked: &Asked,
    typed: &Invited,
    error: &str,
) -> Response {
    let (now, number) = (app.clock.now(), asked.page.parse().unwrap_or(1).max(1));
    let manages = standing.may(Deed::ManageMembers);
    let found = async {
        let listed = members::list(app, who, standing.account, number).await?;
        let waiting = if manages { invitations::list(app, who, standing.account).await? } else { Vec::new() };
        Ok::<_, OrganisationError>((listed, waiting))
    };
    let (listed, waiting) = match found.await {
        Ok(found) => found,
        Err(error) => return refused(app, who, error),
    };
    let row = |member: Member| Row {
        user: member.user,
        this: member.user == who.user,
        name: member.name,
        email: member.email,
        role: member.role,
        joined: Moment::new(member.joined_at, now),
        second_factor: member.second_factor,
        disabled: member.disabled,
    };
    let wait = |it: bramble_store::invitations::Invitation| Waiting {
        id: it.id,
        email: it.email,
        role: it.role,
        invited_by: it.invited_by,
        sent: Moment::new(it.sent_at, now),
        expires: Moment::new(it.expires_at, now),
        expired: it.expires_at <= now,
    };
    let mut frame = frames::of_account(app, who, standing.account, "Users");
    if let Some(words) = asked.words() {
        frame = frame.flash(Tone::Good, words);
    }
    let root = root(&standing);
    let users = Users {
        frame,
        rows: listed.members.into_iter().map(row).collect(),
        waiting: waiting.into_iter().map(wait).collect(),
        manages,
        total: listed.total,
        page: number,
        pages: listed.total.div_ceil(members::PAGE).max(1),
        base: format!("{root}/users?page="),
        root,
        email: typed.email.clone(),
        administrator: typed.role == Role::Administrator.as_str(),
        error: error.to_owned(),
    };
    page(if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }, &users)
}

#[derive(Debug, Default, Deserialize)]
struct Invited {
    #[serde(default)]
    email: String,
    #[serde(default)]
    role: String,
}

async fn invite(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path(id): Path<String>,
    Form(typed): Form<Invited>,
) -> Response {
    let standing = match organisations::enter(&app, &who, &id, Deed::ManageMembers).await {
        Ok(standing) => standing,
        Err(error) => return refused(&app, &who, error),
    };
    // Without a role somebody is invited to see, not to decide.
    let role = Role::parse(&typed.role).unwrap_or(Role::Member);
    match invitations::invite(&app, &who, standing.account, &typed.email, role).await {
        Ok(()) => done(&standing, "invited"),
        Err(OrganisationError::Invalid(why)) => {
            render(&app, &who, standing, &Asked::default(), &typed, &why).await
        }
        Err(error) => refused(&app, &who, error),
    }
}

fn parse<T: std::str::FromStr>(id: &str) -> Result<T, OrganisationError> {
    id.parse().map_err(|_| OrganisationError::NotFound)
}

async fn resend(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path((id, invitation)): Path<(String, String)>,
) -> Response {
    let sent = async {
        let standing = organisations::enter(&app, &who, &id, Deed::ManageMembers).await?;
        let outcome = invitations::resend(&app, &who, standing.account, parse(&invitation)?).await;
        Ok::<_, OrganisationError>((standing, outcome))
    };
    match sent.await {
        Ok((standing, Ok(()))) => done(&standing, "invited"),
        Ok((standing, Err(OrganisationError::Invalid(why)))) => {
            render(&app, &who, standing, &Asked::default(), &Invited::default(), &why).await
        }
        Ok((_, Err(error))) | Err(error) => refused(&app, &who, error),
    }
}

async fn revoke(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path((id, invitation)): Path<(String, String)>,
) -> Response {
    let revoked = async {
        let standing = organisations::enter(&app, &who, &id, Deed::ManageMembers).await?;
        invitations::revoke(&app, &who, standing.account, parse(&invitation)?).await?;
        Ok::<_, OrganisationError>(standing)
    };
    match revoked.await {
        Ok(standing) => done(&standing, "revoked"),
        Err(error) => refused(&app, &who, error),
    }
}

async fn role_form(
    State(app): State<Ctx>,
    who: SignedIn,
    Path((id, user)): Path<(String, String)>,
) -> Response {
    ask(&app, &who, &id, &user, "role").await
}

async fn remove_form(
    State(app): State<Ctx>,
    who: SignedIn,
    Path((id, user)): Path<(String, String)>,
) -> Response {
    ask(&app, &who, &id, &user, "remove").await
}

async fn ask(app: &App, who: &SignedIn, id: &str, user: &str, deed: &'static str) -> Response {
    let found = async {
        let standing = organisations::enter(app, who, id, Deed::ManageMembers).await?;
        let found = members::find(app, who, standing.account, parse(user)?).await?;
        Ok::<_, OrganisationError>((standing, found))
    };
    match found.await {
        Ok((standing, (member, made))) => {
            let frame = frames::of_account(app, who, standing.account, "Users");
            let keys = made.keys.into_iter().map(|key| key.description).collect();
            let tokens = made.tokens.into_iter().map(|token| token.description).collect();
            let (name, user, role, root) = (member.name, member.user, member.role, root(&standing));
            let invitations = made.invitations;
            page(StatusCode::OK, &Ask { frame, root, name, user, role, deed, keys, tokens, invitations })
        }
        Err(error) => refused(app, who, error),
    }
}

#[derive(Debug, Default, Deserialize)]
struct Decided {
    /// The role as the page showed it.
    #[serde(default)]
    from: String,
    #[serde(default)]
    role: String,
    /// "yes": the keys that this person made stop working.
    #[serde(default)]
    revoke: String,
}

async fn change_role(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path((id, user)): Path<(String, String)>,
    Form(decided): Form<Decided>,
) -> Response {
    let changed = async {
        let standing = organisations::enter(&app, &who, &id, Deed::ManageMembers).await?;
        let (from, to) = (Role::parse(&decided.from), Role::parse(&decided.role));
        let (Some(from), Some(to)) = (from, to) else { return Err(OrganisationError::Changed) };
        let (account, user) = (standing.account, parse(&user)?);
        members::change_role(&app, &who, account, user, (from, to), decided.revoke == "yes").await?;
        Ok(standing)
    };
    match changed.await {
        Ok(standing) => done(&standing, "role"),
        Err(error) => refused(&app, &who, error),
    }
}

async fn remove(
    State(app): State<Ctx>,
    Fresh(who): Fresh,
    Path((id, user)): Path<(String, String)>,
    Form(decided): Form<Decided>,
) -> Response {
    let removed = async {
        let standing = organisations::enter(&app, &who, &id, Deed::ManageMembers).await?;
        let user: UserId = parse(&user)?;
        members::remove(&app, &who, standing.account, user, decided.revoke == "yes").await?;
        Ok::<_, OrganisationError>((standing, user))
    };
    match removed.await {
        // Who removed themselves sees nothing of it any more.
        Ok((_, user)) if user == who.user => Redirect::to("/devices").into_response(),
        Ok((standing, _)) => done(&standing, "removed"),
        Err(error) => refused(&app, &who, error),
    }
}
