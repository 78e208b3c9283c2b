//! Auth keys: link one device without a person at it.

use crate::Timestamp;
use crate::phrases;
use bramble_wire::DeviceId;
use time::Duration;

/// How long the same key answers again when the first answer was lost on its way.
pub const LOST_ANSWER: Duration = Duration::minutes(10);

/// Whole days that a key lives: 1 to 90.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlDays(u8);

impl TtlDays {
    /// One day, the default of the management API.
    pub const ONE: Self = Self(1);

    /// Checks the range; the error is the contract's sentence.
    pub fn new(days: i64) -> Result<Self, &'static str> {
        match u8::try_from(days) {
            Ok(days @ 1..=90) => Ok(Self(days)),
            _ => Err(phrases::TTL_DAYS),
        }
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::days(self.0.into())
    }
}

/// Where a key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Links the next device that brings it.
    Usable {
        /// Until then.
        expires_at: Timestamp,
    },
    /// Its time passed unused.
    Expired {
        /// Since then.
        expired_at: Timestamp,
    },
    /// It linked a device.
    Exchanged {
        /// When.
        at: Timestamp,
        /// The device, if its entry still exists.
        device: Option<DeviceId>,
    },
}

impl State {
    /// The state at a moment, from what the store keeps.
    pub fn of(
        expires_at: Timestamp,
        exchanged_at: Option<Timestamp>,
        device: Option<DeviceId>,
        now: Timestamp,
    ) -> Self {
        match exchanged_at {
            Some(at) => Self::Exchanged { at, device },
            None if expires_at <= now => Self::Expired { expired_at: expires_at },
            None => Self::Usable { expires_at },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_one_to_ninety_days() {
        for bad in [i64::MIN, -1, 0, 91, 257, i64::MAX] {
            assert_eq!(TtlDays::new(bad), Err("Ttl days must be between 1 and 90"));
        }
        assert_eq!(TtlDays::new(90).map(TtlDays::duration), Ok(Duration::days(90)));
    }

    #[test]
    fn the_moment_of_expiry_is_too_late() {
        let end = Timestamp::UNIX_EPOCH + Duration::days(1);
        let before = end - Duration::microseconds(1);
        assert_eq!(State::of(end, None, None, before), State::Usable { expires_at: end });
        assert_eq!(State::of(end, None, None, end), State::Expired { expired_at: end });
        assert_eq!(State::of(end, Some(before), None, end), State::Exchanged { at: before, device: None });
    }
}
