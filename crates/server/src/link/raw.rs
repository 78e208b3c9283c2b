//! A device stream written straight on its connection: no HTTP library behind an idle device, which
//! is what keeps thousands of them cheap. The bytes are those of an HTTP/1.1 answer.

use super::DeviceStream;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The answer's head. Nobody caches it, and no proxy collects events.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\n\
    Cache-Control: no-store\r\n\
    X-Accel-Buffering: no\r\n\
    Transfer-Encoding: chunked\r\n\
    \r\n";
/// The end of a chunked answer.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Bytes a client may send after its request. It has nothing to say.
const MAX_HEARD: usize = 4096;
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Writes the stream until it ends or the client goes.
pub async fn serve<C: AsyncRead + AsyncWrite + Unpin>(mut connection: C, mut stream: DeviceStream) {
    let mut heard = 0;
    let ended = async {
        write(&mut connection, &mut stream, HEAD).await?;
        while let Some(event) = next(&mut connection, &mut stream, &mut heard).await? {
            let mut chunk = Vec::with_capacity(event.len() + 8);
            write!(chunk, "{:x}\r\n", event.len())?;
            chunk.extend_from_slice(&event);
            chunk.extend_from_slice(b"\r\n");
            write(&mut connection, &mut stream, &chunk).await?;
        }
        write(&mut connection, &mut stream, LAST_CHUNK).await
    };
    let ended: io::Result<()> = ended.await;
    drop(stream);
    if ended.is_ok() {
        let _ = tokio::time::timeout(GOODBYE, connection.shutdown()).await;
    }
}

/// The next event, while listening for the client's end.
async fn next<C: AsyncRead + Unpin>(
    connection: &mut C,
    stream: &mut DeviceStream,
    heard: &mut usize,
) -> io::Result<Option<bytes::Bytes>> {
    poll_fn(|cx| {
        if let Poll::Ready(event) = stream.poll_next(cx) {
            return Poll::Ready(Ok(event));
        }
        poll_hear(connection, cx, heard).map(Err)
    })
    .await
}

/// Ready with the reason to give up; what a client says is thrown away.
fn poll_hear<C: AsyncRead + Unpin>(
    connection: &mut C,
    cx: &mut Context<'_>,
    heard: &mut usize,
) -> Poll<io::Error> {
    loop {
        let mut bytes = [0; 256];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *connection).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                return Poll::Ready(ErrorKind::UnexpectedEof.into());
            }
            Poll::Ready(Ok(())) => *heard += buffer.filled().len(),
        }
        if *heard > MAX_HEARD {
            return Poll::Ready(ErrorKind::InvalidData.into());
        }
    }
}

/// One event, one write, one TLS record; given up when the client takes nothing for too long.
async fn write<C: AsyncWrite + Unpin>(
    connection: &mut C,
    stream: &mut DeviceStream,
    mut bytes: &[u8],
) -> io::Result<()> {
    poll_fn(|cx| {
        if stream.poll_cut(cx).is_ready() {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        while !bytes.is_empty() {
            let written = std::task::ready!(Pin::new(&mut *connection).poll_write(cx, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            bytes = &bytes[written..];
        }
        Pin::new(&mut *connection).poll_flush(cx)
    })
    .await
}
