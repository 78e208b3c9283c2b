//! Watching somebody else's shell.

use crate::kept::{ADA, BOB, attach, attached, away, gone, keeping, token, user, visit_of, with_shell};
use crate::visit::Visit;
use bramble_agent::session::{Input, SessionSettings};
use bramble_wire::channel::{Control, FromShell};

async fn invitation(owner: &mut Visit) -> String {
    let before = owner.told.len();
    owner.say("shell", r#"{"type":"invite"}"#);
    let code = |it: &Visit| {
        it.told[before..].iter().find_map(|said| match said {
            FromShell::Invited { code } => Some(code.0.clone()),
            _ => None,
        })
    };
    owner.until("an invitation", |it| code(it).is_some()).await;
    code(owner).expect("just seen")
}

async fn watcher(settings: &SessionSettings) -> Visit {
    let mut visit = Visit::begin_with(settings.clone(), |offer| {
        offer.user.id = Some(user(BOB));
        "Bob".clone_into(&mut offer.user.name);
        offer.permissions.input = false;
    })
    .await;
    visit.until_connected().await;
    visit
}

fn watch(visit: &Visit, code: &str) {
    visit.say("shell", &serde_json::json!({"type": "watch", "code": code}).to_string());
}

async fn watching(visit: &mut Visit) {
    let owner = FromShell::Watching { owner: "Ada".to_owned() };
    visit.until("whose shell it is", |it| it.told.contains(&owner)).await;
}

async fn watched_by(owner: &mut Visit, names: &[&str]) {
    let names = FromShell::Watchers { names: names.iter().map(|name| (*name).to_owned()).collect() };
    owner
        .until("who watches", |it| {
            it.told.iter().rev().find(|said| matches!(said, FromShell::Watchers { .. })) == Some(&names)
        })
        .await;
}

#[tokio::test]
async fn a_watcher_sees_what_the_owner_sees_and_cannot_type() {
    let settings = keeping();
    let mut ada = with_shell(&settings, ADA).await;
    ada.type_in("echo se''cret; printf '\\033[H\\033[2J'; echo be''fore\n");
    ada.until("the first line", |it| it.screen.contains("before\r\n")).await;
    assert!(ada.screen.contains("secret"), "{}", ada.screen);
    let code = invitation(&mut ada).await;
    let mut bob = watcher(&settings).await;
    // Nothing is shown before the invitation, and nothing starts.
    bob.say("shell", r#"{"type":"start","cols":80,"rows":24}"#);
    watch(&bob, &code);
    watching(&mut bob).await;
    watched_by(&mut ada, &["Bob"]).await;
    bob.until("what came before", |it| it.screen.contains("before\r\n")).await;
    assert!(!bob.screen.contains("secret"), "what was wiped away is not shown again: {}", bob.screen);
    assert!(bob.told.contains(&FromShell::Size { cols: 80, rows: 24 }), "{:?}", bob.told);
    bob.type_in("echo no''pe\n");
    bob.say("shell", r#"{"type":"resize","cols":20,"rows":5}"#);
    for words in
        [r#"{"type":"invite"}"#, r#"{"type":"stopwatching"}"#, r#"{"type":"start","cols":20,"rows":5}"#]
    {
        bob.say("shell", words);
    }
    bob.say("control", r#"{"type":"ping","seq":1}"#);
    bob.until("a pong", |it| it.control.contains(&Control::Pong { seq: 1 })).await;
    ada.say("shell", r#"{"type":"resize","cols":100,"rows":30}"#);
    ada.type_in("stty size; echo af''ter\n");
    bob.until("the rest", |it| it.screen.contains("after\r\n")).await;
    assert!(bob.screen.contains("30 100") && !bob.screen.contains("nope"), "{}", bob.screen);
    assert!(bob.told.contains(&FromShell::Size { cols: 100, rows: 30 }));
    assert!(
        !bob.told.iter().any(|said| matches!(said, FromShell::Invited { .. } | FromShell::Started { .. }))
    );
    // It ends with the shell.
    ada.type_in("exit\n");
    assert!(bob.until_ended().await.starts_with("The shell that you watched is over"));
}

#[tokio::test]
async fn an_invitation_is_for_one_and_the_owner_can_stop_it() {
    let settings = keeping();
    let mut ada = with_shell(&settings, ADA).await;
    let void = invitation(&mut ada).await;
    let code = invitation(&mut ada).await;
    let (mut bob, mut eve) = tokio::join!(watcher(&settings), watcher(&settings));
    watch(&eve, &void);
    gone(&mut eve).await;
    watch(&eve, "guess");
    // The token of the shell is no invitation, and an invitation no token.
    watch(&eve, &token(&ada));
    let mut ada_again = visit_of(&settings, ADA).await;
    attach(&ada_again, &code, Some(0));
    gone(&mut ada_again).await;
    let (one, other) = (&mut bob, &mut eve);
    watch(one, &code);
    watch(other, &code);
    let begun = |it: &Visit| it.told.iter().any(|said| matches!(said, FromShell::Watching { .. }));
    let refused = |it: &Visit| it.told.iter().filter(|said| **said == FromShell::Gone).count();
    // Eve was refused three times before.
    bob.until("an answer", |it| begun(it) || refused(it) == 1).await;
    eve.until("an answer", |it| begun(it) || refused(it) == 4).await;
    assert!(begun(&bob) != begun(&eve), "one of them");
    watched_by(&mut ada, &["Bob"]).await;
    ada.say("shell", r#"{"type":"stopwatching"}"#);
    watched_by(&mut ada, &[]).await;
    let over = tokio::select! {
        over = bob.until_ended() => over,
        over = eve.until_ended() => over,
    };
    assert!(over.contains("its owner ended the watching"), "{over}");
    // An open invitation is void with it.
    let late = invitation(&mut ada).await;
    ada.say("shell", r#"{"type":"stopwatching"}"#);
    ada.say("control", r#"{"type":"ping","seq":7}"#);
    ada.until("a pong", |it| it.control.contains(&Control::Pong { seq: 7 })).await;
    let mut last = watcher(&settings).await;
    watch(&last, &late);
    gone(&mut last).await;
}

#[tokio::test]
async fn watching_goes_on_when_the_owner_reloads_and_ends_when_access_does() {
    let settings = keeping();
    let mut ada = with_shell(&settings, ADA).await;
    let code = invitation(&mut ada).await;
    let mut bob = watcher(&settings).await;
    watch(&bob, &code);
    watching(&mut bob).await;
    watched_by(&mut ada, &["Bob"]).await;
    away(&mut ada).await;
    let mut back = visit_of(&settings, ADA).await;
    attach(&back, &token(&ada), None);
    attached(&mut back).await;
    watched_by(&mut back, &["Bob"]).await;
    back.type_in("echo a''gain\n");
    bob.until("what is typed now", |it| it.screen.contains("again\r\n")).await;
    // Bob's own session ends, and the owner hears it at the next output at the latest.
    bob.input.send(Input::End { reason: "Enough.".to_owned() }).await.expect("a session");
    assert_eq!(bob.until_ended().await, "Enough.");
    back.type_in("echo\n");
    watched_by(&mut back, &[]).await;
}
