//! The key in a Raspberry Pi's one-time programmable memory, used through `rpi-fw-crypto`. The private
//! key stays in the firmware.

use super::KeyError;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// Where the program may be, below the root.
const PLACES: [&str; 2] = ["usr/bin/rpi-fw-crypto", "usr/local/bin/rpi-fw-crypto"];
/// The device's key.
const KEY_ID: &str = "1";
/// How long the firmware may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// A public key on P-256 in DER, in bytes.
const PUBLIC_KEY: usize = 91;

/// The program, if it is installed.
pub(super) fn program(root: &Path) -> Option<PathBuf> {
    PLACES.into_iter().map(|place| root.join(place)).find(|path| path.is_file())
}

/// The public key in DER. A board whose memory holds none has no identity.
pub(super) async fn public_key(program: &Path) -> Result<Vec<u8>, KeyError> {
    let folder = folder()?;
    let out = folder.path().join("public.der");
    let done = run(program, &["pubkey", "--key-id", KEY_ID], &out).await?;
    let key = if done { std::fs::read(&out).unwrap_or_default() } else { Vec::new() };
    if key.len() == PUBLIC_KEY { Ok(key) } else { Err(KeyError::None) }
}

/// An ECDSA signature in DER over the SHA-256 of a text.
pub(super) async fn sign(program: &Path, text: &[u8]) -> Result<Vec<u8>, KeyError> {
    let folder = folder()?;
    let (message, out) = (folder.path().join("message"), folder.path().join("signature.der"));
    std::fs::write(&message, text).map_err(|error| KeyError::Unusable(error.to_string()))?;
    let message = message.display().to_string();
    let arguments = ["sign", "--in", &message, "--key-id", KEY_ID, "--alg", "ec"];
    let failed = || KeyError::Unusable("rpi-fw-crypto did not sign with the key of this board".to_owned());
    if !run(program, &arguments, &out).await? {
        return Err(failed());
    }
    std::fs::read(&out).ok().filter(|signature| !signature.is_empty()).ok_or_else(failed)
}

fn folder() -> Result<tempfile::TempDir, KeyError> {
    tempfile::tempdir().map_err(|error| KeyError::Unusable(format!("no temporary folder: {error}")))
}

/// Runs the program with an output file. False if it refused.
async fn run(program: &Path, arguments: &[&str], out: &Path) -> Result<bool, KeyError> {
    let mut command = Command::new(program);
    command.args(arguments).arg("--out").arg(out).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let cannot = |why: String| KeyError::Unusable(format!("{} cannot be run: {why}", program.display()));
    let output = match timeout(PATIENCE, command.output()).await {
        Ok(output) => output.map_err(|error| cannot(error.to_string()))?,
        Err(_) => return Err(cannot("it does not end".to_owned())),
    };
    if !output.status.success() {
        let why = bramble_model::text::clip(&String::from_utf8_lossy(&output.stderr), 200);
        tracing::debug!(%why, "rpi-fw-crypto refused");
    }
    Ok(output.status.success())
}
