//! `ftp:` and `ftps:` (RFC 4217, and TLS from the first byte as on port 990), passive, resumed with `REST`.
//!
//! Only what fetching one file takes: a few lines on the control connection, one data connection to the
//! same host. Written here, because the deadlines, the refusal of other hosts and the flat memory are most
//! of it.

use super::{Opened, Origin, Trouble, address::text, http::not_secure};
use crate::http::client;
use bytes::Bytes;
use futures_util::StreamExt;
use rustls::ClientConfig;
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_util::io::ReaderStream;

/// The usual port, on which TLS has to be asked for.
const PLAIN: u16 = 21;
/// The usual port of servers that speak TLS from the first byte.
const SECURED: u16 = 990;
const READ_AT_ONCE: usize = 256 * 1024;
/// The longest line and the longest answer that make sense.
const MAX_LINE: usize = 4096;
const MAX_LINES: u32 = 256;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) async fn open(origin: &Origin, offset: u64, signed_time: bool) -> Result<Opened, Trouble> {
    let url = &origin.url;
    let host = url.host_str().ok_or_else(|| Trouble::Final("the address has no host".to_owned()))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let tls = if url.scheme() == "ftps" { Some(origin.tls(signed_time)?) } else { None };
    let mut control = match &tls {
        None => Control::greeted(dial(&host, url.port().unwrap_or(PLAIN)).await?).await?,
        Some(config) => Control::secured(&host, url.port().unwrap_or(SECURED), config).await?,
    };
    control.log_in(url).await?;
    if tls.is_some() {
        control.ask("PBSZ 0", 200).await?;
        control.ask("PROT P", 200).await?;
    }
    control.ask("TYPE I", 200).await?;
    let path = text(url.path().strip_prefix('/').unwrap_or_default())?;
    let total = control.size(&path).await?;
    let port = control.passive().await?;
    let starts_at = match offset {
        0 => 0,
        // A server that cannot begin in the middle begins at the start.
        _ if control.say(&format!("REST {offset}")).await?.0 == 350 => offset,
        _ => 0,
    };
    // The same host, whatever the server says: it must not send this device to others.
    let data = dial(&host, port).await?;
    control.ask(&format!("RETR {path}"), 150).await?;
    let data: Box<dyn Stream> = match tls {
        None => Box::new(data),
        Some(config) => Box::new(client::secure(data, &host, config).await.map_err(not_secure)?),
    };
    Ok(Opened { body: body(data, control), starts_at, total })
}

/// The data, and at their end the server's word that they were all.
fn body(
    data: Box<dyn Stream>,
    control: Control,
) -> futures_util::stream::BoxStream<'static, io::Result<Bytes>> {
    let pieces = ReaderStream::with_capacity(data, READ_AT_ONCE);
    let end = futures_util::stream::once(async move {
        let mut control = control;
        match control.expect(226).await {
            Ok(()) => Ok(Bytes::new()),
            Err(Trouble::Final(why) | Trouble::Later(why) | Trouble::CertificateTime(why)) => {
                Err(io::Error::other(why))
            }
        }
    });
    pieces.chain(end).boxed()
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    client::dial(host, port).await.map_err(|error| Trouble::Later(error.to_string()))
}

struct Control {
    stream: BufReader<Box<dyn Stream>>,
}

impl Control {
    async fn greeted(stream: impl Stream + 'static) -> Result<Self, Trouble> {
        let mut this = Self { stream: BufReader::new(Box::new(stream)) };
        this.expect(220).await?;
        Ok(this)
    }

    /// With TLS, from the first byte (as curl understands `ftps:`) or asked for in the clear before anything
    /// else. On a port that says nothing about it, a server that greets in the clear is asked.
    async fn secured(host: &str, port: u16, config: &Arc<ClientConfig>) -> Result<Self, Trouble> {
        if port != PLAIN {
            match client::secure(dial(host, port).await?, host, Arc::clone(config)).await {
                Ok(stream) => return Self::greeted(stream).await,
                Err(error) if port != SECURED && client::answered_in_the_clear(&error) => {}
                Err(error) => return Err(not_secure(error)),
            }
        }
        let mut control = Self::greeted(dial(host, port).await?).await?;
        control.ask("AUTH TLS", 234).await?;
        let plain = control.stream.into_inner();
        let secured = client::secure(plain, host, Arc::clone(config)).await.map_err(not_secure)?;
        Ok(Self { stream: BufReader::new(Box::new(secured)) })
    }

    async fn log_in(&mut self, url: &url::Url) -> Result<(), Trouble> {
        let user = if url.username().is_empty() { "anonymous".to_owned() } else { text(url.username())? };
        let (code, _) = self.say(&format!("USER {user}")).await?;
        if code == 331 {
            let password = text(url.password().unwrap_or("bramble@"))?;
            self.ask(&format!("PASS {password}"), 230).await
        } else {
            accepted(code, 230)
        }
    }

    /// The size; not every server says it.
    async fn size(&mut self, path: &str) -> Result<Option<u64>, Trouble> {
        let (code, words) = self.say(&format!("SIZE {path}")).await?;
        Ok(if code == 213 { words.trim().parse().ok() } else { None })
    }

    async fn passive(&mut self) -> Result<u16, Trouble> {
        let (code, words) = self.say("EPSV").await?;
        if code == 229 {
            // `(|||6446|)`
            let port = words.rsplit_once("|)").and_then(|(start, _)| start.rsplit('|').next()?.parse().ok());
            return port.ok_or_else(nonsense);
        }
        let (code, words) = self.say("PASV").await?;
        accepted(code, 227)?;
        let numbers: Vec<u8> = words
            .split(|c: char| !c.is_ascii_digit() && c != ',')
            .find(|part| part.matches(',').count() == 5)
            .map(|part| part.split(',').filter_map(|number| number.parse().ok()).collect())
            .unwrap_or_default();
        match numbers[..] {
            [.., high, low] if numbers.len() == 6 => Ok(u16::from_be_bytes([high, low])),
            _ => Err(nonsense()),
        }
    }

    async fn ask(&mut self, line: &str, wanted: u16) -> Result<(), Trouble> {
        accepted(self.say(line).await?.0, wanted)
    }

    async fn expect(&mut self, wanted: u16) -> Result<(), Trouble> {
        accepted(self.answer().await?.0, wanted)
    }

    async fn say(&mut self, line: &str) -> Result<(u16, String), Trouble> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        self.answer().await
    }

    /// The code and the words of the last line of an answer.
    async fn answer(&mut self) -> Result<(u16, String), Trouble> {
        for _ in 0..MAX_LINES {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|digits| digits.parse::<u16>().ok());
            if let (Some(code), Some(" ") | None) = (code, line.get(3..4)) {
                return Ok((code, line.get(4..).unwrap_or_default().to_owned()));
            }
        }
        Err(nonsense())
    }

    async fn line(&mut self) -> Result<String, Trouble> {
        let mut line = Vec::new();
        loop {
            match self.stream.read_u8().await.map_err(broken)? {
                b'\n' => return Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
                _ if line.len() >= MAX_LINE => return Err(nonsense()),
                byte => line.push(byte),
            }
        }
    }
}

fn accepted(code: u16, wanted: u16) -> Result<(), Trouble> {
    match code {
        _ if code == wanted => Ok(()),
        // Both say that the data come.
        125 if wanted == 150 => Ok(()),
        250 if wanted == 226 => Ok(()),
        400..500 => Err(Trouble::Later(format!("the FTP server answered {code}"))),
        _ => Err(Trouble::Final(format!("Download refused by the server: FTP answer {code}"))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that map_err takes it")]
fn broken(error: io::Error) -> Trouble {
    Trouble::Later(format!("the connection to the FTP server broke: {error}"))
}

fn nonsense() -> Trouble {
    Trouble::Later("the FTP server's answer makes no sense".to_owned())
}
