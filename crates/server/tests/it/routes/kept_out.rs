//! What somebody reads whom the rule about second factors keeps out.

use crate::desk::Desk;
use bramble_model::account::{Role, TWO_FACTOR_GRACE};
use http::StatusCode;
use serde_json::json;
use time::Duration;

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

    // Going is allowed, and the way there is on the page.
    let leave = format!("/organisations/{shed}/leave");
    let page = mem.get(&format!("/organisations/{shed}/devices")).await;
    assert!(page.body.contains(&leave), "{}", page.body);
    let asked = mem.get(&leave).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
    assert!(asked.body.contains("Leave this organisation?") && !asked.body.contains("/audit-log"));
    assert_eq!(mem.post(&leave, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(mem.get(&leave).await.status, StatusCode::NOT_FOUND);
}
