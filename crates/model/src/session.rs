//! Remote sessions as the server knows them: who, which device, since when. Not what happens inside.

use time::Duration;

/// How long an offer and its candidates wait in memory for the device.
pub const SIGNALLING_LIFETIME: Duration = Duration::seconds(60);
/// Most live sessions of one person to one device.
pub const MAX_LIVE_PER_USER_AND_DEVICE: u64 = 10;
/// A sign-in younger than this is fresh.
pub const FRESH: Duration = Duration::hours(1);
/// How long a relay credential may be used to allocate.
pub const RELAY_CREDENTIAL_LIFETIME: Duration = Duration::minutes(10);

/// Where a session stands in the store. `waiting → connected → ended`, or `waiting → ended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Opened in the browser; the device has not reported.
    Waiting,
    /// The device reported open channels.
    Connected,
    /// Over.
    Ended,
}

impl State {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connected => "connected",
            Self::Ended => "ended",
        }
    }

    /// Reads the store's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Connected, Self::Ended].into_iter().find(|s| s.as_str() == word)
    }
}
