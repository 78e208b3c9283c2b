//! A client that others wrote: `turnutils_uclient` of coturn, with time-limited credentials. It makes pairs of allocations
//! and sends from one to the other, so that everything passes the relay twice.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use bramble_relay::credentials::Side;
use tokio::process::Command;
use tokio::time::timeout;

use crate::bench::Bench;
use crate::streams::tls;

const MESSAGES: u32 = 50;

/// It uses one credential for all that it opens.
const ALLOCATIONS: usize = 8;

fn bench() -> Bench {
    Bench::with(|config| config.limits.allocations_per_credential = ALLOCATIONS)
}

/// Runs the client and returns what it says.
async fn uclient(bench: &Bench, server: SocketAddr, flags: &[&str]) -> String {
    let credential = bench.credential("uclient", Side::Browser);
    let port = server.port().to_string();
    let messages = MESSAGES.to_string();
    let mut command = Command::new("turnutils_uclient");
    command
        .args(flags)
        // Between two clients, without a pair of ports each, messages of 200 bytes every 20 ms.
        .args(["-y", "-c", "-l", "200", "-z", "20", "-n", &messages, "-p", &port])
        .args(["-u", &credential.username, "-w", &credential.password])
        .arg(server.ip().to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(Duration::from_mins(1), command.output()).await.expect("it ends");
    let output = output.expect("turnutils_uclient is installed (Debian package coturn)");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// `tot_send_msgs` and `tot_recv_msgs` of its report.
fn sent_and_received(report: &str) -> (u32, u32) {
    let number = |name: &str| {
        let at = report.rfind(name).unwrap_or_else(|| panic!("no {name} in {report}"));
        let digits: String = report[at + name.len()..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("no number after {name} in {report}"))
    };
    (number("tot_send_msgs="), number("tot_recv_msgs="))
}

async fn relays_all(bench: &Bench, server: SocketAddr, flags: &[&str]) {
    let report = uclient(bench, server, flags).await;
    let (sent, received) = sent_and_received(&report);
    assert!(sent >= MESSAGES && sent == received, "{sent} sent, {received} received: {report}");
    let stats = bench.relay.stats();
    assert!(stats.bytes_to_clients >= u64::from(MESSAGES) * 200, "{stats:?}");
}

#[tokio::test]
async fn over_udp_with_channels() {
    let bench = bench();
    relays_all(&bench, bench.udp(), &[]).await;
}

#[tokio::test]
async fn over_udp_with_indications() {
    let bench = bench();
    relays_all(&bench, bench.udp(), &["-s"]).await;
}

#[tokio::test]
async fn over_tcp() {
    let bench = bench();
    relays_all(&bench, bench.tcp(), &["-t"]).await;
}

#[tokio::test]
async fn over_tls() {
    let (server, _) = tls();
    let bench = Bench::with(|config| {
        config.tls = vec![(SocketAddr::from(([127, 0, 0, 1], 0)), server)];
        config.limits.allocations_per_credential = ALLOCATIONS;
    });
    let report = uclient(&bench, bench.relay.local_addresses().tls[0], &["-t", "-S"]).await;
    let (sent, received) = sent_and_received(&report);
    // Of two messages that come in one TLS record this client sees only the first; our own sees both. What the relay
    // answers for is that it gave everything on.
    assert!(sent >= MESSAGES && received > 0, "{sent} sent, {received} received: {report}");
    let stats = bench.relay.stats();
    assert!(stats.bytes_from_clients >= u64::from(sent) * 200, "{stats:?}");
    assert_eq!((stats.bytes_from_clients, stats.dropped), (stats.bytes_to_clients, 0));
}

#[tokio::test]
async fn with_an_expired_credential_it_gets_nothing() {
    let bench = bench();
    bench.move_clock(601);
    let report = uclient(&bench, bench.udp(), &[]).await;
    assert!(report.contains("Cannot complete Allocation"), "{report}");
    assert_eq!(bench.relay.stats().allocations, 0);
}
