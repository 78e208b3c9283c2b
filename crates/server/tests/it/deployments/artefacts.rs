use super::Place;
use bramble_server::artefacts::{self, ArtefactError};
use bramble_store::testing::Engine;

const SUM: &str = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef";

async fn problems(place: &Place, name: &str, uri: &str, sum: &str) -> Vec<String> {
    match artefacts::add(&place.desk.app, &place.by, name, uri, sum).await {
        Ok(_) => Vec::new(),
        Err(ArtefactError::Invalid(problems)) => problems.sentences().map(str::to_owned).collect(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_library_takes_what_devices_can_fetch_and_names_once() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        assert!(problems(&place, "App 1", "https://x.example/a", SUM).await.is_empty());
        assert_eq!(problems(&place, " App  1 ", "file:///a", SUM).await, ["Name has already been taken"]);
        assert_eq!(
            problems(&place, "", "x", "y").await,
            ["Name can't be blank", "Uri is invalid", "Checksum is invalid"]
        );
        // Another account may use the name.
        let eve = place.desk.person("eve").await;
        let hers = place.desk.manager(&eve, eve.account).await;
        place.desk.artefact(&hers, "App 1").await;
        let (all, total) = artefacts::list(&place.desk.app, &place.by, "aPP", 0, 10).await.expect("reads");
        assert_eq!((all.len(), total), (1, 1));
        assert_eq!(all[0].description.checksum, SUM.to_lowercase());
        for no_prefix in ["pp", "App_", "App%", "\\"] {
            let found = artefacts::list(&place.desk.app, &place.by, no_prefix, 0, 10).await.expect("reads");
            assert_eq!(found.1, 0, "{no_prefix}");
        }
        assert!(matches!(
            artefacts::find(&place.desk.app, &hers, all[0].id).await,
            Err(ArtefactError::NotFound)
        ));
    }
}

#[tokio::test]
async fn what_was_deployed_once_stays_also_after_its_device_is_deleted() {
    for engine in Engine::BOTH {
        let place = Place::on(engine).await;
        let (app, by) = (&place.desk.app, &place.by);
        let unused = place.desk.artefact(by, "unused").await;
        let id = place.deploy().await;
        let used = place.look(id).await.artefact;
        assert!(matches!(artefacts::delete(app, by, used).await, Err(ArtefactError::Deployed)));
        let path = format!("/devices/{}/delete", place.device.id);
        place.ann.post(&path, &[("confirm", "host-s1")]).await;
        assert_eq!(place.state(id).await, "cancelled");
        assert!(matches!(artefacts::delete(app, by, used).await, Err(ArtefactError::Deployed)));
        artefacts::delete(app, by, unused).await.expect("never deployed");
        assert!(matches!(artefacts::delete(app, by, unused).await, Err(ArtefactError::NotFound)));
        let log = place.desk.audit(place.ann.account).await;
        for line in ["Artefact created", "Artefact deleted", "Deployment created", "Deployment cancelled"] {
            assert!(log.iter().any(|it| it == line), "{line}: {log:?}");
        }
    }
}
