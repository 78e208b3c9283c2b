//! Measures the release programs on this machine, beside OpenSSH in the same run, and records a table.
//!
//! What it is not: a test. Nothing fails here because it is slow; the table says what was reached and
//! what was missed. How to add to it: a function that returns rows, called in [`main`].

mod idle;
mod report;
mod session;
mod ssh;
mod start;

use report::Report;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    bramble_testkit::raise_open_files();
    let wanted = |part: &str| {
        let mut parts = std::env::args().skip(1).peekable();
        parts.peek().is_none() || parts.any(|name| name == part)
    };
    let mut report = Report::default();
    if wanted("start") {
        report.add(start::measure().await);
    }
    if wanted("idle") {
        report.add(idle::measure().await);
    }
    if wanted("session") {
        report.add(session::measure().await);
    }
    report.write();
}
