//! The walls between the rooms: who may import what. The table is the one of docs/ARCHITECTURE.md.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeSet;
use std::process::Command;

/// A room and the other rooms that it may import.
const ROOMS: [(&str, &[&str]); 6] = [
    ("bramble-wire", &[]),
    ("bramble-model", &["bramble-wire"]),
    ("bramble-store", &["bramble-wire", "bramble-model"]),
    ("bramble-relay", &[]),
    ("bramble-server", &["bramble-wire", "bramble-model", "bramble-store", "bramble-relay"]),
    ("bramble-agent", &["bramble-wire", "bramble-model"]),
];

/// Members that only test and measure; nothing shipped imports them.
const UNSHIPPED: [&str; 3] = ["bramble-testkit", "bramble-scenarios", "bramble-bench"];

/// Crates that one room alone may name.
const RESERVED: [(&str, &str); 5] = [
    ("sea-orm", "bramble-store"),
    ("sea-orm-migration", "bramble-store"),
    ("sqlx", "bramble-store"),
    ("axum", "bramble-server"),
    ("askama", "bramble-server"),
];

/// What must not be anywhere below a room, however deep: (room, crate, why).
const KEPT_OUT: [(&str, &str, &str); 12] = [
    ("bramble-wire", "tokio", "wire is types; nothing in it runs"),
    ("bramble-model", "tokio", "model decides; it does no I/O"),
    ("bramble-model", "reqwest", "model decides; it does no I/O"),
    ("bramble-agent", "sea-orm", "the agent must stay small on a Pi Zero"),
    ("bramble-agent", "sqlx", "the agent must stay small on a Pi Zero"),
    ("bramble-agent", "axum", "the agent must stay small on a Pi Zero"),
    ("bramble-agent", "askama", "the agent must stay small on a Pi Zero"),
    ("bramble-agent", "argon2", "the agent hashes no passwords"),
    ("bramble-server", "str0m", "the server never sees a session"),
    ("bramble-server", "openssl-sys", "TLS is rustls with ring"),
    ("bramble-agent", "openssl-sys", "TLS is rustls with ring"),
    ("bramble-server", "aws-lc-sys", "TLS is rustls with ring"),
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        // Only what is built here: other platforms' packages need not have been fetched.
        .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), host()])
        .exec()
        .expect("cargo metadata")
}

fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// What a package names in its manifest, for building and running; its tests may name more.
fn names(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development).map(|d| d.name.as_str())
}

#[test]
fn a_room_imports_only_the_rooms_below_it() {
    let metadata = metadata();
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let room = package.name.as_str();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert!(UNSHIPPED.contains(&room), "{room} is a new room: give it a line in ROOMS or UNSHIPPED");
            continue;
        };
        seen.insert(room);
        for name in names(package).filter(|name| name.starts_with("bramble-")) {
            if !allowed.contains(&name) {
                broken.push(format!("{room} must not import {name}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
    assert_eq!(seen.len(), ROOMS.len(), "a room of the table is gone; seen: {seen:?}");
}

#[test]
fn nothing_shipped_imports_what_only_tests() {
    let metadata = metadata();
    let shipped = metadata.workspace_packages().into_iter().filter(|p| !UNSHIPPED.contains(&p.name.as_str()));
    for package in shipped {
        for name in names(package) {
            assert!(!UNSHIPPED.contains(&name), "{} must not import {name}", package.name);
        }
    }
}

#[test]
fn some_crates_are_named_in_one_room_only() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in metadata.workspace_packages() {
        for name in names(package) {
            if let Some((_, room)) = RESERVED.iter().find(|(reserved, _)| *reserved == name)
                && *room != package.name.as_str()
            {
                broken.push(format!("{} must not name {name}; only {room} does", package.name));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn rooms_stay_free_of_what_they_are_kept_from() {
    let broken: Vec<String> = KEPT_OUT
        .iter()
        .filter(|(room, kept_out, _)| tree(room).contains(*kept_out))
        .map(|(room, kept_out, why)| format!("{kept_out} came into the tree of {room}: {why}"))
        .collect();
    assert_eq!(broken, Vec::<String>::new());
}

/// The names of everything below a room, without what only its tests use. Of `cargo tree`: the metadata takes
/// features for turned on that another member's dependencies could turn on.
fn tree(room: &str) -> BTreeSet<String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let told = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--manifest-path", manifest, "-p", room, "--target", &host()])
        .args(["-e", "normal", "--prefix", "none", "--format", "{p}"])
        .output()
        .expect("cargo runs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).expect("text");
    let found: BTreeSet<String> =
        told.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(found.contains(room), "{room} is in its own tree");
    found
}
