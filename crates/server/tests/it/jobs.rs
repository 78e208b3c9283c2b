//! Work that comes round: of many nodes on one database one does it.

use crate::accounts::site::Plan;
use bramble_server::app::Ctx;
use bramble_server::jobs::{Job, Running, run_once};
use bramble_store::testing::Engine;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration as Every;
use time::Duration;

static RUNS: AtomicUsize = AtomicUsize::new(0);

fn counted(_: Ctx) -> Running {
    RUNS.fetch_add(1, Ordering::SeqCst);
    Box::pin(std::future::ready(Ok(())))
}

const JOB: Job = Job { name: "counted", every: Every::from_mins(1), run: counted };

/// Every node comes round four times at once; returns how often the work was done.
async fn everybody(nodes: &[Ctx], job: Job) -> usize {
    let before = RUNS.load(Ordering::SeqCst);
    let all: Vec<_> = (0..4).flat_map(|_| nodes.iter().map(Arc::clone)).collect();
    let all: Vec<_> =
        all.into_iter().map(|node| tokio::spawn(async move { run_once(&node, job).await })).collect();
    for one in all {
        one.await.expect("no panic").expect("a round");
    }
    RUNS.load(Ordering::SeqCst) - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_nodes_one_does_a_job_once_in_its_interval() {
    for engine in Engine::BOTH {
        let clock = Plan::clock();
        let plan = || Plan { engine, ..Plan::default() };
        let site = plan().build_at(Arc::clone(&clock)).await;
        let mut nodes = vec![Arc::clone(&site.app)];
        for folder in ["second", "third"] {
            nodes.push(plan().node(&site.database, &clock, folder).await);
        }
        assert_eq!(everybody(&nodes, JOB).await, 1, "{engine:?}");
        // The nodes do not come round together: half an interval later it is not done again.
        clock.advance(Duration::seconds(30) - Duration::microseconds(1));
        assert_eq!(everybody(&nodes, JOB).await, 0, "{engine:?}: too early");
        assert_eq!(
            everybody(&nodes, Job { name: "another", ..JOB }).await,
            1,
            "{engine:?}: claims are apart"
        );
        clock.advance(Duration::microseconds(1));
        assert_eq!(everybody(&nodes, JOB).await, 1, "{engine:?}: whichever node is next");
    }
}
