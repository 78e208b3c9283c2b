//! The real programs, each doing its part.

use super::{
    board::{deployment, device, key, order, script, sign},
    world::{World, appears, is_root, keys, tried},
};
use crate::fake_server::SOON;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bramble_wire::{DeviceId, deployments::signed_text};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::json;

#[tokio::test]
async fn an_ordered_script_is_run_and_reported() {
    let world = World::start().await;
    let before = world.cli(&["status"]).await;
    assert!(before.lines().nth(4).is_some_and(|line| line == "Remote updates: disallowed"), "{before}");
    world.opt_in().await;
    let status = world.cli(&["status"]).await;
    assert_eq!(status.lines().nth(4), Some("Remote updates: allowed"), "{status}");

    let began = std::time::Instant::now();
    let (uri, checksum) = world.artefact("a", &script("#!/bin/sh\necho hello\n"));
    world.order(1, &uri, &checksum, 1000);
    let report = world.report(1, "complete").await;
    println!("ordered to reported: {:?}", began.elapsed());
    assert_eq!(report, json!({ "output": "hello\n" }));

    let (uri, checksum) = world.artefact("b", &script("#!/bin/sh\necho broken\nexit 1\n"));
    world.order(2, &uri, &checksum, 1001);
    let report = world.report(2, "fail").await;
    assert_eq!(report["reason"], "Script failed with exit status 1: broken");
    let journal = world.journal();
    assert!(
        journal.contains(&format!("uri=\"{uri}\"")) || journal.contains(&format!("uri={uri}")),
        "{journal}"
    );

    // Whoever reads the journal learns no token.
    world.order(4, &format!("{uri}?token=canary"), &checksum, 1001);
    world.report(4, "fail").await;
    let journal = world.journal();
    assert!(journal.contains(&format!("{uri}?…")) && !journal.contains("canary"), "{journal}");

    // A restart of the updater that a script asked for.
    let (uri, checksum) = world.artefact("c", &script("#!/bin/sh\nexit 2\n"));
    world.order(3, &uri, &checksum, 1002);
    world.report(3, "complete").await;
    assert_eq!(appears(&world.machine.root().join("reboots")).await, "plain\n");
}

#[tokio::test]
async fn nobody_makes_root_run_what_the_server_did_not_order() {
    let world = World::start().await;
    let (uri, checksum) = world.artefact("a", &script("#!/bin/sh\n"));
    let (own, good) = order(1, &uri, &checksum, 1000);
    let said = world.call_apply(None, &own, &good).await;
    assert!(said.contains("AccessDenied") && said.contains("rpi-connect ota on"), "before ota on: {said}");
    world.opt_in().await;
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let forged = STANDARD.encode(stranger.sign(b"whatever").to_bytes());
    let said = world.call_apply(None, &own, &forged).await;
    assert!(said.contains("com.raspberrypi.ota.Error.NotTrusted"), "{said}");
    if is_root() {
        let said = world.call_apply(Some(65534), &own, &good).await;
        assert!(said.contains("AccessDenied"), "another user: {said}");
        let said = world.call(Some(65534), "Commit", &[]).await;
        assert!(said.contains("AccessDenied"), "another user: {said}");
        let said = world.call(Some(65534), "GetStatus", &[]).await;
        assert!(said.contains("\"idle\""), "anybody may look: {said}");
    }
    world.order_signed(&own, &good);
    world.report(1, "complete").await;
    let said = world.call_apply(None, &own, &sign(&own)).await;
    assert!(said.contains("com.raspberrypi.ota.Error.Finished"), "replayed: {said}");
    let (old, signature) = order(3, &uri, &checksum, 1);
    let said = world.call_apply(None, &old, &signature).await;
    assert!(said.contains("older than the newest one"), "an old one that was never applied: {said}");
    let text = signed_text(deployment(4), DeviceId(uuid::Uuid::from_u128(9)), &uri, &checksum, 1001);
    let signature = STANDARD.encode(key().sign(text.as_bytes()).to_bytes());
    let said = world.call_apply(None, &order(4, &uri, &checksum, 1001).0, &signature).await;
    assert!(said.contains("com.raspberrypi.ota.Error.NotTrusted"), "another device's: {said}");
    if is_root() {
        assert_eq!(world.cli(&["ota", "off"]).await, "✓ Remote updates disallowed\n");
        world.capability(2, "available").await;
        let (other, signature) = order(2, &uri, &checksum, 1001);
        let said = world.call_apply(None, &other, &signature).await;
        assert!(said.contains("AccessDenied"), "{said}");
    }
}

#[tokio::test]
async fn a_changed_key_is_followed_when_the_old_one_vouches() {
    let world = World::start().await;
    world.opt_in().await;
    let (new, stranger) = (SigningKey::from_bytes(&[8; 32]), SigningKey::from_bytes(&[9; 32]));
    let (uri, checksum) = world.artefact("a", &script("#!/bin/sh\n"));
    let signed = |id, key: &SigningKey| {
        let (order, _) = order(id, &uri, &checksum, 1000);
        let text = signed_text(order.deployment, device(), &order.uri, &order.checksum, order.timestamp);
        (order, STANDARD.encode(key.sign(text.as_bytes()).to_bytes()))
    };
    keys(&world.server, &[("1", &key(), None), ("2", &stranger, Some(("1", &stranger)))]);
    let (order, signature) = signed(1, &stranger);
    world.order_signed(&order, &signature);
    let report = world.report(1, "fail").await;
    assert_eq!(report["reason"], "the order is not signed by this device's server for this device");

    keys(&world.server, &[("1", &key(), None), ("2", &new, Some(("1", &key())))]);
    let (order, signature) = signed(2, &new);
    world.order_signed(&order, &signature);
    world.report(2, "complete").await;
}

#[tokio::test]
async fn a_killed_updater_and_a_killed_daemon_go_on() {
    let mut world = World::start().await;
    world.opt_in().await;
    let gate = world.machine.root().join("gate");
    let running = world.machine.root().join("running");
    let text = format!(
        "#!/bin/sh\necho here > {}\nuntil [ -e {} ]; do sleep 0.05; done\necho done\n",
        running.display(),
        gate.display()
    );
    let (uri, checksum) = world.artefact("a", &script(&text));
    world.order(1, &uri, &checksum, 1000);
    appears(&running).await;
    // The daemon dies; the update goes on and is reported by the next one.
    world.kill_daemon().await;
    std::fs::write(&gate, "").expect("file");
    world.start_daemon();
    assert_eq!(world.report(1, "complete").await, json!({ "output": "done\n" }));

    // The updater dies while a script runs: nobody can say what it did.
    std::fs::remove_file(&gate).expect("removed");
    std::fs::remove_file(&running).expect("removed");
    world.server.nth_where(2, "the stream", |seen| seen.path == "/events").await;
    world.capability(2, "enabled").await;
    world.order(2, &uri, &checksum, 1001);
    appears(&running).await;
    world.kill_updater().await;
    std::fs::write(&gate, "").expect("file");
    world.start_updater();
    let report = world.report(2, "fail").await;
    assert_eq!(report["reason"], "The device restarted while a script ran");
}

#[tokio::test]
async fn a_new_system_is_tried_committed_and_reported() {
    let (mut world, board) = tried().await;
    world.start_updater();
    world.start_daemon();
    world.report(1, "complete").await;
    assert_eq!(board.default_partition(), 3);
    assert!(board.partition(3, "system").starts_with(b"GOOD new"));
}

/// Without `AutoCommit` a person decides on the device, and nobody tells the daemon.
#[tokio::test]
async fn what_a_person_decides_on_the_device_is_reported() {
    for (method, what, partition) in [("Commit", "complete", 3), ("Rollback", "fail", 2)] {
        let (mut world, board) = tried().await;
        world.machine.write("root/etc/rpi-connect/rpi-ota-connector.config", "AutoCommit=false\n");
        world.start_updater();
        world.start_daemon();
        // It has looked, and nothing but looking again can tell it.
        world.journal_says("an update waits for the device's restart or for a decision on it", 1).await;
        // Another deployment waits until that is decided.
        let trace = world.machine.root().join("second");
        let (uri, checksum) =
            world.artefact("b", &script(&format!("#!/bin/sh\necho x > {}\n", trace.display())));
        let (second, signature) = order(2, &uri, &checksum, 1001);
        world.order_silently(&second, &signature);
        let said = world.call(None, method, &[]).await;
        assert!(said.contains("method return"), "{said}");
        if method == "Rollback" {
            // It restarts; the firmware starts the old system.
            world.kill_daemon().await;
            world.kill_updater().await;
            board.boot(false);
            world.start_updater();
            world.start_daemon();
        }
        let report = world.report(1, what).await;
        assert_eq!(board.default_partition(), partition);
        if what == "fail" {
            assert_eq!(report["reason"], "Rolled back: asked for on the device");
        }
        world.report(2, "complete").await;
        let position = |path: &str| world.server.seen().iter().position(|seen| seen.path.ends_with(path));
        let ended = position(&format!("/{}/{what}", deployment(1)));
        let begun = position(&format!("/{}/start", deployment(2)));
        assert!(ended < begun && trace.exists(), "{ended:?} {begun:?}");
    }
}

/// Whatever a script does to get away: it ends before the deployment does.
#[tokio::test]
async fn nothing_that_a_script_leaves_running_outlives_it() {
    let world = World::start().await;
    world.opt_in().await;
    let root = world.machine.root();
    let stay = root.join("stay");
    let ready = root.join("ready");
    let text = "#!/bin/sh\ntrap '' TERM HUP\necho $$ >> READY\nwhile :; do sleep 1000; done\n";
    world.machine.write("root/stay", &text.replace("READY", &ready.display().to_string()));
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&stay, executable).expect("chmod");
    let ways = [
        "setsid STAY &",
        // A daemon of the old kind: two forks, a session of its own, nothing in its environment.
        "(env -i setsid /bin/sh -c 'STAY & exit 0' &)",
        "setsid -f nohup setsid -f STAY > /dev/null 2>&1",
    ];
    // They have the folder that the script had.
    let left = || -> Vec<String> {
        let all = std::fs::read_dir("/proc").expect("Linux").flatten();
        let places = all.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
        places.filter(|place| place.starts_with(&root)).map(|place| place.display().to_string()).collect()
    };
    for (id, way) in (1..).zip(ways) {
        let endless = id == 3;
        let way = way.replace("STAY", &stay.display().to_string());
        let end = if endless { "sleep 1000" } else { "exit 0" };
        let wait = format!("until [ -s {} ]; do sleep 0.01; done", ready.display());
        let text = format!("#!/bin/sh\n{way}\n{wait}\n{end}\n");
        if endless {
            world.machine.write("root/etc/rpi-connect/rpi-ota-connector.config", "ScriptTimeout=1\n");
        }
        let (uri, checksum) = world.artefact("a", &script(&text));
        world.order(id, &uri, &checksum, 1000);
        world.report(id, if endless { "fail" } else { "complete" }).await;
        std::fs::remove_file(&ready).expect("it was there");
        assert_eq!(left(), Vec::<String>::new(), "{text}");
    }
}

/// The server deletes the device in the middle: the daemon forgets the sign-in and stops asking; what root's
/// program has begun it ends, and keeps to itself.
#[tokio::test]
async fn a_device_that_is_deleted_while_it_applies_is_signed_out_and_quiet() {
    let mut world = World::start().await;
    world.opt_in().await;
    let (gate, running) = (world.machine.root().join("gate"), world.machine.root().join("running"));
    let text = format!(
        "#!/bin/sh\necho here > {}\nuntil [ -e {} ]; do sleep 0.05; done\n",
        running.display(),
        gate.display()
    );
    let (uri, checksum) = world.artefact("a", &script(&text));
    world.order(1, &uri, &checksum, 1000);
    appears(&running).await;
    world.server.revoke_tokens();
    world.server.hang_up();
    world.journal_says("signed out: ", 1).await;
    let asked = world.server.seen().len();
    std::fs::write(&gate, "").expect("file");
    world.journal_says("the update succeeded", 1).await;
    let status = world.cli(&["status"]).await;
    assert!(status.starts_with("Signed in: no\n"), "{status}");
    assert!(world.call(None, "GetStatus", &[]).await.contains("\"finished\""));
    // Both start anew, as after a restart of the device.
    world.kill_daemon().await;
    world.kill_updater().await;
    world.start_updater();
    world.start_daemon();
    world.updater_answers().await;
    let status = tokio::time::timeout(SOON, async {
        loop {
            let status = world.cli(&["status"]).await;
            if status.starts_with("Signed in: ") {
                return status;
            }
        }
    });
    let status = status.await.expect("the daemon answers");
    assert!(status.starts_with("Signed in: no\n"), "{status}");
    let more: Vec<_> = world.server.seen()[asked..].iter().map(|seen| seen.path.clone()).collect();
    assert_eq!(more, Vec::<String>::new(), "nobody asks a server that does not know the device");
}

/// The same while a new system is tried: nobody commits it, so the old one comes back.
#[tokio::test]
async fn a_device_that_is_deleted_while_a_system_is_tried_goes_back_to_the_old_one() {
    let (mut world, board) = tried().await;
    world.machine.write("root/etc/rpi-connect/rpi-ota-connector.config", "CommitTimeout=1\n");
    world.server.revoke_tokens();
    world.server.hang_up();
    std::fs::remove_file(world.machine.root().join("reboots")).expect("the one into the new system");
    world.start_updater();
    world.start_daemon();
    assert_eq!(appears(&world.machine.root().join("reboots")).await, "plain\n");
    world.kill_daemon().await;
    world.kill_updater().await;
    assert_eq!((board.boot(false), board.default_partition()), (2, 2));
    world.start_updater();
    world.updater_answers().await;
    let status = world.call(None, "GetStatus", &[]).await;
    assert!(status.contains("\"finished\"") && status.contains("did not reach the server"), "{status}");
}
