//! The serial number. An identifier, never a credential: the server trusts nothing because of it.

use super::Platform;
use crate::state::{FolderError, StateFolder};
use bramble_model::Random;
use sha2::{Digest, Sha256};

/// Keeps the number apart from what other programs make of the same machine id, which must not be shown
/// to the network as it is.
const APPLICATION: &str = "bramble-agent serial number v1";
/// Digits of a made-up number: as many as a Raspberry Pi has.
const DIGITS: usize = 16;

/// Why there is no serial number.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// A made-up one could not be kept.
    #[error("the serial number cannot be kept: {0}")]
    Folder(#[from] FolderError),
}

pub(super) fn serial_number(
    platform: &Platform,
    folder: &StateFolder,
    random: &dyn Random,
) -> Result<String, SerialError> {
    let firmware = platform
        .text("proc/device-tree/serial-number")
        .and_then(|text| usable(&text))
        .or_else(|| platform.cpuinfo("Serial").and_then(|text| usable(&text)));
    if let Some(serial) = firmware {
        return Ok(serial);
    }
    let machine = platform.text("etc/machine-id").filter(|id| id.len() == 32 && is_hex(id));
    if let Some(id) = machine {
        return Ok(derived(id.as_bytes()));
    }
    if let Some(kept) = folder.serial()?.and_then(|text| usable(&text)) {
        return Ok(kept);
    }
    let fresh = derived(&random.bytes::<16>());
    folder.store_serial(&fresh)?;
    Ok(fresh)
}

fn derived(input: &[u8]) -> String {
    let digest = Sha256::new().chain_update(APPLICATION).chain_update(input).finalize();
    let mut text = hex::encode(digest);
    text.truncate(DIGITS);
    text
}

/// Hex digits that are not all zero: some firmware has a field and no number in it.
fn usable(text: &str) -> Option<String> {
    let fits = (8..=64).contains(&text.len()) && is_hex(text) && text.bytes().any(|b| b != b'0');
    fits.then(|| text.to_ascii_lowercase())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_model::SeededRandom;
    use std::fs;

    #[test]
    fn the_firmware_comes_first_and_every_fallback_is_stable() {
        let place = tempfile::tempdir().expect("a folder");
        let root = place.path();
        let folder = StateFolder::at(root.join("state"));
        folder.prepare().expect("prepares");
        let platform = Platform::below(root);
        let read = |seed| platform.serial_number(&folder, &SeededRandom::new(seed)).expect("a number");

        let made_up = read(1);
        assert_eq!(made_up.len(), DIGITS);
        assert_eq!(read(2), made_up, "kept, not drawn again");

        fs::create_dir_all(root.join("etc")).expect("folder");
        fs::write(root.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").expect("file");
        let from_machine = read(3);
        assert_ne!(from_machine, made_up);
        assert!(!from_machine.starts_with("0123"));

        fs::create_dir_all(root.join("proc/device-tree")).expect("folder");
        fs::write(root.join("proc/cpuinfo"), "Hardware\t: BCM2835\nSerial\t\t: 10000000ABCDEF01\n")
            .expect("file");
        assert_eq!(read(4), "10000000abcdef01");

        fs::write(root.join("proc/device-tree/serial-number"), "0000000000000000\0").expect("file");
        assert_eq!(read(5), "10000000abcdef01", "zeros are no number");
        fs::write(root.join("proc/device-tree/serial-number"), "ea636879c4d47a37\0").expect("file");
        assert_eq!(read(6), "ea636879c4d47a37");
    }
}
