//! The contents file of an artefact, pure: text in, [`Contents`] out.
//!
//! It is YAML, of which the public tool understands "a simple subset" (blocks, no anchors, nothing
//! clever), and in which the comment after a payload's name means something to `otamaker` alone: the path
//! of its source. No YAML library keeps comments, so both programs read the file here, line by line, and
//! cannot disagree about it. What the subset lacks is an error that says so, never a guess.
//! <https://github.com/raspberrypi/utils/blob/master/otamaker/README.md> describes the file.

/// The name of the file in the archive, always its first member.
pub const FILE_NAME: &str = "_contents_.yaml";
/// A file beyond this is not written by hand for some payloads.
pub const MAX_LENGTH: usize = 64 * 1024;
/// More payloads than any update has partitions and scripts.
pub const MAX_PAYLOADS: usize = 256;

/// What is wrong with a contents file. The text follows the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it is longer than 64 KiB")]
    TooLong,
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("it names more than {MAX_PAYLOADS} payloads")]
    TooMany,
    #[error("line {line}: {what}")]
    Line { line: usize, what: &'static str },
    #[error("it names the payload {0:?} twice")]
    Twice(String),
    #[error("there is nothing to do: no script and no image")]
    NothingToDo,
}

/// What is to be done with a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Run, after everything is verified.
    Script,
    /// Put beside the scripts.
    TmpFile,
    /// Expanded onto the partition of its name.
    ImageSparse,
    /// Of a later version: ignored.
    Unknown(String),
}

/// One entry of `payloads`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub name: String,
    pub kind: Kind,
    /// The path in the comment after the name, for `otamaker`.
    pub source: Option<String>,
    /// Where it begins, for messages.
    pub line: usize,
}

/// A contents file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub name: Option<String>,
    pub version: Option<String>,
    pub device_type: Option<String>,
    pub payloads: Vec<Payload>,
}

impl Contents {
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_LENGTH {
            return Err(Fault::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::NotText)?;
        let mut reader = Reader::default();
        for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            reader.line(index + 1, raw).map_err(|what| Fault::Line { line: index + 1, what })?;
            if reader.payloads.len() > MAX_PAYLOADS {
                return Err(Fault::TooMany);
            }
        }
        let contents = reader.finish()?;
        for (index, payload) in contents.payloads.iter().enumerate() {
            if contents.payloads[..index].iter().any(|other| other.name == payload.name) {
                return Err(Fault::Twice(payload.name.clone()));
            }
        }
        if !contents.payloads.iter().any(|payload| matches!(payload.kind, Kind::Script | Kind::ImageSparse)) {
            return Err(Fault::NothingToDo);
        }
        Ok(contents)
    }
}

/// The same file without its comments, which are nobody's business but the builder's.
pub fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for raw in text.trim_start_matches('\u{feff}').lines() {
        let (line, comment) = split_comment(raw);
        let line = line.trim_end();
        if comment.is_none() || !line.is_empty() {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

type Problem = &'static str;

/// Which block the lines belong to; the numbers are columns.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Block {
    #[default]
    Outside,
    Artefact {
        child: Option<usize>,
    },
    Payloads {
        base: usize,
        dash: Option<usize>,
        /// Whether these are under `artefact`, whose other fields may follow.
        nested: bool,
    },
}

#[derive(Debug, Default)]
struct Draft {
    line: usize,
    /// The column of its fields, once known.
    column: Option<usize>,
    name: Option<String>,
    kind: Option<String>,
    source: Option<String>,
}

#[derive(Debug, Default)]
struct Reader {
    block: Block,
    contents: Contents,
    payloads: Vec<Draft>,
    seen_payloads: bool,
}

impl Reader {
    fn line(&mut self, number: usize, raw: &str) -> Result<(), Problem> {
        let (line, comment) = split_comment(raw);
        let text = line.trim();
        if text.is_empty() || text == "---" || text == "..." || (raw.starts_with('%') && number == 1) {
            return Ok(());
        }
        let column = line.len() - line.trim_start_matches(' ').len();
        if line[column..].starts_with('\t') {
            return Err("indent with spaces, not with tabs");
        }
        if let Block::Payloads { base, dash, nested } = self.block {
            if is_dash(text) && column >= base && dash.is_none_or(|dash| dash == column) {
                self.block = Block::Payloads { base, dash: Some(column), nested };
                return self.item(number, column, text, comment);
            }
            if column > base || (is_dash(text) && column >= base) {
                return self.field_or_deeper(column, dash, text, comment);
            }
            self.block = if nested { Block::Artefact { child: Some(base) } } else { Block::Outside };
        }
        if let Block::Artefact { child } = self.block
            && column > 0
        {
            let child = child.unwrap_or(column);
            self.block = Block::Artefact { child: Some(child) };
            return match column {
                _ if column > child => Ok(()),
                _ if column < child => Err("this line is indented less than the ones before it"),
                // A list under a field that nobody knows may stand in the field's own column.
                _ if is_dash(text) => Ok(()),
                _ => self.artefact_field(column, text),
            };
        }
        // The value of a field that nobody knows.
        if column > 0 || is_dash(text) {
            return if self.block == Block::Outside { Ok(()) } else { Err("a list is not expected here") };
        }
        self.top(text)
    }

    fn top(&mut self, text: &str) -> Result<(), Problem> {
        self.block = Block::Outside;
        let (key, value) = split_field(text).ok_or("write it as `field: value`")?;
        match key {
            "artefact" if value.is_empty() => self.block = Block::Artefact { child: None },
            "artefact" => return Err("write the fields of `artefact:` on lines of their own"),
            "payloads" => self.open_payloads(0, value, false)?,
            _ => {}
        }
        Ok(())
    }

    fn artefact_field(&mut self, column: usize, text: &str) -> Result<(), Problem> {
        let (key, value) = split_field(text).ok_or("write it as `field: value`")?;
        let field = match key {
            "payloads" => return self.open_payloads(column, value, true),
            "name" => &mut self.contents.name,
            "version" => &mut self.contents.version,
            "device_type" => &mut self.contents.device_type,
            _ => return Ok(()),
        };
        set(field, value)
    }

    fn open_payloads(&mut self, base: usize, value: &str, nested: bool) -> Result<(), Problem> {
        if std::mem::replace(&mut self.seen_payloads, true) {
            return Err("there is a second `payloads:`");
        }
        if !matches!(value, "" | "[]") {
            return Err("write the payloads as a list, `- name:` on a line of its own for each");
        }
        self.block = Block::Payloads { base, dash: None, nested };
        Ok(())
    }

    fn item(&mut self, line: usize, column: usize, text: &str, comment: Option<&str>) -> Result<(), Problem> {
        let rest = text[1..].trim_start_matches(' ');
        let mut draft = Draft { line, ..Draft::default() };
        if rest.is_empty() {
            self.payloads.push(draft);
            return Ok(());
        }
        draft.column = Some(column + text.len() - rest.len());
        self.payloads.push(draft);
        self.payload_field(rest, comment)
    }

    /// A line inside an item: one of its fields, or the inside of a field that nobody knows.
    fn field_or_deeper(
        &mut self,
        column: usize,
        dash: Option<usize>,
        text: &str,
        comment: Option<&str>,
    ) -> Result<(), Problem> {
        let (Some(draft), Some(dash)) = (self.payloads.last_mut(), dash) else {
            return Err("a payload begins with `- name:`");
        };
        if column <= dash {
            return Err("this line is indented less than the ones before it");
        }
        let own = *draft.column.get_or_insert(column);
        match column {
            _ if column == own && is_dash(text) => Ok(()),
            _ if column == own => self.payload_field(text, comment),
            _ if column > own => Ok(()),
            _ => Err("this line is indented less than the ones before it"),
        }
    }

    fn payload_field(&mut self, text: &str, comment: Option<&str>) -> Result<(), Problem> {
        if text.starts_with(['{', '[', '&', '*', '!']) {
            return Err("only plain values on one line are understood here");
        }
        let (key, value) = split_field(text).ok_or("write it as `field: value`")?;
        let Some(draft) = self.payloads.last_mut() else { return Ok(()) };
        match key {
            "name" => {
                draft.source = comment.map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned);
                set(&mut draft.name, value)
            }
            "type" => set(&mut draft.kind, value),
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Contents, Fault> {
        for draft in self.payloads {
            let line = draft.line;
            let name = draft.name.ok_or(Fault::Line { line, what: "this payload has no name" })?;
            let kind = match draft.kind.as_deref() {
                Some("script") => Kind::Script,
                Some("tmpfile") => Kind::TmpFile,
                Some("image-sparse") => Kind::ImageSparse,
                other => Kind::Unknown(other.unwrap_or_default().to_owned()),
            };
            self.contents.payloads.push(Payload { name, kind, source: draft.source, line });
        }
        Ok(self.contents)
    }
}

fn set(field: &mut Option<String>, value: &str) -> Result<(), Problem> {
    if field.is_some() {
        return Err("this field is there twice");
    }
    *field = Some(scalar(value)?);
    Ok(())
}

fn is_dash(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// `key: value`, where the value may be empty. Keys are plain words, quoted or not.
fn split_field(text: &str) -> Option<(&str, &str)> {
    let (key, value) = match text.split_once(": ") {
        Some((key, value)) => (key, value),
        None => (text.strip_suffix(':')?, ""),
    };
    let key = key.trim();
    let unquoted = ['"', '\''].iter().find_map(|quote| key.strip_prefix(*quote)?.strip_suffix(*quote));
    Some((unquoted.unwrap_or(key), value.trim()))
}

/// A value on one line: plain, or in quotes with the simplest escapes.
fn scalar(value: &str) -> Result<String, Problem> {
    let inner = |quote: char| {
        let inside = value[1..].strip_suffix(quote);
        inside.ok_or("the closing quote is missing")
    };
    let text = match value.chars().next() {
        None => return Err("the value is missing"),
        Some('\'') => {
            let inside = inner('\'')?;
            if inside.replace("''", "").contains('\'') {
                return Err("a quote inside quotes is written twice");
            }
            inside.replace("''", "'")
        }
        Some('"') => unescape(inner('"')?)?,
        Some('|' | '>' | '&' | '*' | '!' | '{' | '[' | '@' | '`' | '%') => {
            return Err("only plain values on one line are understood here");
        }
        Some(_) => value.to_owned(),
    };
    if text.contains(char::is_control) {
        return Err("the value has control characters");
    }
    Ok(text)
}

fn unescape(inside: &str) -> Result<String, Problem> {
    let mut text = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '"' => return Err("there is text after the closing quote"),
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\' | '/' | ' ')) => escaped,
                _ => return Err("this escape is not understood"),
            },
            _ => character,
        });
    }
    Ok(text)
}

/// A comment begins at a `#` at the start or after white space, outside quotes.
fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    let mut escaped = false;
    let mut before = ' ';
    let mut characters = line.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                before = character;
                continue;
            }
            // A quote inside single quotes is written twice.
            (Some('\''), '\'') if characters.next_if(|(_, next)| *next == '\'').is_some() => {}
            (Some(open), _) if character == open && !escaped => quote = None,
            // A quote opens a value only where a value begins; `it's` is plain.
            (None, '"' | '\'') if before.is_whitespace() => quote = Some(character),
            (None, '#') if before.is_whitespace() => return (&line[..at], Some(&line[at + 1..])),
            _ => {}
        }
        escaped = false;
        before = character;
    }
    (line, None)
}

#[cfg(test)]
#[path = "contents/tests.rs"]
mod tests;
