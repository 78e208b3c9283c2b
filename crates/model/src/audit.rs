//! What the audit log can tell. Details are facts for people, never secrets.

/// Where a change came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A person in the dashboard.
    Dashboard,
    /// The management API.
    Api,
    /// A device.
    Device,
    /// The operator's command line.
    Operator,
    /// The server itself, for example a nightly job.
    System,
}

impl Source {
    /// The word in the store and on the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dashboard => "Dashboard",
            Self::Api => "API",
            Self::Device => "Device",
            Self::Operator => "Operator",
            Self::System => "System",
        }
    }

    /// Reads the store's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Dashboard, Self::Api, Self::Device, Self::Operator, Self::System]
            .into_iter()
            .find(|source| source.as_str() == word)
    }
}

macro_rules! actions {
    ($($variant:ident = $code:literal, $title:literal;)+) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = $title] $variant,)+
        }

        impl Action {
            /// Every action, in the order of the filter menu.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in the store and in URLs; never changes once released.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The words on the page.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// Reads the store's word.
            pub fn parse(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|a| a.code() == code)
            }
        }
    };
}

actions! {
    DeviceLinked = "device_linked", "Device linked";
    DeviceRelinked = "device_relinked", "Device relinked";
    DeviceRenamed = "device_renamed", "Device renamed";
    DeviceTagged = "device_tagged", "Device tagged";
    DeviceDeleted = "device_deleted", "Device deleted";
    DeviceSignedOut = "device_signed_out", "Device signed out";
    ShellStarted = "shell_started", "Remote shell session started";
    ShellWatched = "shell_watched", "Remote shell watched";
    ScreenStarted = "screen_started", "Screen sharing session started";
    FilesStarted = "files_started", "File transfer session started";
    FileUploaded = "file_uploaded", "File uploaded (reported by the device)";
    FileDownloaded = "file_downloaded", "File downloaded (reported by the device)";
    SessionEnded = "session_ended", "Session ended by a user";
    AuthKeyCreated = "auth_key_created", "Auth key created";
    AuthKeyUpdated = "auth_key_updated", "Auth key updated";
    AuthKeyDeleted = "auth_key_deleted", "Auth key deleted";
    AuthKeyUsed = "auth_key_used", "Auth key used";
    AuthKeyRefused = "auth_key_refused", "Auth key refused";
    ApiTokenCreated = "api_token_created", "API access token created";
    ApiTokenRevoked = "api_token_revoked", "API access token revoked";
    DeviceIdentityCreated = "device_identity_created", "Device identity created";
    DeviceIdentityUpdated = "device_identity_updated", "Device identity updated";
    DeviceIdentityDeleted = "device_identity_deleted", "Device identity deleted";
    DeviceIdentityExchanged = "device_identity_exchanged", "Device identity exchanged";
    DeviceIdentityRefused = "device_identity_refused", "Device identity refused";
    ArtefactCreated = "artefact_created", "Artefact created";
    ArtefactDeleted = "artefact_deleted", "Artefact deleted";
    DeploymentCreated = "deployment_created", "Deployment created";
    DeploymentCancelled = "deployment_cancelled", "Deployment cancelled";
    DeploymentStarted = "deployment_started", "Deployment started";
    DeploymentSucceeded = "deployment_succeeded", "Deployment succeeded";
    DeploymentFailed = "deployment_failed", "Deployment failed";
    RolloutStarted = "rollout_started", "Deployment to many devices started";
    DeviceTransferred = "device_transferred", "Device transferred";
    UserInvited = "user_invited", "User invited";
    InvitationRevoked = "invitation_revoked", "Invitation revoked";
    UserJoined = "user_joined", "User joined";
    UserRemoved = "user_removed", "User removed";
    UserRoleChanged = "user_role_changed", "User role changed";
    OrganisationRenamed = "organisation_renamed", "Organisation renamed";
    TwoFactorRequired = "two_factor_required", "Two-factor authentication requirement enabled";
    TwoFactorNotRequired = "two_factor_not_required", "Two-factor authentication requirement disabled";
    FilesAllowed = "files_allowed", "File transfer allowed";
    FilesForbidden = "files_forbidden", "File transfer forbidden";
    AuditLogExported = "audit_log_exported", "Audit log exported";
    BillingChanged = "billing_changed", "Billing changed";
    OrganisationCreated = "organisation_created", "Organisation created";
    OrganisationDeleted = "organisation_deleted", "Organisation deleted";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.code()), Some(*action));
        }
    }
}
