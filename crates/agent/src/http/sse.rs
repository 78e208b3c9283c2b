//! The parser of the event stream: strict, and bounded whatever the other side sends.

use bramble_wire::events::MAX_EVENT;

/// Longest line, in bytes: four times the largest event that a server may send, for newer servers.
pub const MAX_LINE: usize = 4 * MAX_EVENT;
/// Longest data of one event, in bytes.
pub const MAX_DATA: usize = 16 * MAX_EVENT;

/// One event, uninterpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent {
    /// From its `event:` line.
    pub name: Option<String>,
    /// From its `data:` lines.
    pub data: String,
}

/// Why the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line has no end.
    #[error("a line of the event stream is longer than {MAX_LINE} bytes")]
    LongLine,
    /// An event has no end.
    #[error("an event is longer than {MAX_DATA} bytes")]
    LongEvent,
    /// Not UTF-8.
    #[error("the event stream is not text")]
    NotText,
}

/// Takes bytes as they come, gives events as they end. After an error it must not be used again.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    name: Option<String>,
    data: Option<String>,
}

impl SseParser {
    /// Reads the next bytes and hands every event that ends in them to `each`.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(RawEvent)) -> Result<(), SseError> {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            self.extend(head)?;
            let line = std::mem::take(&mut self.line);
            if let Some(event) = self.take_line(&line)? {
                each(event);
            }
            // Keeps the allocation.
            self.line = line;
            self.line.clear();
        }
        self.extend(bytes)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.line.len() + bytes.len() > MAX_LINE {
            return Err(SseError::LongLine);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<RawEvent>, SseError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| SseError::NotText)?;
        if line.is_empty() {
            let name = self.name.take();
            return Ok(self.data.take().map(|data| RawEvent { name, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = Some(value.to_owned()),
            "data" => self.add_data(value)?,
            // A comment (an empty field name), `id`, `retry` and what may come later.
            _ => {}
        }
        Ok(None)
    }

    fn add_data(&mut self, value: &str) -> Result<(), SseError> {
        match &mut self.data {
            None => self.data = Some(value.to_owned()),
            Some(data) if data.len() + 1 + value.len() > MAX_DATA => return Err(SseError::LongEvent),
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
        }
        Ok(())
    }
}
