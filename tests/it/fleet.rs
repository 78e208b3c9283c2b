//! Many devices at once.

use bramble_testkit::{Dialer, EventStream, Fleet, TestServer, eventually, raise_open_files, resident_kb};
use std::time::Duration;

/// A server with TLS whose database has so many devices.
async fn server_with(count: usize) -> (TestServer, Fleet) {
    raise_open_files();
    let mut server = TestServer::builder().tls().start().await;
    let person = server.person("Ada").await;
    assert!(server.stop().await.success());
    let fleet = Fleet::insert(&server, &person, count).await;
    server.start_again().await;
    (server, fleet)
}

/// Kills the server under the fleet, starts it again, and sees all of it come back.
async fn comes_back(count: usize, limit: Duration) {
    let (mut server, fleet) = server_with(count).await;
    let dialer = Dialer::new(&server);
    let (mut streams, _) = fleet.connect(&dialer, count, limit).await;
    let before = resident_kb(server.pid()).expect("the server runs");

    server.kill().await;
    for stream in &mut streams {
        stream.closed().await;
    }
    drop(streams);
    server.start_again().await;
    let (streams, refusals) = fleet.connect(&dialer, count, limit).await;
    assert_eq!(streams.len(), count);
    let wrong: Vec<u16> = refusals.into_iter().filter(|status| *status != 503).collect();
    assert_eq!(wrong, Vec::<u16>::new(), "only 503 may turn a device away");

    eventually("memory is what it was, and a tenth", limit, async || {
        let now = resident_kb(server.pid())?;
        (now <= before + before / 10).then_some(())
    })
    .await;
    assert!(streams.iter().all(|stream: &EventStream| stream.status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_devices_come_back_after_the_server_was_killed() {
    comes_back(300, Duration::from_secs(30)).await;
}

mod long {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn five_thousand_devices_come_back_within_a_minute() {
        comes_back(5_000, Duration::from_mins(1)).await;
    }
}
