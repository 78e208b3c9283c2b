//! A large organisation's devices, as lists and searches find them.

use bramble_model::tags::Tags;
use bramble_model::{Clock, OsRandom, Random, SystemClock};
use bramble_store::devices::NewDevice;
use bramble_store::{Store, Target};
use bramble_wire::AccountId;
use bramble_wire::device_api::{Board, Me, Os};

const KINDS: [&str; 10] =
    ["Kiosk", "Sign", "Lobby", "Camera", "Weather", "Door", "Garden", "Press", "Oven", "Lift"];
const CITIES: [&str; 7] = ["London", "Paris", "Oslo", "Berlin", "Madrid", "Rome", "Łódź"];
const MODELS: [&str; 5] = ["5", "4B", "3B+", "Zero 2 W", "CM4"];
const MEMORIES: [&str; 4] = ["1 GB", "2 GB", "4 GB", "8 GB"];
const SYSTEMS: [&str; 3] = ["raspios-13", "raspios-12", "debian-12"];
const STAGES: [&str; 3] = ["production", "production", "staging"];
/// Devices written in one transaction.
const BATCH: usize = 10_000;

/// Writes so many devices straight into the database of a server that is stopped. Names, serial
/// numbers, tags and boards are spread as in a fleet that grew over years, and are the same every time.
///
/// # Panics
/// If the database does not take them.
pub async fn stock(target: &Target, organisation: AccountId, count: usize) {
    let store = Store::open(target).await.expect("it opens");
    let random: &dyn Random = &OsRandom;
    let now = SystemClock.now();
    for start in (0..count).step_by(BATCH) {
        let tx = store.begin().await.expect("a transaction");
        for number in start..count.min(start + BATCH) {
            let id = random.id();
            let spread = number.wrapping_mul(2_654_435_761);
            let pick = |from: &[&str], shift: usize| from[(spread >> shift) % from.len()].to_owned();
            let mut tags = vec![pick(&STAGES, 3), format!("floor-{}", number % 40)];
            // One in a thousand.
            tags.extend((number % 1000 == 7).then(|| "pilot".to_owned()));
            tx.insert_device(NewDevice {
                id,
                account: organisation,
                name: format!("{} {} {number}", pick(&KINDS, 5), pick(&CITIES, 9)),
                serial_number: format!("10000000{:08x}", spread & 0xffff_ffff),
                hostname: None,
                board_model: None,
                token: None,
                tags: Tags::new(tags).expect("tags"),
                at: now,
            })
            .await
            .expect("a device");
            let board = Board {
                model: Some(format!("Raspberry Pi {}", pick(&MODELS, 7))),
                memory: Some(pick(&MEMORIES, 11)),
                revision: None,
            };
            let os = Os { filter: Some(pick(&SYSTEMS, 13)), ..Os::default() };
            let me = Me { board: Some(board), os: Some(os), ..Me::default() };
            tx.describe_device(id, &me).await.expect("describes");
        }
        tx.commit().await.expect("committed");
    }
    store.close().await.expect("closed");
}
