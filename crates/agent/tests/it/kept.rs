//! Shells whose browser vanished, and who gets back to them.

use crate::peer::Order;
use crate::visit::{PATIENCE, Visit, settings};
use bramble_agent::session::{Input, Keeper, SessionSettings};
use bramble_model::SeededRandom;
use bramble_wire::UserId;
use bramble_wire::channel::FromShell;
use std::sync::Arc;
use std::time::Duration;

pub const ADA: &str = "0a0a0a0a-89ab-4cde-8f01-23456789abcd";
pub const BOB: &str = "0b0b0b0b-89ab-4cde-8f01-23456789abcd";

pub fn keeping() -> SessionSettings {
    let mut settings = settings();
    settings.keeper = Some(Keeper::new(Arc::new(SeededRandom::new(7))));
    settings
}

pub fn user(id: &str) -> UserId {
    id.parse().expect("an id")
}

pub async fn visit_of(settings: &SessionSettings, id: &str) -> Visit {
    let id = user(id);
    let mut visit = Visit::begin_with(settings.clone(), |offer| offer.user.id = Some(id)).await;
    visit.until_connected().await;
    visit
}

pub async fn with_shell(settings: &SessionSettings, id: &str) -> Visit {
    let id = user(id);
    let mut visit = Visit::begin_with(settings.clone(), |offer| offer.user.id = Some(id)).await;
    visit.start().await;
    visit
}

pub fn token(visit: &Visit) -> String {
    let last = visit.told.iter().rev().find_map(|said| match said {
        FromShell::Started { token, .. } => token.clone(),
        FromShell::Attached { token, .. } => Some(token.clone()),
        _ => None,
    });
    last.expect("a token").0
}

pub fn attach(visit: &Visit, token: &str, seen: Option<usize>) {
    let mut words = serde_json::json!({"type": "attach", "token": token, "cols": 80, "rows": 24});
    if let Some(seen) = seen {
        words["seen"] = seen.into();
    }
    visit.say("shell", &words.to_string());
}

pub async fn attached(visit: &mut Visit) -> u64 {
    let from = |it: &Visit| {
        it.told.iter().find_map(|said| match said {
            FromShell::Attached { from, .. } => Some(*from),
            _ => None,
        })
    };
    visit.until("its shell", |it| from(it).is_some()).await;
    from(visit).expect("just seen")
}

pub async fn gone(visit: &mut Visit) {
    visit.until("that there is none", |it| it.told.contains(&FromShell::Gone)).await;
}

/// The page goes, and says that it may come back.
pub async fn away(visit: &mut Visit) {
    visit.say("control", r#"{"type":"away"}"#);
    visit.until("the end of the connection", |it| it.closed).await;
}

fn is_running(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn a_browser_comes_back_to_its_shell_and_to_what_it_missed() {
    let settings = keeping();
    let mut first = with_shell(&settings, ADA).await;
    let shell = first.shell_process().await;
    // Printed while nobody is there.
    first.type_in("mark=kept; read line; echo while-$mark-away; read line; echo $mark-$line-back\n");
    first.until("the line is typed", |it| it.screen.contains("-back\r\n")).await;
    first.type_in("\n");
    first.until("it was printed", |it| it.screen.contains("while-kept-away")).await;
    let seen = first.received;
    away(&mut first).await;
    assert!(is_running(shell));
    let mut second = visit_of(&settings, ADA).await;
    attach(&second, &token(&first), Some(seen));
    assert_eq!(attached(&mut second).await, seen as u64);
    assert_eq!(first.until_ended().await, "The shell goes on in another window.");
    second.type_in("hello\n");
    second.until("the shell", |it| it.screen.contains("kept-hello-back")).await;
    assert!(!second.screen.contains("while-kept-away"), "{}", second.screen);
    assert_eq!(second.tty(), first.tty());
    // A reloaded page shows all of it again.
    away(&mut second).await;
    let mut third = visit_of(&settings, ADA).await;
    attach(&third, &token(&second), None);
    assert_eq!(attached(&mut third).await, 0);
    third
        .until("all of it", |it| it.screen.contains("while-kept-away") && it.screen.contains("hello-back"))
        .await;
    third.type_in("exit 4\n");
    third.until("the exit", |it| it.exit() == Some(&FromShell::Exit { status: Some(4), signal: None })).await;
}

#[tokio::test]
async fn a_browser_that_went_silent_is_followed_by_its_next_session_at_once() {
    let settings = keeping();
    let mut first = with_shell(&settings, ADA).await;
    first.peer.order(Order::Vanish);
    // The device has not noticed yet: the first session is live.
    let mut second = visit_of(&settings, ADA).await;
    attach(&second, &token(&first), Some(first.received));
    attached(&mut second).await;
    assert_eq!(first.until_ended().await, "The shell goes on in another window.");
    second.type_in("echo $((40 + 2))-answer\n");
    second.until("the answer", |it| it.screen.contains("42-answer")).await;
}

#[tokio::test]
async fn of_two_that_come_at_once_one_gets_it_and_a_token_works_once() {
    let settings = keeping();
    let mut first = with_shell(&settings, ADA).await;
    let old = token(&first);
    let (mut one, mut other) = tokio::join!(visit_of(&settings, ADA), visit_of(&settings, ADA));
    attach(&one, &old, Some(0));
    attach(&other, &old, Some(0));
    let answer =
        |it: &Visit| it.told.iter().any(|said| matches!(said, FromShell::Attached { .. } | FromShell::Gone));
    tokio::join!(one.until("an answer", answer), other.until("an answer", answer));
    let got = [&one, &other].map(|it| it.told.iter().any(|said| matches!(said, FromShell::Attached { .. })));
    assert!(got[0] != got[1], "{got:?}");
    first.until_ended().await;
    let mut late = visit_of(&settings, ADA).await;
    attach(&late, &old, Some(0));
    gone(&mut late).await;
    // It may have a new one instead.
    late.start().await;
}

#[tokio::test]
async fn nobody_else_gets_it_and_a_wrong_token_opens_nothing() {
    let settings = keeping();
    let mut first = with_shell(&settings, ADA).await;
    let mine = token(&first);
    away(&mut first).await;
    let mut bob = visit_of(&settings, BOB).await;
    attach(&bob, &mine, Some(0));
    gone(&mut bob).await;
    let mut guess = visit_of(&settings, ADA).await;
    let wrong: String = mine.chars().rev().collect();
    for token in [wrong.as_str(), "", "1", &"1".repeat(44), &"x".repeat(3000)] {
        attach(&guess, token, Some(0));
    }
    guess
        .until("five answers", |it| it.told.iter().filter(|said| **said == FromShell::Gone).count() == 5)
        .await;
    // Somebody who may only look has no use for a token either.
    let id = user(ADA);
    let mut watcher = Visit::begin_with(settings.clone(), |offer| {
        offer.user.id = Some(id);
        offer.permissions.input = false;
    })
    .await;
    watcher.until_connected().await;
    attach(&watcher, &mine, Some(0));
    gone(&mut watcher).await;
    // Its owner still does.
    let mut back = visit_of(&settings, ADA).await;
    attach(&back, &mine, Some(0));
    attached(&mut back).await;
}

#[tokio::test]
async fn a_kept_shell_ends_when_it_is_told_to_and_when_its_time_is_over() {
    let mut settings = keeping();
    let mut first = with_shell(&settings, ADA).await;
    let shell = first.shell_process().await;
    away(&mut first).await;
    assert!(is_running(shell));
    let reason = "Remote shell was switched off.".to_owned();
    first.input.send(Input::End { reason: reason.clone() }).await.expect("it is kept");
    assert_eq!(first.until_ended().await, reason);
    assert!(!is_running(shell));
    let usual = std::mem::replace(&mut settings.keep, Duration::from_millis(1));
    let mut second = with_shell(&settings, ADA).await;
    let shell = second.shell_process().await;
    second.say("control", r#"{"type":"away"}"#);
    assert_eq!(second.until_ended().await, "The browser did not come back to its shell.");
    assert!(!is_running(shell));
    settings.keep = usual;
    let mut late = visit_of(&settings, ADA).await;
    attach(&late, &token(&second), None);
    gone(&mut late).await;
}

#[tokio::test]
async fn a_kept_shell_that_exits_is_over_and_an_aborted_one_hangs_up() {
    let settings = keeping();
    let mut first = with_shell(&settings, ADA).await;
    first.type_in("trap 'exit 5' USR1; echo re''ady; while :; do read -t 1 line; done\n");
    first.until("the trap", |it| it.screen.contains("ready\r\n")).await;
    let tty = first.tty().expect("a terminal").to_owned();
    away(&mut first).await;
    let process = std::process::Command::new("ps").args(["-o", "pid=", "-t", &tty]).output().expect("ps");
    let process: i32 = String::from_utf8_lossy(&process.stdout).trim().parse().expect("one process");
    let process = rustix::process::Pid::from_raw(process).expect("a number");
    rustix::process::kill_process(process, rustix::process::Signal::USR1).expect("a signal");
    assert_eq!(first.until_ended().await, "The shell ended with status 5.");
    let mut second = with_shell(&settings, ADA).await;
    let shell = second.shell_process().await;
    away(&mut second).await;
    second.task.abort();
    let hung_up = async {
        while is_running(shell) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, hung_up).await.expect("the shell ends");
}

#[tokio::test]
async fn a_flood_with_nobody_there_waits_and_nothing_of_it_is_lost() {
    let settings = keeping();
    let mut first = with_shell(&settings, ADA).await;
    first.type_in("clear; seq 300000; echo la''st\n");
    first.until("some of it", |it| it.screen.contains("1000\r\n")).await;
    away(&mut first).await;
    let mut second = visit_of(&settings, ADA).await;
    attach(&second, &token(&first), Some(first.received));
    assert_eq!(attached(&mut second).await, first.received as u64);
    second.peer.order(Order::Draw(true));
    second.until("the last line", |it| it.screen.contains("last\r\n")).await;
    let all = first.screen + &second.screen;
    let numbers: Vec<u32> = all.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a line is missing");
    assert_eq!(numbers.last(), Some(&300_000));
}
