//! `file:`: an artefact that lies on the device, on a stick or a mounted share.

use super::{Opened, Trouble};
use futures_util::StreamExt;
use rustix::fs::OFlags;
use std::io::{ErrorKind, SeekFrom};
use tokio::{fs::OpenOptions, io::AsyncSeekExt};
use tokio_util::io::ReaderStream;
use url::Url;

const READ_AT_ONCE: usize = 256 * 1024;

pub(super) async fn open(url: &Url, offset: u64) -> Result<Opened, Trouble> {
    let path = url.to_file_path().map_err(|()| Trouble::Final("the file's address has no path".into()))?;
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(&path).await {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Trouble::Final(format!("there is no file {}", path.display())));
        }
        Err(error) => return Err(Trouble::Final(format!("{}: {error}", path.display()))),
    };
    let later = |error: std::io::Error| Trouble::Later(error.to_string());
    let found = file.metadata().await.map_err(later)?;
    // A device would never end, a pipe never begin.
    if !found.is_file() {
        return Err(Trouble::Final(format!("{} is not a file", path.display())));
    }
    file.set_max_buf_size(READ_AT_ONCE);
    file.seek(SeekFrom::Start(offset)).await.map_err(later)?;
    let body = ReaderStream::with_capacity(file, READ_AT_ONCE).boxed();
    Ok(Opened { body, starts_at: offset, total: Some(found.len()) })
}
