//! The operating system, from os-release.

use super::Platform;
use bramble_wire::device_api::Os;

pub(super) fn os(platform: &Platform) -> Option<Os> {
    let text = platform.text("etc/os-release").or_else(|| platform.text("usr/lib/os-release"))?;
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix('=')?;
            let value = value.trim().trim_matches(['"', '\'']);
            (!value.is_empty())
                .then(|| value.chars().filter(|c| !c.is_control()).take(100).collect::<String>())
        })
    };
    let id = field("ID");
    // The 64-bit edition calls itself Debian; its own file tells.
    let raspios = id.as_deref() == Some("raspbian") || platform.text("etc/rpi-issue").is_some();
    let number = field("VERSION_ID");
    let filter = match (if raspios { Some("raspios") } else { id.as_deref() }, number.as_deref()) {
        (Some(id), Some(number)) => Some(format!("{id}-{number}")),
        (Some(id), None) => Some(id.to_owned()),
        (None, _) => None,
    };
    Some(Os {
        name: if raspios { Some("Raspberry Pi OS".to_owned()) } else { field("NAME").or(id) },
        version: field("VERSION").map(|text| with_capital_codename(&text)).or(number),
        filter,
    })
}

/// `13 (trixie)` is shown as `13 (Trixie)`.
fn with_capital_codename(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut opened = false;
    for c in text.chars() {
        if opened {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        opened = c == '(';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(release: &str, issue: bool) -> Os {
        let place = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(place.path().join("etc")).expect("folder");
        fs::write(place.path().join("etc/os-release"), release).expect("file");
        if issue {
            fs::write(place.path().join("etc/rpi-issue"), "Raspberry Pi reference\n").expect("file");
        }
        Platform::below(place.path()).os().expect("known")
    }

    #[test]
    fn names_and_filters_are_those_of_the_dashboard() {
        let trixie = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nVERSION=\"13 (trixie)\"\nID=debian\n";
        let pi = read(trixie, true);
        assert_eq!(pi.name.as_deref(), Some("Raspberry Pi OS"));
        assert_eq!(pi.version.as_deref(), Some("13 (Trixie)"));
        assert_eq!(pi.filter.as_deref(), Some("raspios-13"));
        let debian = read(trixie, false);
        assert_eq!(debian.name.as_deref(), Some("Debian GNU/Linux"));
        assert_eq!(debian.filter.as_deref(), Some("debian-13"));
        let ubuntu = read("NAME=Ubuntu\nVERSION_ID=\"24.04\"\nID=ubuntu\n", false);
        assert_eq!(ubuntu.filter.as_deref(), Some("ubuntu-24.04"));
        assert_eq!(ubuntu.version.as_deref(), Some("24.04"));
        assert_eq!(read("NAME=Void\nID=void\n", false).filter.as_deref(), Some("void"));
    }
}
