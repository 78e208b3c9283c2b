//! Counters for Prometheus. Own ones: a handful of numbers needs no registry.

use crate::app::App;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper ends of the latency buckets, in milliseconds.
const BUCKETS: [u64; 9] = [1, 5, 10, 25, 50, 100, 250, 1000, 5000];

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections that are open now.
    pub connections: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub failed_handshakes: AtomicU64,
    /// Connections closed because too many came from one address.
    pub crowded: AtomicU64,
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    latency: Latency,
}

#[derive(Debug, Default)]
struct Latency {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    microseconds: AtomicU64,
}

impl Metrics {
    /// A request was answered. `route` is a pattern, so there are only as many as routes.
    pub fn answered(&self, route: &str, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route.to_owned(), status)).or_default() += 1;
        drop(requests);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        for (bucket, end) in self.latency.buckets.iter().zip(BUCKETS) {
            if milliseconds < end {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.latency.count.fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }
}

/// The text that Prometheus reads.
pub async fn render(app: &App) -> String {
    let mut text = String::new();
    let metrics = &app.metrics;
    let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
    gauge(&mut text, "bramble_connections", "Open connections", load(&metrics.connections));
    gauge(&mut text, "bramble_devices_online", "Open device streams", app.link.open_streams());
    gauge(&mut text, "bramble_live_streams", "Open dashboards", count(app.live.open_streams()));
    counter(
        &mut text,
        "bramble_tls_handshakes_failed_total",
        "Failed handshakes",
        load(&metrics.failed_handshakes),
    );
    counter(
        &mut text,
        "bramble_connections_crowded_total",
        "Connections closed because too many came from one address",
        load(&metrics.crowded),
    );
    if let Some(relay) = &app.relay {
        let stats = relay.stats();
        gauge(&mut text, "bramble_relay_allocations", "TURN allocations", count(stats.allocations));
        gauge(&mut text, "bramble_relay_streams", "TURN streams", count(stats.streams));
        let (up, down) = (stats.bytes_from_clients, stats.bytes_to_clients);
        counter(&mut text, "bramble_relay_bytes_from_clients_total", "Bytes relayed from clients", up);
        counter(&mut text, "bramble_relay_bytes_to_clients_total", "Bytes relayed to clients", down);
        counter(&mut text, "bramble_relay_dropped_total", "Datagrams over a limit", stats.dropped);
        counter(&mut text, "bramble_relay_forbidden_total", "Forbidden peers", stats.forbidden);
    }
    match app.store.totals().await {
        Ok(totals) => {
            gauge(&mut text, "bramble_sessions", "Remote sessions that are not over", totals.sessions);
            gauge(&mut text, "bramble_mails_waiting", "Mails in the outbox", totals.mails);
            gauge(&mut text, "bramble_devices", "Linked devices", totals.devices);
        }
        Err(error) => tracing::warn!(%error, "the database could not be counted"),
    }
    if let Some(bytes) = resident_bytes() {
        gauge(&mut text, "process_resident_memory_bytes", "Memory of this process", bytes);
    }
    requests(&mut text, metrics);
    text
}

fn requests(text: &mut String, metrics: &Metrics) {
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "# HELP bramble_http_requests_total Requests\n# TYPE bramble_http_requests_total counter"
    );
    for ((route, status), number) in metrics.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ =
            writeln!(text, "bramble_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {number}");
    }
    let name = "bramble_http_request_seconds";
    let _ = writeln!(text, "# HELP {name} Time to the head of the answer\n# TYPE {name} histogram");
    let latency = &metrics.latency;
    for (bucket, end) in latency.buckets.iter().zip(BUCKETS) {
        let seconds = Duration::from_millis(end).as_secs_f64();
        let _ = writeln!(text, "{name}_bucket{{le=\"{seconds}\"}} {}", bucket.load(Ordering::Relaxed));
    }
    let count = latency.count.load(Ordering::Relaxed);
    let sum = Duration::from_micros(latency.microseconds.load(Ordering::Relaxed)).as_secs_f64();
    let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
}

fn gauge(text: &mut String, name: &str, help: &str, value: u64) {
    one(text, name, help, "gauge", value);
}

fn counter(text: &mut String, name: &str, help: &str, value: u64) {
    one(text, name, help, "counter", value);
}

fn one(text: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
