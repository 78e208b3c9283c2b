//! Deployments: an artefact on its way to one device.
//!
//! `pending → in_progress → succeeded | failed`, and `pending → cancelled | failed`. At most one of a
//! device is pending; one in progress is never superseded. Each transition consumes the state and
//! fails with the contract's sentence.

use crate::Timestamp;
use time::Duration;

/// Why a pending one failed when a newer one came.
pub const SUPERSEDED: &str = "Superseded by a newer deployment";
/// Why one in progress failed when its device started another, or was linked again.
pub const INTERRUPTED: &str = "Interrupted";
/// Why one in progress failed when its device moved to another account.
pub const TRANSFERRED: &str = "Transferred";
/// Why one in progress failed when its device was deleted.
pub const DEVICE_DELETED: &str = "Device deleted";
/// Why one in progress failed when an administrator gave it up.
pub const GIVEN_UP: &str = "Marked as failed by an administrator";
/// What is kept of a failure that its device did not explain.
pub const UNEXPLAINED: &str = "The device gave no reason";
/// After how long in progress an administrator may give it up.
pub const GIVE_UP_AFTER: Duration = Duration::hours(24);

/// The word for a state, as the store, the API and filters spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// Waits for the device.
    Pending,
    /// The device applies it.
    InProgress,
    /// Done.
    Succeeded,
    /// Not done.
    Failed,
    /// Called off before it started.
    Cancelled,
}

impl Word {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::InProgress, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// As it is spelt.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads it.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// Where a deployment stands, with what is known then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Waits for the device.
    Pending,
    /// The device applies it.
    InProgress {
        /// Since then.
        started_at: Timestamp,
    },
    /// Done.
    Succeeded {
        /// When it began.
        started_at: Timestamp,
        /// When it was done.
        finished_at: Timestamp,
    },
    /// Not done.
    Failed {
        /// When it began, if it did.
        started_at: Option<Timestamp>,
        /// When it failed.
        finished_at: Timestamp,
        /// Why, for people.
        reason: String,
    },
    /// Called off before it started.
    Cancelled {
        /// When.
        finished_at: Timestamp,
    },
}

/// What came of a transition that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A new state, to be written.
    To(State),
    /// It stands so already: a repeated report, answered as the first one was.
    Stands(State),
}

/// A transition that the state does not allow. The text is the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Cannot {deed} deployment in state \"{}\"", .from.as_str())]
pub struct Refused {
    deed: &'static str,
    from: Word,
}

impl State {
    /// The state's word.
    pub fn word(&self) -> Word {
        match self {
            Self::Pending => Word::Pending,
            Self::InProgress { .. } => Word::InProgress,
            Self::Succeeded { .. } => Word::Succeeded,
            Self::Failed { .. } => Word::Failed,
            Self::Cancelled { .. } => Word::Cancelled,
        }
    }

    /// Why it failed, if it did.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// When the device began, if it did.
    pub fn started_at(&self) -> Option<Timestamp> {
        match self {
            Self::InProgress { started_at } | Self::Succeeded { started_at, .. } => Some(*started_at),
            Self::Failed { started_at, .. } => *started_at,
            Self::Pending | Self::Cancelled { .. } => None,
        }
    }

    /// When it ended, if it did.
    pub fn finished_at(&self) -> Option<Timestamp> {
        match self {
            Self::Succeeded { finished_at, .. }
            | Self::Failed { finished_at, .. }
            | Self::Cancelled { finished_at } => Some(*finished_at),
            Self::Pending | Self::InProgress { .. } => None,
        }
    }

    /// The device starts it, or resumes what it started.
    pub fn start(self, now: Timestamp) -> Result<Step, Refused> {
        match self {
            Self::Pending => Ok(Step::To(Self::InProgress { started_at: now })),
            Self::InProgress { .. } => Ok(Step::Stands(self)),
            other => Err(other.refuse("start")),
        }
    }

    /// The device reports that it is done.
    pub fn complete(self, now: Timestamp) -> Result<Step, Refused> {
        match self {
            Self::InProgress { started_at } => Ok(Step::To(Self::Succeeded { started_at, finished_at: now })),
            Self::Succeeded { .. } => Ok(Step::Stands(self)),
            other => Err(other.refuse("complete")),
        }
    }

    /// The device reports that it is not done. One that the server failed meanwhile keeps the server's
    /// reason.
    pub fn fail(self, reason: String, now: Timestamp) -> Result<Step, Refused> {
        match self {
            Self::InProgress { started_at } => {
                Ok(Step::To(Self::Failed { started_at: Some(started_at), finished_at: now, reason }))
            }
            Self::Failed { started_at: Some(_), .. } => Ok(Step::Stands(self)),
            other => Err(other.refuse("fail")),
        }
    }

    /// Somebody calls it off.
    pub fn cancel(self, now: Timestamp) -> Result<Step, Refused> {
        match self {
            Self::Pending => Ok(Step::To(Self::Cancelled { finished_at: now })),
            other => Err(other.refuse("cancel")),
        }
    }

    /// An administrator gives one up that has been in progress for [`GIVE_UP_AFTER`].
    pub fn give_up(self, now: Timestamp) -> Result<Step, Refused> {
        if self.may_be_given_up(now) {
            self.fail(GIVEN_UP.to_owned(), now)
        } else {
            Err(self.refuse("give up"))
        }
    }

    /// Whether an administrator may give it up now.
    pub fn may_be_given_up(&self, now: Timestamp) -> bool {
        matches!(self, Self::InProgress { started_at } if *started_at + GIVE_UP_AFTER <= now)
    }

    /// The device tells how far it got: no change of state, allowed in progress alone.
    pub fn may_report_progress(&self) -> Result<(), Refused> {
        match self {
            Self::InProgress { .. } => Ok(()),
            other => Err(other.refuse("report progress of")),
        }
    }

    fn refuse(&self, deed: &'static str) -> Refused {
        Refused { deed, from: self.word() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn all() -> [State; 6] {
        let started_at = NOW;
        let failed =
            |started_at| State::Failed { started_at, finished_at: NOW, reason: "no space".to_owned() };
        [
            State::Pending,
            State::InProgress { started_at },
            State::Succeeded { started_at, finished_at: NOW },
            failed(Some(started_at)),
            failed(None),
            State::Cancelled { finished_at: NOW },
        ]
    }

    /// For every state: the word of the next one, "=" for the same again, "" for a refusal.
    fn outcomes(go: impl Fn(State) -> Result<Step, Refused>) -> [&'static str; 6] {
        all().map(|state| match go(state) {
            Ok(Step::To(state)) => state.word().as_str(),
            Ok(Step::Stands(_)) => "=",
            Err(_) => "",
        })
    }

    #[test]
    fn every_transition_from_every_state() {
        assert_eq!(outcomes(|s| s.start(NOW)), ["in_progress", "=", "", "", "", ""]);
        assert_eq!(outcomes(|s| s.complete(NOW)), ["", "succeeded", "=", "", "", ""]);
        assert_eq!(outcomes(|s| s.fail("x".into(), NOW)), ["", "failed", "", "=", "", ""]);
        assert_eq!(outcomes(|s| s.cancel(NOW)), ["cancelled", "", "", "", "", ""]);
        let later = NOW + GIVE_UP_AFTER;
        assert_eq!(outcomes(|s| s.give_up(later)), ["", "failed", "", "", "", ""]);
        assert_eq!(outcomes(|s| s.give_up(later - Duration::microseconds(1))), [""; 6]);
    }

    #[test]
    fn refusals_are_the_contracts_sentences() {
        let refused = |step: Result<Step, Refused>| step.expect_err("refused").to_string();
        assert_eq!(
            refused(State::InProgress { started_at: NOW }.cancel(NOW)),
            "Cannot cancel deployment in state \"in_progress\""
        );
        assert_eq!(
            refused(State::Cancelled { finished_at: NOW }.start(NOW)),
            "Cannot start deployment in state \"cancelled\""
        );
    }

    #[test]
    fn a_repeated_report_keeps_the_first_reason() {
        let failed = State::InProgress { started_at: NOW }.fail("first".into(), NOW);
        let Ok(Step::To(failed)) = failed else { panic!("fails") };
        let Ok(Step::Stands(again)) = failed.fail("second".into(), NOW) else { panic!("stands") };
        assert_eq!(again.reason(), Some("first"));
    }

    #[test]
    fn words_read_back() {
        for word in Word::ALL {
            assert_eq!(Word::parse(word.as_str()), Some(word));
        }
        assert_eq!(Word::parse("exploded"), None);
    }
}
