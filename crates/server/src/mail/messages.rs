//! What the messages say: one struct and two templates each.

use super::Body;
use crate::app::App;
use crate::web::frames;
use askama::Template;
use bramble_model::{Timestamp, text};
use bramble_store::accounts::Account;
use bramble_store::device_notices::DeviceNotice;
use bramble_wire::DeviceId;
use bramble_wire::device_api::AccountKind;
use std::fmt;
use time::UtcOffset;

/// Longest text of a device that a mail shows, in characters.
const MAX_UNTRUSTED: usize = 255;

/// What every mail shows around its message.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The server's host, which tells two servers apart. Not its URL: the only links in a mail are those
    /// to follow.
    pub(super) server: String,
}

impl Frame {
    pub(super) fn of(app: &App) -> Self {
        let origin = app.config.origin();
        Self { server: origin.split_once("://").map_or(origin.clone(), |(_, host)| host.to_owned()) }
    }
}

/// Text that a device or a stranger chose. Mail programs make links of whatever looks like one, so a
/// zero-width space breaks every name and address in it.
#[derive(Debug, Clone)]
pub(super) struct Untrusted(String);

impl Untrusted {
    pub(super) fn new(text: &str) -> Self {
        let mut shown = String::new();
        for c in text::clip(text, MAX_UNTRUSTED).chars() {
            shown.push(c);
            if matches!(c, '.' | ':' | '/' | '@') {
                shown.push('\u{200B}');
            }
        }
        Self(shown)
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// "22 November 2026, 00:52 UTC".
pub(super) fn moment(at: Timestamp) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!("{} {} {}, {:02}:{:02} UTC", at.day(), at.month(), at.year(), at.hour(), at.minute())
}

/// The two forms of a message share their values.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident / $text:ident / $html:ident = $text_path:tt, $html_path:tt { $($field:ident: $type:ty),* $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name {
            pub(super) frame: Frame,
            $(pub(super) $field: $type,)*
        }

        #[derive(Template)]
        #[template(path = $text_path)]
        pub(super) struct $text<'a> { m: &'a $name }

        #[derive(Template)]
        #[template(path = $html_path)]
        pub(super) struct $html<'a> { m: &'a $name }

        impl Body for $name {
            type Text<'a> = $text<'a>;
            type Html<'a> = $html<'a>;
            fn text(&self) -> $text<'_> { $text { m: self } }
            fn html(&self) -> $html<'_> { $html { m: self } }
        }
    )+};
}

bodies! {
    /// Prove the address.
    VerifyEmail / VerifyEmailText / VerifyEmailHtml = "mail/verify_email.txt", "mail/verify_email.html" { link: String }
    /// The address has an account already.
    AlreadyRegistered / AlreadyRegisteredText / AlreadyRegisteredHtml = "mail/already_registered.txt", "mail/already_registered.html" {
        sign_in: String,
        forgotten: String,
    }
    /// Set a new password.
    ResetPassword / ResetPasswordText / ResetPasswordHtml = "mail/reset_password.txt", "mail/reset_password.html" { link: String }
    /// The password changed.
    PasswordChanged / PasswordChangedText / PasswordChangedHtml = "mail/password_changed.txt", "mail/password_changed.html" {
        at: String,
        forgotten: String,
    }
    /// Confirm a new address.
    ChangeEmail / ChangeEmailText / ChangeEmailHtml = "mail/change_email.txt", "mail/change_email.html" { link: String }
    /// The new address has an account already.
    EmailTaken / EmailTakenText / EmailTakenHtml = "mail/email_taken.txt", "mail/email_taken.html" { sign_in: String }
    /// Another address was asked for.
    EmailChangeAsked / EmailChangeAskedText / EmailChangeAskedHtml = "mail/email_change_asked.txt", "mail/email_change_asked.html" {
        at: String,
        new: Untrusted,
        forgotten: String,
    }
    /// The address changed.
    EmailChanged / EmailChangedText / EmailChangedHtml = "mail/email_changed.txt", "mail/email_changed.html" {
        at: String,
        old: Untrusted,
        new: Untrusted,
    }
    /// The account was deleted.
    AccountDeleted / AccountDeletedText / AccountDeletedHtml = "mail/account_deleted.txt", "mail/account_deleted.html" { at: String }
    /// A provider was linked or unlinked.
    ProviderChanged / ProviderChangedText / ProviderChangedHtml = "mail/provider_changed.txt", "mail/provider_changed.html" {
        at: String,
        name: Untrusted,
        linked: bool,
        settings: String,
    }
    /// A passkey was added or removed.
    PasskeyChanged / PasskeyChangedText / PasskeyChangedHtml = "mail/passkey_changed.txt", "mail/passkey_changed.html" {
        at: String,
        name: Untrusted,
        added: bool,
        last: bool,
        settings: String,
    }
    /// New recovery codes were made.
    NewRecoveryCodes / NewRecoveryCodesText / NewRecoveryCodesHtml = "mail/new_recovery_codes.txt", "mail/new_recovery_codes.html" {
        at: String,
        settings: String,
    }
    /// Two-factor authentication was turned on.
    TwoFactorOn / TwoFactorOnText / TwoFactorOnHtml = "mail/two_factor_on.txt", "mail/two_factor_on.html" {
        at: String,
        settings: String,
    }
    /// Two-factor authentication was turned off.
    TwoFactorOff / TwoFactorOffText / TwoFactorOffHtml = "mail/two_factor_off.txt", "mail/two_factor_off.html" {
        at: String,
        passkeys: bool,
        operator: bool,
        settings: String,
    }
    /// A recovery code was used.
    RecoveryCodeUsed / RecoveryCodeUsedText / RecoveryCodeUsedHtml = "mail/recovery_code_used.txt", "mail/recovery_code_used.html" {
        at: String,
        left: u64,
        few: bool,
        settings: String,
    }
    /// A browser signed in that had not before.
    NewBrowser / NewBrowserText / NewBrowserHtml = "mail/new_browser.txt", "mail/new_browser.html" {
        browser: String,
        address: String,
        at: String,
        settings: String,
    }
    /// Somebody is invited into an organisation.
    Invitation / InvitationText / InvitationHtml = "mail/invitation.txt", "mail/invitation.html" {
        organisation: Untrusted,
        inviter: Untrusted,
        role: &'static str,
        link: String,
    }
    /// Somebody accepted an invitation that was sent to another address.
    JoinedAsOther / JoinedAsOtherText / JoinedAsOtherHtml = "mail/joined_as_other.txt", "mail/joined_as_other.html" {
        organisation: Untrusted,
        invited: Untrusted,
        joined: Untrusted,
        at: String,
    }
    /// An organisation has another administrator.
    NewAdministrator / NewAdministratorText / NewAdministratorHtml = "mail/new_administrator.txt", "mail/new_administrator.html" {
        organisation: Untrusted,
        name: Untrusted,
        email: Untrusted,
        at: String,
    }
    /// An organisation has another API access token.
    NewApiToken / NewApiTokenText / NewApiTokenHtml = "mail/new_api_token.txt", "mail/new_api_token.html" {
        organisation: Untrusted,
        description: Untrusted,
        who: Untrusted,
        at: String,
    }
    /// Somebody went; what they made stays.
    KeysLeftBehind / KeysLeftBehindText / KeysLeftBehindHtml = "mail/keys_left_behind.txt", "mail/keys_left_behind.html" {
        organisation: Untrusted,
        who: Untrusted,
        what: String,
        how: &'static str,
        at: String,
    }
    /// An organisation was deleted.
    OrganisationDeleted / OrganisationDeletedText / OrganisationDeletedHtml = "mail/organisation_deleted.txt", "mail/organisation_deleted.html" {
        organisation: Untrusted,
        who: Untrusted,
        devices: u64,
        at: String,
    }
    /// An organisation requires a second factor, or no longer.
    TwoFactorRule / TwoFactorRuleText / TwoFactorRuleHtml = "mail/two_factor_rule.txt", "mail/two_factor_rule.html" {
        organisation: Untrusted,
        who: Untrusted,
        required: bool,
        days: i64,
        at: String,
    }
    /// A device was linked.
    DeviceLinked / DeviceLinkedText / DeviceLinkedHtml = "mail/device_linked.txt", "mail/device_linked.html" {
        organisation: Option<Untrusted>,
        line: Line,
        devices: String,
    }
    /// Several devices were linked.
    DevicesLinked / DevicesLinkedText / DevicesLinkedHtml = "mail/devices_linked.txt", "mail/devices_linked.html" {
        groups: Vec<Group>,
    }
}

/// Most devices that a digest names.
const MOST_NAMED: usize = 50;

/// The devices of a digest that are new in one account.
#[derive(Debug)]
pub(super) struct Group {
    /// The organisation; `None` for the reader's own account.
    pub(super) organisation: Option<Untrusted>,
    pub(super) count: usize,
    pub(super) shown: Vec<Line>,
    pub(super) more: usize,
    pub(super) devices: String,
}

/// A device that is new in an account.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: Untrusted,
    pub(super) serial_number: Untrusted,
    pub(super) place: Option<String>,
    /// Who transferred it; `None` if it was linked.
    pub(super) transferred_by: Option<Untrusted>,
    pub(super) at: String,
}

impl Group {
    /// The devices that are new in an account; `None` if it is not known which.
    pub(super) fn new(app: &App, account: Option<&Account>, devices: &[DeviceNotice]) -> Self {
        let line = |device: &DeviceNotice| Line {
            name: Untrusted::new(&device.name),
            serial_number: Untrusted::new(&device.serial_number),
            place: device.place.clone(),
            transferred_by: device.transferred_by.as_deref().map(Untrusted::new),
            at: moment(device.at),
        };
        let root = account.map(|account| frames::root(account.kind, account.id)).unwrap_or_default();
        Self {
            organisation: account.and_then(organisation),
            count: devices.len(),
            shown: devices.iter().take(MOST_NAMED).map(line).collect(),
            more: devices.len().saturating_sub(MOST_NAMED),
            devices: app.config.url(&format!("{root}/devices")),
        }
    }
}

/// The name of an organisation; nothing of a personal account, which has its owner's.
fn organisation(account: &Account) -> Option<Untrusted> {
    (account.kind == AccountKind::Organisation).then(|| Untrusted::new(&account.name))
}

/// A device that is new in an account, as mails tell of it. Name and serial number come from the device.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Which.
    pub id: DeviceId,
    /// Its name in the dashboard.
    pub name: String,
    /// Its serial number.
    pub serial_number: String,
    /// How it came.
    pub came: Came,
    /// When.
    pub at: Timestamp,
}

/// How a device came into an account.
#[derive(Debug, Clone)]
pub enum Came {
    /// It was linked.
    Linked {
        /// The address that it linked from.
        address: Option<String>,
        /// The country of that address, if known.
        country: Option<String>,
    },
    /// The person of this name transferred it from another account.
    Transferred(String),
}

impl NewDevice {
    /// Where it linked from, in words.
    pub(super) fn place(&self) -> Option<String> {
        match &self.came {
            Came::Linked { address: Some(address), country: Some(country) } => {
                Some(format!("{address} ({country})"))
            }
            Came::Linked { address, country } => address.clone().or_else(|| country.clone()),
            Came::Transferred(_) => None,
        }
    }

    /// Who transferred it; `None` if it was linked.
    pub(super) fn transferred_by(&self) -> Option<String> {
        match &self.came {
            Came::Transferred(by) => Some(by.clone()),
            Came::Linked { .. } => None,
        }
    }
}

impl DeviceLinked {
    pub(super) fn new(app: &App, account: &Account, device: &NewDevice) -> Self {
        let line = Line {
            name: Untrusted::new(&device.name),
            serial_number: Untrusted::new(&device.serial_number),
            place: device.place(),
            transferred_by: device.transferred_by().as_deref().map(Untrusted::new),
            at: moment(device.at),
        };
        let devices = app.config.url(&format!("/devices/{}", device.id));
        Self { frame: Frame::of(app), organisation: organisation(account), line, devices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_device_is_never_a_link() {
        let name = "https://evil.example/win <a href=x>\r\nBcc: all@evil.example\u{202E}";
        let device = DeviceLinked {
            frame: Frame { server: "pi.example".into() },
            organisation: Some(Untrusted::new("shed.evil.example")),
            line: Line {
                name: Untrusted::new(name),
                serial_number: Untrusted::new("1000"),
                place: None,
                transferred_by: Some(Untrusted::new("eve@evil.example")),
                at: moment(Timestamp::UNIX_EPOCH),
            },
            devices: "https://pi.example/devices".into(),
        };
        let (text, html) = (device.text().render().expect("text"), device.html().render().expect("HTML"));
        for body in [&text, &html] {
            assert!(
                !body.contains("https://evil")
                    && !body.contains("evil.example")
                    && !body.contains("all@evil")
            );
            assert!(!body.contains('\u{202E}') && !body.contains("\nBcc"));
            assert!(
                body.contains("https://pi.example/devices") && body.contains("1 January 1970, 00:00 UTC")
            );
        }
        assert!(!html.contains("<a href=x>"), "{html}");
        assert!(text.contains("<a href=x>"), "plain text is not escaped: {text}");
    }
}
