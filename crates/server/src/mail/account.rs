//! Messages about a person's own account.

use super::messages::{
    self, AccountDeleted, ChangeEmail, EmailChangeAsked, EmailChanged, EmailTaken, Frame, NewRecoveryCodes,
    PasskeyChanged, ProviderChanged, Untrusted,
};
use super::{Message, message};
use crate::app::App;
use bramble_model::Secret;

/// Lets somebody confirm that an address shall be that of their account.
pub fn change_email(app: &App, recipient: &str, token: &Secret) -> Message {
    let link = app.config.url(&format!("/settings/account/email/{}", token.expose()));
    message(
        "change_email",
        recipient,
        "Confirm your new email address",
        &ChangeEmail { frame: Frame::of(app), link },
    )
}

/// Tells somebody that their address has an account already.
pub fn email_taken(app: &App, recipient: &str) -> Message {
    let body = EmailTaken { frame: Frame::of(app), sign_in: app.config.url("/sign-in") };
    message("email_taken", recipient, "This address already has an account", &body)
}

/// Tells the old address that another was asked for.
pub fn email_change_asked(app: &App, recipient: &str, new: &str) -> Message {
    let body = EmailChangeAsked {
        frame: Frame::of(app),
        at: messages::moment(app.clock.now()),
        new: Untrusted::new(new),
        forgotten: app.config.url("/forgotten-password"),
    };
    message("email_change_asked", recipient, "Another email address was asked for", &body)
}

/// Tells both addresses that the account's changed.
pub fn email_changed(app: &App, recipient: &str, old: &str, new: &str) -> Message {
    let body = EmailChanged {
        frame: Frame::of(app),
        at: messages::moment(app.clock.now()),
        old: Untrusted::new(old),
        new: Untrusted::new(new),
    };
    message("email_changed", recipient, "Your email address was changed", &body)
}

/// Confirms that an account was deleted.
pub fn account_deleted(app: &App, recipient: &str) -> Message {
    let body = AccountDeleted { frame: Frame::of(app), at: messages::moment(app.clock.now()) };
    message("account_deleted", recipient, "Your account was deleted", &body)
}

/// What became of a passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyChange {
    /// It was added.
    Added,
    /// It was removed, and there is another second factor.
    Removed,
    /// It was removed, and was the last second factor.
    RemovedLast,
}

/// Tells somebody that a passkey was added to their account, or removed.
pub fn passkey_changed(app: &App, recipient: &str, name: &str, change: PasskeyChange) -> Message {
    let added = change == PasskeyChange::Added;
    let body = PasskeyChanged {
        frame: Frame::of(app),
        at: messages::moment(app.clock.now()),
        name: Untrusted::new(name),
        added,
        last: change == PasskeyChange::RemovedLast,
        settings: app.config.url("/settings/account/passkeys"),
    };
    if added {
        message("passkey_added", recipient, "A passkey was added to your account", &body)
    } else {
        message("passkey_removed", recipient, "A passkey was removed from your account", &body)
    }
}

/// Tells somebody that a provider signs them in from now on, or no longer.
pub fn provider_changed(app: &App, recipient: &str, name: &str, linked: bool) -> Message {
    let body = ProviderChanged {
        frame: Frame::of(app),
        at: messages::moment(app.clock.now()),
        name: Untrusted::new(name),
        linked,
        settings: app.config.url("/settings/account"),
    };
    if linked {
        message("provider_linked", recipient, "Another way to sign in to your account", &body)
    } else {
        message("provider_unlinked", recipient, "A way to sign in to your account was removed", &body)
    }
}

/// Tells somebody that new recovery codes took the place of the old ones.
pub fn new_recovery_codes(app: &App, recipient: &str) -> Message {
    let body = NewRecoveryCodes {
        frame: Frame::of(app),
        at: messages::moment(app.clock.now()),
        settings: app.config.url("/settings/account/two-factor"),
    };
    message("new_recovery_codes", recipient, "New recovery codes were made", &body)
}
