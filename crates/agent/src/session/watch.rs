//! Watching a running shell: its output goes to whoever its owner let in, and nothing comes back.
//!
//! The shell never waits for a watcher. One that is too slow misses output and is told so.

use super::credit::Credit;
use super::kept::Ask;
use super::pty::PtyEvent;
use super::shell::Read;
use bramble_wire::channel::FromShell;
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Watchers of one shell.
pub(crate) const MOST_WATCHERS: usize = 3;
/// Pieces of output that may wait for one watcher: at most half a megabyte.
const QUEUE: usize = 32;
/// What a watcher sees where output is missing.
const MISSING: &[u8] = b"\x1b[0m\r\n[output is missing here: this connection was too slow]\r\n";
/// How watching ends.
pub(crate) const OVER: &str = "The shell that you watched is over, or its owner ended the watching.";

/// What a watcher is shown, in this order.
#[derive(Debug)]
pub(crate) enum Shown {
    Output(Bytes),
    Size { cols: u16, rows: u16 },
}

/// A watcher as the shell sees it.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) name: String,
    to: mpsc::Sender<Shown>,
    missed: bool,
}

impl Watcher {
    /// Shows it what fits; `false` if it is gone.
    fn show(&mut self, shown: Shown) -> bool {
        if self.missed && self.to.capacity() > QUEUE / 2 {
            self.missed = self.to.try_send(Shown::Output(Bytes::from_static(MISSING))).is_err();
        }
        if self.missed && matches!(shown, Shown::Output(_)) {
            return !self.to.is_closed();
        }
        match self.to.try_send(shown) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed = true;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

/// All who watch one shell.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    all: Vec<Watcher>,
    changed: bool,
}

impl Watchers {
    /// Lets one in, who first sees what the terminal shows. `false` if there are too many.
    pub(crate) fn join(&mut self, mut watcher: Watcher, size: (u16, u16), screen: Vec<u8>) -> bool {
        if self.all.len() >= MOST_WATCHERS {
            return false;
        }
        watcher.show(Shown::Size { cols: size.0, rows: size.1 });
        watcher.show(Shown::Output(screen.into()));
        self.all.push(watcher);
        self.changed = true;
        true
    }

    pub(crate) fn output(&mut self, bytes: &[u8]) {
        if !self.all.is_empty() {
            let bytes = Bytes::copy_from_slice(bytes);
            self.show(|| Shown::Output(bytes.clone()));
        }
    }

    pub(crate) fn size(&mut self, cols: u16, rows: u16) {
        self.show(|| Shown::Size { cols, rows });
    }

    fn show(&mut self, shown: impl Fn() -> Shown) {
        let before = self.all.len();
        self.all.retain_mut(|watcher| watcher.show(shown()));
        self.changed |= self.all.len() != before;
    }

    /// One may have left.
    pub(crate) fn look(&mut self) {
        let before = self.all.len();
        self.all.retain(|watcher| !watcher.to.is_closed());
        self.changed |= self.all.len() != before;
    }

    /// Nobody watches any more.
    pub(crate) fn stop(&mut self) {
        self.changed |= !self.all.is_empty();
        self.all.clear();
    }

    /// Another window is to hear who watches.
    pub(crate) fn tell_again(&mut self) {
        self.changed |= !self.all.is_empty();
    }

    /// What the owner is to hear, if that changed.
    pub(crate) fn news(&mut self) -> Option<FromShell> {
        let names = || self.all.iter().map(|watcher| watcher.name.clone()).collect();
        std::mem::take(&mut self.changed).then(|| FromShell::Watchers { names: names() })
    }
}

/// The watcher's side: what is behind its session.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) credit: Credit,
    watching: Option<Watching>,
    next: Option<Shown>,
    rest: Bytes,
    words: VecDeque<FromShell>,
    over: bool,
}

#[derive(Debug)]
struct Watching {
    from: mpsc::Receiver<Shown>,
    shell: mpsc::Sender<Ask>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.from.close();
        // A shell that is over needs no word; one that is busy notices at its next output.
        let _ = self.shell.try_send(Ask::Left);
    }
}

impl Watch {
    /// Nothing is watched yet.
    pub(crate) fn new() -> Self {
        Self {
            credit: Credit::new(),
            watching: None,
            next: None,
            rest: Bytes::new(),
            words: VecDeque::new(),
            over: false,
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.watching.is_some() || self.over
    }

    /// Asks the shell to be let in.
    pub(crate) fn begin(&mut self, shell: mpsc::Sender<Ask>, owner: String, name: String) {
        let (to, from) = mpsc::channel(QUEUE);
        let watcher = Watcher { name, to, missed: false };
        if shell.try_send(Ask::Watch(watcher)).is_err() {
            self.words.push_back(FromShell::Gone);
            return;
        }
        self.words.push_back(FromShell::Watching { owner });
        self.watching = Some(Watching { from, shell });
    }

    /// There is no such invitation.
    pub(crate) fn refuse(&mut self) {
        self.words.push_back(FromShell::Gone);
    }

    /// What the page is to hear before more output.
    pub(crate) fn words(&mut self) -> Option<FromShell> {
        self.words.pop_front()
    }

    /// Fills the buffer with output up to the next word.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        let mut filled = 0;
        while filled < buffer.len() && self.words.is_empty() {
            if self.rest.is_empty() {
                match self.next.take().or_else(|| self.receive()) {
                    Some(Shown::Output(bytes)) => self.rest = bytes,
                    Some(Shown::Size { cols, rows }) => self.words.push_back(FromShell::Size { cols, rows }),
                    None => break,
                }
                continue;
            }
            let piece = self.rest.split_to(self.rest.len().min(buffer.len() - filled));
            buffer[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        if filled == 0 { Read::Nothing } else { Read::Bytes(filled) }
    }

    fn receive(&mut self) -> Option<Shown> {
        let watching = self.watching.as_mut()?;
        match watching.from.try_recv() {
            Ok(shown) => Some(shown),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => {
                self.end();
                None
            }
        }
    }

    fn end(&mut self) {
        self.watching = None;
        self.over = true;
    }

    /// Waits for more. Safe to drop and call again.
    pub(crate) async fn event(&mut self, output: bool) -> PtyEvent {
        let has = self.next.is_some() || !self.rest.is_empty() || !self.words.is_empty();
        if !output || (self.watching.is_none() && !has) {
            return std::future::pending().await;
        }
        if !has && let Some(watching) = &mut self.watching {
            match watching.from.recv().await {
                Some(shown) => self.next = Some(shown),
                None => self.end(),
            }
        }
        PtyEvent::Output
    }

    /// Nothing of it is shown any more.
    pub(crate) fn stop(&mut self) {
        self.end();
        self.next = None;
        self.rest = Bytes::new();
        self.words.clear();
    }

    /// Over, and all of it read.
    pub(crate) fn is_over(&self) -> bool {
        self.over && self.rest.is_empty() && self.next.is_none() && self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> (Watcher, Watch, mpsc::Receiver<Ask>) {
        let (shell, mut asked) = mpsc::channel(8);
        let mut watch = Watch::new();
        watch.begin(shell, "Ada".to_owned(), name.to_owned());
        let Ok(Ask::Watch(watcher)) = asked.try_recv() else { panic!("it asks") };
        (watcher, watch, asked)
    }

    fn read(watch: &mut Watch) -> String {
        let mut buffer = [0; 64];
        match watch.read(&mut buffer) {
            Read::Bytes(bytes) => String::from_utf8_lossy(&buffer[..bytes]).into_owned(),
            Read::Nothing | Read::Words(_) => String::new(),
        }
    }

    #[test]
    fn words_and_output_keep_their_order() {
        let (watcher, mut watch, _asked) = pair("Bob");
        let mut all = Watchers::default();
        assert!(all.join(watcher, (80, 24), b"before ".to_vec()));
        all.output(b"one");
        all.size(100, 30);
        all.output(b"two");
        assert_eq!(watch.words(), Some(FromShell::Watching { owner: "Ada".to_owned() }));
        assert_eq!(read(&mut watch), "");
        assert_eq!(watch.words(), Some(FromShell::Size { cols: 80, rows: 24 }));
        assert_eq!(read(&mut watch), "before one");
        assert_eq!(watch.words(), Some(FromShell::Size { cols: 100, rows: 30 }));
        assert_eq!(read(&mut watch), "two");
        assert_eq!(all.news(), Some(FromShell::Watchers { names: vec!["Bob".to_owned()] }));
        assert_eq!(all.news(), None);
        all.stop();
        assert_eq!(read(&mut watch), "");
        assert!(watch.is_over());
        assert_eq!(all.news(), Some(FromShell::Watchers { names: vec![] }));
    }

    #[test]
    fn a_slow_watcher_misses_output_and_is_told_and_the_shell_does_not_wait() {
        let (watcher, mut watch, _asked) = pair("Bob");
        let mut all = Watchers::default();
        all.join(watcher, (80, 24), Vec::new());
        for number in 0..1000 {
            all.output(format!("<{number}>").as_bytes());
        }
        watch.words();
        let mut seen = String::new();
        for _ in 0..QUEUE * 2 {
            seen += &read(&mut watch);
            watch.words();
        }
        assert!(seen.ends_with("<29>"), "{seen}");
        all.output(b"again");
        seen = read(&mut watch) + &read(&mut watch);
        assert!(seen.contains("missing") && seen.ends_with("again"), "{seen}");
    }

    #[test]
    fn who_leaves_is_noticed_and_no_more_than_a_few_come_in() {
        let mut all = Watchers::default();
        let mut there: Vec<_> = (0..MOST_WATCHERS).map(|number| pair(&format!("Bob {number}"))).collect();
        let (one_more, mut refused, _asked) = pair("Eve");
        let mut kept = Vec::new();
        for (watcher, watch, asked) in there.drain(..) {
            assert!(all.join(watcher, (80, 24), Vec::new()));
            kept.push((watch, asked));
        }
        assert!(!all.join(one_more, (80, 24), b"secret".to_vec()));
        refused.words();
        assert_eq!(read(&mut refused), "");
        assert!(refused.is_over());
        all.news();
        let (watch, mut asked) = kept.remove(0);
        drop(watch);
        assert!(matches!(asked.try_recv(), Ok(Ask::Left)));
        all.look();
        let names = vec!["Bob 1".to_owned(), "Bob 2".to_owned()];
        assert_eq!(all.news(), Some(FromShell::Watchers { names }));
    }
}
