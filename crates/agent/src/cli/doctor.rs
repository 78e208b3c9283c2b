//! `rpi-connect doctor`.

use super::{Failure, Place, checks, commands::NO_SCREEN, say, screen_checks};
use serde_json::json;
use std::process::ExitCode;

const SUPPORTED: &str = "Screen sharing is supported by this version of rpi-connect";
const SWITCHED_OFF: &str = "Screen sharing is switched off; rpi-connect vnc on allows it";

pub(super) fn run(place: &Place, json: bool) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let supported = cfg!(feature = "screen");
    // What nobody wants need not work.
    let wanted = supported && place.folder.settings().is_ok_and(|settings| settings.vnc);
    let displays = if wanted { runtime.block_on(screen_checks::displays(place)) } else { Vec::new() };
    let mut checks = if wanted { screen_checks::run(place) } else { Vec::new() };
    let files = place.folder.settings().is_ok_and(|settings| settings.files);
    if files {
        checks.push(checks::files(place));
    }
    checks.extend(runtime.block_on(checks::run(place)));
    let well = checks.iter().all(|check| check.passed);
    if json {
        let report = json!({ "passed": well, "screen_sharing_supported": supported,
            "displays": displays, "file_transfer_allowed": files, "checks": checks });
        say(&serde_json::to_string_pretty(&report).map_err(Failure::new)?);
    } else {
        say(if supported { SUPPORTED } else { NO_SCREEN });
        if supported && !wanted {
            say(SWITCHED_OFF);
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
