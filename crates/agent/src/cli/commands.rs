//! The commands that ask the daemon one thing.

use super::{Failure, Place, say};
use crate::local_api::{Reply, Request, Status, client};
use std::{path::Path, process::ExitCode};

pub(super) fn status(place: &Place, json: bool) -> Result<ExitCode, Failure> {
    let Reply::Status(status) = ask(place, &Request::Status)? else { return Err(confused()) };
    if json {
        say(&serde_json::to_string_pretty(&status).map_err(Failure::new)?);
    } else {
        for line in lines(&status) {
            say(&line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(status: &Status) -> Vec<String> {
    let yes = |it| if it { "yes" } else { "no" };
    let feature = |feature: crate::local_api::Feature, sessions: usize| match feature {
        crate::local_api::Feature::Unavailable => feature.as_str().to_owned(),
        _ => format!("{} ({sessions} sessions active)", feature.as_str()),
    };
    let mut lines = vec![
        format!("Signed in: {}", yes(status.signed_in)),
        format!("Subscribed to events: {}", yes(status.subscribed)),
        format!("Screen sharing: {}", feature(status.vnc, status.vnc_sessions)),
        format!("Remote shell: {}", feature(status.shell, status.shell_sessions)),
    ];
    if status.ota != crate::local_api::Feature::Unavailable {
        lines.push(format!("Remote updates: {}", status.ota.as_str()));
    }
    // Nobody who reads the block of the public client looks for a line that nobody has asked for.
    if status.files == crate::local_api::Feature::Allowed {
        lines.push(format!("File transfer: {}", feature(status.files, status.files_sessions)));
    }
    if status.displays.len() > 1 {
        lines.push(format!("Displays: {}", status.displays.join(", ")));
    }
    if let Some(problem) = &status.problem {
        lines.push(format!("Problem: {problem}"));
    }
    lines
}

pub(super) fn shell(place: &Place, on: bool) -> Result<ExitCode, Failure> {
    done(ask(place, &Request::Shell { on })?)?;
    say(if on { "✓ Remote shell allowed" } else { "✓ Remote shell disallowed" });
    Ok(ExitCode::SUCCESS)
}

pub(super) fn files(place: &Place, on: bool, root: Option<&Path>) -> Result<ExitCode, Failure> {
    // The daemon works in another folder than this one.
    let root = root.map(std::path::absolute).transpose().map_err(Failure::new)?;
    let named = root.is_some();
    done(ask(place, &Request::Files { on, root })?)?;
    if !on {
        say("✓ File transfer disallowed");
        return Ok(ExitCode::SUCCESS);
    }
    say("✓ File transfer allowed");
    let Reply::Status(status) = ask(place, &Request::Status)? else { return Err(confused()) };
    let folder = status.files_root.unwrap_or_default();
    say(&format!(
        "Whoever may open a session to this device can read what is in {} and add files to it.",
        folder.display()
    ));
    let own = named || place.folder.settings().is_ok_and(|settings| settings.files_root.is_some());
    if !own {
        say(SHELL_LIKE);
    }
    Ok(ExitCode::SUCCESS)
}

const SHELL_LIKE: &str = "Count it as allowing what a shell allows, unless files_root is set to a folder that nothing \
                          else uses (rpi-connect files on --root FOLDER).";

pub(super) fn sign_out(place: &Place) -> Result<ExitCode, Failure> {
    let note = done(ask(place, &Request::SignOut)?)?;
    say("✓ Signed out");
    if let Some(note) = note {
        say(&note);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn ask(place: &Place, request: &Request) -> Result<Reply, Failure> {
    client::ask(&place.folder.socket(), request).map_err(Failure::new)
}

pub(crate) fn done(reply: Reply) -> Result<Option<String>, Failure> {
    match reply {
        Reply::Done { note } => Ok(note),
        Reply::Failed { why } => Err(Failure::new(why)),
        Reply::Visit { .. } | Reply::Trust { .. } | Reply::Status(_) => Err(confused()),
    }
}

pub(super) fn confused() -> Failure {
    Failure::new("the daemon answered something else; run rpi-connect restart after an upgrade")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_api::Feature;

    #[test]
    fn the_block_is_what_scripts_read() {
        let mut status = Status {
            signed_in: true,
            subscribed: true,
            vnc: Feature::Allowed,
            vnc_reason: None,
            vnc_sessions: 0,
            virtual_screen: None,
            displays: vec!["DSI-1".to_owned()],
            shell: Feature::Allowed,
            shell_sessions: 2,
            ota: Feature::Unavailable,
            files: Feature::Disallowed,
            files_sessions: 0,
            files_root: None,
            server: None,
            device_id: None,
            serial_number: "10000000abcdef01".into(),
            version: "0".into(),
            problem: None,
        };
        assert_eq!(
            lines(&status).join("\n"),
            "Signed in: yes\nSubscribed to events: yes\nScreen sharing: allowed (0 sessions active)\n\
             Remote shell: allowed (2 sessions active)"
        );
        status.vnc = Feature::Unavailable;
        status.shell = Feature::Disallowed;
        status.shell_sessions = 0;
        status.ota = Feature::Disallowed;
        status.signed_in = false;
        status.subscribed = false;
        status.files = Feature::Allowed;
        status.files_sessions = 1;
        status.problem = Some("No.".into());
        assert_eq!(
            lines(&status).join("\n"),
            "Signed in: no\nSubscribed to events: no\nScreen sharing: unavailable\n\
             Remote shell: disallowed (0 sessions active)\nRemote updates: disallowed\n\
             File transfer: allowed (1 sessions active)\nProblem: No."
        );
    }
}
