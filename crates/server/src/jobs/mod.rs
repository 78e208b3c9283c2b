//! Work that comes round, with jitter: of many nodes one does a job in its interval, and no node begins a job
//! that it has not ended. A job that takes longer than half of its interval may begin on another node as well,
//! which each must bear anyway.
//!
//! To add one: a line in [`all`], and the work beside what it is about, in its slice.

use crate::app::{App, Ctx};
use bramble_model::Random;
use bramble_store::StoreError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A running job's answer.
pub type Running = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Work that comes round.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Names the claim in the store: the same on every node and in every version.
    pub name: &'static str,
    /// How often.
    pub every: Duration,
    /// The work. It must bear being cut off and being repeated.
    pub run: fn(Ctx) -> Running,
}

const HOURLY: Duration = Duration::from_hours(1);

/// All of them.
pub fn all() -> Vec<Job> {
    vec![
        Job {
            name: "accounts",
            every: HOURLY,
            run: |app| Box::pin(async move { crate::accounts::sweep(&app).await }),
        },
        Job {
            name: "mails",
            every: HOURLY,
            run: |app| Box::pin(async move { crate::mail::delivery::sweep(&app).await }),
        },
        Job {
            name: "digests",
            every: Duration::from_mins(1),
            run: |app| Box::pin(async move { crate::mail::digest::round(&app).await }),
        },
        Job {
            name: "audit-log",
            every: HOURLY,
            run: |app| Box::pin(async move { crate::audit::log::sweep(&app).await }),
        },
        Job {
            name: "invitations",
            every: HOURLY,
            run: |app| Box::pin(async move { crate::organisations::invitations::sweep(&app).await }),
        },
        Job {
            name: "link-requests",
            every: Duration::from_mins(1),
            run: |app| Box::pin(async move { crate::linking::sweep(&app).await }),
        },
        Job {
            name: "rollouts",
            every: Duration::from_mins(1),
            run: |app| Box::pin(async move { crate::deployments::rollouts::resume(&app).await }),
        },
    ]
}

/// Starts every job; they end when the server stops.
pub fn start(app: &Ctx, jobs: Vec<Job>) {
    for job in jobs {
        let app = Arc::clone(app);
        app.tasks.clone().spawn(come_round(app, job));
    }
}

async fn come_round(app: Ctx, job: Job) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep(with_jitter(job.every, &*app.random)) => {}
        }
        if let Err(error) = run_once(&app, job).await {
            tracing::warn!(%error, job = job.name, "a job failed and will be repeated");
        }
    }
}

/// Runs the job unless another node did so within its interval.
pub async fn run_once(app: &Ctx, job: Job) -> Result<(), StoreError> {
    if claim(app, job).await? {
        (job.run)(Arc::clone(app)).await?;
    }
    Ok(())
}

async fn claim(app: &App, job: Job) -> Result<bool, StoreError> {
    let now = app.clock.now();
    // Shorter than the interval, so that the next round of the same node is not its own rival.
    let until = now + job.every.mul_f64(0.5);
    app.store.claim_job(job.name, now, until).await
}

/// Between 90 % and 110 %: nodes that started together do not stay together.
fn with_jitter(every: Duration, random: &dyn Random) -> Duration {
    every.mul_f64(0.9 + f64::from(random.below(2001)) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_model::SeededRandom;

    #[test]
    fn jitter_stays_close() {
        let random = SeededRandom::new(1);
        for _ in 0..100 {
            let each = with_jitter(Duration::from_secs(100), &random);
            assert!((90.0..=110.001).contains(&each.as_secs_f64()), "{each:?}");
        }
    }
}
