//! The table.

use serde::Serialize;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a number has to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// At most so many times what ssh took.
    TimesSsh(f64),
    /// Only measured.
    None,
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The median.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The same with ssh in the same run.
    pub ssh: Option<f64>,
    /// What it has to be.
    pub target: Target,
}

impl Row {
    /// A line without a comparison.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str, target: Target) -> Self {
        Self { what: what.into(), value, unit, ssh: None, target }
    }

    /// With ssh beside it.
    pub fn beside_ssh(mut self, ssh: f64) -> Self {
        self.ssh = Some(ssh);
        self
    }

    fn verdict(&self) -> (String, &'static str) {
        let word = |reached: bool| if reached { "reached" } else { "**missed**" };
        match self.target {
            Target::AtMost(most) => (format!("≤ {most} {}", self.unit), word(self.value <= most)),
            Target::AtLeast(least) => (format!("≥ {least} {}", self.unit), word(self.value >= least)),
            Target::TimesSsh(times) => {
                let reached = self.ssh.is_some_and(|ssh| self.value <= ssh * times);
                (format!("≤ {times} × ssh"), word(reached))
            }
            Target::None => ("–".to_owned(), ""),
        }
    }
}

/// KiB as MiB.
#[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
pub fn mb(kb: u64) -> f64 {
    kb as f64 / 1024.0
}

/// The middle of what was measured.
///
/// # Panics
/// If nothing was measured.
pub fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value that 99 of 100 stay below.
///
/// # Panics
/// If nothing was measured.
pub fn p99(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    values[(values.len() * 99 / 100).min(values.len() - 1)]
}

/// All lines of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds lines and shows them at once.
    pub fn add(&mut self, rows: Vec<Row>) {
        for row in &rows {
            eprintln!("{}: {:.3} {} (ssh: {:?})", row.what, row.value, row.unit, row.ssh);
        }
        self.rows.extend(rows);
    }

    /// The table, as Markdown.
    pub fn table(&self) -> String {
        let (date, commit) = run();
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?.to_owned();
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let mut text = format!(
            "# {date}, commit {commit}\n\n{} cores, {}. Medians; ssh was measured in the same run.\n\n\
             | | measured | ssh | target | |\n|---|--:|--:|---|---|\n",
            cores(),
            processor.unwrap_or_else(|| "unknown processor".to_owned())
        );
        for row in &self.rows {
            let (target, verdict) = row.verdict();
            let ssh = row.ssh.map_or_else(|| "–".to_owned(), |ssh| format!("{} {}", short(ssh), row.unit));
            let _ = writeln!(
                text,
                "| {} | {} {} | {ssh} | {target} | {verdict} |",
                row.what,
                short(row.value),
                row.unit
            );
        }
        text
    }

    /// Writes the table and its numbers into the folder of results, named by date, commit and what is special.
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn record(&self, special: &str) {
        let (date, commit) = run();
        let folder = folder();
        fs::create_dir_all(&folder).expect("the folder of results");
        let name = format!("{date}-{commit}{special}");
        fs::write(folder.join(format!("{name}.md")), self.table()).expect("the table is written");
        let json = serde_json::json!({"date": date, "commit": commit, "cores": cores(), "rows": self.rows});
        let json = serde_json::to_string_pretty(&json).expect("numbers are JSON");
        fs::write(folder.join(format!("{name}.json")), json + "\n").expect("the numbers are written");
        eprintln!("Recorded in bench/results/{name}.md");
    }
}

/// Date and commit, which name a run.
fn run() -> (String, String) {
    (first_line("date", &["-u", "+%Y-%m-%d"]), first_line("git", &["rev-parse", "--short=10", "HEAD"]))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}

fn short(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
