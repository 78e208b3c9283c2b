//! Measures the release programs on this machine, beside OpenSSH in the same run, and records a table.
//!
//! What it is not: a test. Nothing fails here because it is slow; the table says what was reached and
//! what was missed. How to add to it: a function that returns rows, called in [`main`].

mod api;
mod browser;
mod identities;
mod idle;
mod image;
mod list;
mod report;
mod screen;
mod session;
mod ssh;
mod start;
mod updates;

use report::Report;

/// What can be asked for besides the parts of a session.
const PARTS: [&str; 8] = ["start", "idle", "image", "api", "list", "told", "deployed", "screen"];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::process::ExitCode {
    bramble_testkit::raise_open_files();
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("--apply-image", arguments)) =
        asked.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        image::apply(arguments).await;
        return std::process::ExitCode::SUCCESS;
    }
    let known: Vec<&str> = PARTS.into_iter().chain(session::PARTS).collect();
    if let Some(unknown) = asked.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("There are no rows called {unknown}; there are: {}.", known.join(", "));
        return std::process::ExitCode::from(2);
    }
    let wanted = |part: &str| asked.is_empty() || asked.iter().any(|name| name == part);
    let mut report = Report::default();
    if wanted("start") {
        report.add(start::measure().await);
    }
    if wanted("idle") {
        report.add(idle::measure().await);
    }
    if wanted("api") {
        report.add(api::measure().await);
    }
    if wanted("told") {
        report.add(updates::measure().await);
    }
    if wanted("deployed") {
        report.add(updates::deployed().await);
    }
    if wanted("image") {
        report.add(image::measure().await);
    }
    if wanted("list") {
        report.add(list::measure().await);
    }
    let of_session: Vec<&str> = session::PARTS.into_iter().filter(|part| wanted(part)).collect();
    if !of_session.is_empty() {
        report.add(session::measure(&of_session).await);
    }
    if wanted("screen") {
        report.add(screen::measure().await);
    }
    println!("{}", report.table());
    // A part is for looking; the record is of whole runs, so that any two of them compare, and of lists that are
    // longer or shorter than theirs.
    if asked.is_empty() {
        report.record("");
    } else if let (["list"], Some(count)) =
        (asked.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), list::other_count())
    {
        report.record(&format!("-{count}-devices"));
    }
    std::process::ExitCode::SUCCESS
}
