use super::Place;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bramble_server::admin::{Request, Response, handle};
use bramble_server::deployments::keys;
use bramble_store::testing::Engine;
use bramble_wire::deployments::{DeploymentKeys, Started, signed_key_text, signed_text};
use ed25519_dalek::{Signature, VerifyingKey};
use http::Method;

fn verifies(key: &str, text: &str, signature: &str) -> bool {
    let key: [u8; 32] = STANDARD.decode(key).expect("base64").try_into().expect("32 bytes");
    let signature: [u8; 64] = STANDARD.decode(signature).expect("base64").try_into().expect("64 bytes");
    let key = VerifyingKey::from_bytes(&key).expect("a key");
    key.verify_strict(text.as_bytes(), &Signature::from_bytes(&signature)).is_ok()
}

async fn listed(place: &Place) -> DeploymentKeys {
    let request = crate::desk::request(Method::GET, "/.well-known/bramble", "198.51.100.7");
    let answer = place.desk.send(request.body(axum::body::Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, 200);
    serde_json::from_str(&answer.body).expect("keys")
}

#[tokio::test]
async fn starts_are_signed_by_the_newest_key_and_each_key_by_the_one_before() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let first = listed(&place).await;
        assert_eq!(first, listed(&place).await, "it stays");
        assert_eq!((first.deployment_keys.len(), &first.deployment_keys[0].signed_by), (1, &None));
        let id = place.deploy().await;
        let started = async || -> Started {
            serde_json::from_str(&place.report(id, "start").await.body).expect("started")
        };
        let it = started().await;
        let text = signed_text(id, place.device.id, &it.artefact.uri, &it.artefact.checksum, it.timestamp);
        assert!(verifies(&first.deployment_keys[0].key, &text, &it.signature));
        assert!(!verifies(&first.deployment_keys[0].key, &format!("{text}0"), &it.signature));

        let name = keys::rotate(&place.desk.app).await.expect("rotates").expect("alone");
        keys::rotate(&place.desk.app).await.expect("rotates").expect("alone");
        let all = listed(&place).await.deployment_keys;
        assert_eq!((all.len(), &all[0], &all[1].id), (3, &first.deployment_keys[0], &name));
        for pair in all.windows(2) {
            let by = pair[1].signed_by.as_ref().expect("signed");
            assert_eq!(by.id, pair[0].id);
            assert!(verifies(&pair[0].key, &signed_key_text(&pair[1].id, &pair[1].key), &by.signature));
        }
        let it = started().await;
        assert!(verifies(&all[2].key, &text, &it.signature) && !verifies(&all[0].key, &text, &it.signature));
        // Of the older keys no secret is left.
        let kept = place.desk.app.store.deployment_keys().await.expect("reads");
        let sealed: Vec<_> = kept.iter().map(|key| key.sealed.is_some()).collect();
        assert_eq!(sealed, [false, false, true]);
    }
}

#[tokio::test]
async fn many_first_looks_at_once_make_one_key_and_many_rotations_lose_none() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let app = &place.desk.app;
        let looks = (0..20).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { keys::list(&app).await.expect("keys") })
        });
        let looks: Vec<_> = looks.collect();
        let mut seen = Vec::new();
        for look in looks {
            seen.push(look.await.expect("no panic"));
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
        let rotations: Vec<_> = (0..10)
            .map(|_| {
                let app = app.clone();
                tokio::spawn(async move { keys::rotate(&app).await.expect("rotates").is_some() })
            })
            .collect();
        let mut made = 0;
        for rotation in rotations {
            made += usize::from(rotation.await.expect("no panic"));
        }
        let all = keys::list(app).await.expect("keys").deployment_keys;
        assert!(made >= 1);
        assert_eq!(all.len(), 1 + made);
    }
}

#[tokio::test]
async fn the_operator_makes_a_new_key() {
    let place = Place::new().await;
    let first = listed(&place).await.deployment_keys;
    let Response::Done { text, json } = handle(&place.desk.app, Request::DeploymentKeyRotate).await else {
        panic!("refused");
    };
    let all = listed(&place).await.deployment_keys;
    assert_eq!((first.len(), all.len(), &all[0]), (1, 2, &first[0]));
    assert_eq!(json["id"], all[1].id);
    assert!(text.contains(&all[1].id), "{text}");
    assert_eq!(all[1].signed_by.as_ref().map(|by| &by.id), Some(&first[0].id));
}
