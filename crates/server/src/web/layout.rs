//! The frame around a page: who is signed in, which account is shown, its tabs, banners and the
//! message that the last action left.
//!
//! A page's struct has a field `frame: Frame` and its template extends `layout.html`.

use bramble_wire::AccountId;

/// Everything that `layout.html` shows around a page.
///
/// ```
/// # use bramble_server::web::layout::{Frame, Tab};
/// let frame = Frame::signed_in("Ada Example", "ada@example.org")
///     .tabs(vec![Tab::new("Devices", "/devices"), Tab::new("Settings", "/settings")])
///     .current("Devices");
/// assert!(frame.tabs[0].current);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Who is signed in; `None` on the pages before that.
    pub person: Option<Person>,
    /// The account switcher's entries. Empty: no switcher.
    pub accounts: Vec<AccountEntry>,
    /// The tabs of the account shown.
    pub tabs: Vec<Tab>,
    /// Notices below the bar that stay until their cause is gone.
    pub banners: Vec<Banner>,
    /// What the last action did. Never the only copy of a message.
    pub flash: Option<Flash>,
    /// The page changes by itself when something of this account changes.
    pub live_account: Option<AccountId>,
}

/// The person in the user menu.
#[derive(Debug, Clone)]
pub struct Person {
    /// Display name.
    pub name: String,
    /// Address, which tells two accounts of the same name apart.
    pub email: String,
}

/// An account in the switcher.
#[derive(Debug, Clone)]
pub struct AccountEntry {
    /// "Personal" or the organisation's name.
    pub name: String,
    /// Its first page.
    pub href: String,
    /// An organisation; else a personal account.
    pub organisation: bool,
    /// The one shown.
    pub current: bool,
}

/// A tab of the account shown.
#[derive(Debug, Clone)]
pub struct Tab {
    /// Its word.
    pub label: &'static str,
    /// Its page.
    pub href: String,
    /// The one shown.
    pub current: bool,
}

/// How a message is meant. Each has a colour, an icon and a word: never a colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// For information.
    Info,
    /// Something succeeded.
    Good,
    /// Something needs attention soon.
    Warning,
    /// Something failed.
    Bad,
}

/// A notice below the bar.
#[derive(Debug, Clone)]
pub struct Banner {
    /// How it is meant.
    pub tone: Tone,
    /// A sentence.
    pub text: String,
    /// What to do about it.
    pub action: Option<Link>,
}

/// The message that the last action left.
#[derive(Debug, Clone)]
pub struct Flash {
    /// How it is meant.
    pub tone: Tone,
    /// A sentence.
    pub text: String,
}

/// A word that leads somewhere.
#[derive(Debug, Clone)]
pub struct Link {
    /// A verb.
    pub label: String,
    /// A local path.
    pub href: String,
}

impl Frame {
    /// The frame of the pages before signing in.
    pub fn signed_out() -> Self {
        Self::default()
    }

    /// The frame for a person who is signed in.
    pub fn signed_in(name: impl Into<String>, email: impl Into<String>) -> Self {
        Self { person: Some(Person { name: name.into(), email: email.into() }), ..Self::default() }
    }

    /// With these tabs.
    #[must_use]
    pub fn tabs(mut self, tabs: Vec<Tab>) -> Self {
        self.tabs = tabs;
        self
    }

    /// With the tab of this label marked as the one shown.
    #[must_use]
    pub fn current(mut self, label: &str) -> Self {
        for tab in &mut self.tabs {
            tab.current = tab.label == label;
        }
        self
    }

    /// With the account switcher.
    #[must_use]
    pub fn accounts(mut self, accounts: Vec<AccountEntry>) -> Self {
        self.accounts = accounts;
        self
    }

    /// With a notice below the bar.
    #[must_use]
    pub fn banner(mut self, tone: Tone, text: impl Into<String>, action: Option<Link>) -> Self {
        self.banners.push(Banner { tone, text: text.into(), action });
        self
    }

    /// With the message that the last action left.
    #[must_use]
    pub fn flash(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.flash = Some(Flash { tone, text: text.into() });
        self
    }

    /// Changing by itself when something of this account changes.
    #[must_use]
    pub fn live(mut self, account: AccountId) -> Self {
        self.live_account = Some(account);
        self
    }

    /// The account shown, for the switcher's button.
    pub fn current_account(&self) -> Option<&AccountEntry> {
        self.accounts.iter().find(|account| account.current)
    }
}

impl Tab {
    /// A tab that is not the one shown.
    pub fn new(label: &'static str, href: impl Into<String>) -> Self {
        Self { label, href: href.into(), current: false }
    }
}

impl Link {
    /// A word that leads to this local path.
    pub fn new(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self { label: label.into(), href: href.into() }
    }
}

impl Tone {
    /// The last part of its CSS class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    /// Its icon.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Good => "circle-check",
            Self::Warning => "triangle-alert",
            Self::Bad => "circle-alert",
        }
    }

    /// Its word, for those who see neither colour nor icon.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "Note",
            Self::Good => "Done",
            Self::Warning => "Attention",
            Self::Bad => "Problem",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tab_and_one_account_are_current() {
        let frame = Frame::signed_in("Ada", "ada@example.org")
            .tabs(vec![Tab::new("Devices", "/devices"), Tab::new("Settings", "/settings")])
            .current("Settings")
            .accounts(vec![AccountEntry {
                name: "Personal".into(),
                href: "/devices".into(),
                organisation: false,
                current: true,
            }]);
        let current: Vec<_> = frame.tabs.iter().filter(|t| t.current).collect();
        assert_eq!(current.len(), 1);
        assert_eq!(current[0].label, "Settings");
        assert_eq!(frame.current_account().expect("one").name, "Personal");
    }
}
