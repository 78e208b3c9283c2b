//! Members of an organisation at its pages and its devices: with a second factor, and without the one that
//! is required.

use super::rules::rule;
use super::world::{World, world};
use super::{With, send};
use crate::desk::Desk;
use bramble_model::account::{Role, TWO_FACTOR_GRACE};
use bramble_server::routes::TABLE;
use http::StatusCode;
use serde_json::json;
use time::Duration;

/// The second factor that nobody has is required from now on, and the days of grace are over.
async fn require_second_factor(desk: &Desk) {
    desk.sql("DELETE FROM passkeys").await;
    let since = desk.app.clock.now().unix_timestamp() * 1_000_000;
    desk.sql(&format!("UPDATE accounts SET two_factor_required_at = {since} WHERE kind = 'organisation'"))
        .await;
    desk.clock.advance(TWO_FACTOR_GRACE);
}

/// A member whom the rule about second factors keeps out sees nothing of the organisation, an
/// administrator no more than others.
#[tokio::test]
async fn whoever_is_kept_out_reaches_nothing_of_the_organisation() {
    let desk = Desk::new().await;
    let (ann, mem) = (desk.person("ann").await, desk.person("mem").await);
    let (it, _) = world(&desk, &ann, &mem).await;
    require_second_factor(&desk).await;
    for email in [&ann.email, &mem.email] {
        let cookie = desk.sign_in(email).await;
        for (method, pattern, _) in TABLE.iter().filter(|row| row.1.contains("{organisation}")) {
            let rule = rule(method, pattern, &it).expect("a row");
            // Going is allowed to everybody but the last administrator.
            if *pattern == "/organisations/{organisation}/leave" {
                continue;
            }
            let (status, _) = send(&desk, method, &rule, With::Cookie(&cookie)).await;
            let nothing = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status);
            assert!(nothing, "{method} {pattern} to {email}: {status}");
        }
    }
}

/// What members may do with a device, and what came of it, of their organisation. The rest is for its
/// administrators; members learn nothing of it.
fn is_for_members(method: &str, pattern: &str) -> bool {
    match method {
        "GET" => matches!(
            pattern,
            "/devices/{id}"
                | "/devices/{id}/panel"
                | "/devices/{id}/shell"
                | "/devices/{id}/screen"
                | "/devices/{id}/files"
                | "/devices/{id}/deployments"
                | "/remote-update/deployments/{id}"
        ),
        _ => (method, pattern) == ("POST", "/sessions"),
    }
}

/// The rows whose path or body names a device, an artefact or a deployment, which an organisation may own.
fn names_something(pattern: &str) -> bool {
    let things = ["/devices/{id}", "/remote-update/artefacts/{id}", "/remote-update/deployments/{id}"];
    pattern == "/sessions" || things.iter().any(|thing| pattern.starts_with(thing))
}

/// Every route of a device, × member, kept-out member, kept-out administrator and stranger, where the
/// device is an organisation's.
#[tokio::test]
async fn a_device_of_an_organisation_is_its_members_to_reach_and_its_administrators_to_change() {
    let desk = Desk::new().await;
    let (ann, mem, eve) = (desk.person("ann").await, desk.person("mem").await, desk.person("eve").await);
    let (it, _) = world(&desk, &ann, &mem).await;
    let it = World {
        device: it.its_device.clone(),
        deployment: it.its_deployment.clone(),
        artefact: it.its_artefact.clone(),
        ..it
    };
    let rows: Vec<_> = TABLE.iter().filter(|row| names_something(row.1)).collect();
    assert!(rows.len() > 20, "{rows:?}");
    for (method, pattern, _) in &rows {
        let rule = rule(method, pattern, &it).expect("a row");
        let (status, _) = send(&desk, method, &rule, With::Cookie(&mem.cookie)).await;
        let found = status != StatusCode::NOT_FOUND;
        assert_eq!(found, is_for_members(method, pattern), "{method} {pattern} to a member: {status}");
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
        assert!(!refused && !status.is_server_error(), "{method} {pattern} to a member: {status}");
    }

    require_second_factor(&desk).await;
    // Signed in a moment ago, so that nothing asks for a proof first.
    let (cookies, stranger) =
        ([desk.sign_in(&mem.email).await, desk.sign_in(&ann.email).await], desk.sign_in(&eve.email).await);
    for (method, pattern, _) in &rows {
        let rule = rule(method, pattern, &it).expect("a row");
        for cookie in &cookies {
            let (status, _) = send(&desk, method, &rule, With::Cookie(cookie)).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} {pattern} to somebody who is kept out");
        }
        let (status, _) = send(&desk, method, &rule, With::Cookie(&stranger)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {pattern} to a stranger");
    }
}

/// The page says what is missing, and a session that was opened before does not begin.
#[tokio::test]
async fn whoever_is_kept_out_of_a_device_reads_why() {
    let desk = Desk::new().await;
    let (ann, mem) = (desk.person("ann").await, desk.person("mem").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &mem, Role::Member).await;
    let device = desk.device(&ann, "s1").await.online().await;
    desk.give(&ann, &device, shed).await;
    let since = desk.app.clock.now().unix_timestamp() * 1_000_000;
    desk.sql(&format!("UPDATE accounts SET two_factor_required_at = {since} WHERE kind = 'organisation'"))
        .await;
    desk.clock.advance(TWO_FACTOR_GRACE - Duration::SECOND);
    let mem = mem.elsewhere(&desk).await;
    let wish = json!({ "device_id": device.id, "kind": "shell" });
    let opened = mem.fetch("POST", "/sessions", wish.clone()).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.body);
    desk.clock.advance(Duration::SECOND);

    let offer = format!("/sessions/{}/offer", opened.text("id"));
    for refused in
        [mem.fetch("POST", &offer, json!({ "sdp": "x" })).await, mem.fetch("POST", "/sessions", wish).await]
    {
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
        assert_eq!(refused.text("error"), "two_factor_required");
    }
    for path in ["", "/shell", "/deployments"] {
        let page = mem.get(&format!("/devices/{}{path}", device.id)).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.body.contains("Two-factor authentication required") && page.body.contains("Shed"));
        assert!(!page.body.contains("host-s1"), "nothing of the device: {}", page.body);
    }
}
