//! `/invitations/{token}`: what an invitation is about, and accepting it.

use super::refused;
use crate::accounts::pages::without_referrer;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::organisations::{OrganisationError, invitations};
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::page;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/invitations/{token}", get(show).post(accept))
}

#[derive(Template)]
#[template(path = "organisations/invitation.html")]
struct Page {
    frame: Frame,
    action: String,
    organisation: String,
    role: &'static str,
    invited_by: String,
    invited: String,
    expires: Moment,
    name: String,
    email: String,
    other_address: bool,
}

#[derive(Template)]
#[template(path = "organisations/invitation_over.html")]
struct Over {
    frame: Frame,
    title: &'static str,
    text: &'static str,
    next: &'static str,
    href: String,
}

async fn show(State(app): State<Ctx>, who: SignedIn, Path(token): Path<String>) -> Response {
    match invitations::look(&app, &token).await {
        Ok((invitation, account)) => {
            let other_address =
                bramble_model::text::email(&who.email).as_deref() != Some(&invitation.email_folded);
            let shown = Page {
                frame: frames::personal(&app, &who, ""),
                action: format!("/invitations/{token}"),
                organisation: account.name,
                role: invitation.role.title(),
                invited_by: invitation.invited_by,
                invited: invitation.email,
                expires: Moment::new(invitation.expires_at, app.clock.now()),
                name: who.name.clone(),
                email: who.email.clone(),
                other_address,
            };
            without_referrer(&app, page(StatusCode::OK, &shown))
        }
        Err(error) => without_referrer(&app, failed(&app, &who, error)),
    }
}

async fn accept(State(app): State<Ctx>, Fresh(who): Fresh, Path(token): Path<String>) -> Response {
    match invitations::accept(&app, &who, &token).await {
        Ok(account) => Redirect::to(&format!("/organisations/{account}/devices")).into_response(),
        Err(error) => without_referrer(&app, failed(&app, &who, error)),
    }
}

fn failed(app: &App, who: &SignedIn, error: OrganisationError) -> Response {
    let (status, title, text, next, href) = match error {
        OrganisationError::DeadLink => (
            StatusCode::NOT_FOUND,
            "This invitation does not work any more",
            "It was accepted, revoked or replaced by a newer one, or its seven days are over. Ask whoever \
             invited you to send it again.",
            "Your devices",
            "/devices".to_owned(),
        ),
        OrganisationError::AlreadyMember(account) => (
            StatusCode::CONFLICT,
            "You are a member already",
            "The invitation was left as it is, for whoever it was meant for.",
            "Go to the organisation",
            format!("/organisations/{account}/devices"),
        ),
        OrganisationError::SecondFactorFirst => (
            StatusCode::FORBIDDEN,
            "Two-factor authentication first",
            "This organisation requires it of all of its members. Set it up, then open the link of the \
             invitation again.",
            "Set up two-factor authentication",
            "/settings/account/two-factor".to_owned(),
        ),
        other => return refused(app, who, other),
    };
    let frame = frames::personal(app, who, "");
    page(status, &Over { frame, title, text, next, href })
}
