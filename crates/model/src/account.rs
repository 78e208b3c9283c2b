//! Accounts own devices and keys. Every person has a personal one; organisations have members.

use bramble_wire::device_api::AccountKind;
use bramble_wire::{AccountId, UserId};

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
}

/// What a person may want to do with the things of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// See devices and their state.
    ViewDevices,
    /// Open a session to a device.
    OpenSession,
    /// Link, rename, delete, sign out devices; end other people's sessions.
    ManageDevices,
    /// See, make and revoke keys.
    ManageKeys,
}

impl Standing {
    /// Whether this person may.
    pub fn may(&self, deed: Deed) -> bool {
        match deed {
            Deed::ViewDevices | Deed::OpenSession => true,
            Deed::ManageDevices | Deed::ManageKeys => self.role == Role::Administrator,
        }
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
        };
        assert!(
            standing.may(Deed::OpenSession)
                && !standing.may(Deed::ManageDevices)
                && !standing.may(Deed::ManageKeys)
        );
        standing.role = Role::Administrator;
        assert!(standing.may(Deed::ManageDevices) && standing.may(Deed::ManageKeys));
    }
}
