//! The audit log: filtering it, taking it away, and what is too old.

use crate::desk::Desk;
use bramble_model::account::Role;
use bramble_store::testing::Engine;
use http::StatusCode;
use time::Duration;

#[tokio::test]
async fn it_is_filtered_by_action_and_only_administrators_read_it() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    desk.clock.advance(Duration::SECOND);
    ann.post(&format!("/organisations/{shed}/settings"), &[("name", "Barn")]).await;
    let path = format!("/organisations/{shed}/audit-log");
    let all = ann.get(&path).await.body;
    assert!(all.contains("Before: Shed") && all.contains("2 events"), "{all}");
    let (renamed, created) = (all.find("Before: Shed"), all.rfind("<span>Organisation created"));
    assert!(renamed < created, "the newest first");
    let some = ann.get(&format!("{path}?action=organisation_created&action=nonsense")).await.body;
    assert!(some.contains("1 event<") && !some.contains("Before: Shed"), "{some}");
    assert_eq!(bob.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.post(&format!("{path}/export"), &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_copy_opens_safely_in_a_spreadsheet_and_is_noted() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "=cmd|' /C calc'!A0, \"x\"").await;
        let path = format!("/organisations/{shed}/audit-log/export");
        let csv = ann.post(&path, &[]).await;
        assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
        assert!(csv.body.starts_with("Timestamp,Source,Action,Details,Subject,Actor,Country\r\n"));
        assert!(csv.body.contains("\"'=cmd|' /C calc'!A0, \"\"x\"\"\""), "{}", csv.body);
        assert!(csv.body.contains("Audit log exported"), "the copy names itself: {}", csv.body);
        let only = ann.post(&path, &[("action", "organisation_created")]).await.body;
        assert_eq!(only.lines().count(), 2, "{only}");
    }
}

#[tokio::test]
async fn a_long_log_is_sent_whole_and_in_order() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        for round in 0..1200 {
            let tx = desk.app.store.begin().await.expect("begins");
            let subject = bramble_server::audit::organisation(shed, "Shed");
            let actor = bramble_server::audit::Actor::operator();
            let action = bramble_model::audit::Action::OrganisationRenamed;
            let line = bramble_server::audit::record(
                &desk.app,
                &tx,
                shed,
                &actor,
                action,
                subject,
                format!("no {round:04}"),
            );
            line.await.expect("writes");
            tx.commit().await.expect("commits");
            // Many lines of one moment: none may be lost between two parts.
            if round % 300 == 0 {
                desk.clock.advance(Duration::SECOND);
            }
        }
        let csv = ann.post(&format!("/organisations/{shed}/audit-log/export"), &[]).await.body;
        let mut numbers: Vec<_> = csv.lines().filter_map(|line| line.split("no ").nth(1)?.get(..4)).collect();
        assert_eq!(numbers.len(), 1200);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 1200);
    }
}

#[tokio::test]
async fn after_ninety_days_a_line_is_gone() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    desk.clock.advance(Duration::days(90));
    bramble_server::audit::log::sweep(&desk.app).await.expect("sweeps");
    assert_eq!(desk.audit(shed).await.len(), 1);
    desk.clock.advance(Duration::SECOND);
    bramble_server::audit::log::sweep(&desk.app).await.expect("sweeps");
    assert!(desk.audit(shed).await.is_empty());
}
