//! The end of a shell's output: what a browser that comes back has missed, within bounds.

use bramble_wire::channel::INITIAL_CREDIT;
use std::collections::VecDeque;

/// Bytes that are held although the browser has drawn them: a screen or a few, for a page that was reloaded.
const DRAWN: usize = 64 * 1024;
/// Bytes of output taken from the terminal while nobody is there. What comes after waits in the terminal, and
/// the program that prints it waits too.
const UNSEEN: usize = 256 * 1024;
/// Bytes held at most: what may be under way to the browser, and what nobody has seen.
#[expect(clippy::cast_possible_truncation, reason = "a megabyte")]
const MOST: usize = INITIAL_CREDIT as usize + UNSEEN;

/// What `clear`, Ctrl+L and `reset` print.
const WIPES: [&[u8]; 4] = [b"\x1b[2J", b"\x1b[3J", b"\x1b[H\x1b[J", b"\x1bc"];
/// A program takes the whole screen, which begins empty, and gives it back.
const FULL_SCREEN: &[u8] = b"\x1b[?1049h";
const FULL_SCREEN_OVER: &[u8] = b"\x1b[?1049l";

/// Output by its place in all of the shell's output.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
    /// Bytes that came from the terminal so far.
    end: u64,
    /// Of these, sent on.
    sent: u64,
    /// Of these, drawn by the browser.
    drawn: u64,
}

impl Tail {
    /// Takes note of output, which is sent on at once or waits for a browser.
    pub(crate) fn push(&mut self, bytes: &[u8], sent: bool) {
        self.bytes.extend(bytes);
        self.end += bytes.len() as u64;
        if sent {
            self.sent = self.end;
        }
        let undrawn = usize::try_from(self.end - self.drawn.min(self.end)).unwrap_or(MOST);
        let most = undrawn.clamp(DRAWN, MOST);
        if self.bytes.len() > most {
            self.bytes.drain(..self.bytes.len() - most);
        }
        if most == DRAWN && self.bytes.capacity() > 4 * DRAWN {
            self.bytes.shrink_to(2 * DRAWN);
        }
    }

    /// Copies what is held and not sent yet; says how much.
    pub(crate) fn resend(&mut self, buffer: &mut [u8]) -> usize {
        let skip = usize::try_from(self.sent - self.start()).unwrap_or(usize::MAX);
        let copied = self.bytes.len().saturating_sub(skip).min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.bytes.range(skip.min(self.bytes.len())..)) {
            *to = *from;
        }
        self.sent += copied as u64;
        copied
    }

    /// The browser has drawn so many bytes more.
    pub(crate) fn drawn(&mut self, bytes: u64) {
        self.drawn = self.drawn.saturating_add(bytes).min(self.sent);
    }

    /// Bytes that may still be taken from the terminal while nobody is there.
    pub(crate) fn room(&self) -> usize {
        UNSEEN.saturating_sub(usize::try_from(self.end - self.sent).unwrap_or(UNSEEN))
    }

    /// A browser is back which has received so many bytes, or none of this; says where it goes on.
    pub(crate) fn resume(&mut self, seen: Option<u64>) -> u64 {
        let start = self.start();
        let from = seen.map_or_else(|| self.last_lines(), |seen| seen.clamp(start, self.end));
        self.sent = from;
        self.drawn = from;
        from
    }

    /// About what is on a screen of so many rows, for somebody who begins to watch: what was there before, and what
    /// was wiped away, is not theirs.
    pub(crate) fn screen(&self, rows: u16) -> Vec<u8> {
        let skip = usize::try_from(self.last_lines() - self.start()).unwrap_or(usize::MAX);
        let held: Vec<u8> = self.bytes.range(skip.min(self.bytes.len())..).copied().collect();
        let wiped = WIPES.iter().filter_map(|wipe| last(&held, wipe).map(|at| at + wipe.len())).max();
        let full =
            last(&held, FULL_SCREEN).filter(|at| last(&held, FULL_SCREEN_OVER).is_none_or(|over| over < *at));
        // A full-screen program draws where it likes: the lines do not tell what is seen.
        let from = full.unwrap_or_else(|| wiped.unwrap_or(0).max(last_rows(&held, rows)));
        held[from..].to_vec()
    }

    /// Where the held output begins.
    fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// Where the last lines begin; not in the middle of one, because that may be the middle of a sequence.
    fn last_lines(&self) -> u64 {
        let skip = self.bytes.len().saturating_sub(DRAWN);
        if skip == 0 && self.start() == 0 {
            return 0;
        }
        let line = self.bytes.range(skip..).position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.start() + (skip + line) as u64
    }
}

fn last(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    bytes.windows(sought.len()).rposition(|part| part == sought)
}

/// Where the last lines begin.
fn last_rows(bytes: &[u8], rows: u16) -> usize {
    let ends = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    ends.map(|(at, _)| at + 1).nth(usize::from(rows).saturating_sub(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(tail: &mut Tail) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 7];
        loop {
            match tail.resend(&mut buffer) {
                0 => return all,
                copied => all.extend(&buffer[..copied]),
            }
        }
    }

    #[test]
    fn a_browser_gets_exactly_what_it_has_not_received() {
        let mut tail = Tail::default();
        tail.push(b"seen and ", true);
        tail.push(b"under way, ", true);
        tail.push(b"printed meanwhile", false);
        assert_eq!(tail.resume(Some(9)), 9);
        assert_eq!(rest(&mut tail), b"under way, printed meanwhile");
        assert_eq!(rest(&mut tail), b"");
        tail.push(b" and now", true);
        assert_eq!(rest(&mut tail), b"");
        assert_eq!(tail.resume(None), 0);
        assert_eq!(rest(&mut tail), b"seen and under way, printed meanwhile and now");
    }

    #[test]
    fn what_the_browser_claims_beyond_the_output_counts_as_all_of_it() {
        let mut tail = Tail::default();
        tail.push(b"abc", true);
        tail.drawn(u64::MAX);
        assert_eq!(tail.resume(Some(u64::MAX)), 3);
        assert_eq!(rest(&mut tail), b"");
    }

    #[test]
    fn it_is_bounded_whether_the_browser_draws_or_not() {
        let line = [b'x'; 1024];
        let mut drawing = Tail::default();
        let mut stuck = Tail::default();
        for _ in 0..4096 {
            drawing.push(&line, true);
            drawing.drawn(1024);
            stuck.push(&line, true);
        }
        assert!(drawing.bytes.len() <= DRAWN + line.len(), "{}", drawing.bytes.len());
        assert_eq!(stuck.bytes.len(), MOST);
        // What is gone is told by where it goes on.
        assert_eq!(stuck.resume(Some(0)), stuck.end - MOST as u64);
    }

    #[test]
    fn with_nobody_there_it_takes_so_much_and_no_more() {
        let mut tail = Tail::default();
        tail.push(b"seen", true);
        while tail.room() > 0 {
            let most = tail.room().min(1000);
            tail.push(&vec![b'y'; most], false);
        }
        assert_eq!(tail.end - tail.sent, UNSEEN as u64);
        assert_eq!(tail.resume(Some(4)), 4);
        assert_eq!(rest(&mut tail).len(), UNSEEN);
    }

    #[test]
    fn who_begins_to_watch_sees_the_screen_and_nothing_of_before() {
        let screen = |output: &str| {
            let mut tail = Tail::default();
            tail.push(output.as_bytes(), true);
            String::from_utf8(tail.screen(3)).expect("text")
        };
        assert_eq!(screen("one\r\ntwo\r\n$ "), "one\r\ntwo\r\n$ ");
        assert_eq!(screen("secret\r\none\r\ntwo\r\n$ "), "one\r\ntwo\r\n$ ");
        for wipe in ["\x1b[H\x1b[2J", "\x1b[H\x1b[2J\x1b[3J", "\x1b[H\x1b[J", "\x1bc"] {
            assert_eq!(screen(&format!("secret\r\n$ {wipe}$ ls")), "$ ls", "{wipe:?}");
        }
        let editor = "\x1b[?1049h\x1b[2;1Hone\x1b[3;1Htwo\r\n\r\n\r\n\r\n";
        assert_eq!(screen(&format!("secret\r\n$ vi\r\n{editor}")), editor);
        assert_eq!(screen(&format!("{editor}\x1b[?1049l$ ")), "\r\n\r\n\x1b[?1049l$ ");
        assert_eq!(screen(""), "");
    }

    #[test]
    fn a_reloaded_page_begins_with_a_whole_line() {
        let mut tail = Tail::default();
        for number in 0..20_000 {
            tail.push(format!("line {number}\r\n").as_bytes(), true);
            tail.drawn(u64::MAX);
        }
        tail.resume(None);
        let text = String::from_utf8(rest(&mut tail)).expect("text");
        assert!(text.starts_with("line "), "{}", &text[..20]);
        assert!(text.ends_with("line 19999\r\n"));
    }
}
