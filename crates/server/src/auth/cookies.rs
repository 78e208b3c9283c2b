//! The cookies: the session's, the one by which a browser is known again after signing out, and the one
//! of a sign-in that waits for the second factor or for another provider.
//!
//! With HTTPS all have the `__Host-` prefix, which makes the browser insist on `Secure`, on the whole
//! host and on no domain. Without HTTPS (localhost, or `--allow-insecure-http`) some browsers drop
//! secure cookies, so all go without prefix and `Secure` there; the public URL's scheme decides.

use crate::app::App;
use axum::http::{HeaderMap, HeaderValue, header};
use bramble_model::{Secret, SecretKind};
use time::Duration;

/// How long a session lasts, however it is used.
pub const SESSION_LIFETIME: Duration = Duration::days(30);
/// How long a session lasts without being used.
pub const SESSION_IDLE: Duration = Duration::days(7);
/// How long a browser is remembered after its last sign-in.
pub const KNOWN_BROWSER_LIFETIME: Duration = Duration::days(365);

/// How long a sign-in waits for the second factor.
pub const PENDING_LIFETIME: Duration = Duration::minutes(10);

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// Signed in.
    Session,
    /// Signed in before.
    KnownBrowser,
    /// Gave the password, owes the second factor.
    PendingSignIn,
    /// Went to another provider and comes back.
    ProviderFlow,
}

impl Cookie {
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-bramble",
            (Self::Session, false) => "bramble",
            (Self::KnownBrowser, true) => "__Host-bramble-browser",
            (Self::KnownBrowser, false) => "bramble-browser",
            (Self::PendingSignIn, true) => "__Host-bramble-sign-in",
            (Self::PendingSignIn, false) => "bramble-sign-in",
            (Self::ProviderFlow, true) => "__Host-bramble-provider",
            (Self::ProviderFlow, false) => "bramble-provider",
        }
    }

    fn kind(self) -> SecretKind {
        match self {
            Self::Session => SecretKind::WebSession,
            Self::KnownBrowser => SecretKind::KnownBrowser,
            Self::PendingSignIn => SecretKind::PendingSignIn,
            Self::ProviderFlow => SecretKind::ProviderFlow,
        }
    }

    fn lifetime(self) -> Duration {
        match self {
            Self::Session => SESSION_LIFETIME,
            Self::KnownBrowser => KNOWN_BROWSER_LIFETIME,
            Self::PendingSignIn => PENDING_LIFETIME,
            Self::ProviderFlow => crate::accounts::providers::LIFETIME,
        }
    }

    /// What the browser sent, if it can be one.
    pub fn read(self, app: &App, headers: &HeaderMap) -> Option<Secret> {
        let name = self.name(is_secure(app));
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| Secret::parse(self.kind(), value))
    }

    /// The header that sets it.
    pub fn set(self, app: &App, secret: &Secret) -> HeaderValue {
        self.header(app, secret.expose(), self.lifetime().whole_seconds())
    }

    /// The header that removes it.
    pub fn remove(self, app: &App) -> HeaderValue {
        self.header(app, "", 0)
    }

    fn header(self, app: &App, value: &str, max_age: i64) -> HeaderValue {
        let secure = is_secure(app);
        let name = self.name(secure);
        let secure = if secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
        let mut header = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }
}

fn is_secure(app: &App) -> bool {
    app.config.public_url.scheme() == "https"
}
