//! The board, from the firmware's revision code and model text.

use super::Platform;
use bramble_wire::device_api::Board;

/// Set in a revision code that is made of fields; older boards have plain numbers.
const NEW_STYLE: u32 = 1 << 23;

pub(super) fn board(platform: &Platform) -> Option<Board> {
    let model = platform.text("proc/device-tree/model").or_else(|| platform.cpuinfo("Model"));
    let code = platform
        .cpuinfo("Revision")
        .and_then(|text| u32::from_str_radix(&text, 16).ok())
        .filter(|code| code & NEW_STYLE != 0);
    let model = model.filter(|text| text.starts_with("Raspberry Pi"));
    if model.is_none() && code.is_none() {
        return None;
    }
    let (spelled, revision) = match model.as_deref().map(|text| text.split_once(" Rev ")) {
        Some(Some((name, revision))) => (Some(name.to_owned()), Some(revision.trim().to_owned())),
        _ => (model, None),
    };
    Some(Board {
        model: code.and_then(name_of).map(|name| format!("Raspberry Pi {name}")).or(spelled),
        revision: code.map(|code| format!("1.{}", code & 0xf)).or(revision),
        memory: code.and_then(memory_of_code).or_else(|| memory_of_kernel(platform)),
    })
}

/// The name that the dashboard and the `model:` filter know, by the type field of the revision code.
fn name_of(code: u32) -> Option<&'static str> {
    Some(match (code >> 4) & 0xff {
        0x00 => "A",
        0x01 => "B",
        0x02 => "A+",
        0x03 => "B+",
        0x04 => "2B",
        0x06 => "CM1",
        0x08 => "3B",
        0x09 => "Zero",
        0x0a => "CM3",
        0x0c => "Zero W",
        0x0d => "3B+",
        0x0e => "3A+",
        0x10 => "CM3+",
        0x11 => "4B",
        0x12 => "Zero 2 W",
        0x13 => "400",
        0x14 => "CM4",
        0x15 => "CM4S",
        0x17 => "5",
        0x18 => "CM5",
        0x19 => "500",
        0x1a => "CM5 Lite",
        _ => return None,
    })
}

fn memory_of_code(code: u32) -> Option<String> {
    let megabytes = 256_u64 << ((code >> 20) & 0x7);
    (megabytes <= 16 * 1024).then(|| in_words(megabytes))
}

/// The kernel keeps some for itself and the GPU: the size that was sold is the next power of two.
fn memory_of_kernel(platform: &Platform) -> Option<String> {
    let text = platform.text("proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(in_words((kilobytes / 1024).max(1).next_power_of_two()))
}

fn in_words(megabytes: u64) -> String {
    if megabytes >= 1024 { format!("{} GB", megabytes / 1024) } else { format!("{megabytes} MB") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Platform) {
        let place = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("folder");
            fs::write(path, text).expect("file");
        }
        let platform = Platform::below(place.path());
        (place, platform)
    }

    #[test]
    fn a_revision_code_tells_everything() {
        let (_place, it) = machine(&[
            ("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0"),
            ("proc/cpuinfo", "processor\t: 0\n\nRevision\t: d04170\nSerial\t\t: 1\n"),
        ]);
        let board = it.board().expect("a board");
        assert_eq!(board.model.as_deref(), Some("Raspberry Pi 5"));
        assert_eq!(board.revision.as_deref(), Some("1.0"));
        assert_eq!(board.memory.as_deref(), Some("8 GB"));
    }

    #[test]
    fn without_one_the_model_text_and_the_kernel_do() {
        let (_place, it) = machine(&[
            ("proc/device-tree/model", "Raspberry Pi Compute Module 9 Rev 1.2\0"),
            ("proc/meminfo", "MemTotal:        3884380 kB\nMemFree: 1 kB\n"),
        ]);
        let board = it.board().expect("a board");
        assert_eq!(board.model.as_deref(), Some("Raspberry Pi Compute Module 9"));
        assert_eq!(board.revision.as_deref(), Some("1.2"));
        assert_eq!(board.memory.as_deref(), Some("4 GB"));
    }

    #[test]
    fn a_laptop_has_no_board() {
        let (_place, it) = machine(&[("proc/cpuinfo", "model name : A CPU\n")]);
        assert_eq!(it.board(), None);
    }
}
