//! From a contents file to an artefact.

use crate::update::artefact::contents::{self, Contents, FILE_NAME, Kind, MAX_LENGTH, Payload};
use crate::update::artefact::{Checksum, WINDOW_LOG, sparse, tar};
use sha2::{Digest, Sha256};
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where zstd's own scale trades little time for much size.
const LEVEL: i32 = 6;
const COPY_AT_ONCE: usize = 128 * 1024;
const SUFFIX: &str = ".tar.zst";

/// What was built.
#[derive(Debug)]
pub struct Built {
    pub artefact: PathBuf,
    pub checksum: Checksum,
    /// The archive's members, in order.
    pub members: Vec<String>,
    /// What its author may want to know.
    pub notes: Vec<String>,
}

/// Why nothing was built. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{} cannot be read: {error}", .path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: {fault}", .path.display())]
    Contents { path: PathBuf, fault: contents::Fault },
    #[error("the artefact has no name: set `name` under `artefact:`, or give the outfile as an argument")]
    NoName,
    #[error(
        "the artefact's name {0:?} is not a plain file name: change it, or give the outfile as an argument"
    )]
    BadName(String),
    #[error(
        "line {line}: {name:?} cannot be the name of a payload: use a file name of at most 100 bytes, without /"
    )]
    PayloadName { line: usize, name: String },
    #[error("line {line}: there is no file {} for the payload {name:?}; name its source in a comment: `- name: {name} # path`", .path.display())]
    NoSource { line: usize, name: String, path: PathBuf },
    #[error("line {line}: {} is not a plain file", .path.display())]
    NotAFile { line: usize, path: PathBuf },
    #[error("line {line}: {} is not an Android sparse image ({fault}); `img2simg` makes one", .path.display())]
    NotSparse { line: usize, path: PathBuf, fault: sparse::Fault },
    #[error("{} changed while it was read: run otamaker again", .0.display())]
    Changed(PathBuf),
    #[error("{} cannot be written: {error}", .path.display())]
    Write { path: PathBuf, error: io::Error },
}

/// Builds the artefact that the file at `contents` describes, and moves it into place when it is whole.
pub fn build(contents: &Path, outfile: Option<&Path>, write_sum: bool) -> Result<Built, Failure> {
    let text = read_contents(contents)?;
    let fault = |fault| Failure::Contents { path: contents.to_owned(), fault };
    let known = Contents::parse(&text).map_err(fault)?;
    let text = String::from_utf8(text).map_err(|_| fault(contents::Fault::NotText))?;
    let bare = contents::without_comments(&text);
    let artefact = outfile_path(outfile, known.name.as_deref())?;
    // Every source is looked at before the first byte is written.
    let sources = known.payloads.iter().map(Source::open).collect::<Result<Vec<_>, _>>()?;
    let checksum = write(&artefact, bare.as_bytes(), sources)?;
    if write_sum {
        let mut path = artefact.clone().into_os_string();
        path.push(".sha256sum");
        let path = PathBuf::from(path);
        place(&path, |file| writeln!(file, "{checksum}"))?;
    }
    let unknown = |payload: &&Payload| matches!(payload.kind, Kind::Unknown(_));
    Ok(Built {
        artefact,
        checksum,
        members: std::iter::once(FILE_NAME.to_owned())
            .chain(known.payloads.iter().map(|payload| payload.name.clone()))
            .collect(),
        notes: known
            .payloads
            .iter()
            .filter(unknown)
            .map(|payload| {
                format!("line {}: devices ignore {:?}, its type is not known", payload.line, payload.name)
            })
            .collect(),
    })
}

fn read_contents(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::Read { path: path.to_owned(), error };
    let mut text = Vec::new();
    let most = MAX_LENGTH as u64 + 1;
    File::open(path).map_err(failed)?.take(most).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

fn outfile_path(given: Option<&Path>, name: Option<&str>) -> Result<PathBuf, Failure> {
    let path = match (given, name) {
        (Some(path), _) => path.to_owned(),
        (None, None) => return Err(Failure::NoName),
        (None, Some(name)) => match tar::plain_name(name) {
            Ok(plain) if plain == name => PathBuf::from(plain),
            _ => return Err(Failure::BadName(name.to_owned())),
        },
    };
    let mut path = path.into_os_string();
    if !path.to_string_lossy().ends_with(SUFFIX) {
        path.push(SUFFIX);
    }
    Ok(path.into())
}

/// An opened payload.
struct Source {
    name: String,
    path: PathBuf,
    file: File,
    size: u64,
    mode: u32,
}

impl Source {
    fn open(payload: &Payload) -> Result<Self, Failure> {
        let line = payload.line;
        let name = &payload.name;
        let plain = tar::plain_name(name).is_ok_and(|plain| plain == *name);
        if !plain || name == FILE_NAME || name.len() > tar::MAX_WRITTEN_NAME {
            return Err(Failure::PayloadName { line, name: name.clone() });
        }
        let path = PathBuf::from(payload.source.as_ref().unwrap_or(name));
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::NoSource { line, name: name.clone(), path: path.clone() },
            _ => Failure::Read { path: path.clone(), error },
        };
        // Asked before it is opened: opening a pipe would wait for its writer.
        if !fs::metadata(&path).map_err(failed)?.is_file() {
            return Err(Failure::NotAFile { line, path });
        }
        let mut file = File::open(&path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if payload.kind == Kind::ImageSparse {
            let mut header = [0; sparse::FILE_HEADER];
            let read = file.read_exact(&mut header).map_err(|_| sparse::Fault::NotSparse);
            read.and_then(|()| sparse::Header::parse(&header)).map_err(|fault| Failure::NotSparse {
                line,
                path: path.clone(),
                fault,
            })?;
            file.rewind().map_err(failed)?;
        }
        let mode = if payload.kind == Kind::Script { 0o755 } else { 0o644 };
        Ok(Self { name: name.clone(), path, file, size, mode })
    }

    /// Exactly as many bytes as the header will say.
    fn copy_to(mut self, out: &mut impl Write, buffer: &mut [u8]) -> Result<(), CopyError> {
        let mut left = self.size;
        loop {
            let count = match self.file.read(buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CopyError::Source(Failure::Read { path: self.path, error })),
            };
            if (count == 0) != (left == 0) || count as u64 > left {
                return Err(CopyError::Source(Failure::Changed(self.path)));
            }
            if count == 0 {
                return Ok(());
            }
            out.write_all(&buffer[..count]).map_err(CopyError::Out)?;
            left -= count as u64;
        }
    }
}

enum CopyError {
    Source(Failure),
    Out(io::Error),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Out(error)
    }
}

/// Hashes what is written.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write(path: &Path, contents: &[u8], sources: Vec<Source>) -> Result<Checksum, Failure> {
    let mut sum = None;
    place(path, |file| {
        let out = Hashing { out: BufWriter::new(file), hash: Sha256::new() };
        let mut encoder = zstd::Encoder::new(out, LEVEL)?;
        encoder.window_log(WINDOW_LOG.min(22))?;
        encoder.include_checksum(true)?;
        let mut buffer = vec![0; COPY_AT_ONCE];
        member(&mut encoder, FILE_NAME, contents.len() as u64, 0o644)?;
        encoder.write_all(contents)?;
        pad(&mut encoder, contents.len() as u64)?;
        for source in sources {
            let size = source.size;
            member(&mut encoder, &source.name, size, source.mode)?;
            source.copy_to(&mut encoder, &mut buffer)?;
            pad(&mut encoder, size)?;
        }
        encoder.write_all(&[0; 2 * tar::BLOCK])?;
        let mut out = encoder.finish()?;
        out.flush()?;
        sum = Some(Checksum::from_hash(out.hash));
        Ok::<_, CopyError>(())
    })?;
    // Without a sum `place` has failed.
    sum.ok_or_else(|| Failure::Changed(path.to_owned()))
}

fn member(out: &mut impl Write, name: &str, size: u64, mode: u32) -> io::Result<()> {
    out.write_all(&tar::header(name, size, mode))
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let zeros = [0; tar::BLOCK];
    let count = usize::try_from(tar::padding(size)).unwrap_or_default();
    out.write_all(&zeros[..count])
}

/// Writes a file beside its place and moves it there when it is whole; on failure nothing is left.
fn place<E: Into<CopyError>>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), Failure> {
    let failed = |error| Failure::Write { path: path.to_owned(), error };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut draft = tempfile::Builder::new()
        .prefix(".otamaker-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    fill(draft.as_file_mut()).map_err(|error| match error.into() {
        CopyError::Source(failure) => failure,
        CopyError::Out(error) => failed(error),
    })?;
    draft.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
