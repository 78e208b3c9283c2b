//! The frames of the accounts that a person belongs to: which tabs an account has for whom, and where
//! its pages are. The personal account's pages are at the root, an organisation's below
//! `/organisations/{id}`; a device's page has the frame of the account that owns it.

use super::layout::{AccountEntry, Frame, Link, Tab, Tone};
use crate::app::App;
use crate::auth::SignedIn;
use bramble_model::Timestamp;
use bramble_model::account::{Deed, Standing, two_factor_deadline};
use bramble_store::memberships::Belonging;
use bramble_wire::AccountId;
use bramble_wire::device_api::AccountKind;

/// The frame of the personal account's pages, with one of its tabs marked.
pub fn personal(app: &App, who: &SignedIn, current: &str) -> Frame {
    let own = who.belongings.iter().find(|entry| entry.account.kind == AccountKind::Personal);
    framed(app, who, own, current)
}

/// The frame of an account's pages, with one of its tabs marked. Of an account that the person does not
/// belong to nothing is shown.
pub fn of_account(app: &App, who: &SignedIn, account: AccountId, current: &str) -> Frame {
    framed(app, who, who.belongings.iter().find(|entry| entry.account.id == account), current)
}

/// The frame of the pages before signing in.
pub fn signed_out(app: &App) -> Frame {
    warn_of_plain_http(app, Frame::signed_out())
}

/// Where an account's pages begin: nothing for the personal one.
pub fn root(kind: AccountKind, account: AccountId) -> String {
    match kind {
        AccountKind::Personal => String::new(),
        AccountKind::Organisation => format!("/organisations/{account}"),
    }
}

fn framed(app: &App, who: &SignedIn, shown: Option<&Belonging>, current: &str) -> Frame {
    let entry = |entry: &Belonging| AccountEntry {
        name: match entry.account.kind {
            AccountKind::Personal => "Personal".to_owned(),
            AccountKind::Organisation => entry.account.name.clone(),
        },
        href: format!("{}/devices", root(entry.account.kind, entry.account.id)),
        organisation: entry.account.kind == AccountKind::Organisation,
        current: shown.is_some_and(|shown| shown.account.id == entry.account.id),
    };
    let frame = Frame::signed_in(&who.name, &who.email)
        .accounts(who.belongings.iter().map(entry).collect())
        .tabs(shown.map(|shown| tabs(who, shown)).unwrap_or_default())
        .current(current);
    let frame = match shown.and_then(|shown| two_factor_deadline(shown.account.two_factor_required_at)) {
        Some(deadline) if who.owes_second_factor => ask_for_second_factor(app, frame, deadline),
        _ => frame,
    };
    warn_of_plain_http(app, frame)
}

/// The tabs of an account: for whom, and at which page below its root. In the order of the bar.
const TABS: &[(&str, &str, AccountKind, Deed)] = &[
    ("Devices", "devices", AccountKind::Personal, Deed::ViewDevices),
    ("Remote update", "remote-update", AccountKind::Personal, Deed::ViewDevices),
    ("Settings", "settings", AccountKind::Personal, Deed::ManageKeys),
    ("Devices", "devices", AccountKind::Organisation, Deed::ViewDevices),
    ("Remote update", "remote-update", AccountKind::Organisation, Deed::ViewDevices),
    ("Users", "users", AccountKind::Organisation, Deed::ViewMembers),
    ("Provisioning", "provisioning", AccountKind::Organisation, Deed::ManageKeys),
    ("Audit log", "audit-log", AccountKind::Organisation, Deed::ViewAuditLog),
    ("Settings", "settings", AccountKind::Organisation, Deed::ManageSettings),
];

fn tabs(who: &SignedIn, shown: &Belonging) -> Vec<Tab> {
    let (account, role) = (&shown.account, shown.role);
    let standing = Standing { user: who.user, account: account.id, kind: account.kind, role, blocked: false };
    let root = root(account.kind, account.id);
    let theirs = TABS.iter().filter(|(_, _, kind, deed)| *kind == account.kind && standing.may(*deed));
    theirs.map(|(label, page, ..)| Tab::new(label, format!("{root}/{page}"))).collect()
}

/// For a member without one, while the days of grace last.
fn ask_for_second_factor(app: &App, frame: Frame, deadline: Timestamp) -> Frame {
    let days = (deadline - app.clock.now()).whole_days().max(0) + 1;
    let left = if days == 1 { "within a day".to_owned() } else { format!("within {days} days") };
    let text =
        format!("This organisation requires two-factor authentication. Set it up {left} to keep access.");
    let action = Link::new("Set up two-factor authentication", "/settings/account/two-factor");
    frame.banner(Tone::Warning, text, Some(action))
}

fn warn_of_plain_http(app: &App, frame: Frame) -> Frame {
    if !app.config.insecure_http() {
        return frame;
    }
    let text = "This server is reached without HTTPS: others on the network can read passwords.";
    frame.banner(Tone::Warning, text, None)
}
