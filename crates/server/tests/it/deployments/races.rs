//! Real concurrency, on both engines.

use super::Place;
use bramble_model::deployment::Word;
use bramble_server::artefacts::{self, ArtefactError};
use bramble_server::deployments::{self, DeploymentError};
use bramble_store::deployments::Filter;
use bramble_store::testing::Engine;
use http::StatusCode;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How often somebody asks again who waited for the database for too long.
const PATIENCE: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_creations_at_once_leave_one_pending() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let artefact = place.desk.artefact(&place.by, "a").await;
        let mut all = JoinSet::new();
        for _ in 0..200 {
            let (app, by, device) = (place.desk.app.clone(), place.by.clone(), place.device.id);
            all.spawn(async move {
                // Whoever waits for a connection for too long is answered 503 and asks again.
                for _ in 0..PATIENCE {
                    match deployments::create(&app, &by, device, artefact).await {
                        Ok(_) => return,
                        Err(error) => assert!(matches!(error, DeploymentError::Store(_)), "{error}"),
                    }
                }
                panic!("the database is never there");
            });
        }
        all.join_all().await;
        let count = async |state| {
            let filter = Filter { state: Some(state), ..Filter::default() };
            place.desk.app.store.deployments(place.ann.account, filter, 0, 1).await.expect("reads").1
        };
        assert_eq!((count(Word::Pending).await, count(Word::Failed).await), (1, 199));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_start_and_cancel_exactly_one_wins() {
    for engine in Engine::BOTH {
        let place = Arc::new(Place::on(engine).await);
        let (mut started, mut cancelled) = (0, 0);
        for _ in 0..20 {
            let id = place.deploy().await;
            let (one, other) = (Arc::clone(&place), Arc::clone(&place));
            let start = tokio::spawn(async move { one.report(id, "start").await.status });
            let cancel = tokio::spawn(async move {
                match deployments::cancel(&other.desk.app, &other.by, id).await {
                    Ok(_) => true,
                    Err(DeploymentError::Refused(_)) => false,
                    Err(error) => panic!("{error}"),
                }
            });
            let (start, cancel) = (start.await.expect("no panic"), cancel.await.expect("no panic"));
            let expected = if cancel { "cancelled" } else { "in_progress" };
            assert_eq!(place.state(id).await, expected);
            assert_eq!(start == StatusCode::OK, !cancel, "{start}");
            started += u32::from(!cancel);
            cancelled += u32::from(cancel);
        }
        assert_eq!(started + cancelled, 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_complete_and_fail_the_first_stands() {
    for engine in Engine::BOTH {
        let place = Arc::new(Place::on(engine).await);
        for _ in 0..10 {
            let id = place.deploy().await;
            place.report(id, "start").await;
            let mut all = JoinSet::new();
            for report in ["complete", "fail", "complete", "fail", "start", "progress"] {
                let place = Arc::clone(&place);
                all.spawn(async move { (report, place.report(id, report).await.status) });
            }
            let answers = all.join_all().await;
            let succeeded = place.state(id).await == "succeeded";
            for (report, status) in answers {
                assert!(!status.is_server_error(), "{report}: {status}");
                if report == "complete" {
                    assert_eq!(status == StatusCode::NO_CONTENT, succeeded, "{report}: {status}");
                }
                if report == "fail" {
                    assert_eq!(status == StatusCode::NO_CONTENT, !succeeded, "{report}: {status}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creations_starts_and_the_end_of_the_device_do_not_stand_in_each_others_way() {
    for engine in Engine::BOTH {
        let place = Arc::new(Place::on(engine).await);
        let artefact = place.desk.artefact(&place.by, "a").await;
        let first = place.deploy().await;
        place.report(first, "start").await;
        let second = place.deploy().await;
        let mut all = JoinSet::new();
        for _ in 0..10 {
            let it = Arc::clone(&place);
            all.spawn(async move {
                match deployments::create(&it.desk.app, &it.by, it.device.id, artefact).await {
                    Ok(_) | Err(DeploymentError::NotFound) => {}
                    Err(error) => panic!("{error}"),
                }
            });
            let it = Arc::clone(&place);
            all.spawn(async move {
                let status = it.report(second, "start").await.status;
                assert!(!status.is_server_error(), "{status}");
            });
        }
        let it = Arc::clone(&place);
        all.spawn(async move {
            let path = format!("/devices/{}/delete", it.device.id);
            let deleted = it.ann.post(&path, &[("confirm", "host-s1")]).await;
            assert_eq!(deleted.status, StatusCode::SEE_OTHER, "{}", deleted.body);
        });
        all.join_all().await;
        for state in [Word::Pending, Word::InProgress] {
            let filter = Filter { state: Some(state), ..Filter::default() };
            let (left, _) =
                place.desk.app.store.deployments(place.ann.account, filter, 0, 9).await.expect("reads");
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_artefact_is_deleted_or_deployed_never_both() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        for round in 0..10 {
            let artefact = place.desk.artefact(&place.by, &format!("a {round}")).await;
            let (app, by, device) = (place.desk.app.clone(), place.by.clone(), place.device.id);
            let deploy =
                tokio::spawn(async move { deployments::create(&app, &by, device, artefact).await.is_ok() });
            let (app, by) = (place.desk.app.clone(), place.by.clone());
            let delete = tokio::spawn(async move {
                match artefacts::delete(&app, &by, artefact).await {
                    Ok(_) => true,
                    Err(ArtefactError::Deployed) => false,
                    Err(error) => panic!("{error}"),
                }
            });
            let (deployed, deleted) = (deploy.await.expect("no panic"), delete.await.expect("no panic"));
            assert_ne!(deployed, deleted);
        }
    }
}
