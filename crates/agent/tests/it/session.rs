//! Sessions against a real WebRTC peer, with a real shell on a real terminal.

use crate::peer::Order;
use crate::visit::{PATIENCE, Visit, settings};
use bramble_agent::session::Input;
use bramble_wire::channel::{Control, FromShell, INITIAL_CREDIT};
use bramble_wire::signalling::{Path, SessionKind};
use std::time::{Duration, Instant};

fn is_running(process: i32) -> bool {
    // A zombie has a folder too, but is not running.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// For processes that this one does not wait for.
async fn until_gone(process: i32) {
    let gone = async {
        while is_running(process) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the process ends");
}

#[tokio::test]
async fn a_shell_echoes_what_is_typed() {
    let mut visit = Visit::with_shell(settings()).await;
    assert_eq!(visit.connected(), Some(Path::Direct));
    visit.type_in("echo $((40 + 2))-answer\n");
    visit.until("the answer", |it| it.screen.contains("42-answer")).await;
}

#[tokio::test]
async fn it_is_a_login_shell_at_home_with_its_own_terminal() {
    let mut visit = Visit::with_shell(settings()).await;
    let tty = visit.tty().expect("a terminal").to_owned();
    assert!(tty.starts_with("/dev/pts/"), "{tty}");
    visit.type_in("[ \"$CONNECT_TTY\" = $(tty) ] && echo same-$TERM; shopt -q login_shell && echo lo''gin; [ $PWD = ~ ] && echo at-ho''me\n");
    visit
        .until("all three", |it| {
            ["same-xterm-256color", "login", "at-home"].iter().all(|word| it.screen.contains(word))
        })
        .await;
}

#[tokio::test]
async fn the_window_can_be_resized() {
    let mut visit = Visit::with_shell(settings()).await;
    visit.type_in("stty size\n");
    visit.until("the first size", |it| it.screen.contains("24 80")).await;
    visit.say("shell", r#"{"type":"resize","cols":132,"rows":50}"#);
    visit.type_in("stty size\n");
    visit.until("the new size", |it| it.screen.contains("50 132")).await;
}

#[tokio::test]
async fn the_exit_status_comes_after_all_output_and_ends_the_session() {
    let mut visit = Visit::with_shell(settings()).await;
    visit.type_in("seq 20000; echo la''st; exit 3\n");
    visit.until("the exit", |it| it.exit().is_some()).await;
    assert!(visit.screen.contains("20000\r\nlast"), "output is missing");
    assert_eq!(visit.exit(), Some(&FromShell::Exit { status: Some(3), signal: None }));
    assert_eq!(visit.until_ended().await, "The shell ended with status 3.");
    visit.until("goodbye", |it| it.bye().is_some()).await;
}

#[tokio::test]
async fn a_killed_shell_reports_its_signal() {
    let mut visit = Visit::with_shell(settings()).await;
    visit.type_in("kill -9 $$\n");
    visit.until("the exit", |it| it.exit().is_some()).await;
    assert_eq!(visit.exit(), Some(&FromShell::Exit { status: None, signal: Some(9) }));
}

#[tokio::test]
async fn nothing_of_the_daemons_environment_leaks_into_the_shell() {
    // Cargo sets this for tests; it stands for a token in the daemon's environment.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let mut visit = Visit::with_shell(settings()).await;
    visit.type_in("env -0 | tr '\\0' '\\n' | cut -d= -f1 | sort | tr '\\n' ,; echo e''nd\n");
    visit.until("the list", |it| it.screen.contains("end\r\n")).await;
    assert!(!visit.screen.contains("CARGO"), "{}", visit.screen);
    assert!(visit.screen.contains("CONNECT_TTY"), "{}", visit.screen);
}

/// What the descriptors of a process lead to.
fn descriptors(process: &str) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("the process's descriptors");
    // One may have been closed since it was listed.
    let targets = open.filter_map(|entry| std::fs::read_link(entry.expect("an entry").path()).ok());
    targets.map(|target| target.to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_shell_inherits_no_descriptor_of_its_own_or_of_another_session() {
    // The test runner's, which are no business of the session.
    let before = descriptors("self");
    let _other = Visit::with_shell(settings()).await;
    let mut visit = Visit::with_shell(settings()).await;
    let shell = visit.shell_process().await;
    // A shell opens pipes of its own, for what a person's start files run at each prompt. What takes its place
    // has exactly what was passed on.
    visit.type_in("exec sleep 1000\n");
    let taken = async {
        while std::fs::read_to_string(format!("/proc/{shell}/comm")).is_ok_and(|name| name != "sleep\n") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("sleep takes its place");
    let mut strange = descriptors(&shell.to_string());
    strange.retain(|target| Some(target.as_str()) != visit.tty() && !before.contains(target));
    assert!(strange.is_empty(), "{strange:?}");
}

#[tokio::test]
async fn pings_are_answered() {
    let mut visit = Visit::begin(settings(), Vec::new()).await;
    visit.until_connected().await;
    visit.say("control", r#"{"type":"ping","seq":41}"#);
    visit.until("a pong", |it| it.control.contains(&Control::Pong { seq: 41 })).await;
}

#[tokio::test]
async fn a_browser_that_vanishes_is_noticed_and_leaves_no_shell() {
    let mut settings = settings();
    // Many heartbeats long: only silence counts, not a slow machine.
    settings.heartbeat_timeout = Duration::from_secs(3);
    let mut visit = Visit::with_shell(settings).await;
    let shell = visit.shell_process().await;
    visit.peer.order(Order::Vanish);
    assert_eq!(visit.until_ended().await, "The browser has not been heard of any more.");
    assert!(!is_running(shell));
}

#[tokio::test]
async fn a_goodbye_of_the_browser_ends_it() {
    let mut visit = Visit::with_shell(settings()).await;
    let shell = visit.shell_process().await;
    visit.say("control", r#"{"type":"bye","reason":"The page was closed."}"#);
    assert_eq!(visit.until_ended().await, "The page was closed.");
    assert!(!is_running(shell));
}

#[tokio::test]
async fn the_server_can_end_it_and_the_browser_hears_why() {
    let mut visit = Visit::with_shell(settings()).await;
    let shell = visit.shell_process().await;
    let reason = "Remote shell was switched off.".to_owned();
    visit.input.send(Input::End { reason: reason.clone() }).await.expect("a session");
    assert_eq!(visit.until_ended().await, reason);
    visit.until("goodbye", |it| it.bye() == Some(&reason)).await;
    assert!(!is_running(shell));
}

#[tokio::test]
async fn a_shell_and_its_job_that_ignore_the_hang_up_are_killed() {
    let mut settings = settings();
    settings.kill_grace = Duration::from_millis(300);
    let mut visit = Visit::with_shell(settings).await;
    let shell = visit.shell_process().await;
    visit.type_in("trap '' HUP; bash -c 'trap \"\" HUP; echo job:$$:; while :; do sleep 1; done'\n");
    let number = |screen: &str| screen.split("job:").find_map(|it| it.split(':').next()?.parse::<i32>().ok());
    visit.until("the job", |it| number(&it.screen).is_some()).await;
    let job = number(&visit.screen).expect("just seen");
    visit.input.send(Input::End { reason: "Enough.".to_owned() }).await.expect("a session");
    visit.until_ended().await;
    assert!(!is_running(shell));
    until_gone(job).await;
}

#[tokio::test]
async fn an_aborted_task_hangs_up_its_shell() {
    let mut visit = Visit::with_shell(settings()).await;
    let shell = visit.shell_process().await;
    visit.task.abort();
    until_gone(shell).await;
}

#[tokio::test]
async fn a_device_without_its_server_keeps_a_session_for_so_long_only() {
    let mut settings = settings();
    settings.without_server = Duration::from_millis(200);
    let mut visit = Visit::with_shell(settings).await;
    visit.input.send(Input::ServerContact(false)).await.expect("a session");
    assert_eq!(visit.until_ended().await, "The device has lost its server for too long.");
}

#[tokio::test]
async fn a_shell_that_is_off_is_refused_in_words() {
    let mut settings = settings();
    settings.shell = None;
    let mut visit = Visit::begin(settings, Vec::new()).await;
    visit.until("a refusal", |it| it.refused.is_some()).await;
    assert!(visit.refused.as_deref().is_some_and(|it| it.contains("switched off")));
}

#[tokio::test]
async fn other_kinds_are_refused_in_words() {
    let mut visit = Visit::begin_with(settings(), |offer| offer.kind = SessionKind::Vnc).await;
    visit.until("a refusal", |it| it.refused.is_some()).await;
    assert!(visit.refused.as_deref().is_some_and(|it| it.contains("not available on this device")));
}

#[tokio::test]
async fn garbage_in_the_offer_is_refused() {
    let huge = "a=".repeat(64 * 1024);
    let no_channels = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
    for sdp in ["", "v=0", "\0\0\0", "<html>", no_channels, huge.as_str()] {
        let mut visit = Visit::begin_with(settings(), |offer| sdp.clone_into(&mut offer.sdp)).await;
        visit.until("a refusal", |it| it.refused.is_some()).await;
    }
}

#[tokio::test]
async fn a_browser_that_never_comes_is_given_up() {
    let mut settings = settings();
    settings.connect_timeout = Duration::from_millis(300);
    let mut visit = Visit::begin(settings, Vec::new()).await;
    visit.peer.order(Order::Vanish);
    assert_eq!(visit.until_ended().await, "The browser could not be reached.");
}

#[tokio::test]
async fn channels_without_end_are_the_end() {
    let mut visit = Visit::with_shell(settings()).await;
    let shell = visit.shell_process().await;
    // A later browser may open a few that this device does not know.
    for label in ["files", "vnc", "later"] {
        visit.peer.order(Order::Open(label));
    }
    visit.type_in("echo still-he''re\n");
    visit.until("the shell", |it| it.screen.contains("still-here")).await;
    for _ in 0..20 {
        visit.peer.order(Order::Open("more"));
    }
    assert_eq!(visit.until_ended().await, "The browser opened too many channels.");
    assert!(!is_running(shell));
}

#[tokio::test]
async fn two_sessions_at_once_have_two_terminals() {
    let (mut one, mut two) = tokio::join!(Visit::with_shell(settings()), Visit::with_shell(settings()));
    assert_ne!(one.tty(), two.tty());
    one.type_in("exit 1\n");
    one.until_ended().await;
    two.type_in("echo still-he''re\n");
    two.until("the other", |it| it.screen.contains("still-here")).await;
}

#[tokio::test]
async fn output_stops_at_the_credit_and_goes_on_when_it_is_granted() {
    let mut visit = Visit::with_shell(settings()).await;
    visit.peer.order(Order::Draw(false));
    visit.discard = true;
    let before = visit.received;
    visit.type_in("yes 0123456789abcdef\n");
    let credit = usize::try_from(INITIAL_CREDIT).expect("fits");
    // Its credit is whole again: everything before was drawn.
    visit.until("all credit used", |it| it.received - before >= credit).await;
    visit.say("control", r#"{"type":"ping","seq":9}"#);
    visit.until("a pong", |it| it.control.contains(&Control::Pong { seq: 9 })).await;
    assert_eq!(visit.received - before, credit);
    visit.say("shell", r#"{"type":"credit","bytes":50000}"#);
    visit.until("more", |it| it.received - before >= credit + 50_000).await;
    assert_eq!(visit.received - before, credit + 50_000);
}

#[tokio::test]
async fn a_flood_keeps_memory_flat_and_can_be_interrupted_at_once() {
    flood(Duration::from_secs(5)).await;
}

/// With `make test-full`.
mod long {
    #[tokio::test]
    async fn a_minute_of_flood_keeps_memory_flat_and_can_be_interrupted_at_once() {
        super::flood(super::Duration::from_mins(1)).await;
    }
}

async fn flood(length: Duration) {
    const MEGABYTE: usize = 1024 * 1024;
    let mut visit = Visit::with_shell(settings()).await;
    visit.discard = true;
    visit.type_in("yes 0123456789abcdef0123456789abcdef\n");
    let begun = Instant::now();
    visit.until("a flood", |it| it.received > 4 * MEGABYTE).await;
    let before = resident();
    while begun.elapsed() < length {
        let received = visit.received;
        visit.until("more of it", |it| it.received > received + 8 * MEGABYTE).await;
        let grown = resident().saturating_sub(before);
        assert!(grown < 8 * MEGABYTE, "grew by {grown} bytes after {:?}", begun.elapsed());
    }
    // A busy machine may delay one of them.
    let mut took = interrupt(&mut visit).await;
    for _ in 0..2 {
        visit.type_in("yes\n");
        let received = visit.received;
        visit.until("a flood again", |it| it.received > received + MEGABYTE).await;
        took = took.min(interrupt(&mut visit).await);
    }
    assert!(took < Duration::from_millis(200), "took {took:?}");
}

/// From Ctrl+C to its echo, in a flood that is not shown.
async fn interrupt(visit: &mut Visit) -> Duration {
    visit.screen.clear();
    visit.discard = false;
    let pressed = Instant::now();
    visit.type_in("\x03");
    visit.until("the interruption", |it| it.screen.contains("^C")).await;
    visit.discard = true;
    pressed.elapsed()
}

#[tokio::test]
async fn a_shell_that_reads_nothing_holds_little_memory_and_the_session_lives() {
    let mut visit = Visit::with_shell(settings()).await;
    visit.type_in("stty raw -echo; echo re''ady; sleep 1000\n");
    visit.until("a deaf program", |it| it.screen.contains("ready")).await;
    let before = resident();
    let chunk = "x".repeat(16 * 1024);
    for seq in 0..40 {
        for _ in 0..16 {
            visit.type_in(&chunk);
        }
        visit.say("control", &format!(r#"{{"type":"ping","seq":{seq}}}"#));
        visit.until("a pong", |it| it.control.contains(&Control::Pong { seq })).await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "grew by {grown} bytes");
}

/// Bytes of this process in memory: session and peer.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).expect("a field").parse().expect("a number");
    pages * 4096
}
