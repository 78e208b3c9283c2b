//! Messages to people. They are written in the transaction that they tell of ([`queue`]) and leave
//! later, from the outbox ([`delivery`]).
//!
//! To add a message: a struct with its two templates in `messages`, a function here. Text from devices
//! and strangers goes through `messages::Untrusted`, so that no mail program makes a link of it.
//! Subjects are fixed sentences: nothing that somebody chose is in a header but the recipient.

mod account;
pub mod delivery;
pub mod digest;
mod messages;
mod operator;
mod smtp;

pub use account::{
    PasskeyChange, account_deleted, change_email, email_change_asked, email_changed, email_taken,
    new_recovery_codes, passkey_changed, provider_changed,
};
pub use messages::{Came, NewDevice};
pub use operator::{Listed, Shown, list, show};
pub use smtp::{BadSmtp, Smtp};

use crate::app::{App, Ctx};
use crate::auth::return_to::ReturnTo;
use crate::organisations::left_behind::Gone;
use askama::Template;
use bramble_model::Secret;
use bramble_model::account::{Role, TWO_FACTOR_GRACE};
use bramble_model::two_factor::FEW_RECOVERY_CODES;
use bramble_store::mails::NewMail;
use bramble_store::{StoreError, Tx};
use messages::{
    AlreadyRegistered, Frame, Invitation, JoinedAsOther, KeysLeftBehind, NewAdministrator, NewApiToken,
    NewBrowser, OrganisationDeleted, PasswordChanged, RecoveryCodeUsed, ResetPassword, TwoFactorOff,
    TwoFactorOn, TwoFactorRule, Untrusted, VerifyEmail,
};
use std::fmt;
use std::net::IpAddr;

/// A message that is ready to be written to the outbox.
#[derive(Clone)]
pub struct Message {
    kind: &'static str,
    recipient: String,
    subject: &'static str,
    text: String,
    html: String,
}

// Bodies hold links that open accounts.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Writes a message to the outbox, in the transaction of what it tells of. After the commit call
/// [`Outbox::wake`], so that it leaves at once and not with the next round.
pub async fn queue(app: &App, tx: &Tx, message: Message) -> Result<(), StoreError> {
    tx.insert_mail(NewMail {
        id: app.random.id(),
        kind: message.kind,
        recipient: message.recipient,
        subject: message.subject.to_owned(),
        text_body: message.text,
        html_body: message.html,
        created_at: app.clock.now(),
    })
    .await
}

/// Starts the delivery; it ends when the server stops. Fails if the mail server's settings are wrong.
pub fn start(app: &Ctx) -> Result<(), BadSmtp> {
    let smtp = Smtp::from_config(&app.config)?;
    app.tasks.spawn(delivery::run(Ctx::clone(app), smtp));
    Ok(())
}

/// Wakes the delivery.
#[derive(Debug, Default)]
pub struct Outbox {
    pub(crate) written: tokio::sync::Notify,
}

impl Outbox {
    /// Something was written.
    pub fn wake(&self) {
        self.written.notify_one();
    }
}

/// Asks somebody to prove that the address is theirs, and where they go after that.
pub fn verify_email(app: &App, recipient: &str, token: &Secret, return_to: &ReturnTo) -> Message {
    let link = app.config.url(&return_to.on(&format!("/verify-email/{}", token.expose())));
    message(
        "verify_email",
        recipient,
        "Confirm your email address",
        &VerifyEmail { frame: Frame::of(app), link },
    )
}

/// Tells somebody that their address has an account already.
pub fn already_registered(app: &App, recipient: &str) -> Message {
    let body = AlreadyRegistered {
        frame: Frame::of(app),
        sign_in: app.config.url("/sign-in"),
        forgotten: app.config.url("/forgotten-password"),
    };
    message("already_registered", recipient, "You already have an account", &body)
}

/// Lets somebody set a new password.
pub fn reset_password(app: &App, recipient: &str, token: &Secret) -> Message {
    let link = app.config.url(&format!("/reset-password/{}", token.expose()));
    message(
        "reset_password",
        recipient,
        "Choose a new password",
        &ResetPassword { frame: Frame::of(app), link },
    )
}

/// Tells somebody that two-factor authentication was turned on.
pub fn two_factor_on(app: &App, recipient: &str) -> Message {
    let frame = Frame::of(app);
    let at = messages::moment(app.clock.now());
    let body = TwoFactorOn { frame, at, settings: app.config.url("/settings/account") };
    message("two_factor_on", recipient, "Two-factor authentication was turned on", &body)
}

/// How an authenticator app went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedOff {
    /// The person turned it off, and has no other second factor.
    Alone,
    /// The person turned it off; their passkeys are still asked for.
    BesidePasskeys,
    /// The operator removed every second factor.
    ByOperator,
}

/// Tells somebody that their authenticator app, or every second factor, does not count any more.
pub fn two_factor_off(app: &App, recipient: &str, how: TurnedOff) -> Message {
    let passkeys = how == TurnedOff::BesidePasskeys;
    let body = TwoFactorOff {
        frame: Frame::of(app),
        at: messages::moment(app.clock.now()),
        passkeys,
        operator: how == TurnedOff::ByOperator,
        settings: app.config.url("/settings/account"),
    };
    let subject = if passkeys {
        "Your authenticator app was turned off"
    } else {
        "Two-factor authentication was turned off"
    };
    message("two_factor_off", recipient, subject, &body)
}

/// Tells somebody that one of their recovery codes was used, and how many are left.
pub fn recovery_code_used(app: &App, recipient: &str, left: u64) -> Message {
    let few = left <= FEW_RECOVERY_CODES;
    let body = RecoveryCodeUsed {
        frame: Frame::of(app),
        at: messages::moment(app.clock.now()),
        left,
        few,
        settings: app.config.url("/settings/account/two-factor"),
    };
    let subject = if few { "A recovery code was used; make new ones" } else { "A recovery code was used" };
    message("recovery_code_used", recipient, subject, &body)
}

/// Tells somebody that their password changed.
pub fn password_changed(app: &App, recipient: &str) -> Message {
    let body = PasswordChanged {
        frame: Frame::of(app),
        at: messages::moment(app.clock.now()),
        forgotten: app.config.url("/forgotten-password"),
    };
    message("password_changed", recipient, "Your password was changed", &body)
}

/// Tells somebody that a browser signed in that had not before.
pub fn new_browser(app: &App, recipient: &str, browser: &str, address: IpAddr) -> Message {
    let body = NewBrowser {
        frame: Frame::of(app),
        browser: browser.to_owned(),
        address: address.to_string(),
        at: messages::moment(app.clock.now()),
        settings: app.config.url("/settings/account"),
    };
    message("new_browser", recipient, "New sign-in to your account", &body)
}

/// Invites somebody into an organisation. Its name and that of the inviter were chosen by people.
pub fn invitation(
    app: &App,
    recipient: &str,
    organisation: &str,
    inviter: &str,
    role: Role,
    token: &Secret,
) -> Message {
    let body = Invitation {
        frame: Frame::of(app),
        organisation: Untrusted::new(organisation),
        inviter: Untrusted::new(inviter),
        role: match role {
            Role::Member => "a member",
            Role::Administrator => "an administrator",
        },
        link: app.config.url(&format!("/invitations/{}", token.expose())),
    };
    message("invitation", recipient, "You are invited to an organisation", &body)
}

/// Tells an administrator that an invitation was accepted by somebody with another address.
pub fn joined_as_other(
    app: &App,
    recipient: &str,
    organisation: &str,
    (invited, joined): (&str, &str),
) -> Message {
    let body = JoinedAsOther {
        frame: Frame::of(app),
        organisation: Untrusted::new(organisation),
        invited: Untrusted::new(invited),
        joined: Untrusted::new(joined),
        at: messages::moment(app.clock.now()),
    };
    message("joined_as_other", recipient, "Somebody joined with another address", &body)
}

/// Tells an administrator that there is another one.
pub fn new_administrator(app: &App, recipient: &str, organisation: &str, name: &str, email: &str) -> Message {
    let body = NewAdministrator {
        frame: Frame::of(app),
        organisation: Untrusted::new(organisation),
        name: Untrusted::new(name),
        email: Untrusted::new(email),
        at: messages::moment(app.clock.now()),
    };
    message("new_administrator", recipient, "Your organisation has a new administrator", &body)
}

/// Tells an administrator that there is a new API access token.
pub fn new_api_token(
    app: &App,
    recipient: &str,
    organisation: &str,
    description: &str,
    who: &str,
) -> Message {
    let body = NewApiToken {
        frame: Frame::of(app),
        organisation: Untrusted::new(organisation),
        description: Untrusted::new(description),
        who: Untrusted::new(who),
        at: messages::moment(app.clock.now()),
    };
    message("new_api_token", recipient, "Your organisation has a new API access token", &body)
}

/// Tells an administrator that somebody went who had made keys or tokens, which stay. `what` is how many.
pub fn keys_left_behind(
    app: &App,
    recipient: &str,
    organisation: &str,
    who: &str,
    what: &str,
    gone: Gone,
) -> Message {
    let (how, subject) = match gone {
        Gone::Left => ("left the organisation", "Somebody who made keys left your organisation"),
        Gone::Deleted => ("deleted their account", "Somebody who made keys left your organisation"),
        Gone::Disabled => (
            "was disabled by the operator of this server",
            "Somebody who made keys for your organisation was disabled",
        ),
    };
    let body = KeysLeftBehind {
        frame: Frame::of(app),
        organisation: Untrusted::new(organisation),
        who: Untrusted::new(who),
        what: what.to_owned(),
        how,
        at: messages::moment(app.clock.now()),
    };
    message("keys_left_behind", recipient, subject, &body)
}

/// Tells an administrator that the organisation was deleted, with so many devices.
pub fn organisation_deleted(
    app: &App,
    recipient: &str,
    (organisation, devices): (&str, u64),
    who: &str,
) -> Message {
    let body = OrganisationDeleted {
        frame: Frame::of(app),
        organisation: Untrusted::new(organisation),
        who: Untrusted::new(who),
        devices,
        at: messages::moment(app.clock.now()),
    };
    message("organisation_deleted", recipient, "Your organisation was deleted", &body)
}

/// Tells an administrator that the rule about second factors changed.
pub fn two_factor_rule(app: &App, recipient: &str, organisation: &str, who: &str, required: bool) -> Message {
    let body = TwoFactorRule {
        frame: Frame::of(app),
        organisation: Untrusted::new(organisation),
        who: Untrusted::new(who),
        required,
        days: TWO_FACTOR_GRACE.whole_days(),
        at: messages::moment(app.clock.now()),
    };
    let subject = if required {
        "Your organisation now requires two-factor authentication"
    } else {
        "Your organisation no longer requires two-factor authentication"
    };
    message("two_factor_rule", recipient, subject, &body)
}

/// A message in its two forms, each rendered from a template of its own.
trait Body {
    type Text<'a>: Template
    where
        Self: 'a;
    type Html<'a>: Template
    where
        Self: 'a;
    fn text(&self) -> Self::Text<'_>;
    fn html(&self) -> Self::Html<'_>;
}

fn message(kind: &'static str, recipient: &str, subject: &'static str, body: &impl Body) -> Message {
    // Rendering into a String fails only if a value's own formatting does; ours are plain texts.
    let rendered = |result: askama::Result<String>| {
        result.unwrap_or_else(|error| {
            tracing::error!(%error, mail.kind = kind, "a mail did not render");
            String::new()
        })
    };
    Message {
        kind,
        recipient: recipient.to_owned(),
        subject,
        text: rendered(body.text().render()),
        html: rendered(body.html().render()),
    }
}
