//! Android sparse images, pure headers and a streaming expansion with flat memory.
//!
//! A sparse image is a header and chunks: raw bytes, one 32-bit value repeated, blocks that do not matter,
//! and a checksum (which is read and not compared: the artefact's SHA-256 covers every byte, and tools
//! disagree whether blocks that do not matter count).
//! <https://android.googlesource.com/platform/system/core/+/main/libsparse/sparse_format.h> has the layout.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// The size of the file header of version 1.
pub const FILE_HEADER: usize = 28;
/// The size of a chunk header of version 1.
pub const CHUNK_HEADER: usize = 12;

const MAGIC: u32 = 0xed26_ff3a;
const RAW: u16 = 0xcac1;
const FILL: u16 = 0xcac2;
const DONT_CARE: u16 = 0xcac3;
const CRC32: u16 = 0xcac4;
/// Bytes moved at once: large enough that the calls do not count, small beside the memory limit.
const STRIDE: usize = 256 * 1024;

/// What is wrong with an image. The text follows "update file rejected: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it is not an Android sparse image")]
    NotSparse,
    #[error("it is a sparse image of an unknown version")]
    Version,
    #[error("the sparse image is damaged ({0})")]
    Damaged(&'static str),
}

/// Why an expansion ended early.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("the image needs {needed} bytes and the partition has {capacity}")]
    TooLarge { needed: u64, capacity: u64 },
    /// Also when the image ends before its chunks do ([`io::ErrorKind::UnexpectedEof`]).
    #[error("reading: {0}")]
    Read(io::Error),
    #[error("writing: {0}")]
    Write(io::Error),
}

/// The file header, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub block: u32,
    pub blocks: u32,
    pub chunks: u32,
    /// Bytes between the known part of each header and what follows (for later minor versions).
    file_extra: u16,
    chunk_extra: u16,
}

/// A chunk header, checked against what is left of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    Raw { blocks: u32 },
    Fill { blocks: u32 },
    DontCare { blocks: u32 },
    Crc32,
}

impl Header {
    pub fn parse(bytes: &[u8; FILE_HEADER]) -> Result<Self, Fault> {
        if long(bytes, 0) != MAGIC {
            return Err(Fault::NotSparse);
        }
        if short(bytes, 4) != 1 {
            return Err(Fault::Version);
        }
        let extra = |at: usize, known: usize| {
            short(bytes, at)
                .checked_sub(u16::try_from(known).unwrap_or(u16::MAX))
                .ok_or(Fault::Damaged("a header is too short"))
        };
        let header = Self {
            block: long(bytes, 12),
            blocks: long(bytes, 16),
            chunks: long(bytes, 20),
            file_extra: extra(8, FILE_HEADER)?,
            chunk_extra: extra(10, CHUNK_HEADER)?,
        };
        if header.block == 0 || !header.block.is_multiple_of(4) {
            return Err(Fault::Damaged("the block size is not a multiple of 4"));
        }
        // Each block has at most one chunk and one checksum; more chunks would be there to waste time.
        if u64::from(header.chunks) > 2 * u64::from(header.blocks) + 2 {
            return Err(Fault::Damaged("there are more chunks than blocks"));
        }
        Ok(header)
    }

    /// The size of the image once expanded.
    pub fn expanded(&self) -> u64 {
        u64::from(self.block) * u64::from(self.blocks)
    }

    /// Reads a chunk header; `left` is how many blocks of the image have not been said yet.
    pub fn chunk(&self, bytes: &[u8; CHUNK_HEADER], left: u32) -> Result<Chunk, Fault> {
        let blocks = long(bytes, 4);
        let (chunk, body) = match short(bytes, 0) {
            RAW => (Chunk::Raw { blocks }, u64::from(blocks) * u64::from(self.block)),
            FILL => (Chunk::Fill { blocks }, 4),
            DONT_CARE => (Chunk::DontCare { blocks }, 0),
            CRC32 if blocks == 0 => (Chunk::Crc32, 4),
            CRC32 => return Err(Fault::Damaged("a checksum claims blocks")),
            _ => return Err(Fault::Damaged("a chunk is of an unknown kind")),
        };
        if blocks > left {
            return Err(Fault::Damaged("its chunks exceed its size"));
        }
        let headers = CHUNK_HEADER as u64 + u64::from(self.chunk_extra);
        if u64::from(long(bytes, 8)) != headers + body {
            return Err(Fault::Damaged("the length of a chunk is wrong"));
        }
        Ok(chunk)
    }
}

/// Expands the image in `source` onto `target` from its start, and gives back the size of the whole.
///
/// Nothing is ever written at or beyond `capacity`. Blocks that do not matter are skipped, so that a file
/// keeps holes there; the length of a file is the caller's to set.
pub fn expand<R, W>(source: &mut R, target: &mut W, capacity: u64) -> Result<u64, Stop>
where
    R: Read + ?Sized,
    W: Write + Seek + ?Sized,
{
    let header = Header::parse(&take(source)?)?;
    let needed = header.expanded();
    if needed > capacity {
        return Err(Stop::TooLarge { needed, capacity });
    }
    skip(source, u64::from(header.file_extra))?;
    let mut buffer = vec![0; STRIDE];
    let mut left = header.blocks;
    target.seek(SeekFrom::Start(0)).map_err(Stop::Write)?;
    for _ in 0..header.chunks {
        let chunk = header.chunk(&take(source)?, left)?;
        skip(source, u64::from(header.chunk_extra))?;
        let bytes = |blocks: u32| u64::from(blocks) * u64::from(header.block);
        match chunk {
            Chunk::Raw { blocks } => {
                copy(source, target, bytes(blocks), &mut buffer)?;
                left -= blocks;
            }
            Chunk::Fill { blocks } => {
                let value: [u8; 4] = take(source)?;
                fill(target, value, bytes(blocks), &mut buffer)?;
                left -= blocks;
            }
            Chunk::DontCare { blocks } => {
                let by =
                    i64::try_from(bytes(blocks)).map_err(|_| Fault::Damaged("a size is out of range"))?;
                target.seek(SeekFrom::Current(by)).map_err(Stop::Write)?;
                left -= blocks;
            }
            Chunk::Crc32 => skip(source, 4)?,
        }
    }
    if left != 0 {
        return Err(Fault::Damaged("its chunks end before its size").into());
    }
    target.flush().map_err(Stop::Write)?;
    Ok(needed)
}

fn take<const N: usize, R: Read + ?Sized>(source: &mut R) -> Result<[u8; N], Stop> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes).map_err(Stop::Read)?;
    Ok(bytes)
}

fn skip<R: Read + ?Sized>(source: &mut R, count: u64) -> Result<(), Stop> {
    let skipped = io::copy(&mut source.take(count), &mut io::sink()).map_err(Stop::Read)?;
    if skipped == count { Ok(()) } else { Err(Stop::Read(io::ErrorKind::UnexpectedEof.into())) }
}

fn copy<R, W>(source: &mut R, target: &mut W, mut count: u64, buffer: &mut [u8]) -> Result<(), Stop>
where
    R: Read + ?Sized,
    W: Write + ?Sized,
{
    while count > 0 {
        let part = stride(count, buffer);
        source.read_exact(part).map_err(Stop::Read)?;
        target.write_all(part).map_err(Stop::Write)?;
        count -= part.len() as u64;
    }
    Ok(())
}

fn fill<W: Write + ?Sized>(
    target: &mut W,
    value: [u8; 4],
    mut count: u64,
    buffer: &mut [u8],
) -> Result<(), Stop> {
    for place in stride(count, buffer).chunks_exact_mut(4) {
        place.copy_from_slice(&value);
    }
    while count > 0 {
        let part = stride(count, buffer);
        target.write_all(part).map_err(Stop::Write)?;
        count -= part.len() as u64;
    }
    Ok(())
}

/// As much of the buffer as is still to do.
fn stride(count: u64, buffer: &mut [u8]) -> &mut [u8] {
    let most = usize::try_from(count).unwrap_or(usize::MAX).min(buffer.len());
    &mut buffer[..most]
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    #[derive(Debug, Clone)]
    enum Piece {
        Raw(Vec<u8>),
        Fill(u32, u32),
        Hole(u32),
        Sum,
    }

    const SIZE: u32 = 8;

    fn image(pieces: &[Piece]) -> (Vec<u8>, Vec<u8>) {
        let (mut body, mut plain) = (Vec::new(), Vec::new());
        for piece in pieces {
            let (kind, blocks, data) = match piece {
                Piece::Raw(bytes) => {
                    plain.extend(bytes);
                    (RAW, u32::try_from(bytes.len()).expect("small") / SIZE, bytes.clone())
                }
                Piece::Fill(value, blocks) => {
                    (0..blocks * SIZE / 4).for_each(|_| plain.extend(value.to_le_bytes()));
                    (FILL, *blocks, value.to_le_bytes().to_vec())
                }
                Piece::Hole(blocks) => {
                    plain.extend(vec![0xee; (blocks * SIZE) as usize]);
                    (DONT_CARE, *blocks, Vec::new())
                }
                Piece::Sum => (CRC32, 0, vec![1, 2, 3, 4]),
            };
            body.extend(kind.to_le_bytes());
            body.extend([0, 0]);
            body.extend(blocks.to_le_bytes());
            body.extend(u32::try_from(CHUNK_HEADER + data.len()).expect("small").to_le_bytes());
            body.extend(data);
        }
        let mut whole = Vec::new();
        whole.extend(MAGIC.to_le_bytes());
        for value in [1_u16, 0, 28, 12] {
            whole.extend(value.to_le_bytes());
        }
        for value in [SIZE as usize, plain.len() / SIZE as usize, pieces.len(), 0] {
            whole.extend(u32::try_from(value).expect("small").to_le_bytes());
        }
        whole.extend(body);
        (whole, plain)
    }

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let raw = proptest::collection::vec(any::<[u8; SIZE as usize]>(), 1..5)
            .prop_map(|b| Piece::Raw(b.concat()));
        let fill = (any::<u32>(), 1_u32..100_000).prop_map(|(value, blocks)| Piece::Fill(value, blocks));
        let one = prop_oneof![raw, fill, (1_u32..50).prop_map(Piece::Hole)];
        proptest::collection::vec(one, 1..6).prop_map(|mut pieces| {
            pieces.push(Piece::Sum);
            pieces
        })
    }

    fn expanded(sparse: &[u8], capacity: usize) -> (Result<u64, Stop>, Vec<u8>) {
        let mut target = Cursor::new(vec![0xee; capacity]);
        let end = expand(&mut &sparse[..], &mut target, capacity as u64);
        (end, target.into_inner())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn an_image_expands_to_what_it_stands_for(pieces in pieces()) {
            let (sparse, plain) = image(&pieces);
            let (end, target) = expanded(&sparse, plain.len());
            prop_assert_eq!(end.expect("expands"), plain.len() as u64);
            prop_assert!(target == plain);
        }

        #[test]
        fn a_cut_image_is_never_taken_for_a_whole_one(pieces in pieces(), cut in 1_usize..200) {
            let (sparse, plain) = image(&pieces);
            let short = &sparse[..sparse.len().saturating_sub(cut)];
            let (end, target) = expanded(short, plain.len());
            prop_assert!(matches!(end, Err(Stop::Read(error)) if error.kind() == io::ErrorKind::UnexpectedEof));
            prop_assert_eq!(target.len(), plain.len());
        }

        #[test]
        fn changed_bytes_never_write_outside(pieces in pieces(), at: prop::sample::Index, value: u8) {
            let (mut sparse, plain) = image(&pieces);
            let at = at.index(sparse.len());
            sparse[at] = value;
            let (_, target) = expanded(&sparse, plain.len());
            prop_assert_eq!(target.len(), plain.len());
        }
    }

    #[test]
    fn an_image_larger_than_the_partition_is_refused_before_a_byte_is_written() {
        let (sparse, plain) = image(&[Piece::Fill(7, 4)]);
        let (end, target) = expanded(&sparse, plain.len() - 1);
        assert!(matches!(end, Err(Stop::TooLarge { needed: 32, capacity: 31 })));
        assert!(target.iter().all(|byte| *byte == 0xee));
    }

    #[test]
    fn each_damage_has_its_name() {
        let (good, _) = image(&[Piece::Fill(7, 4)]);
        let with = |at: usize, value: u8| {
            let mut bad = good.clone();
            bad[at] = value;
            match expanded(&bad, 1 << 20).0 {
                Err(Stop::Fault(fault)) => fault.to_string(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(
            [
                with(0, 0),
                with(4, 2),
                with(8, 1),
                with(12, 7),
                with(20, 99),
                with(16, 3),
                with(16, 5),
                with(28, 0xff),
                with(36, 1)
            ]
            .join("\n"),
            concat!(
                "it is not an Android sparse image\n",
                "it is a sparse image of an unknown version\n",
                "the sparse image is damaged (a header is too short)\n",
                "the sparse image is damaged (the block size is not a multiple of 4)\n",
                "the sparse image is damaged (there are more chunks than blocks)\n",
                "the sparse image is damaged (its chunks exceed its size)\n",
                "the sparse image is damaged (its chunks end before its size)\n",
                "the sparse image is damaged (a chunk is of an unknown kind)\n",
                "the sparse image is damaged (the length of a chunk is wrong)",
            )
        );
    }
}
