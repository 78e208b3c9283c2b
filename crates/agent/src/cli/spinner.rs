//! Shows on a terminal that something is waited for. Elsewhere it is silent, so that logs stay readable.

use std::io::{IsTerminal, Write};

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

#[derive(Debug)]
pub(super) struct Spinner {
    frame: Option<usize>,
}

impl Spinner {
    pub(super) fn new() -> Self {
        Self { frame: std::io::stdout().is_terminal().then_some(0) }
    }

    /// Turns it on by one.
    pub(super) fn tick(&mut self) {
        let Some(frame) = &mut self.frame else { return };
        let mut out = std::io::stdout();
        let _ = write!(out, "\r{} Waiting…", FRAMES[*frame % FRAMES.len()]);
        let _ = out.flush();
        *frame += 1;
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if self.frame.is_some_and(|frame| frame > 0) {
            let mut out = std::io::stdout();
            // Back to the beginning of the line, and clear it.
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
        }
    }
}
