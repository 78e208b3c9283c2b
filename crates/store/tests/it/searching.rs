//! Finding devices by words, filters and tags, the same on both engines.

use bramble_model::query::{Qualifier, Query};
use bramble_model::tags::Tags;
use bramble_model::{Clock, OsRandom, Random, SystemClock};
use bramble_store::Store;
use bramble_store::device_search::Slice;
use bramble_store::devices::NewDevice;
use bramble_store::organisations::NewOrganisation;
use bramble_store::testing::{Engine, TestDatabase};
use bramble_wire::device_api::{Board, Me, Os};
use bramble_wire::{AccountId, DeviceId};

struct Shelf {
    store: Store,
    account: AccountId,
    _database: TestDatabase,
}

impl Shelf {
    async fn on(engine: Engine) -> Self {
        let database = TestDatabase::new(engine).await;
        let store = database.open().await;
        let random: &dyn Random = &OsRandom;
        let (account, at) = (random.id(), SystemClock.now());
        let tx = store.begin().await.expect("begins");
        let name = "Shed".to_owned();
        let new = NewOrganisation { id: account, name, created_by: None, trial_ends_at: None, at };
        tx.insert_organisation(new).await.expect("an organisation");
        tx.commit().await.expect("commits");
        Self { store, account, _database: database }
    }

    async fn add(&self, name: &str, serial: &str, tags: &[&str], model: &str) -> DeviceId {
        let random: &dyn Random = &OsRandom;
        let id: DeviceId = random.id();
        let tx = self.store.begin().await.expect("begins");
        tx.insert_device(NewDevice {
            id,
            account: self.account,
            name: name.to_owned(),
            serial_number: serial.to_owned(),
            hostname: None,
            board_model: None,
            token: None,
            tags: Tags::new(tags).expect("tags"),
            at: SystemClock.now(),
        })
        .await
        .expect("a device");
        let board = Board { model: Some(model.to_owned()), memory: Some("8 GB".to_owned()), revision: None };
        let os = Os { filter: Some("RaspiOS-13".to_owned()), ..Os::default() };
        let me = Me { board: Some(board), os: Some(os), ..Me::default() };
        tx.describe_device(id, &me).await.expect("describes");
        tx.commit().await.expect("commits");
        id
    }

    async fn find(&self, query: &str, online: &[DeviceId]) -> Vec<String> {
        let slice = Slice { offset: 0, limit: 100 };
        let found = self.store.devices(self.account, &Query::parse(query), online, slice).await;
        let (devices, total) = found.expect("finds");
        assert_eq!(total, devices.len() as u64, "{query}");
        let part = Slice { offset: 0, limit: 1 };
        let counted = self.store.devices(self.account, &Query::parse(query), online, part).await;
        assert_eq!(counted.expect("finds").1, total, "{query}, counted");
        devices.into_iter().map(|device| device.name).collect()
    }
}

#[tokio::test]
async fn words_and_filters_find_the_same_on_both_engines() {
    for engine in Engine::BOTH {
        let shelf = Shelf::on(engine).await;
        shelf.add("Kiosk 1", "1000aa", &["kiosk", "production"], "Raspberry Pi 5").await;
        let two = shelf.add("kiosk 2", "1000bb", &["kiosk"], "Raspberry Pi 4B").await;
        shelf.add("ÄPFEL 100%_\\", "2000cc", &[], "Banana").await;
        for (query, names) in [
            ("", &["Kiosk 1", "kiosk 2", "ÄPFEL 100%_\\"][..]),
            ("KIOSK", &["Kiosk 1", "kiosk 2"]),
            ("1000 2", &["kiosk 2"]),
            ("äpfel", &["ÄPFEL 100%_\\"]),
            ("100%", &["ÄPFEL 100%_\\"]),
            ("%_\\", &["ÄPFEL 100%_\\"]),
            ("1_00", &[]),
            ("\"kiosk 1\"", &["Kiosk 1"]),
            ("model:5", &["Kiosk 1"]),
            ("model:5 model:4b", &["Kiosk 1", "kiosk 2"]),
            ("model:banana", &[]),
            ("os:RASPIOS-13 kiosk", &["Kiosk 1", "kiosk 2"]),
            ("memory:8gb os:raspios-13", &["Kiosk 1", "kiosk 2", "ÄPFEL 100%_\\"]),
            ("tag:kiosk", &["Kiosk 1", "kiosk 2"]),
            ("tag:kiosk tag:production", &["Kiosk 1"]),
            ("tag:nothing", &[]),
            ("tag:kios", &[]),
            ("tag:k_osk", &[]),
            ("tag:kiosk\",\"production", &[]),
            ("tag:kiosk model:4b", &["kiosk 2"]),
            ("model:5 memory:8gb kiosk", &["Kiosk 1"]),
            ("model:5 is:online", &[]),
            ("tag:kiosk 2", &["kiosk 2"]),
            ("is:online", &["kiosk 2"]),
            ("is:offline", &["Kiosk 1", "ÄPFEL 100%_\\"]),
            ("is:online is:offline", &[]),
        ] {
            assert_eq!(shelf.find(query, &[two]).await, names, "{engine:?} {query}");
        }
    }
}

#[tokio::test]
async fn tags_are_replaced_as_a_whole_and_suggested() {
    for engine in Engine::BOTH {
        let shelf = Shelf::on(engine).await;
        let id = shelf.add("one", "1", &["b", "a"], "Raspberry Pi 5").await;
        let device = shelf.store.device(shelf.account, id).await.expect("reads").expect("a device");
        assert_eq!(device.tags, ["a", "b"]);
        assert_eq!(device.filters.model.as_deref(), Some("5"));
        let tx = shelf.store.begin().await.expect("begins");
        let tags = Tags::new(["ba", "bb"]).expect("tags");
        assert!(tx.set_device_tags(shelf.account, id, &tags).await.expect("sets"));
        let random: &dyn Random = &OsRandom;
        assert!(!tx.set_device_tags(random.id(), id, &tags).await.expect("sets"), "somebody else's");
        tx.commit().await.expect("commits");
        assert_eq!(shelf.find("tag:a", &[]).await, Vec::<String>::new());
        assert_eq!(shelf.find("tag:bb", &[]).await, ["one"]);
    }
}

#[tokio::test]
async fn values_of_filters_are_suggested_by_their_beginning() {
    for engine in Engine::BOTH {
        let (shelf, other) = (Shelf::on(engine).await, Shelf::on(engine).await);
        shelf.add("one", "1", &["ba", "bb", "c_c"], "Raspberry Pi 5").await;
        shelf.add("two", "2", &["bb", "c-c"], "Raspberry Pi 4B").await;
        shelf.add("three", "3", &[], "Banana").await;
        other.add("four", "4", &["bc"], "Raspberry Pi 3B").await;
        for (filter, beginning, limit, values) in [
            (Qualifier::Tag, "", 10, &["ba", "bb", "c-c", "c_c"][..]),
            (Qualifier::Tag, "", 3, &["ba", "bb", "c-c"]),
            (Qualifier::Tag, "b", 10, &["ba", "bb"]),
            (Qualifier::Tag, "bb", 10, &["bb"]),
            (Qualifier::Tag, "c_", 10, &["c_c"]),
            (Qualifier::Tag, "%", 10, &[]),
            (Qualifier::Tag, "b", 0, &["ba"]),
            (Qualifier::Model, "", 10, &["4b", "5"]),
            (Qualifier::Model, "5", 10, &["5"]),
            (Qualifier::Memory, "8", 10, &["8gb"]),
            (Qualifier::Os, "raspios", 10, &["raspios-13"]),
            (Qualifier::Is, "", 10, &[]),
        ] {
            let found = shelf.store.filter_values(shelf.account, filter, beginning, limit).await;
            assert_eq!(found.expect("reads"), values, "{engine:?} {filter:?} {beginning:?}");
        }
    }
}

#[tokio::test]
async fn a_part_of_the_list_knows_how_many_there_are() {
    for engine in Engine::BOTH {
        let shelf = Shelf::on(engine).await;
        for number in 0..5 {
            shelf.add(&format!("d{number}"), &number.to_string(), &[], "Raspberry Pi 5").await;
        }
        let slice = Slice { offset: 3, limit: 3 };
        for query in ["", "model:5"] {
            let (part, total) =
                shelf.store.devices(shelf.account, &Query::parse(query), &[], slice).await.expect("finds");
            assert_eq!((part.len(), total), (2, 5), "{query:?}");
            assert_eq!(part[0].name, "d3");
        }
        for (query, total) in [("", 5), ("model:5", 5), ("d1", 1)] {
            let beyond = Slice { offset: 30, limit: 3 };
            let (part, counted) =
                shelf.store.devices(shelf.account, &Query::parse(query), &[], beyond).await.expect("finds");
            assert_eq!((part.len(), counted), (0, total), "past the end of {query:?}");
        }
        let ids =
            shelf.store.matching_devices(shelf.account, &Query::default(), &[], 2).await.expect("finds");
        assert_eq!(ids.len(), 2);
    }
}
