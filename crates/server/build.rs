//! Bundles the browser's files with the packages in `node_modules`, so that the binary carries them.

use std::{env, path::PathBuf, process::Command};

fn main() {
    // Asked when it runs: two checkouts that share a target directory share this program too.
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let script = root.join("../../scripts/build-assets.mjs");
    for input in [root.join("assets"), script.clone(), root.join("../../package-lock.json")] {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let mut command = Command::new("node");
    command.arg(&script).arg(&out);
    if env::var("PROFILE").as_deref() == Ok("release") {
        command.arg("--release");
    }
    match command.output() {
        Ok(done) if done.status.success() => {}
        Ok(done) => panic!("the browser assets did not build:\n{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => panic!(
            "node did not start ({error}). Install Node.js 20 or newer, run `make setup`, then build again."
        ),
    }
}
