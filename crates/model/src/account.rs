//! Accounts own devices and keys. Every person has a personal one; organisations have members.

use crate::Timestamp;
use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, UserId};
use time::Duration;

/// What somebody is to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sees and reaches every device, changes nothing.
    Member,
    /// May do everything. The owner of a personal account is its administrator.
    Administrator,
}

/// A person's standing in one account: proof that the look-up found one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub user: UserId,
    /// Where.
    pub account: AccountId,
    /// The account's kind.
    pub kind: AccountKind,
    /// As what.
    pub role: Role,
    /// Kept out until a second factor is set up, because the organisation requires one and the days of
    /// grace are over: may nothing, whatever the role.
    pub blocked: bool,
}

/// What a person may want to do with the things of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// See devices and their state.
    ViewDevices,
    /// Open a session to a device.
    OpenSession,
    /// Link, rename, tag, transfer, delete, sign out devices; end other people's sessions.
    ManageDevices,
    /// See, make and revoke auth keys, device identities and API access tokens.
    ManageKeys,
    /// Deploy, and keep the artefact library.
    ManageUpdates,
    /// See who else is in the organisation.
    ViewMembers,
    /// Invite, remove and change roles.
    ManageMembers,
    /// Rename, require two-factor authentication, delete, billing.
    ManageSettings,
    /// Read and export the audit log.
    ViewAuditLog,
}

impl Deed {
    /// Whether it makes sense in an account of this kind at all.
    fn exists_in(self, kind: AccountKind) -> bool {
        match self {
            Self::ViewDevices
            | Self::OpenSession
            | Self::ManageDevices
            | Self::ManageKeys
            | Self::ManageUpdates => true,
            Self::ViewMembers | Self::ManageMembers | Self::ManageSettings | Self::ViewAuditLog => {
                kind == AccountKind::Organisation
            }
        }
    }
}

impl Standing {
    /// Whether this person may.
    pub fn may(&self, deed: Deed) -> bool {
        let enough = match deed {
            Deed::ViewDevices | Deed::OpenSession | Deed::ViewMembers => true,
            Deed::ManageDevices
            | Deed::ManageKeys
            | Deed::ManageUpdates
            | Deed::ManageMembers
            | Deed::ManageSettings
            | Deed::ViewAuditLog => self.role == Role::Administrator,
        };
        enough && !self.blocked && deed.exists_in(self.kind)
    }
}

/// How an account pays. Nothing is known of one on a server that asks for no money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Billing {
    /// It tries.
    Trial,
    /// It pays.
    Paid,
    /// It paid once.
    Ended,
}

impl Billing {
    /// The word in the store and on the operator's command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trial => "trial",
            Self::Paid => "paid",
            Self::Ended => "ended",
        }
    }

    /// Reads it.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Trial, Self::Paid, Self::Ended].into_iter().find(|billing| billing.as_str() == word)
    }
}

/// Whether remote access and deployments are over until somebody pays.
pub fn is_suspended(billing: Option<Billing>, trial_ends_at: Option<Timestamp>, now: Timestamp) -> bool {
    match billing {
        Some(Billing::Paid) => false,
        Some(Billing::Ended) => true,
        Some(Billing::Trial) | None => trial_ends_at.is_some_and(|end| end <= now),
    }
}

/// How long members have to set up a second factor once their organisation requires one.
pub const TWO_FACTOR_GRACE: Duration = Duration::days(14);

/// Until when members without a second factor are let in, if the organisation requires one.
pub fn two_factor_deadline(required_at: Option<Timestamp>) -> Option<Timestamp> {
    required_at.map(|at| at + TWO_FACTOR_GRACE)
}

impl Role {
    /// The word in the store and in forms.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Administrator => "administrator",
        }
    }

    /// The word on the page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Administrator => "Administrator",
        }
    }

    /// Reads the store's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Member, Self::Administrator].into_iter().find(|role| role.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_reach_and_administrators_manage() {
        let mut standing = Standing {
            user: UserId(uuid::Uuid::nil()),
            account: AccountId(uuid::Uuid::nil()),
            kind: AccountKind::Organisation,
            role: Role::Member,
            blocked: false,
        };
        assert!(
            standing.may(Deed::OpenSession)
                && !standing.may(Deed::ManageDevices)
                && !standing.may(Deed::ManageKeys)
        );
        standing.role = Role::Administrator;
        assert!(standing.may(Deed::ManageDevices) && standing.may(Deed::ManageKeys));
        standing.blocked = true;
        assert!(!standing.may(Deed::ViewDevices) && !standing.may(Deed::ManageKeys));
    }

    #[test]
    fn an_account_is_suspended_after_its_trial_unless_it_pays() {
        let now = Timestamp::UNIX_EPOCH;
        let over = Some(now);
        let runs = Some(now + Duration::microseconds(1));
        assert!(!is_suspended(None, None, now) && !is_suspended(None, runs, now));
        assert!(is_suspended(None, over, now) && is_suspended(Some(Billing::Trial), over, now));
        assert!(!is_suspended(Some(Billing::Paid), over, now));
        assert!(is_suspended(Some(Billing::Ended), None, now));
        assert_eq!(Billing::parse(Billing::Ended.as_str()), Some(Billing::Ended));
    }

    #[test]
    fn a_personal_account_has_neither_members_nor_an_audit_log() {
        let standing = Standing {
            user: UserId(uuid::Uuid::nil()),
            account: AccountId(uuid::Uuid::nil()),
            kind: AccountKind::Personal,
            role: Role::Administrator,
            blocked: false,
        };
        assert!(standing.may(Deed::ManageDevices) && standing.may(Deed::ManageUpdates));
        assert!(!standing.may(Deed::ViewAuditLog) && !standing.may(Deed::ManageMembers));
    }
}
