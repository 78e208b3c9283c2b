//! After a start: what happened, and what is due. And what people and the daemon may ask for.

use super::{Engine, Inner, Kept, Point, PowerCut, Refusal, kept};
use crate::update::record::{Outcome, Phase, Record};
use std::io;

/// The spec's words.
const NOT_STARTED: &str = "Rolled back: the new system did not start";
const ASKED_FOR: &str = "Rolled back: asked for on the device";
const NOT_REACHED: &str = "Rolled back: the new system did not reach the server";
const INTERRUPTED: &str = "The device restarted while a script ran";

impl Engine {
    /// Finds out what became of an update that was under way, and goes on where that is safe. A restart
    /// that is due is due after this: see [`Engine::restart_if_due`].
    pub fn recover(&self) -> Result<(), PowerCut> {
        self.sweep();
        let mut inner = self.lock();
        let record = inner.record.clone();
        let view = self.slots.look();
        let committed = record.target.is_some() && view.default == record.target;
        let tried = view.tried && (view.running.is_none() || view.running == record.target);
        let same_boot = record.boot == self.slots.boot_id();
        let done = match record.phase {
            Phase::Finished if record.restart && !same_boot => {
                self.keep(&mut inner, Record { restart: false, ..record })
            }
            // Interrupted or not: nothing that runs was touched. The daemon orders it again.
            Phase::Idle | Phase::Downloading | Phase::Ready | Phase::Finished => Ok(()),
            Phase::Scripts => self.finish(&mut inner, Outcome::Failed(INTERRUPTED.to_owned())),
            _ if committed => self.finish(&mut inner, Outcome::Succeeded),
            Phase::Trying if tried || same_boot => Ok(()),
            Phase::Committing if tried => self.commit_now(&mut inner).map_err(as_kept),
            Phase::RollingBack if tried => Ok(()),
            Phase::RollingBack => {
                let why = record.outcome.unwrap_or_else(|| Outcome::Failed(ASKED_FOR.to_owned()));
                self.finish(&mut inner, why)
            }
            Phase::Trying | Phase::Committing => {
                self.finish(&mut inner, Outcome::Failed(NOT_STARTED.to_owned()))
            }
        };
        match done {
            Err(Kept::Cut(cut)) => Err(cut),
            Err(Kept::Device(error)) => {
                tracing::error!(%error, "what became of the update could not be kept");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Restarts the device if an update needs it now. True if it does.
    pub fn restart_if_due(&self) -> Result<bool, Refusal> {
        let automatic = self.settings().auto_reboot;
        let mut inner = self.lock();
        if inner.running {
            return Ok(false);
        }
        match inner.record.phase {
            Phase::Ready if automatic => self.try_other(&mut inner).map(|()| true),
            // The order to restart was lost, or the system did not obey.
            Phase::Trying if !self.slots.look().tried => self.try_other(&mut inner).map(|()| true),
            Phase::RollingBack => self.restart(false).map(|()| true),
            Phase::Finished if inner.record.restart && automatic => self.restart(false).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Restarts the device because somebody said so, where an update waits for it.
    pub fn reboot(&self) -> Result<(), Refusal> {
        let mut inner = self.lock();
        match inner.record.phase {
            _ if inner.running => Err(Refusal::Busy),
            Phase::Ready => self.try_other(&mut inner),
            Phase::Finished if inner.record.restart => self.restart(false),
            _ => Err(Refusal::NothingToDo),
        }
    }

    /// The tried system becomes the default.
    pub fn commit(&self) -> Result<(), Refusal> {
        let mut inner = self.lock();
        match inner.record.phase {
            Phase::Trying if self.slots.look().tried => self.commit_now(&mut inner),
            Phase::Committing => self.commit_now(&mut inner),
            _ => Err(Refusal::NothingToDo),
        }
    }

    /// Back to the old system.
    pub fn rollback(&self) -> Result<(), Refusal> {
        self.roll_back(ASKED_FOR)
    }

    /// Back to the old system, because this one did not reach the server in time.
    pub fn give_up(&self) -> Result<(), Refusal> {
        self.roll_back(NOT_REACHED)
    }

    fn roll_back(&self, why: &str) -> Result<(), Refusal> {
        let mut inner = self.lock();
        let outcome = Outcome::Failed(why.to_owned());
        match inner.record.phase {
            _ if inner.running => Err(Refusal::Busy),
            // It never started; nothing needs to be undone.
            Phase::Ready => self.finish(&mut inner, outcome).map_err(kept),
            Phase::Trying if self.slots.look().tried => {
                let next =
                    Record { phase: Phase::RollingBack, outcome: Some(outcome), ..inner.record.clone() };
                self.keep(&mut inner, next).map_err(kept)?;
                self.restart(false)
            }
            _ => Err(Refusal::NothingToDo),
        }
    }

    fn try_other(&self, inner: &mut Inner) -> Result<(), Refusal> {
        // The firmware's file may have been changed since the slot was written.
        match self.slots.target() {
            Ok(target) if inner.record.target == Some(target) => {}
            Ok(_) => return self.changed(inner, "the other slot is another one now"),
            Err(problem) => return self.changed(inner, &problem.to_string()),
        }
        let next = Record { phase: Phase::Trying, boot: self.slots.boot_id(), ..inner.record.clone() };
        self.keep(inner, next).map_err(kept)?;
        self.restart(true)
    }

    fn changed(&self, inner: &mut Inner, why: &str) -> Result<(), Refusal> {
        let outcome = Outcome::Failed(format!("The new system cannot be started: {why}"));
        self.finish(inner, outcome).map_err(kept)
    }

    fn restart(&self, tryboot: bool) -> Result<(), Refusal> {
        self.options.steps.at(Point::BeforeRestart)?;
        tracing::info!(tryboot, "restarting the device");
        self.options.power.restart(tryboot).map_err(Refusal::Device)?;
        self.options.steps.at(Point::AfterRestart)?;
        Ok(())
    }

    fn commit_now(&self, inner: &mut Inner) -> Result<(), Refusal> {
        let Some(target) = inner.record.target else { return Err(Refusal::NothingToDo) };
        if inner.record.phase != Phase::Committing {
            let next = Record { phase: Phase::Committing, ..inner.record.clone() };
            self.keep(inner, next).map_err(kept)?;
        }
        self.slots.commit(target).map_err(Refusal::Device)?;
        self.options.steps.at(Point::Committed)?;
        self.finish(inner, Outcome::Succeeded).map_err(kept)
    }
}

fn as_kept(refusal: Refusal) -> Kept {
    match refusal {
        Refusal::Cut(cut) => Kept::Cut(cut),
        other => Kept::Device(io::Error::other(other)),
    }
}
