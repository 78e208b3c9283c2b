//! How fast a whole system gets onto the other slot, and what that takes of memory.
//!
//! The updater's engine runs in a process of its own ([`apply`]), on a device made of files, and fetches an
//! artefact that `otamaker` made over HTTP from this machine. `dd` writes the same bytes beside it.

use crate::report::{Row, Target, mb};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bramble_agent::{
    state::ServerUrl,
    update::{
        artefact::Limits,
        download::Patience,
        engine::{Chance, Engine, Options, Point, PowerCut, Steps},
        record::{Outcome, Phase},
        slots::Power,
        trust::{Order, Trust, TrustedKey},
    },
};
use bramble_model::OsRandom;
use bramble_wire::{DeploymentId, DeviceId, deployments::signed_text};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Bytes of the image. What an image of Raspberry Pi OS Lite takes, roughly.
const SIZE: u64 = 2 * 1024 * 1024 * 1024;
const BLOCK: usize = 4096;
/// Blocks in one chunk of the sparse file.
const CHUNK: u64 = 16 * 1024;

/// What the process of the engine reports.
#[derive(Debug, Serialize, Deserialize)]
struct Applied {
    /// Seconds from the order until everything is on the slot.
    written: f64,
    /// Seconds for reading it back.
    read_back: f64,
    /// Most resident memory at any time, in KiB.
    peak_kb: u64,
}

/// Rates of the image path and of `dd`, and the memory of the first.
pub async fn measure() -> Vec<Row> {
    let place = tempfile::tempdir().expect("a folder");
    let raw = place.path().join("system.raw");
    let artefact = make(place.path(), &raw);
    let root = place.path().join("device");
    device(&root);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}/system.tar.zst", listener.local_addr().expect("an address"));
    let served = artefact.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = serve(stream, &served).await;
        }
    });
    let checksum = fs::read_to_string(artefact.with_extension("zst.sha256sum")).expect("otamaker's checksum");
    let checksum = checksum.split_whitespace().next().expect("a checksum").to_owned();
    let output = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--apply-image", &root.display().to_string(), &url, &checksum])
        .output()
        .await
        .expect("the engine runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let applied: Applied = serde_json::from_slice(&output.stdout).expect("a report");
    #[expect(clippy::cast_precision_loss, reason = "a number of bytes far below 2^52")]
    let megabytes = SIZE as f64 / 1e6;
    let beside = dd(&raw, &root.join("slots/3/beside"));
    vec![
        Row::new(
            "image onto the other slot, made durable",
            megabytes / applied.written,
            "MB/s",
            Target::AtLeast(150.0),
        ),
        Row::new("the same bytes with dd, made durable", megabytes / beside, "MB/s", Target::None),
        Row::new("image read back", megabytes / applied.read_back, "MB/s", Target::None),
        Row::new("updater, most RSS with an image of 2 GiB", mb(applied.peak_kb), "MB", Target::AtMost(32.0)),
    ]
}

/// Writes the image, half of which compresses, and has `otamaker` make an artefact of it.
fn make(place: &Path, raw: &Path) -> PathBuf {
    let sparse = place.join("system.sparse");
    let blocks = u32::try_from(SIZE / BLOCK as u64).expect("fits");
    let chunks = u32::try_from(SIZE / BLOCK as u64 / CHUNK).expect("fits");
    let mut sparse_file = BufWriter::with_capacity(1 << 20, File::create(&sparse).expect("a file"));
    let mut raw_file = BufWriter::with_capacity(1 << 20, File::create(raw).expect("a file"));
    // The header of the Android sparse format, version 1.0.
    let mut head = 0xed26_ff3a_u32.to_le_bytes().to_vec();
    for word in [1_u16, 0, 28, 12] {
        head.extend(word.to_le_bytes());
    }
    for word in [4096_u32, blocks, chunks, 0] {
        head.extend(word.to_le_bytes());
    }
    sparse_file.write_all(&head).expect("written");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = [0_u8; BLOCK];
    for _ in 0..chunks {
        let mut head = Vec::new();
        head.extend(0xcac1_u16.to_le_bytes());
        head.extend([0, 0]);
        head.extend(u32::try_from(CHUNK).expect("fits").to_le_bytes());
        head.extend(u32::try_from(CHUNK * BLOCK as u64 + 12).expect("fits").to_le_bytes());
        sparse_file.write_all(&head).expect("written");
        for _ in 0..CHUNK {
            for word in block[..BLOCK / 2].chunks_exact_mut(8) {
                // xorshift: noise that costs nothing.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
            sparse_file.write_all(&block).expect("written");
            raw_file.write_all(&block).expect("written");
        }
    }
    sparse_file.flush().expect("written");
    raw_file.flush().expect("written");
    let contents =
        "artefact:\n  name: system\npayloads:\n- name: system # system.sparse\n  type: image-sparse\n";
    fs::write(place.join("system.yaml"), contents).expect("written");
    let made = Command::new(bramble_testkit::program("otamaker"))
        .args(["-w", "system.yaml"])
        .current_dir(place)
        .output()
        .expect("otamaker runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::remove_file(&sparse).expect("removed");
    place.join("system.tar.zst")
}

/// A device with two systems, of which the first runs.
fn device(root: &Path) {
    let write = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("written");
    };
    write("bootfs/autoboot.txt", b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n");
    write("proc/device-tree/chosen/bootloader/tryboot", &0_u32.to_be_bytes());
    write("proc/device-tree/chosen/bootloader/partition", &2_u32.to_be_bytes());
    write("proc/sys/kernel/random/boot_id", b"first\n");
    for (slot, name) in [(2, "active"), (3, "other")] {
        let folder = root.join(format!("slots/{slot}"));
        fs::create_dir_all(&folder).expect("a folder");
        for partition in ["boot", "system"] {
            let file = File::create(folder.join(partition)).expect("a partition");
            file.set_len(SIZE).expect("a size");
        }
        let links = root.join("dev/disk/by-slot");
        fs::create_dir_all(&links).expect("a folder");
        std::os::unix::fs::symlink(&folder, links.join(name)).expect("a link");
    }
}

/// Answers one request with this file.
pub async fn serve(mut stream: tokio::net::TcpStream, path: &Path) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let mut file = tokio::fs::File::open(path).await?;
    file.set_max_buf_size(1 << 20);
    let length = file.metadata().await?.len();
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await?;
    tokio::io::copy_buf(&mut tokio::io::BufReader::with_capacity(1 << 20, file), &mut stream).await?;
    stream.shutdown().await
}

/// Seconds that `dd` takes for the same.
fn dd(from: &Path, to: &Path) -> f64 {
    let began = Instant::now();
    let done = Command::new("dd")
        .arg(format!("if={}", from.display()))
        .arg(format!("of={}", to.display()))
        .args(["bs=4M", "conv=fsync", "status=none"])
        .status();
    assert!(done.expect("dd runs").success());
    began.elapsed().as_secs_f64()
}

/// Notes when which step was reached.
#[derive(Debug, Default)]
struct Watch(Mutex<Vec<(Point, Instant)>>);

impl Steps for Watch {
    fn at(&self, point: Point) -> Result<(), PowerCut> {
        self.0.lock().expect("not poisoned").push((point, Instant::now()));
        Ok(())
    }
}

/// Nobody restarts this machine.
#[derive(Debug)]
struct Steadfast;

impl Power for Steadfast {
    fn restart(&self, _tryboot: bool) -> io::Result<()> {
        Ok(())
    }
}

/// What runs in the process of the engine: `--apply-image ROOT URL CHECKSUM`. Prints an [`Applied`].
pub async fn apply(arguments: &[String]) {
    let [root, uri, checksum] = arguments else { panic!("--apply-image ROOT URL CHECKSUM") };
    let watch = Arc::new(Watch::default());
    let options = Options {
        root: root.into(),
        limits: Limits::default(),
        patience: Patience::default(),
        random: Chance(Arc::new(OsRandom)),
        power: Arc::new(Steadfast),
        steps: Arc::clone(&watch) as Arc<dyn Steps>,
        journal: false,
    };
    let engine = Engine::open(options).expect("opens");
    let (key, device) = (SigningKey::from_bytes(&[7; 32]), DeviceId(uuid::Uuid::nil()));
    let trust = Trust {
        server: ServerUrl::parse("http://localhost:1").expect("an address"),
        device_id: device,
        uid: 0,
        ca: None,
        keys: vec![TrustedKey { id: "1".to_owned(), key: STANDARD.encode(key.verifying_key().to_bytes()) }],
    };
    let order = Order {
        deployment: DeploymentId(uuid::Uuid::from_u128(1)),
        uri: uri.clone(),
        checksum: checksum.clone(),
        timestamp: 1000,
    };
    let text = signed_text(order.deployment, device, &order.uri, &order.checksum, order.timestamp);
    let signature = STANDARD.encode(key.sign(text.as_bytes()).to_bytes());
    let began = Instant::now();
    let accepted = engine.accept(&trust, order, &signature).expect("accepted");
    engine.work(accepted).await.expect("no power cut");
    let standing = engine.standing();
    let failed = matches!(standing.outcome, Some(Outcome::Failed(_)));
    assert!(standing.phase == Phase::Ready && !failed, "{standing:?}");
    let reached = |point: Point| {
        let seen = watch.0.lock().expect("not poisoned");
        seen.iter().find(|(reached, _)| *reached == point).expect("the step was reached").1
    };
    let (written, read) = (reached(Point::Received), reached(Point::ReadBack));
    let applied = Applied {
        written: (written - began).as_secs_f64(),
        read_back: (read - written).as_secs_f64(),
        peak_kb: peak_kb(),
    };
    println!("{}", serde_json::to_string(&applied).expect("numbers are JSON"));
}

fn peak_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
