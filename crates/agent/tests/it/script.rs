//! Scripts of updates, as processes that behave well and badly.

use bramble_agent::update::artefact::Workspace;
use bramble_agent::update::artefact::script::{Ended, Failure, KEPT, Tail, run};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io::Write};
use tempfile::TempDir;

/// Longer than any machine needs, shorter than a person's patience.
const LONG: Duration = Duration::from_mins(1);

struct Ran {
    ended: Result<Ended, Failure>,
    journal: String,
    tail: Tail,
    _parent: TempDir,
    folder: PathBuf,
}

impl Ran {
    fn reason(&self) -> String {
        self.ended.as_ref().expect_err("a failure").to_string()
    }
}

async fn ran(text: &str, limit: Duration) -> Ran {
    let parent = TempDir::new().expect("a folder");
    let workspace = Workspace::new(parent.path()).expect("a workspace");
    let script = workspace.path().join("go");
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&script).expect("a script");
    file.write_all(text.as_bytes()).expect("written");
    drop(file);
    let (mut journal, mut tail) = (Vec::new(), Tail::default());
    let ended = run(&script, workspace.path(), limit, &mut journal, &mut tail).await;
    let folder = workspace.path().to_owned();
    drop(workspace);
    let journal = String::from_utf8_lossy(&journal).into_owned();
    Ran { ended, journal, tail, _parent: parent, folder }
}

fn alive(pid: &str) -> bool {
    // A killed process may wait to be reaped; that is not alive.
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

async fn gone(pid: &str) {
    let until = Instant::now() + LONG;
    while alive(pid) {
        assert!(Instant::now() < until, "{pid} still runs");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_exit_status_decides() {
    let ended = async |text: &str| ran(text, LONG).await.ended;
    assert!(matches!(ended("#!/bin/sh\nexit 0\n").await, Ok(Ended::Succeeded)));
    assert!(matches!(ended("#!/bin/sh\nexit 2\n").await, Ok(Ended::SucceededReboot)));
    let failed = ran("#!/bin/sh\necho one\necho 'no such disk' >&2\necho\nexit 1\n", LONG).await;
    assert_eq!(failed.reason(), "Script failed with exit status 1: no such disk");
    assert_eq!(failed.journal, "one\nno such disk\n\n");
    assert_eq!(ran("#!/bin/sh\nexit 3\n", LONG).await.reason(), "Script failed with exit status 3");
    assert_eq!(ran("#!/bin/sh\nkill -9 $$\n", LONG).await.reason(), "Script failed with signal 9");
    let missing = ran("#!/no/such/interpreter\n", LONG).await.reason();
    assert!(missing.starts_with("Script could not be started: "), "{missing}");
}

#[tokio::test]
async fn it_runs_in_its_directory_with_nothing_of_ours() {
    let text = "#!/bin/sh\n[ $# = 0 ] && pwd && env | cut -d= -f1 | sort | tr '\\n' ' ' && touch made && cat && umask\n";
    let ran = ran(text, LONG).await;
    assert!(matches!(ran.ended, Ok(Ended::Succeeded)), "{}", ran.journal);
    let mut lines = ran.journal.lines();
    assert_eq!(lines.next().map(Path::new), Some(ran.folder.as_path()));
    let names = lines.next().unwrap_or_default();
    assert!(
        names.starts_with("HOME LANG PATH PWD TMPDIR") || names.starts_with("HOME LANG OLDPWD PATH PWD"),
        "{names}"
    );
    assert!(!ran.folder.exists(), "and is removed with what the script made");
}

#[tokio::test]
async fn it_has_no_terminal() {
    let text =
        "#!/bin/sh\nif (: </dev/tty) 2>/dev/null; then echo yes; else echo none; fi\nread x || echo end\n";
    assert_eq!(ran(text, LONG).await.journal, "none\nend\n");
}

#[tokio::test]
async fn a_flood_is_bounded() {
    let ran =
        ran("#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x\necho\necho last words\nexit 1\n", LONG).await;
    assert_eq!(ran.reason(), "Script failed with exit status 1: last words");
    assert_eq!(ran.tail.text().len(), KEPT);
    assert_eq!(ran.journal.len(), 3_000_000 + "\nlast words\n".len());
}

#[tokio::test]
async fn one_that_never_ends_is_killed_with_its_children() {
    let text =
        "#!/bin/sh\ntrap '' TERM\necho $$\n(trap '' TERM; exec sleep 1000) &\necho $!\nwait\nsleep 1000\n";
    let began = Instant::now();
    let ran = ran(text, Duration::from_millis(300)).await;
    assert_eq!(ran.reason(), "Script did not finish within 300ms");
    assert!(began.elapsed() < LONG);
    let pids: Vec<&str> = ran.journal.lines().collect();
    assert_eq!(pids.len(), 2, "{}", ran.journal);
    for pid in pids {
        gone(pid).await;
    }
}

#[tokio::test]
async fn what_it_leaves_in_the_background_is_neither_waited_for_nor_left() {
    let began = Instant::now();
    let ran = ran("#!/bin/sh\nsleep 1000 &\necho $!\nexit 0\n", LONG).await;
    assert!(matches!(ran.ended, Ok(Ended::Succeeded)));
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
    gone(ran.journal.trim()).await;
}
