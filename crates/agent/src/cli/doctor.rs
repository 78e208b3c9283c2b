//! `rpi-connect doctor`.

use super::{Failure, Place, checks, say};
use serde_json::json;
use std::process::ExitCode;

/// What this build says where others check the screen.
const NO_SCREEN: &str = "Screen sharing is not supported by this version of rpi-connect";

pub(super) fn run(place: &Place, json: bool) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let checks = runtime.block_on(checks::run(place));
    let well = checks.iter().all(|check| check.passed);
    if json {
        let report = json!({ "passed": well, "screen_sharing_supported": false, "checks": checks });
        say(&serde_json::to_string_pretty(&report).map_err(Failure::new)?);
    } else {
        say(NO_SCREEN);
        for check in &checks {
            match &check.cure {
                None => say(&format!("✓ {}", check.name)),
                Some(cure) => say(&format!("✗ {}: {cure}", check.name)),
            }
        }
        if !well {
            say("✗ Some checks failed");
        }
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
