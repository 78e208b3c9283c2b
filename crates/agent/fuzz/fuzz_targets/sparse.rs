//! Any bytes as a sparse image: nothing is written outside the partition, whatever they say.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../src/update/artefact/sparse.rs"]
mod sparse;

use std::io::{self, Seek, SeekFrom, Write};

const CAPACITY: u64 = 1 << 20;

struct Partition(u64);

impl Write for Partition {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        assert!(self.0 <= CAPACITY, "written outside");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Partition {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0 = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.0.checked_add_signed(by).expect("in range"),
            SeekFrom::End(_) => unreachable!("its end is not asked for"),
        };
        Ok(self.0)
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut source = bytes;
    if let Ok(size) = sparse::expand(&mut source, &mut Partition(0), CAPACITY) {
        assert!(size <= CAPACITY);
    }
});
