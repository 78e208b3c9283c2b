//! `rpi-connect doctor`.

use super::{Failure, Place, checks, say, screen};
use serde_json::json;
use std::process::ExitCode;

pub(super) fn run(place: &Place, json: bool) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let screen = screen::report(place, &runtime);
    let (displays, mut checks) = (screen.displays, screen.checks);
    let files = place.folder.settings().is_ok_and(|settings| settings.files);
    if files {
        checks.push(checks::files(place));
    }
    checks.extend(runtime.block_on(checks::run(place)));
    let well = checks.iter().all(|check| check.passed);
    if json {
        let report = json!({ "passed": well, "screen_sharing_supported": screen.supported,
            "displays": displays, "file_transfer_allowed": files, "checks": checks });
        say(&serde_json::to_string_pretty(&report).map_err(Failure::new)?);
    } else {
        for line in screen.lines {
            say(line);
        }
        if displays.len() > 1 {
            say(&format!("Displays of the desktop: {}", displays.join(", ")));
        }
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
