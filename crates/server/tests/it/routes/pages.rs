//! The pages that the browser tests must look at: a list that they read, kept equal to the routes here.

use super::rules::rule;
use super::world::world;
use crate::desk::{Desk, request};
use axum::body::{Body, to_bytes};
use bramble_server::routes::{Caller, Credential, TABLE, credential_of};
use http::Method;
use http::header::{ACCEPT, COOKIE};
use tower::ServiceExt;

const PAGES: &str = include_str!("../../../../../tests/browser/support/pages.txt");

/// What a browser may ask for that is no page: parts of one, data, and what only leads elsewhere.
const NO_PAGES: &[&str] = &[
    "/.well-known/bramble",
    "/",
    "/devices/rows",
    "/devices/suggestions",
    "/devices/{id}/panel",
    "/live",
    "/organisation/openapi.json",
    "/organisations/{organisation}",
    "/organisations/{organisation}/devices/rows",
    "/organisations/{organisation}/devices/suggestions",
    "/organisations/{organisation}/tags",
    "/ready",
    "/sessions/{id}/events",
    "/up",
];

fn is_for_browsers(method: &str, pattern: &str, caller: Caller) -> bool {
    method == "GET" && (caller == Caller::Anybody || credential_of(pattern) == Credential::Cookie)
}

#[test]
fn the_browser_tests_have_a_list_of_all_pages() {
    let asked = TABLE.iter().filter(|(method, pattern, caller)| is_for_browsers(method, pattern, *caller));
    let mut pages: Vec<_> =
        asked.map(|(_, pattern, _)| *pattern).filter(|pattern| !NO_PAGES.contains(pattern)).collect();
    pages.sort_unstable();
    let listed: Vec<_> = PAGES.lines().collect();
    let why = "tests/browser/support/pages.txt must list every page, so that a scenario has to look at it";
    assert_eq!(listed, pages, "{why}");
}

/// Nothing is left out of the list that is a page after all.
#[tokio::test]
async fn what_is_on_no_list_is_no_page() {
    let desk = Desk::new().await;
    let (ann, mem) = (desk.person("ann").await, desk.person("mem").await);
    let (it, _) = world(&desk, &ann, &mem).await;
    for pattern in NO_PAGES {
        let caller = TABLE.iter().find(|row| row.0 == "GET" && row.1 == *pattern).expect("a route").2;
        assert!(is_for_browsers("GET", pattern, caller), "{pattern}");
        let rule = rule("GET", pattern, &it).expect("a row");
        let asked = request(Method::GET, &rule.path, "10.0.0.1")
            .header(ACCEPT, "text/html")
            .header(COOKIE, &ann.cookie)
            .body(Body::empty())
            .expect("a request");
        let answer = desk.router.clone().oneshot(asked).await.expect("an answer");
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("text").to_owned());
        assert!(answer.status().as_u16() < 400, "{pattern}: {}", answer.status());
        // Streams do not end.
        if kind.is_some_and(|kind| kind.starts_with("text/html")) {
            let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
            let body = String::from_utf8_lossy(&body).to_lowercase();
            assert!(!body.contains("<!doctype html"), "{pattern} is a page");
        }
    }
}
