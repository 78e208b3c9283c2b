//! What the first look at the dashboard costs on a slow line.

use crate::desk::{Desk, Person, request};
use axum::body::Body;
use bramble_model::tags::Tags;
use bramble_model::{OsRandom, Random};
use bramble_store::devices::NewDevice;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, COOKIE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use std::collections::BTreeSet;
use tower::ServiceExt;

/// Bytes, compressed, with everything that the page loads.
const MOST: usize = 60 * 1024;

async fn weight(desk: &Desk, ann: &Person, path: &str) -> usize {
    let request = request(Method::GET, path, "192.0.2.1")
        .header(COOKIE, &ann.cookie)
        // The weaker of the two: browsers take no other without TLS.
        .header(ACCEPT_ENCODING, "gzip");
    let request = request.body(Body::empty()).expect("a request");
    let answer = desk.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip", "{path}");
    answer.into_body().collect().await.expect("a body").to_bytes().len()
}

#[tokio::test]
async fn a_full_list_with_all_that_it_loads_is_small() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let random: &dyn Random = &OsRandom;
    let tx = desk.app.store.begin().await.expect("begins");
    for number in 0..100 {
        tx.insert_device(NewDevice {
            id: random.id(),
            account: shed,
            name: format!("kiosk {number} in the hall of platform {}", number % 12),
            serial_number: format!("{:016x}", u64::from_le_bytes(random.bytes())),
            hostname: None,
            board_model: None,
            token: None,
            tags: Tags::new(["production".to_owned(), format!("floor-{}", number % 7)]).expect("tags"),
            at: desk.app.clock.now(),
        })
        .await
        .expect("a device");
    }
    tx.commit().await.expect("commits");
    let list = format!("/organisations/{shed}/devices");
    let page = ann.get(&list).await.body;
    assert!(page.contains("100 devices"), "{page}");
    // An icon is a part of a file.
    let assets: BTreeSet<&str> = page
        .split('"')
        .filter(|text| text.starts_with("/assets/"))
        .filter_map(|text| text.split('#').next())
        .collect();
    assert!(assets.len() >= 4, "{assets:?}");
    let mut total = weight(&desk, &ann, &list).await;
    for asset in assets {
        total += weight(&desk, &ann, asset).await;
    }
    assert!(total <= MOST, "{total} bytes");
}
