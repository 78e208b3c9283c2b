use super::Place;
use bramble_model::deployment::Word;
use bramble_server::deployments::rollouts::{self, RolloutError};
use bramble_store::deployments::Filter;
use bramble_store::rollouts::State;
use bramble_store::testing::Engine;
use bramble_testkit::{LONG, eventually};
use bramble_wire::{DeviceId, RolloutId};
use time::Duration;

/// So many devices named `many-0001`… that allow remote updates, written into the store.
pub(super) async fn many(place: &Place, count: usize) -> Vec<DeviceId> {
    use bramble_model::{OsRandom, Random, Secret, SecretKind};
    let random: &dyn Random = &OsRandom;
    let tx = place.desk.app.store.begin().await.expect("begins");
    let mut ids = Vec::new();
    for number in 0..count {
        let id = random.id();
        tx.insert_device(bramble_store::devices::NewDevice {
            id,
            account: place.ann.account,
            name: format!("many-{number:04}"),
            serial_number: format!("many{number:04}"),
            hostname: None,
            board_model: None,
            token: Some(Secret::generate(SecretKind::DeviceToken, random).hash()),
            tags: bramble_model::tags::Tags::default(),
            at: place.desk.app.clock.now(),
        })
        .await
        .expect("a device");
        ids.push(id);
    }
    tx.commit().await.expect("commits");
    place.desk.sql("UPDATE devices SET ota = 'enabled' WHERE name_folded LIKE 'many-%'").await;
    ids
}

async fn rollout(place: &Place, id: RolloutId) -> bramble_store::rollouts::Rollout {
    place.desk.app.store.rollout_anywhere(id).await.expect("reads").expect("a rollout")
}

async fn finished(place: &Place, id: RolloutId) {
    eventually("the rollout is done", LONG, async || {
        (rollout(place, id).await.state == State::Done).then_some(())
    })
    .await;
}

async fn count(place: &Place, id: RolloutId, state: Word) -> u64 {
    let filter = Filter { state: Some(state), rollout: Some(id), device: None };
    place.desk.app.store.deployments(place.ann.account, filter, 0, 1).await.expect("reads").1
}

#[tokio::test]
async fn a_preview_freezes_the_devices_and_what_is_gone_meanwhile_is_listed() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let (app, by) = (&place.desk.app, &place.by);
        let ids = many(&place, 3).await;
        let artefact = place.desk.artefact(by, "a").await;
        let id = rollouts::preview(app, by, artefact, "").await.expect("a preview");
        let (chosen, total) = app.store.rollout_members(id, false, 0, 100).await.expect("reads");
        assert_eq!((chosen.len(), total, rollout(&place, id).await.total), (3, 3, 3));
        let (skipped, _) = app.store.rollout_members(id, true, 0, 100).await.expect("reads");
        assert_eq!(skipped.len(), 1, "s1 said nothing of updates");
        assert_eq!(skipped[0].reason.as_deref(), Some("Remote update is not available on this device"));
        // A device that is linked after the preview gets nothing; one that is gone is told.
        many_more(&place).await;
        place.ann.post(&format!("/devices/{}/delete", ids[0]), &[("confirm", "many-0000")]).await;
        for wrong in ["", "2", "4", "3x", "-3"] {
            let refused = rollouts::start(app, by, id, wrong).await;
            assert!(matches!(refused, Err(RolloutError::WrongCount)), "{wrong}");
        }
        rollouts::start(app, by, id, " 3 ").await.expect("starts");
        rollouts::start(app, by, id, "3").await.expect("asked again, it is so already");
        finished(&place, id).await;
        assert_eq!(count(&place, id, Word::Pending).await, 2);
        let end = rollout(&place, id).await;
        assert_eq!((end.total, end.skipped, end.done), (2, 2, 2));
        let (skipped, _) = app.store.rollout_members(id, true, 0, 100).await.expect("reads");
        assert!(skipped.iter().any(|it| it.device == ids[0]
            && it.reason.as_deref() == Some("Deleted or transferred since the preview")));
        let log = place.desk.audit(place.ann.account).await;
        let lines = |title: &str| log.iter().filter(|line| *line == title).count();
        assert_eq!(lines("Deployment to many devices started"), 1);
        assert_eq!(lines("Deployment created"), 2);
    }
}

async fn many_more(place: &Place) {
    place.desk.device(&place.ann, "late").await;
    place.desk.sql("UPDATE devices SET ota = 'enabled' WHERE serial_number = 'late'").await;
}

#[tokio::test]
async fn a_preview_lives_ten_minutes_and_for_its_account_alone() {
    let place = Place::new().await;
    let (app, by) = (&place.desk.app, &place.by);
    let artefact = place.desk.artefact(by, "a").await;
    assert!(matches!(rollouts::preview(app, by, artefact, "").await, Err(RolloutError::NoDevices)));
    many(&place, 2).await;
    assert!(matches!(rollouts::preview(app, by, artefact, "nothing").await, Err(RolloutError::NoDevices)));
    let id = rollouts::preview(app, by, artefact, "MANY-0001").await.expect("a preview");
    assert_eq!(rollout(&place, id).await.total, 1);
    let eve = place.desk.person("eve").await;
    let hers = place.desk.manager(&eve, eve.account).await;
    assert!(matches!(rollouts::start(app, &hers, id, "1").await, Err(RolloutError::Deployment(_))));
    assert!(rollouts::preview(app, &hers, artefact, "").await.is_err());
    place.desk.clock.advance(Duration::minutes(10));
    assert!(matches!(rollouts::start(app, by, id, "1").await, Err(RolloutError::Expired)));
    for _ in 0..20 {
        rollouts::preview(app, by, artefact, "").await.expect("a preview");
    }
    let one_more = rollouts::preview(app, by, artefact, "").await;
    assert!(matches!(one_more, Err(RolloutError::TooManyPreviews)));
    place.desk.clock.advance(Duration::minutes(11));
    rollouts::resume(app).await.expect("sweeps");
    assert!(app.store.rollout_anywhere(id).await.expect("reads").is_none());
    // An artefact of which there was a preview alone can be deleted.
    bramble_server::artefacts::delete(app, by, artefact).await.expect("never deployed");
}

#[tokio::test]
async fn a_rollout_that_was_cut_off_goes_on_and_nobody_gets_two() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let (app, by) = (&place.desk.app, &place.by);
        many(&place, 1203).await;
        let artefact = place.desk.artefact(by, "a").await;
        let id = rollouts::preview(app, by, artefact, "many").await.expect("a preview");
        // Started, and killed before its job did anything.
        let tx = app.store.begin().await.expect("begins");
        assert!(tx.start_rollout(id, app.clock.now()).await.expect("writes"));
        tx.commit().await.expect("commits");
        // Two nodes take it up at once.
        let (one, other) = tokio::join!(rollouts::resume(app), rollouts::resume(app));
        one.and(other).expect("both go on");
        finished(&place, id).await;
        assert_eq!(count(&place, id, Word::Pending).await, 1203);
        let end = rollout(&place, id).await;
        assert_eq!((end.done, end.total), (1203, 1203));
        // The next one supersedes what waits.
        let next = rollouts::preview(app, by, artefact, "many").await.expect("a preview");
        rollouts::start(app, by, next, "1203").await.expect("starts");
        finished(&place, next).await;
        assert_eq!(count(&place, id, Word::Failed).await, 1203);
        assert_eq!(count(&place, next, Word::Pending).await, 1203);
    }
}
