//! The tar format, pure: one 512-byte header in, a typed [`Member`] out, and back. No I/O.
//!
//! It knows what GNU tar (the public `otamaker` runs it), bsdtar and Python's `tarfile` write: ustar with
//! `prefix`, sizes in base 256 beyond 8 GiB, GNU long names and pax records. Whatever an artefact has no
//! use for (links, devices, directories, set-uid files) is an error here, so that no later code can
//! forget to ask.

/// Headers and padding come in blocks of this size.
pub const BLOCK: usize = 512;
/// A long name or a set of pax records beyond this is no artefact: names are at most [`MAX_NAME`].
pub const MAX_EXTENSION: u64 = 16 * 1024;
/// A payload is one file in one folder, and Linux file names end here.
pub const MAX_NAME: usize = 255;
/// What fits into the header's own field, and so what we write.
pub const MAX_WRITTEN_NAME: usize = 100;

const SET_ID: u64 = 0o6000;

/// What is wrong with an archive. The text follows "update file rejected: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the archive is damaged ({0})")]
    Damaged(&'static str),
    #[error("{name:?} is {what}; only plain files are allowed")]
    NotAFile { name: String, what: &'static str },
    #[error("{0:?} is set-uid or set-gid")]
    SetId(String),
    #[error("{0:?} is not a plain file name")]
    Name(String),
}

/// What one header block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// A block of zeros: the end of the archive.
    End,
    /// A file of this many bytes.
    File(Member),
    /// The archive's own top folder (`./`), which says nothing.
    Top,
    /// The next member's name follows in this many bytes (GNU).
    LongName(u64),
    /// Records about the next member follow in this many bytes (pax).
    Records(u64),
    /// Records about the whole archive, or a volume label: of no use here.
    Skip(u64),
}

/// A plain file in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub size: u64,
}

/// What extension members said about the member after them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Said {
    pub name: Option<String>,
    pub size: Option<u64>,
}

/// Reads a header block. `said` is what extensions before it said, and wins.
pub fn parse(block: &[u8; BLOCK], said: Said) -> Result<Header, Fault> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(Header::End);
    }
    if number(&block[148..156])? != u64::from(checksum(block)) {
        return Err(Fault::Damaged("the sum of a header does not match"));
    }
    let size = match said.size {
        Some(size) => size,
        None => number(&block[124..136])?,
    };
    // The padded size must be a number, too.
    size.checked_add(BLOCK as u64).ok_or(Fault::Damaged("a size is out of range"))?;
    let kind = block[156];
    match kind {
        b'L' => return extension(size).map(Header::LongName),
        b'x' => return extension(size).map(Header::Records),
        b'g' => return extension(size).map(Header::Skip),
        b'V' => return Ok(Header::Skip(size)),
        _ => {}
    }
    let raw = match said.name {
        Some(name) => name,
        None => full_name(block)?,
    };
    let what = match kind {
        b'0' | b'7' | 0 => {
            if number(&block[100..108])? & SET_ID != 0 {
                return Err(Fault::SetId(raw));
            }
            return Ok(Header::File(Member { name: plain_name(&raw)?, size }));
        }
        b'5' if matches!(raw.as_str(), "." | "./") => return Ok(Header::Top),
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' | b'4' => "a device",
        b'5' => "a folder",
        b'6' => "a pipe",
        b'S' => "stored as a GNU sparse file",
        _ => "of an unknown kind",
    };
    Err(Fault::NotAFile { name: raw, what })
}

/// The name that a GNU long-name member carries.
pub fn long_name(bytes: &[u8]) -> Result<String, Fault> {
    text(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// Takes from pax records what matters here. Each is `LENGTH KEY=VALUE\n`, the length counting itself.
pub fn records(mut bytes: &[u8], said: &mut Said) -> Result<(), Fault> {
    const BAD: Fault = Fault::Damaged("a pax record is malformed");
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or(BAD)?;
        let length: usize = digits(&bytes[..space]).ok_or(BAD)?;
        if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err(BAD);
        }
        let record = &bytes[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
        let value = &record[equals + 1..];
        match &record[..equals] {
            b"path" => said.name = Some(text(value)?),
            b"size" => said.size = Some(digits(value).ok_or(BAD)?),
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(Fault::Damaged("it holds a file in GNU's sparse form"));
            }
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(())
}

/// A file name that can do no harm: one component, nothing hidden in it.
pub fn plain_name(raw: &str) -> Result<String, Fault> {
    let name = raw.strip_prefix("./").unwrap_or(raw);
    let harmless = !name.is_empty()
        && name.len() <= MAX_NAME
        && name != "."
        && name != ".."
        && !name.contains('/')
        && !name.contains(char::is_control);
    if harmless { Ok(name.to_owned()) } else { Err(Fault::Name(raw.chars().take(80).collect())) }
}

/// The header of a plain file that root owns, dated 1970, so that the same files give the same bytes.
///
/// The name must be at most [`MAX_WRITTEN_NAME`] bytes; what is longer is cut.
pub fn header(name: &str, size: u64, mode: u32) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let name = &name.as_bytes()[..name.len().min(MAX_WRITTEN_NAME)];
    block[..name.len()].copy_from_slice(name);
    octal(&mut block[100..108], u64::from(mode));
    octal(&mut block[108..116], 0);
    octal(&mut block[116..124], 0);
    if size < 1 << 33 {
        octal(&mut block[124..136], size);
    } else {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    octal(&mut block[136..148], 0);
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum = checksum(&block);
    octal(&mut block[148..155], u64::from(sum));
    block[155] = b' ';
    block
}

/// How many bytes of padding follow this many bytes.
pub const fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

fn extension(size: u64) -> Result<u64, Fault> {
    if size > MAX_EXTENSION { Err(Fault::Damaged("a name or record is far too long")) } else { Ok(size) }
}

/// The sum of all bytes, with the field of the sum itself counted as spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let all: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    all - own + 8 * u32::from(b' ')
}

/// Octal text, ended by space or zero, or GNU's base 256 if the top bit is set.
fn number(field: &[u8]) -> Result<u64, Fault> {
    const BAD: Fault = Fault::Damaged("a number is malformed");
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len().saturating_sub(8));
        // 0xff starts a negative number; whatever is left above 64 bits is out of range.
        let clean = high.iter().enumerate().all(|(at, byte)| *byte == if at == 0 { 0x80 } else { 0 });
        if !clean || high.is_empty() {
            return Err(BAD);
        }
        return Ok(low.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
    text.iter().try_fold(0_u64, |sum, byte| match byte {
        b'0'..=b'7' => Ok(sum << 3 | u64::from(byte - b'0')),
        _ => Err(BAD),
    })
}

fn digits<N: std::str::FromStr>(bytes: &[u8]) -> Option<N> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn full_name(block: &[u8; BLOCK]) -> Result<String, Fault> {
    let until_zero = |field: &[u8]| text(field.split(|byte| *byte == 0).next().unwrap_or_default());
    let name = until_zero(&block[..100])?;
    // GNU's old form keeps times where ustar keeps the prefix.
    if &block[257..263] == b"ustar\0" && block[345] != 0 {
        return Ok(format!("{}/{name}", until_zero(&block[345..500])?));
    }
    Ok(name)
}

fn text(bytes: &[u8]) -> Result<String, Fault> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Fault::Damaged("a name is not UTF-8"))
}

fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    for (place, byte) in field[..digits].iter_mut().rev().enumerate() {
        *byte = b'0' + u8::try_from(value >> (3 * place) & 7).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_kind(name: &str, kind: u8, mode: u32) -> Result<Header, Fault> {
        let mut block = header(name, 0, mode);
        block[156] = kind;
        let sum = checksum(&block);
        octal(&mut block[148..155], u64::from(sum));
        parse(&block, Said::default())
    }

    #[test]
    fn only_plain_files_in_one_folder_are_members() {
        assert_eq!(of_kind("./a b", b'0', 0o755), Ok(Header::File(Member { name: "a b".into(), size: 0 })));
        assert_eq!(of_kind("./", b'5', 0o755), Ok(Header::Top));
        for name in ["../a", "/etc/passwd", "a/b", "..", ".", "", "a\nb", "./../a", "a\u{1b}b"] {
            assert!(matches!(of_kind(name, b'0', 0o644), Err(Fault::Name(_))), "{name:?}");
        }
        for kind in [b'1', b'2', b'3', b'4', b'5', b'6', b'S', b'M', b'?'] {
            assert!(matches!(of_kind("a", kind, 0o644), Err(Fault::NotAFile { .. })), "{}", kind as char);
        }
        for mode in [0o4755, 0o2755, 0o6755] {
            assert_eq!(of_kind("a", b'0', mode), Err(Fault::SetId("a".into())));
        }
    }

    #[test]
    fn a_changed_header_is_noticed() {
        let mut block = header("script", 12, 0o755);
        block[0] ^= 1;
        assert_eq!(parse(&block, Said::default()), Err(Fault::Damaged("the sum of a header does not match")));
    }

    #[test]
    fn pax_records_name_and_size_the_next_member() {
        let mut said = Said::default();
        records(b"30 mtime=1700000000.123456789\n15 path=system\n20 size=99999999999\n", &mut said)
            .expect("records");
        assert_eq!(said, Said { name: Some("system".into()), size: Some(99_999_999_999) });
        for bad in [
            "5 a\n",
            "0 a=b\n",
            "99 a=b\n",
            "x a=b\n",
            "6 a=bc",
            "-6 a=b\n",
            "20 size=18446744073709551616\n",
        ] {
            assert!(records(bad.as_bytes(), &mut Said::default()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-zA-Z0-9_][a-zA-Z0-9_. -]{0,99}", size in 0..u64::MAX / 2, mode in 0_u32..0o1000) {
            let read = parse(&header(&name, size, mode), Said::default());
            prop_assert_eq!(read, Ok(Header::File(Member { name, size })));
        }

        #[test]
        fn no_bytes_make_it_panic(block: [u8; 32], at in 0_usize..480, more: Vec<u8>) {
            let mut whole = header("script", 12, 0o755);
            whole[at..at + 32].copy_from_slice(&block);
            let sum = checksum(&whole);
            octal(&mut whole[148..155], u64::from(sum));
            if let Ok(Header::File(member)) = parse(&whole, Said::default()) {
                prop_assert!(!member.name.contains('/'));
            }
            let _ = records(&more, &mut Said::default());
            let _ = long_name(&more);
        }
    }
}
