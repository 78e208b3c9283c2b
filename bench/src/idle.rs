//! What a device costs that only waits.

use crate::report::{Row, Target, mb};
use bramble_testkit::{Dialer, Fleet, TestServer, eventually, resident_kb};
use std::time::{Duration, Instant};

/// Sizes of the fleet. The second is near what 20,000 open files allow.
const SIZES: [usize; 2] = [5_000, 19_500];
/// Within which all must have a stream.
const LIMIT: Duration = Duration::from_mins(5);

/// Memory for each idle TLS device, what stays after they left, and how long a fleet takes to come back.
pub async fn measure() -> Vec<Row> {
    let mut server = TestServer::builder().tls().start().await;
    let person = server.person("Ada").await;
    server.stop().await;
    let fleet = Fleet::insert(&server, &person, SIZES[1]).await;
    let dialer = Dialer::new(&server);
    let mut rows = Vec::new();
    for size in SIZES {
        server.start_again().await;
        // Everything that is made at the first use is made.
        let (first, _) = fleet.connect(&dialer, 50, LIMIT).await;
        drop(first);
        let empty = settled(&server).await;
        let (streams, _) = fleet.connect(&dialer, size, LIMIT).await;
        let full = settled(&server).await;
        #[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
        let each = (full.saturating_sub(empty)) as f64 / size as f64;
        rows.push(Row::new(
            format!("server, per idle TLS device, {size} online"),
            each,
            "KB",
            Target::AtMost(12.0),
        ));
        if size == SIZES[0] {
            drop(streams);
            rows.extend(reconnect(&mut server, &fleet, &dialer, size, full).await);
        } else {
            drop(streams);
            let (at_once, left) = (gone(&server).await, settled(&server).await);
            let empty = empty / 1024;
            for (when, left) in [("just", at_once), ("settled", left)] {
                let what = format!("server, RSS after {size} left, {when} (empty: {empty} MB)");
                rows.push(Row::new(what, mb(left), "MB", Target::None));
            }
        }
        server.stop().await;
    }
    rows
}

/// `before` is the server's memory in KiB with the same devices before it was killed.
async fn reconnect(
    server: &mut TestServer,
    fleet: &Fleet,
    dialer: &Dialer,
    size: usize,
    before: u64,
) -> [Row; 3] {
    server.kill().await;
    let began = Instant::now();
    server.start_again().await;
    let (streams, refusals) = fleet.connect(dialer, size, LIMIT).await;
    let took = began.elapsed().as_secs_f64();
    let errors = refusals.iter().filter(|status| **status >= 500 && **status != 503).count();
    assert_eq!(errors, 0, "answers that were 5xx and not 503");
    let (at_once, after) = (resident(server), settled(server).await);
    drop(streams);
    let of_before = |when: &str| {
        format!("server, RSS with {size} back, {when}, of what it was before ({} MB)", before / 1024)
    };
    [
        Row::new(format!("{size} devices back after the server was killed"), took, "s", Target::AtMost(60.0)),
        Row::new(of_before("just"), mb(at_once) / mb(before), "×", Target::None),
        Row::new(of_before("settled"), mb(after) / mb(before), "×", Target::AtMost(1.1)),
    ]
}

/// Resident memory as soon as the server has noticed that nobody is connected any more.
async fn gone(server: &TestServer) -> u64 {
    let sockets = format!("/proc/{}/fd", server.pid());
    eventually("the server has closed the connections", Duration::from_mins(1), async || {
        (std::fs::read_dir(&sockets).expect("the server runs").count() < 200).then(|| resident(server))
    })
    .await
}

/// Resident memory once it has not moved for five seconds: the allocator gives back within two what it can.
async fn settled(server: &TestServer) -> u64 {
    let mut last = 0;
    let mut since = Instant::now();
    eventually("memory settles", Duration::from_mins(2), async || {
        let now = resident(server);
        if now.abs_diff(last) > 64 {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() >= Duration::from_secs(5)).then_some(now)
    })
    .await
}

fn resident(server: &TestServer) -> u64 {
    resident_kb(server.pid()).expect("the server runs")
}
