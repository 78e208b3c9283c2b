//! The names of a desktop's displays, asked of its compositor. Of the Wayland protocol
//! (<https://wayland.freedesktop.org/docs/html/>) this takes three requests and three events, none with a
//! descriptor, so they are written here: a library would be the larger part, and would wait for ever for a
//! compositor that stands still.

use crate::screen::desktop;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A compositor that needs longer is not asked.
const PATIENCE: Duration = Duration::from_millis(300);
/// Most displays that are offered.
const MOST: usize = 16;
/// Longest name that is taken over, in bytes.
const MOST_NAME: usize = 64;
/// Bytes that a compositor may say: a registry holds some dozens of entries.
const MOST_SAID: usize = 64 * 1024;

/// Object ids of this side, which must follow each other.
const DISPLAY: u32 = 1;
const REGISTRY: u32 = 2;
const FIRST_SYNC: u32 = 3;
const FIRST_OUTPUT: u32 = 4;

/// `wl_output` tells its name from this version on.
const NAMED: u32 = 4;

/// The names of the displays, sorted; none if the compositor does not tell them.
pub(crate) async fn displays(display: &Path) -> Vec<String> {
    let path = display.to_owned();
    let ask = tokio::task::spawn_blocking(move || ask(&path));
    match ask.await {
        Ok(Ok(names)) => names,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the compositor did not tell its displays");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

fn ask(path: &Path) -> io::Result<Vec<String>> {
    let until = Instant::now() + PATIENCE;
    let mut stream = UnixStream::from(desktop::connect(path)?);
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut out = request(DISPLAY, 1, &REGISTRY.to_ne_bytes());
    out.extend(request(DISPLAY, 0, &FIRST_SYNC.to_ne_bytes()));
    stream.write_all(&out)?;

    let mut outputs = Vec::new();
    hear(&mut stream, until, FIRST_SYNC, |object, opcode, body| {
        // wl_registry.global: name, interface, version
        if (object, opcode) != (REGISTRY, 0) {
            return None;
        }
        let name = number(body, 0)?;
        let (interface, end) = text(body, 4)?;
        if interface == "wl_output" && number(body, end)? >= NAMED && outputs.len() < MOST {
            outputs.push(name);
        }
        None::<()>
    })?;
    let mut out = Vec::new();
    let mut next = FIRST_OUTPUT;
    for name in &outputs {
        // wl_registry.bind: name, interface, version, new id
        let mut body = name.to_ne_bytes().to_vec();
        body.extend(10_u32.to_ne_bytes());
        body.extend(b"wl_output\0\0\0");
        body.extend(NAMED.to_ne_bytes());
        body.extend(next.to_ne_bytes());
        out.extend(request(REGISTRY, 0, &body));
        next += 1;
    }
    out.extend(request(DISPLAY, 0, &next.to_ne_bytes()));
    stream.write_all(&out)?;

    let mut names = Vec::new();
    hear(&mut stream, until, next, |object, opcode, body| {
        // wl_output.name
        if object >= FIRST_OUTPUT && opcode == 4 {
            let (name, _) = text(body, 0)?;
            if is_name(&name) && names.len() < MOST {
                names.push(name);
            }
        }
        None::<()>
    })?;
    names.sort();
    names.dedup();
    Ok(names)
}

/// A name goes to WayVNC's command line and to the browser.
fn is_name(name: &str) -> bool {
    (1..=MOST_NAME).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn request(object: u32, opcode: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + body.len()).unwrap_or(u32::MAX);
    let mut message = object.to_ne_bytes().to_vec();
    message.extend(((length << 16) | u32::from(opcode)).to_ne_bytes());
    message.extend(body);
    message
}

/// Takes events until the callback is done.
fn hear(
    stream: &mut UnixStream,
    until: Instant,
    callback: u32,
    mut heard: impl FnMut(u32, u16, &[u8]) -> Option<()>,
) -> io::Result<()> {
    let mut said = 0;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut start = [0; 8];
        stream.read_exact(&mut start)?;
        let object = number(&start, 0).unwrap_or(0);
        let word = number(&start, 4).unwrap_or(0);
        let length = (word >> 16) as usize;
        said += length;
        if length < 8 || said > MOST_SAID {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; length - 8];
        stream.read_exact(&mut body)?;
        let opcode = u16::try_from(word & 0xffff).unwrap_or(0);
        if object == callback {
            return Ok(());
        }
        if (object, opcode) == (DISPLAY, 0) {
            return Err(io::Error::other("it reports an error"));
        }
        heard(object, opcode, &body);
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

/// A string and where the next argument begins.
fn text(bytes: &[u8], at: usize) -> Option<(String, usize)> {
    let length = number(bytes, at)? as usize;
    let start = at.checked_add(4)?;
    let end = start.checked_add(length)?;
    let text = bytes.get(start..end)?.strip_suffix(b"\0")?;
    Some((String::from_utf8(text.to_vec()).ok()?, end.next_multiple_of(4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn event(object: u32, opcode: u16, parts: &[&[u8]]) -> Vec<u8> {
        request(object, opcode, &parts.concat())
    }

    fn words(text: &str) -> Vec<u8> {
        let mut bytes = u32::try_from(text.len() + 1).expect("short").to_ne_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// A compositor that says these bytes, the second part after the second request.
    fn asked(first: Vec<u8>, second: Vec<u8>) -> io::Result<Vec<String>> {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("wayland-1");
        let listener = UnixListener::bind(&path).expect("binds");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut heard = [0; 4096];
            for said in [first, second] {
                let _ = stream.read(&mut heard);
                let _ = stream.write_all(&said);
            }
            // Until the other side has gone.
            while stream.read(&mut heard).is_ok_and(|read| read > 0) {}
        });
        let names = ask(&path);
        server.join().expect("no panic");
        names
    }

    fn global(name: u32, interface: &str, version: u32) -> Vec<u8> {
        event(REGISTRY, 0, &[&name.to_ne_bytes(), &words(interface), &version.to_ne_bytes()])
    }

    fn done(callback: u32) -> Vec<u8> {
        event(callback, 0, &[&7_u32.to_ne_bytes()])
    }

    #[test]
    fn outputs_that_tell_their_names_are_found() {
        let globals = [
            global(1, "wl_compositor", 4),
            global(9, "wl_output", 4),
            global(10, "wl_output", 3),
            global(11, "wl_output", 4),
            done(FIRST_SYNC),
        ];
        let names = [
            event(FIRST_OUTPUT, 4, &[&words("HDMI-A-2")]),
            event(FIRST_OUTPUT, 5, &[&words("A monitor")]),
            event(FIRST_OUTPUT + 1, 4, &[&words("DSI-1")]),
            event(FIRST_OUTPUT + 1, 4, &[&words("--config=/tmp/x")]),
            event(FIRST_OUTPUT + 1, 4, &[&words("two words")]),
            done(FIRST_OUTPUT + 2),
        ];
        assert_eq!(asked(globals.concat(), names.concat()).expect("names"), ["DSI-1", "HDMI-A-2"]);
    }

    #[test]
    fn nonsense_and_silence_are_no_names() {
        let liar = request(REGISTRY, 0, &[9, 0, 0, 0, 255, 255, 255, 255, 1]);
        assert!(asked([liar, done(FIRST_SYNC)].concat(), done(FIRST_OUTPUT)).expect("none").is_empty());
        assert!(asked(vec![0; 8], Vec::new()).is_err());
        assert!(asked(event(DISPLAY, 0, &[&[0; 12]]), Vec::new()).is_err());
        let began = Instant::now();
        assert!(asked(global(9, "wl_output", 4), Vec::new()).is_err());
        assert!(began.elapsed() < PATIENCE * 10);
    }

    #[test]
    fn one_whose_queue_is_full_is_not_waited_for() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("wayland-1");
        let _still = UnixListener::bind(&path).expect("binds");
        let waiting: Vec<_> = (0..10_000).map_while(|_| desktop::connect(&path).ok()).collect();
        assert!(waiting.len() < 10_000, "its queue is full");
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(ask(&path).is_err()));
        assert_eq!(told.recv_timeout(PATIENCE * 20), Ok(true));
    }
}
