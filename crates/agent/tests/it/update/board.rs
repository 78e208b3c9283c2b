//! A board with two systems, made of files: a firmware that reads `autoboot.txt`, two slots of two
//! partitions each, a power switch, and a server that signs orders.

use crate::artefact::{archive, compressed, sparse};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bramble_agent::state::ServerUrl;
use bramble_agent::update::{
    artefact::{Checksum, Limits},
    download::Patience,
    engine::{Chance, Engine, Options, Point, PowerCut, Refusal, Standing, Steps},
    record::{Outcome, Phase},
    slots::Power,
    trust::{Order, Trust, TrustedKey},
};
use bramble_model::SeededRandom;
use bramble_wire::{DeploymentId, DeviceId, deployments::signed_text};
use ed25519_dalek::{Signer, SigningKey};
use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

pub const PARTITION: usize = 64 * 1024;
const GOOD: &[u8] = b"GOOD";
const BAD: &[u8] = b"DOES NOT START";

pub struct Board {
    pub place: TempDir,
    pub switch: Arc<Switch>,
    pub steps: Arc<Counted>,
    boots: Mutex<u32>,
    pub limits: Limits,
    pub patience: Patience,
}

/// What was asked of the power switch.
#[derive(Debug, Default)]
pub struct Switch(Mutex<Option<bool>>);

impl Power for Switch {
    fn restart(&self, tryboot: bool) -> io::Result<()> {
        *self.0.lock().expect("not poisoned") = Some(tryboot);
        Ok(())
    }
}

impl Switch {
    pub fn asked(&self) -> Option<bool> {
        self.0.lock().expect("not poisoned").take()
    }
}

/// Cuts the power at the points that a test names, counted over all lives of the process.
#[derive(Debug)]
pub struct Counted {
    root: PathBuf,
    seen: Mutex<Vec<Point>>,
    kept: Mutex<[Vec<u8>; 2]>,
    cuts: Mutex<Vec<usize>>,
}

impl Steps for Counted {
    fn at(&self, point: Point) -> Result<(), PowerCut> {
        let mut seen = self.seen.lock().expect("not poisoned");
        self.nothing_else_was_kept(seen.last().copied(), point);
        seen.push(point);
        if self.cuts.lock().expect("not poisoned").contains(&seen.len()) { Err(PowerCut) } else { Ok(()) }
    }
}

impl Counted {
    fn below(root: PathBuf) -> Self {
        Self { root, seen: Mutex::default(), kept: Mutex::default(), cuts: Mutex::default() }
    }

    /// What decides after a power cut changes between two neighbouring points that say so, and nowhere else.
    fn nothing_else_was_kept(&self, last: Option<Point>, point: Point) {
        let read = |path: &str| fs::read(self.root.join(path)).unwrap_or_default();
        let own = read("var/lib/rpi-ota-connector/ota_state");
        let record = [own, read("bootfs/ota_state")].concat();
        let now = [record, read("bootfs/autoboot.txt")];
        let before = std::mem::replace(&mut *self.kept.lock().expect("not poisoned"), now.clone());
        let Some(last) = last else { return };
        let said = matches!((last, point), (Point::Before(a), Point::After(b)) if a == b);
        assert!(said || before[0] == now[0], "a step was kept without a point: {last:?} {point:?}");
        assert!(point == Point::Committed || before[1] == now[1], "autoboot.txt: {last:?} {point:?}");
    }

    pub fn cut_at(&self, points: &[usize]) {
        *self.cuts.lock().expect("not poisoned") = points.to_vec();
    }

    pub fn seen(&self) -> Vec<Point> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

pub fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        silence: Duration::from_secs(5),
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
        give_up: Duration::from_secs(10),
        whole: Duration::from_mins(1),
    }
}

impl Board {
    /// A board that runs the system of this boot partition: 2 or 3.
    pub fn running(partition: u32) -> Self {
        let place = TempDir::new().expect("a folder");
        let this = Self {
            steps: Arc::new(Counted::below(place.path().to_owned())),
            place,
            switch: Arc::default(),
            boots: Mutex::new(0),
            limits: Limits::default(),
            patience: patience(),
        };
        let other = 5 - partition;
        this.write(
            "bootfs/autoboot.txt",
            format!("[all]\ntryboot_a_b=1\nboot_partition={partition}\n[tryboot]\nboot_partition={other}\n")
                .as_bytes(),
        );
        for slot in [2, 3] {
            let mut image = if slot == partition { b"GOOD old".to_vec() } else { b"leftovers".to_vec() };
            image.resize(PARTITION, 0xee);
            this.write(&format!("slots/{slot}/boot"), &image);
            this.write(&format!("slots/{slot}/system"), &image);
        }
        this.boot(false);
        this
    }

    /// One with a single system.
    pub fn single() -> Self {
        let this = Self::running(2);
        fs::remove_dir_all(this.root().join("bootfs")).expect("removed");
        fs::remove_dir_all(this.root().join("dev")).expect("removed");
        this
    }

    pub fn root(&self) -> PathBuf {
        self.place.path().to_owned()
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(path, bytes).expect("file");
    }

    /// What the firmware reads: the default partition and the one to try.
    fn autoboot(&self) -> (u32, u32) {
        let text = fs::read_to_string(self.root().join("bootfs/autoboot.txt")).expect("whole at any time");
        let numbers: Vec<u32> =
            text.lines().filter_map(|line| line.strip_prefix("boot_partition=")?.parse().ok()).collect();
        assert!(numbers == [2, 3] || numbers == [3, 2], "the firmware finds both systems: {text}");
        (numbers[0], numbers[1])
    }

    pub fn default_partition(&self) -> u32 {
        self.autoboot().0
    }

    /// The content of a partition.
    pub fn partition(&self, slot: u32, name: &str) -> Vec<u8> {
        fs::read(self.root().join(format!("slots/{slot}/{name}"))).expect("a partition")
    }

    fn starts(&self, slot: u32) -> bool {
        self.partition(slot, "boot").starts_with(GOOD) && self.partition(slot, "system").starts_with(GOOD)
    }

    /// The firmware starts a system. Panics if there is none: that would be a brick.
    pub fn boot(&self, tryboot: bool) -> u32 {
        let (default, spare) = self.autoboot();
        let tried = tryboot && self.starts(spare);
        let running = if tried { spare } else { default };
        assert!(self.starts(running), "bricked: the default system does not start");
        let boots = {
            let mut boots = self.boots.lock().expect("not poisoned");
            *boots += 1;
            *boots
        };
        let tree = "proc/device-tree/chosen/bootloader";
        self.write(&format!("{tree}/tryboot"), &u32::from(tried).to_be_bytes());
        self.write(&format!("{tree}/partition"), &running.to_be_bytes());
        self.write("proc/sys/kernel/random/boot_id", format!("boot-{boots}\n").as_bytes());
        let folder = self.root().join("dev/disk/by-slot");
        fs::create_dir_all(&folder).expect("folder");
        for (name, slot) in [("active", running), ("other", 5 - running)] {
            let _ = fs::remove_file(folder.join(name));
            std::os::unix::fs::symlink(self.root().join(format!("slots/{slot}")), folder.join(name))
                .expect("link");
        }
        running
    }

    /// The service as it starts.
    pub fn engine(&self) -> Arc<Engine> {
        let options = Options {
            root: self.root(),
            limits: self.limits,
            patience: self.patience,
            random: Chance(Arc::new(SeededRandom::new(1))),
            power: Arc::clone(&self.switch) as Arc<dyn Power>,
            steps: Arc::clone(&self.steps) as Arc<dyn Steps>,
            journal: false,
        };
        Arc::new(Engine::open(options).expect("the state file is whole at any time"))
    }

    /// Writes an artefact onto the board.
    pub fn artefact(&self, name: &str, bytes: &[u8]) -> (String, String) {
        let path = self.root().join(name);
        fs::write(&path, bytes).expect("file");
        (format!("file://{}", path.display()), Checksum::of(bytes).to_string())
    }

    /// One deployment from an accepted order to its standing, without restarts.
    pub async fn apply(&self, engine: &Engine, id: u128, bytes: &[u8]) -> Standing {
        let (uri, checksum) = self.artefact(&format!("artefact-{id}"), bytes);
        self.apply_from(engine, id, &uri, &checksum).await
    }

    pub async fn apply_from(&self, engine: &Engine, id: u128, uri: &str, checksum: &str) -> Standing {
        let (order, signature) = order(id, uri, checksum, 1000);
        let accepted = engine.accept(&trust(), order, &signature).expect("accepted");
        engine.work(accepted).await.expect("no power cut");
        assert_eq!(self.left_behind(), 0, "temporary folders are cleaned up");
        engine.standing()
    }

    /// The reason for which an artefact fails.
    pub async fn reason(&self, bytes: &[u8]) -> String {
        failed(&self.apply(&self.engine(), 1, bytes).await)
    }

    pub fn left_behind(&self) -> usize {
        fs::read_dir(self.root().join("var/lib/rpi-ota-connector/work")).map_or(0, Iterator::count)
    }
}

pub fn failed(standing: &Standing) -> String {
    assert_eq!(standing.phase, Phase::Finished);
    match &standing.outcome {
        Some(Outcome::Failed(why)) => why.clone(),
        other => panic!("{other:?}"),
    }
}

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn device() -> DeviceId {
    DeviceId(uuid::Uuid::nil())
}

pub fn trust() -> Trust {
    let key = STANDARD.encode(key().verifying_key().to_bytes());
    Trust {
        server: ServerUrl::parse("http://localhost:1").expect("a server"),
        device_id: device(),
        uid: rustix::process::geteuid().as_raw(),
        ca: None,
        keys: vec![TrustedKey { id: "1".into(), key }],
    }
}

pub fn deployment(id: u128) -> DeploymentId {
    DeploymentId(uuid::Uuid::from_u128(id))
}

pub fn sign(order: &Order) -> String {
    let text = signed_text(order.deployment, device(), &order.uri, &order.checksum, order.timestamp);
    STANDARD.encode(key().sign(text.as_bytes()).to_bytes())
}

pub fn order(id: u128, uri: &str, checksum: &str, timestamp: i64) -> (Order, String) {
    let order =
        Order { deployment: deployment(id), uri: uri.to_owned(), checksum: checksum.to_owned(), timestamp };
    let signature = sign(&order);
    (order, signature)
}

/// A block of 4096 bytes that begins with these.
fn block(start: &[u8]) -> Vec<u8> {
    let mut bytes = start.to_vec();
    bytes.resize(4096, 0x55);
    bytes
}

/// A whole system, that starts or does not.
pub fn system(good: bool) -> Vec<u8> {
    let start: &[u8] = if good { b"GOOD new" } else { BAD };
    let (boot, system) = (sparse(&block(start), 1, 2), sparse(&block(start), 3, 0));
    compressed(&archive(&[("boot", &boot), ("system", &system)]))
}

/// A script and nothing else.
pub fn script(text: &str) -> Vec<u8> {
    let contents = "artefact:\n  name: x\npayloads:\n- name: go\n  type: script\n";
    compressed(&archive(&[("_contents_.yaml", contents.as_bytes()), ("go", text.as_bytes())]))
}

/// A whole system, and a script that runs before the restart.
pub fn system_with_script(text: &str) -> Vec<u8> {
    let contents = "artefact:\n  name: x\npayloads:\n- name: boot\n  type: image-sparse\n\
                    - name: system\n  type: image-sparse\n- name: go\n  type: script\n";
    let image = sparse(&block(b"GOOD new"), 1, 0);
    compressed(&archive(&[
        ("_contents_.yaml", contents.as_bytes()),
        ("boot", &image),
        ("system", &image),
        ("go", text.as_bytes()),
    ]))
}

pub fn is_cut(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Cut(_))
}
