//! What must not be in the repository, wherever it stands.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where time is the subject: waiting between two looks at a condition, delaying on command.
const MAY_SLEEP: [&str; 3] =
    ["crates/relay/tests/it/bench.rs", "crates/testkit/src/chaos.rs", "crates/testkit/src/eventually.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// Every text file under version control or about to be.
fn files() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("UTF-8 names");
    let files: Vec<_> = names
        .split('\0')
        .filter(|name| !name.is_empty())
        // Pictures are no text; a file that was just deleted is not there.
        .filter_map(|name| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?)))
        .collect();
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

/// Lines that a rule refuses, as `file:line: text`.
fn offenders(wanted: impl Fn(&str) -> bool, refuses: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    // This file has to name what it looks for.
    for (name, text) in files().iter().filter(|(name, _)| name != "tests/it/hygiene.rs" && wanted(name)) {
        for (number, line) in text.lines().enumerate() {
            if refuses(line) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn is(name: &str, extensions: &[&str]) -> bool {
    Path::new(name).extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted))
}

/// The lines of a Rust file that belong to tests: all of a test binary or of the testkit, and in other
/// files what follows `#[cfg(test)]`, which stands at the end by custom.
fn test_lines<'a>(name: &str, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let whole = name.starts_with("tests/") || name.contains("/tests/") || name.starts_with("crates/testkit/");
    text.lines()
        .enumerate()
        .scan(whole, |inside, (number, line)| {
            *inside |= line.trim_start().starts_with("#[cfg(test)]");
            Some((*inside, number, line))
        })
        .filter(|(inside, ..)| *inside)
        .map(|(_, number, line)| (number + 1, line))
}

#[test]
fn no_path_of_somebodys_machine() {
    let found = offenders(
        |name| name != "Cargo.lock",
        |line| ["/work/", "/root/", "/Users/", "/home/runner"].iter().any(|path| line.contains(path)),
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn nothing_is_left_for_later() {
    let found = offenders(
        |name| is(name, &["rs", "ts", "mjs", "css", "html", "sh", "md", "toml"]),
        |line| ["TODO", "FIXME", "todo!(", "unimplemented!("].iter().any(|mark| line.contains(mark)),
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn no_test_is_switched_off() {
    let found = offenders(
        |name| is(name, &["rs", "ts", "mjs"]),
        |line| {
            let line = line.trim_start();
            ["#[ignore", "test.skip(", "test.fixme(", "test.only(", "describe.only(", "describe.skip("]
                .iter()
                .any(|mark| line.starts_with(mark))
        },
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn tests_wait_on_conditions_and_not_on_time() {
    let mut found = Vec::new();
    for (name, text) in files() {
        if is(&name, &["rs"]) && !MAY_SLEEP.contains(&name.as_str()) && name != "tests/it/hygiene.rs" {
            found.extend(
                test_lines(&name, &text)
                    .filter(|(_, line)| line.contains("sleep(") && !line.trim_start().starts_with("//"))
                    .map(|(number, line)| format!("{name}:{number}: {}", line.trim())),
            );
        }
        if name.starts_with("tests/browser/") && is(&name, &["ts"]) {
            found.extend(
                text.lines()
                    .enumerate()
                    .filter(|(_, line)| line.contains("waitForTimeout(") || line.contains(" setTimeout("))
                    .map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())),
            );
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    for (name, text) in files() {
        if text.starts_with("#!") {
            let mode = fs::metadata(root().join(&name)).expect("it is there").permissions().mode();
            assert!(mode & 0o100 != 0, "{name} begins with #! and is not executable");
        }
    }
}
