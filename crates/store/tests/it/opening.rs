//! Databases that open, and databases that must not.

use bramble_store::testing::{Engine, TestDatabase};
use bramble_store::{OpenError, Store, Target};

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_may_start_at_once_on_an_empty_database() {
    for engine in Engine::BOTH {
        let database = TestDatabase::new(engine).await;
        let all = (0..4).map(|_| {
            let target = database.target.clone();
            tokio::spawn(async move { Store::open(&target).await })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.expect("no panic").unwrap_or_else(|e| panic!("{engine:?}: {e}"));
        }
    }
}

#[tokio::test]
async fn the_first_value_of_a_setting_stands() {
    for engine in Engine::BOTH {
        let store = TestDatabase::new(engine).await;
        let opened = store.open().await;
        for value in [b"first".to_vec(), b"second".to_vec()] {
            let tx = opened.begin().await.expect("begins");
            assert_eq!(tx.setting_or("secret", value).await.expect("sets"), b"first", "{engine:?}");
            tx.commit().await.expect("commits");
        }
        let tx = opened.begin().await.expect("begins");
        assert!(tx.remove_setting("secret").await.expect("removes"));
        drop(tx);
        // Without a commit nothing of a transaction stays.
        assert_eq!(opened.setting("secret").await.expect("reads").as_deref(), Some(b"first".as_slice()));
    }
}

#[tokio::test]
async fn a_newer_database_is_refused_and_not_touched() {
    let database = TestDatabase::new(Engine::Sqlite).await;
    let Target::Sqlite(path) = &database.target else { unreachable!() };
    let store = database.open().await;
    store
        .execute_for_tests("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)")
        .await;
    store.close().await.expect("closes");
    let before = std::fs::read(path).expect("reads");
    let error = Store::open(&database.target).await.expect_err("refused");
    assert!(matches!(&error, OpenError::Newer(step) if step == "m9999_future"), "{error}");
    assert_eq!(std::fs::read(path).expect("reads"), before);
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused() {
    let database = TestDatabase::new(Engine::Sqlite).await;
    let Target::Sqlite(path) = &database.target else { unreachable!() };
    std::fs::write(path, b"holiday pictures, many of them; nothing to see here").expect("writes");
    let error = Store::open(&database.target).await.expect_err("refused");
    assert!(matches!(error, OpenError::NotADatabase(_)), "{error}");
    assert_eq!(std::fs::read(path).expect("reads"), b"holiday pictures, many of them; nothing to see here");
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named() {
    let database = TestDatabase::new(Engine::Sqlite).await;
    let target = Target::Sqlite(database.folder.path().join("nowhere/bramble.db"));
    let error = Store::open(&target).await.expect_err("refused");
    assert!(error.to_string().contains("nowhere/bramble.db cannot be written"), "{error}");
}
