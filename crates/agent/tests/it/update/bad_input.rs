//! What must not be applied, and in which words that is said.

use super::board::{Board, deployment, failed, order, script, sign, system, trust};
use crate::artefact::{archive, compressed, member, noise, odd_header, sparse};
use bramble_agent::update::{
    engine::Refusal,
    record::{Outcome, Phase},
    trust::Order,
};
use std::{fs, time::Duration};

const HARMLESS: &str = "#!/bin/sh\n";

fn contents(name: &str, kind: &str) -> Vec<u8> {
    format!("artefact:\n  name: x\npayloads:\n- name: {name}\n  type: {kind}\n- name: go\n  type: script\n")
        .into_bytes()
}

/// An artefact whose script leaves a trace, with one more member in the middle.
fn with(odd: Vec<u8>) -> Vec<u8> {
    let mut bytes = member("_contents_.yaml", &contents("odd", "tmpfile"));
    bytes.extend(odd);
    bytes.extend(member("go", b"#!/bin/sh\ntouch \"$0.ran\"\n"));
    bytes.extend([0; 1024]);
    compressed(&bytes)
}

#[tokio::test]
async fn an_artefact_that_changed_on_its_way_is_not_run() {
    let board = Board::single();
    let trace = board.root().join("ran");
    let good = script(&format!("#!/bin/sh\ntouch {}\n", trace.display()));
    let (uri, _) = board.artefact("changed", &good);
    let standing = board.apply_from(&board.engine(), 1, &uri, &"0".repeat(64)).await;
    assert_eq!(failed(&standing), "Checksum mismatch");
    assert!(!trace.exists());

    // The same bytes with the right sum are run, so the test can fail.
    let engine = board.engine();
    assert_eq!(board.apply(&engine, 2, &good).await.outcome, Some(Outcome::Succeeded));
    assert!(trace.exists());
}

#[tokio::test]
async fn damaged_ones_are_refused_with_a_reason() {
    let board = Board::single();
    let good = with(member("odd", &noise(9000)));
    let cut = &good[..good.len() / 2];
    let mut corrupt = good.clone();
    corrupt[8..24].fill(0xff);
    assert_eq!(board.reason(b"hello").await, "update file rejected");
    assert_eq!(Board::single().reason(cut).await, "update file rejected: the file ends early");
    let corrupt = Board::single().reason(&corrupt).await;
    assert!(corrupt.starts_with("update file rejected: "), "{corrupt}");
    let cut_tar = compressed(&member("_contents_.yaml", &contents("odd", "tmpfile")));
    assert_eq!(Board::single().reason(&cut_tar).await, "update file rejected: the file ends early");
    let cut_image = compressed(&archive(&[("boot", &sparse(&noise(4096), 1, 1)[..100])]));
    let reason = Board::running(2).reason(&cut_image).await;
    assert!(reason.starts_with("update file rejected: the image \"boot\":"), "{reason}");
}

#[tokio::test]
async fn nothing_but_plain_files_with_plain_names_is_unpacked() {
    for odd in [
        member("../odd", b"x"),
        member("/etc/odd", b"x"),
        member("a/odd", b"x"),
        odd_header("odd", b'1', 0o644),
        odd_header("odd", b'2', 0o777),
        odd_header("odd", b'3', 0o666),
        odd_header("odd", b'4', 0o666),
        odd_header("odd", b'6', 0o666),
        odd_header("odd", b'0', 0o4755),
    ] {
        let board = Board::single();
        let reason = board.reason(&with(odd)).await;
        assert!(reason.starts_with("update file rejected: "), "{reason}");
        assert!(!board.root().join("etc/odd").exists());
    }
}

#[tokio::test]
async fn one_that_swells_is_stopped() {
    let mut board = Board::single();
    board.limits.harmless = 1 << 16;
    let reason = board.reason(&with(member("odd", &vec![0; 8 << 20]))).await;
    assert_eq!(reason, "update file rejected: it expands to far more than its size");
    let mut board = Board::single();
    board.limits.files = 1000;
    assert_eq!(board.reason(&with(member("odd", &noise(5000)))).await, "Not enough space");
}

#[tokio::test]
async fn an_image_goes_nowhere_but_to_the_other_slot() {
    let image = sparse(&noise(4096), 1, 1);
    let board = Board::running(2);
    let reason = board.reason(&compressed(&archive(&[("kernel", &image)]))).await;
    assert_eq!(reason, "update file rejected: there is no partition \"kernel\"");
    let reason = Board::single().reason(&compressed(&archive(&[("boot", &image)]))).await;
    assert_eq!(reason, "update file rejected: there is no partition \"boot\"");

    let board = Board::running(3);
    let before = board.partition(3, "boot");
    let large = compressed(&archive(&[("boot", &sparse(&noise(4096), 100, 0))]));
    let reason = board.reason(&large).await;
    assert!(reason.starts_with("Not enough space: the image \"boot\" needs"), "{reason}");
    assert_eq!(board.partition(3, "boot"), before);

    // Links that lead to the running system's partition.
    let board = Board::running(2);
    let other = board.root().join("dev/disk/by-slot/other");
    fs::remove_file(&other).expect("removed");
    std::os::unix::fs::symlink(board.root().join("slots/2"), &other).expect("links");
    let before = board.partition(2, "boot");
    let reason = board.reason(&system(true)).await;
    assert!(reason.contains("the other slot is the one that runs"), "{reason}");
    assert_eq!(board.partition(2, "boot"), before);
}

#[tokio::test]
async fn a_script_has_limits() {
    let board = Board::single();
    board.write("etc/rpi-connect/rpi-ota-connector.config", b"ScriptTimeout=1\n");
    let reason = board.reason(&script("#!/bin/sh\nsleep 1000 &\nsleep 1000\n")).await;
    assert_eq!(reason, "Script did not finish within 1s");

    let board = Board::single();
    let engine = board.engine();
    let flood = "#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x\necho\necho last words\nexit 1\n";
    let standing = board.apply(&engine, 1, &script(flood)).await;
    assert_eq!(failed(&standing), "Script failed with exit status 1: last words");
    assert!(standing.output.len() <= 64 * 1024 && standing.output.ends_with("last words\n"));
    // It is still known after a restart of the service.
    assert_eq!(board.engine().standing().output, standing.output);

    let began = std::time::Instant::now();
    let standing =
        board.apply(&engine, 2, &script("#!/bin/sh\nsleep 1000 &\nread x < /dev/tty || exit 0\n")).await;
    assert_eq!(standing.outcome, Some(Outcome::Succeeded));
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn only_what_the_server_ordered_for_this_device_is_taken_and_only_once() {
    let board = Board::single();
    let engine = board.engine();
    let (uri, checksum) = board.artefact("a", &script(HARMLESS));
    let refusal = |order: Order, signature: &str| {
        engine.accept(&trust(), order, signature).map(drop).expect_err("a refusal").to_string()
    };
    let not_ordered = "the order is not signed by this device's server for this device";
    let (own, _) = order(1, &uri, &checksum, 1000);
    assert_eq!(refusal(own.clone(), "AAAA"), not_ordered, "a user's process with its own artefact");
    let (_, of_another) = order(2, &uri, &checksum, 1000);
    assert_eq!(refusal(own.clone(), &of_another), not_ordered);
    let mut elsewhere = trust();
    elsewhere.device_id = bramble_wire::DeviceId(uuid::Uuid::from_u128(9));
    let signature = sign(&own);
    let refused = engine.accept(&elsewhere, own.clone(), &signature).map(drop).expect_err("another device's");
    assert_eq!(refused.to_string(), not_ordered);

    // Ten years ahead: the device's clock has no say.
    assert_eq!(board.apply_from(&engine, 1, &uri, &checksum).await.outcome, Some(Outcome::Succeeded));
    let ahead = 1000 + 10 * 365 * 24 * 3600;
    assert_eq!(refusal(own.clone(), &signature), "this deployment is over already", "replayed");
    let (next, signature) = order(2, &uri, &checksum, ahead);
    let accepted = engine.accept(&trust(), next, &signature).expect("two in a row");
    let (third, third_signature) = order(3, &uri, &checksum, ahead + 1);
    assert_eq!(refusal(third.clone(), &third_signature), "another update is being applied");
    engine.work(accepted).await.expect("no cut");
    let (old, old_signature) = order(4, &uri, &checksum, 2000);
    assert_eq!(refusal(old, &old_signature), "the order is older than the newest one that this device took");

    // All of it survives a restart.
    let engine = board.engine();
    let again = |order: Order, signature: &str| engine.accept(&trust(), order, signature).map(drop);
    assert!(matches!(again(own.clone(), &sign(&own)), Err(Refusal::Finished)));
    again(third, &third_signature).expect("the newer one's turn");
    let standing = engine.standing();
    assert_eq!((standing.phase, standing.deployment), (Phase::Downloading, Some(deployment(3))));
    let odd = order(5, "gopher://x/y", &checksum, ahead + 2);
    let board = Board::single();
    let engine = board.engine();
    let refused = engine.accept(&trust(), odd.0, &odd.1).map(drop).expect_err("no such scheme");
    assert_eq!(refused.to_string(), "update file rejected: gopher addresses are not supported");
}

#[tokio::test]
async fn a_system_that_waits_for_its_commit_takes_no_other() {
    let board = Board::running(2);
    board.write("etc/rpi-connect/rpi-ota-connector.config", b"AutoCommit=false\nAutoReboot=no\n");
    let engine = board.engine();
    assert_eq!(board.apply(&engine, 1, &system(true)).await.phase, Phase::Ready);
    assert!(!engine.restart_if_due().expect("nothing is due"), "a person decides");
    assert!(matches!(engine.commit(), Err(Refusal::NothingToDo)), "it does not run yet");
    engine.reboot().expect("restarts");
    assert_eq!(board.switch.asked(), Some(true));
    assert_eq!(board.boot(true), 3);

    let engine = board.engine();
    engine.recover().expect("recovers");
    assert!(!engine.restart_if_due().expect("nothing is due"));
    assert_eq!(engine.standing().phase, Phase::Trying);
    let (uri, checksum) = board.artefact("a", &script(HARMLESS));
    let (other, signature) = order(2, &uri, &checksum, 1000);
    let refused = engine.accept(&trust(), other.clone(), &signature).map(drop).expect_err("not now");
    assert_eq!(refused.to_string(), "waiting for commit");
    engine.commit().expect("commits");
    assert_eq!(board.default_partition(), 3);
    assert_eq!(engine.standing().outcome, Some(Outcome::Succeeded));
    engine.accept(&trust(), other, &signature).map(drop).expect("now");
}
