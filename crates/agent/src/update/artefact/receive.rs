//! An artefact from its first byte to its verified whole, in one pass and with flat memory.

use super::archive::{Archive, unreadable};
use super::contents::{self, Contents, Kind};
use super::tar::{self, Header, Member, Said};
use super::{Failure, Partitions, Place, Workspace, sparse};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::str::FromStr;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;

/// How much is read to find out whether a file that makes no sense is a damaged one (wrong checksum) or a
/// wrong one. Beyond it the question is not worth a device's traffic.
const WORTH_READING_ON: u64 = 64 * 1024 * 1024;

/// The SHA-256 of an artefact as it is downloaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Checksum([u8; 32]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a checksum is 64 hexadecimal digits")]
pub struct BadChecksum;

impl FromStr for Checksum {
    type Err = BadChecksum;

    fn from_str(text: &str) -> Result<Self, BadChecksum> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadChecksum)?;
        Ok(Self(bytes))
    }
}

impl Checksum {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(crate) fn from_hash(hash: Sha256) -> Self {
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What an artefact may ask of a device. Images are bounded by their partitions instead.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Members of the archive.
    pub members: u32,
    /// Bytes of scripts and temporary files together.
    pub files: u64,
    /// How many times its compressed size an artefact may expand to, images not counted…
    pub ratio: u64,
    /// …once it expands beyond this.
    pub harmless: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { members: 1024, files: 8 << 30, ratio: 200, harmless: 64 << 20 }
    }
}

/// A verified artefact: its images are written, its scripts may run.
#[derive(Debug)]
pub struct Received {
    /// What the artefact says of itself; empty without a contents file.
    pub contents: Contents,
    /// The partitions that were written, in order.
    pub images: Vec<String>,
    /// What to run, in order, inside the workspace.
    pub scripts: Vec<PathBuf>,
    /// Bytes read from the source.
    pub compressed: u64,
    /// Bytes that the images stand for.
    pub written: u64,
    pub workspace: Workspace,
}

/// Reads an artefact to its end and verifies it.
///
/// Images are written while it is read, so their slot must not be one that starts before this returned
/// well. Whatever else there is stays in the workspace and is gone with it on failure.
pub fn receive<R: Read, P: Partitions>(
    source: R,
    expected: Checksum,
    workspace: Workspace,
    partitions: &mut P,
    limits: &Limits,
) -> Result<Received, Failure> {
    let mut source = Counted { inner: source, hash: Sha256::new(), count: 0, failed: None };
    let mut result = walk(&mut source, workspace, partitions, limits);
    if let Some(error) = source.failed.take() {
        return Err(Failure::Source(error));
    }
    if result.as_ref().is_err_and(|failure| !failure.is_about_the_bytes()) {
        return result;
    }
    // Damaged on its way or wrong from the start? The rest of the file tells.
    let read_on = if result.is_ok() { u64::MAX } else { WORTH_READING_ON };
    let rest = io::copy(&mut (&mut source).take(read_on), &mut io::sink());
    if let Some(error) = source.failed.take() {
        // A refusal stands whether or not the rest could be had.
        return result.and(Err(Failure::Source(error)));
    }
    if let Ok(received) = &mut result {
        received.compressed = source.count;
    }
    let whole = rest.is_ok_and(|bytes| bytes < read_on);
    if whole && Checksum::from_hash(source.hash) != expected {
        return Err(Failure::ChecksumMismatch);
    }
    result
}

/// The same from an asynchronous source, on a thread for blocking work.
///
/// To cancel, let the source fail: the thread notices at its next read.
pub async fn receive_async<R, P>(
    source: R,
    expected: Checksum,
    workspace: Workspace,
    mut partitions: P,
    limits: Limits,
) -> Result<Received, Failure>
where
    R: AsyncRead + Send + Unpin + 'static,
    P: Partitions + Send + 'static,
{
    let source = Blocking { inner: source, runtime: Handle::current() };
    let work =
        tokio::task::spawn_blocking(move || receive(source, expected, workspace, &mut partitions, &limits));
    work.await.unwrap_or_else(|error| Err(Failure::Source(io::Error::other(error))))
}

/// Waits for an asynchronous source, on a thread that may wait.
struct Blocking<R> {
    inner: R,
    runtime: Handle,
}

impl<R: AsyncRead + Unpin> Read for Blocking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.inner.read(buffer))
    }
}

/// Counts and hashes what passes, and remembers a failure so that it is not taken for damage.
pub(super) struct Counted<R> {
    inner: R,
    hash: Sha256,
    count: u64,
    failed: Option<io::Error>,
}

impl<R> Counted<R> {
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.hash.update(&buffer[..count]);
                self.count += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

fn walk<R: Read, P: Partitions>(
    source: &mut Counted<R>,
    workspace: Workspace,
    partitions: &mut P,
    limits: &Limits,
) -> Result<Received, Failure> {
    let mut walk = Walk {
        archive: Archive::new(source, limits)?,
        workspace,
        partitions,
        seen: HashSet::new(),
        images: Vec::new(),
        written: 0,
        left_for_files: limits.files,
    };
    let mut said = Said::default();
    let mut plan: Option<Plan> = None;
    let mut members = 0;
    loop {
        let block = walk.archive.block(plan.is_none())?;
        match tar::parse(&block, std::mem::take(&mut said)).map_err(|fault| not_even_tar(fault, members))? {
            Header::End => break,
            Header::Top => {}
            Header::Skip(size) => walk.archive.skip_padded(size)?,
            Header::LongName(size) => {
                let bytes = walk.archive.bytes(size)?;
                said.name = Some(tar::long_name(&bytes)?);
            }
            Header::Records(size) => {
                let bytes = walk.archive.bytes(size)?;
                tar::records(&bytes, &mut said)?;
            }
            Header::File(member) => {
                match &plan {
                    None if member.name == contents::FILE_NAME => plan = Some(walk.contents(&member)?),
                    None => {
                        walk.image(&member)?;
                        plan = Some(Plan::Images);
                    }
                    Some(known) => walk.member(&member, known)?,
                }
                walk.archive.skip(tar::padding(member.size))?;
            }
        }
        members += 1;
        if members > limits.members {
            return Err(Failure::TooManyFiles(limits.members));
        }
    }
    walk.archive.finish()?;
    walk.received(plan)
}

/// Something compressed that is not a tar is no artefact at all, rather than a damaged one.
fn not_even_tar(fault: tar::Fault, members: u32) -> Failure {
    match fault {
        tar::Fault::Damaged(_) if members == 0 => Failure::NotAnArtefact,
        fault => Failure::Archive(fault),
    }
}

/// How to take the members.
enum Plan {
    /// There is no contents file: every member is an image.
    Images,
    Contents(Contents),
}

struct Walk<'a, R: Read, P> {
    archive: Archive<'a, R>,
    workspace: Workspace,
    partitions: &'a mut P,
    seen: HashSet<String>,
    images: Vec<String>,
    written: u64,
    left_for_files: u64,
}

impl<R: Read, P: Partitions> Walk<'_, R, P> {
    fn contents(&mut self, member: &Member) -> Result<Plan, Failure> {
        if member.size > contents::MAX_LENGTH as u64 {
            return Err(contents::Fault::TooLong.into());
        }
        let mut bytes = Vec::new();
        self.archive.copy(member.size, &mut bytes, contents::FILE_NAME)?;
        let contents = Contents::parse(&bytes)?;
        for payload in &contents.payloads {
            if tar::plain_name(&payload.name)? != payload.name || payload.name == contents::FILE_NAME {
                return Err(tar::Fault::Name(payload.name.clone()).into());
            }
        }
        self.seen.insert(contents::FILE_NAME.to_owned());
        Ok(Plan::Contents(contents))
    }

    fn member(&mut self, member: &Member, plan: &Plan) -> Result<(), Failure> {
        if self.seen.contains(&member.name) {
            return Err(Failure::Twice(member.name.clone()));
        }
        let kind = match plan {
            Plan::Images => &Kind::ImageSparse,
            Plan::Contents(contents) => {
                match contents.payloads.iter().find(|payload| payload.name == member.name) {
                    Some(payload) => &payload.kind,
                    None => &Kind::Unknown(String::new()),
                }
            }
        };
        match kind {
            Kind::ImageSparse => return self.image(member),
            Kind::Script => self.file(member, 0o700)?,
            Kind::TmpFile => self.file(member, 0o600)?,
            Kind::Unknown(_) => self.archive.skip(member.size)?,
        }
        self.seen.insert(member.name.clone());
        Ok(())
    }

    fn file(&mut self, member: &Member, mode: u32) -> Result<(), Failure> {
        self.left_for_files = self.left_for_files.checked_sub(member.size).ok_or(Failure::NoSpace)?;
        let failed = |error| Failure::writing(&member.name, error);
        let (mut file, _) = self.workspace.create(&member.name, mode).map_err(failed)?;
        self.archive.copy(member.size, &mut file, &member.name)?;
        file.flush().map_err(failed)
    }

    fn image(&mut self, member: &Member) -> Result<(), Failure> {
        let name = &member.name;
        let device = |error| Failure::writing(name, error);
        let Place { mut target, capacity } =
            self.partitions.open(name).map_err(device)?.ok_or_else(|| Failure::NoPartition(name.clone()))?;
        let mut body = self.archive.body(member.size);
        let size = sparse::expand(&mut body, &mut target, capacity).map_err(|stop| match stop {
            sparse::Stop::Fault(fault) => Failure::Image { name: name.clone(), fault },
            sparse::Stop::TooLarge { needed, capacity } => {
                Failure::PartitionTooSmall { name: name.clone(), needed, capacity }
            }
            sparse::Stop::Read(error)
                if error.kind() == io::ErrorKind::UnexpectedEof && body.limit() == 0 =>
            {
                let fault = sparse::Fault::Damaged("it ends early");
                Failure::Image { name: name.clone(), fault }
            }
            sparse::Stop::Read(error) => unreadable(&error),
            sparse::Stop::Write(error) => Failure::writing(name, error),
        })?;
        if body.limit() > 0 {
            let fault = sparse::Fault::Damaged("there is more after its end");
            return Err(Failure::Image { name: name.clone(), fault });
        }
        self.partitions.written(name, target).map_err(device)?;
        self.written += size;
        self.seen.insert(name.clone());
        self.images.push(name.clone());
        Ok(())
    }

    fn received(self, plan: Option<Plan>) -> Result<Received, Failure> {
        let contents = match plan {
            None => return Err(Failure::NothingToDo),
            Some(Plan::Images) => Contents::default(),
            Some(Plan::Contents(contents)) => contents,
        };
        let mut scripts = Vec::new();
        for payload in &contents.payloads {
            if matches!(payload.kind, Kind::Unknown(_)) {
                continue;
            }
            if !self.seen.contains(&payload.name) {
                return Err(Failure::Missing(payload.name.clone()));
            }
            if payload.kind == Kind::Script {
                scripts.push(self.workspace.path().join(&payload.name));
            }
        }
        Ok(Received {
            contents,
            images: self.images,
            scripts,
            compressed: 0,
            written: self.written,
            workspace: self.workspace,
        })
    }
}
