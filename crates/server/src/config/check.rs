//! `bramble config check`: every effective value, where it comes from, and what is wrong.

use super::settings::{ALL, Setting};
use super::{Config, Problem, Values};
use serde::Serialize;

/// The outcome of the check.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Every setting in the order of the help text.
    pub settings: Vec<Line>,
    /// What keeps the server from starting.
    pub problems: Vec<Finding>,
}

/// One setting.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The setting.
    pub name: &'static str,
    /// Its effective value; secrets are replaced.
    pub value: Option<String>,
    /// Its layer.
    pub source: Option<String>,
}

/// One problem.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The setting.
    pub setting: String,
    /// What is wrong.
    pub problem: String,
}

/// Checks the gathered values; `problems` are those of gathering them.
pub fn check(values: &Values, mut problems: Vec<Problem>) -> Report {
    if let Err(more) = Config::from_values(values) {
        problems.extend(more);
    }
    let settings = ALL.iter().map(|setting| line(setting, values)).collect();
    let problems = problems.into_iter().map(|p| Finding { setting: p.setting, problem: p.text }).collect();
    Report { settings, problems }
}

fn line(setting: &Setting, values: &Values) -> Line {
    let value = values.get(setting.name);
    let shown = value.map(|v| if setting.secret { "(set, not shown)".to_owned() } else { v.text.clone() });
    Line { name: setting.name, value: shown, source: value.map(|v| v.source.to_string()) }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.settings {
            let value = line.value.as_deref().unwrap_or("-");
            let source = line.source.as_deref().unwrap_or("not set");
            writeln!(f, "{:20} {value:30} ({source})", line.name)?;
        }
        if self.problems.is_empty() {
            return write!(f, "\nThe configuration is good.");
        }
        write!(f, "\nProblems:")?;
        for finding in &self.problems {
            write!(f, "\n  {}: {}", finding.setting, finding.problem)?;
        }
        Ok(())
    }
}
