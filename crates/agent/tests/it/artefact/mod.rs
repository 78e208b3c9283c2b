//! Artefacts: made by the real `otamaker` or by hand, read as a device reads them.

mod made;
mod memory;
mod refused;

use bramble_agent::update::artefact::{
    Checksum, Failure, Limits, PartitionFolder, Received, Workspace, receive, tar,
};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const MEBIBYTE: usize = 1024 * 1024;

/// A sparse image of 4 KiB blocks: raw bytes, a fill, a hole.
pub(crate) fn sparse(raw: &[u8], filled: u32, hole: u32) -> Vec<u8> {
    const BLOCK: u32 = 4096;
    let raw_blocks = u32::try_from(raw.len()).expect("small") / BLOCK;
    let chunk = |kind: u16, blocks: u32, body: &[u8]| {
        let mut chunk = kind.to_le_bytes().to_vec();
        chunk.extend([0, 0]);
        chunk.extend(blocks.to_le_bytes());
        chunk.extend(u32::try_from(12 + body.len()).expect("small").to_le_bytes());
        chunk.extend(body);
        chunk
    };
    let mut image = 0xed26_ff3a_u32.to_le_bytes().to_vec();
    image.extend([1, 0, 0, 0, 28, 0, 12, 0]);
    for value in [BLOCK, raw_blocks + filled + hole, 3, 0] {
        image.extend(value.to_le_bytes());
    }
    image.extend(chunk(0xcac1, raw_blocks, raw));
    image.extend(chunk(0xcac2, filled, b"fill"));
    image.extend(chunk(0xcac3, hole, b""));
    image
}

/// Bytes that do not compress, the same each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length).collect()
}

pub(crate) fn member(name: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = tar::header(name, body.len() as u64, 0o644).to_vec();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes: Vec<u8> = members.iter().flat_map(|(name, body)| member(name, body)).collect();
    bytes.extend([0; 1024]);
    bytes
}

pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("compresses")
}

/// A header with its kind or mode changed, and its sum put right.
pub(crate) fn odd_header(name: &str, kind: u8, mode: u32) -> Vec<u8> {
    let mut block = tar::header(name, 0, mode);
    block[156] = kind;
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.to_vec()
}

/// A device with the partitions `boot` and `system` in its other slot.
struct Device {
    folder: TempDir,
}

impl Device {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        for (name, size) in [("boot", MEBIBYTE), ("system", 4 * MEBIBYTE)] {
            fs::create_dir_all(folder.path().join("slot")).expect("a slot");
            fs::write(folder.path().join("slot").join(name), vec![0xee; size]).expect("a partition");
        }
        fs::create_dir(folder.path().join("work")).expect("a folder");
        Self { folder }
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    fn receive_as(&self, artefact: &[u8], checksum: Checksum) -> Result<Received, Failure> {
        let workspace = Workspace::new(&self.work()).expect("a workspace");
        let mut slot = PartitionFolder(self.folder.path().join("slot"));
        receive(artefact, checksum, workspace, &mut slot, &Limits::default())
    }

    fn receive(&self, artefact: &[u8]) -> Result<Received, Failure> {
        self.receive_as(artefact, Checksum::of(artefact))
    }

    fn partition(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join("slot").join(name)).expect("a partition")
    }

    /// The reason for which it refuses; nothing may be left of the attempt.
    fn reason(&self, artefact: &[u8]) -> String {
        let reason = self.receive(artefact).expect_err("a refusal").to_string();
        assert_eq!(fs::read_dir(self.work()).expect("readable").count(), 0, "{reason}");
        reason
    }
}

fn otamaker(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_otamaker"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("otamaker runs")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
