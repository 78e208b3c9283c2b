//! [`TABLE`] against the router that is served: a route without a row fails, and so does a row without
//! its route.

use super::rules::path_of;
use super::world::world;
use super::{Rule, Who, With, send};
use crate::desk::Desk;
use axum::Router;
use bramble_server::routes::{Credential, TABLE, credential_of};
use http::StatusCode;
use std::collections::BTreeSet;

/// What everybody may fetch and no row names: files, and the page for developers of a debug build.
const NO_ROWS: [&str; 2] = ["/assets/{file}", "/styleguide"];
/// HEAD and OPTIONS follow from these.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Every path of a router. axum hands them out in its `Debug` form alone, as `RouteId(7): "/devices"`.
fn paths(router: &Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    // What follows is about paths that no route has.
    let served = text.split("fallback_router").next().unwrap_or_default();
    let path = |part: &str| {
        let (_, rest) = part.split_once("): ")?;
        rest.strip_prefix('"')?.split_once('"').map(|(path, _)| path.to_owned())
    };
    served.split("RouteId(").skip(1).filter_map(path).collect()
}

#[tokio::test]
async fn the_table_has_every_route_of_the_router_and_no_other() {
    let desk = Desk::new().await;
    let (ann, mem) = (desk.person("ann").await, desk.person("mem").await);
    let (it, device) = world(&desk, &ann, &mem).await;

    let routed: BTreeSet<String> =
        paths(&desk.router).into_iter().filter(|path| !NO_ROWS.contains(&path.as_str())).collect();
    let listed: BTreeSet<String> = TABLE.iter().map(|(_, path, _)| (*path).to_owned()).collect();
    let (unlisted, unrouted): (Vec<_>, Vec<_>) =
        (routed.difference(&listed).collect(), listed.difference(&routed).collect());
    assert!(unlisted.is_empty() && unrouted.is_empty(), "no row: {unlisted:?}; no route: {unrouted:?}");

    // Of a path that is there each method without a row is refused, whoever asks.
    for pattern in &routed {
        let with = match credential_of(pattern) {
            Credential::Device => With::Bearer(&device.token),
            Credential::ApiToken => With::Bearer(&it.api_token),
            Credential::Cookie => With::Cookie(&ann.cookie),
        };
        for method in METHODS {
            if TABLE.iter().any(|(m, path, _)| m == &method && path == pattern) {
                continue;
            }
            let path = path_of(pattern, &it.device, &it);
            let rule = Rule { who: Who::Everybody, fresh: false, path, body: String::new() };
            let (status, _) = send(&desk, method, &rule, with).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {pattern} has no row");
        }
    }
}

#[test]
fn the_paths_of_a_router_are_read() {
    use axum::routing::get;
    let router: Router = Router::new().route("/a", get(|| async {})).route("/b/{id}", get(|| async {}));
    let layered =
        router.layer(axum::middleware::map_response(|answer: axum::response::Response| async { answer }));
    let found: Vec<String> = paths(&layered.fallback(|| async {})).into_iter().collect();
    assert_eq!(found, ["/a", "/b/{id}"]);
}
