//! Any bytes as an archive: the walk ends, and no name leaves the folder.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../src/update/artefact/tar.rs"]
mod tar;

use tar::{BLOCK, Header, Said};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut said = Said::default();
    // Mutations seldom hit the sum of a header, so it is put right here.
    while rest.len() >= BLOCK {
        let mut block: [u8; BLOCK] = rest[..BLOCK].try_into().expect("a block");
        rest = &rest[BLOCK..];
        if block.iter().any(|byte| *byte != 0) {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let Ok(header) = tar::parse(&block, std::mem::take(&mut said)) else { return };
        let size = match header {
            Header::End => return,
            Header::Top => continue,
            Header::Skip(size) => size,
            Header::File(member) => {
                assert!(!member.name.contains('/') && !member.name.is_empty() && member.name != "..");
                member.size
            }
            Header::LongName(size) => {
                let Some(body) = rest.get(..size as usize) else { return };
                let Ok(name) = tar::long_name(body) else { return };
                said.name = Some(name);
                size
            }
            Header::Records(size) => {
                let Some(body) = rest.get(..size as usize) else { return };
                if tar::records(body, &mut said).is_err() {
                    return;
                }
                size
            }
        };
        let Some(next) =
            size.checked_add(tar::padding(size)).and_then(|size| rest.get(usize::try_from(size).ok()?..))
        else {
            return;
        };
        rest = next;
    }
});
