//! The shared screen: bytes between the browser's channel and the VNC server, one connection per session,
//! with bounded queues both ways. What the bytes say is between the browser and the VNC server; only the
//! first four are looked at, so that a wrong program on the socket is told apart. Where the server asks for
//! a password, the beginning is spoken here (`rfb`). A desktop with several displays is offered display by
//! display: another one is another connection, on the same channel.

use super::rfb::{Handshake, STRANGE};
use super::settings::{Desktop, Keep, Reached, ScreenSettings};
use super::vnc_server::{ScreenError, Stream};
use crate::session::{PtyEvent, Read, Wants, queue::Queue};
use bramble_wire::channel::FromScreen;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Bytes from the browser that the VNC server has not read yet: the largest clipboard and some keys. They
/// cannot be dropped, because what follows would be misread; a server that reads nothing is left.
const MOST_INPUT: usize = 2 * 1024 * 1024;
/// How a VNC server begins (RFC 6143, 7.1.1). It speaks first.
const GREETING: &[u8] = b"RFB ";
/// How long it may take to begin.
const GREETING_WITHIN: Duration = Duration::from_secs(10);

/// The desktop may start again.
const CLOSED: &str = "The desktop's VNC server ended the connection.";
const SILENT: &str = "The desktop's VNC server does not answer.";
const NO_DISPLAY: &str = "This display of the device cannot be shown. It may have been unplugged.";
const STUCK: &str = "The desktop's VNC server does not take what is sent to it.";

/// The screen's side of a session.
#[derive(Debug)]
pub(crate) struct Screen {
    settings: ScreenSettings,
    stream: Stream,
    /// What was started for it, and ends without it.
    keep: Keep,
    desktop: Option<Desktop>,
    /// Said before more bytes.
    words: Option<FromScreen>,
    /// The display that was chosen, on its way.
    coming: Option<Coming>,
    /// What was chosen since.
    wish: Option<String>,
    /// Until both sides are through it, where a password is asked for.
    handshake: Option<Box<Handshake>>,
    input: Queue,
    since: Instant,
    greeted: usize,
    over: Option<&'static str>,
}

/// Another display, and its name.
#[derive(Debug)]
struct Coming {
    display: String,
    reached: oneshot::Receiver<Result<Reached, ScreenError>>,
}

impl Screen {
    /// Connects to the VNC server.
    pub(crate) async fn open(settings: &ScreenSettings) -> Result<Self, ScreenError> {
        let Reached { stream, password, keep, desktop } = settings.open().await?;
        let handshake = password.map(|password| Box::new(Handshake::new(password)));
        let words = desktop
            .as_ref()
            .map(|it| FromScreen::Displays { names: it.displays.clone(), showing: it.showing.clone() });
        Ok(Self {
            settings: settings.clone(),
            stream,
            keep,
            desktop,
            words,
            coming: None,
            wish: None,
            handshake,
            input: Queue::new(MOST_INPUT),
            since: Instant::now(),
            greeted: 0,
            over: None,
        })
    }

    /// Shows another display. What the browser sends until then belonged to the connection before. One that is
    /// chosen while another is on its way is next, and the other is not shown.
    pub(crate) fn show(&mut self, display: &str) {
        let known = self.desktop.as_ref().is_some_and(|it| it.displays.iter().any(|name| name == display));
        if !known || self.over.is_some() {
            return;
        }
        match &self.coming {
            Some(coming) => self.wish = (coming.display != display).then(|| display.to_owned()),
            None => self.fetch(display.to_owned()),
        }
    }

    fn fetch(&mut self, display: String) {
        let Some(desktop) = self.desktop.clone() else { return };
        let (tell, reached) = oneshot::channel();
        let (settings, name) = (self.settings.clone(), display.clone());
        tokio::spawn(async move {
            // Nobody waits for it any more: then it ends.
            let _ = tell.send(settings.open_display(desktop, name).await);
        });
        self.coming = Some(Coming { display, reached });
        self.input = Queue::new(MOST_INPUT);
    }

    /// Goes on with the display that has come.
    fn switch(&mut self, display: String, reached: Result<Reached, ScreenError>) {
        if let Some(wish) = self.wish.take() {
            return self.fetch(wish);
        }
        match reached {
            Ok(reached) => {
                self.stream = reached.stream;
                // The former one ends with its last viewer.
                drop(std::mem::replace(&mut self.keep, reached.keep));
                self.handshake = None;
                self.since = Instant::now();
                self.greeted = 0;
                self.words = Some(FromScreen::Showing { display });
            }
            Err(error) => {
                tracing::warn!(%error, "a display cannot be shown");
                self.over = Some(NO_DISPLAY);
            }
        }
    }

    fn say(words: &FromScreen, buffer: &mut [u8]) -> Read {
        let Ok(text) = serde_json::to_vec(words) else { return Read::Nothing };
        // Names are few and short.
        let Some(room) = buffer.get_mut(..text.len()) else { return Read::Nothing };
        room.copy_from_slice(&text);
        Read::Words(text.len())
    }

    /// Fills the buffer with what the VNC server sent, as far as there is any.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        if let Some(words) = self.words.take() {
            return Self::say(&words, buffer);
        }
        if self.coming.is_some() {
            return Read::Nothing;
        }
        if self.handshake.is_some() {
            return self.shake_hands(buffer);
        }
        let mut filled = 0;
        while filled < buffer.len() && self.over.is_none() {
            match self.stream.try_read(&mut buffer[filled..]) {
                Ok(0) => self.over = Some(CLOSED),
                Ok(read) => {
                    self.greet(&buffer[filled..filled + read]);
                    filled += read;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.over = Some(CLOSED),
            }
        }
        if filled == 0 { Read::Nothing } else { Read::Bytes(filled) }
    }

    /// The same while the handshake goes on: of the server's bytes none is the browser's.
    fn shake_hands(&mut self, buffer: &mut [u8]) -> Read {
        let mut heard = [0; 256];
        while let Some(handshake) = &mut self.handshake
            && !handshake.is_with_viewer()
            && self.over.is_none()
        {
            match self.stream.try_read(&mut heard) {
                Ok(0) => self.over = Some(CLOSED),
                Ok(read) => match handshake.hear_server(&heard[..read]) {
                    Ok(answer) => {
                        self.input.push(&answer);
                        self.pass_input();
                    }
                    Err(why) => self.over = Some(why),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.over = Some(CLOSED),
            }
        }
        let Some(handshake) = &mut self.handshake else { return Read::Nothing };
        let filled = buffer.len().min(handshake.to_viewer.len());
        for (to, from) in buffer.iter_mut().zip(handshake.to_viewer.drain(..filled)) {
            *to = from;
        }
        if handshake.is_done() {
            self.handshake = None;
            self.greeted = GREETING.len();
        }
        if filled == 0 { Read::Nothing } else { Read::Bytes(filled) }
    }

    fn greet(&mut self, bytes: &[u8]) {
        let rest = &GREETING[self.greeted..];
        let compared = rest.len().min(bytes.len());
        if rest[..compared] == bytes[..compared] {
            self.greeted += compared;
        } else {
            self.over = Some(STRANGE);
        }
    }

    /// Takes what the browser sent.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if self.coming.is_some() {
            return;
        }
        let own = self.handshake.as_mut().map_or(Ok(0), |handshake| handshake.hear_viewer(bytes));
        let bytes = match own {
            Ok(own) => &bytes[own..],
            Err(why) => {
                self.over.get_or_insert(why);
                return;
            }
        };
        if self.input.push(bytes) > 0 {
            self.over.get_or_insert(STUCK);
        }
        self.pass_input();
    }

    /// Moves what waits on to the VNC server. Whatever else may listen there hears nothing of the browser: a
    /// VNC server speaks first.
    pub(crate) fn pass_input(&mut self) {
        if self.may_pass() {
            self.input.pass(|bytes| self.stream.try_write(bytes));
        }
    }

    fn may_pass(&self) -> bool {
        self.has_greeted() || self.handshake.is_some()
    }

    fn has_greeted(&self) -> bool {
        self.greeted == GREETING.len()
    }

    pub(crate) fn lags(&self) -> bool {
        self.input.lags()
    }

    pub(crate) fn wants(&self, output: bool) -> Wants {
        Wants {
            output: output && self.over.is_none(),
            room: self.may_pass() && !self.input.is_empty(),
            exit: false,
        }
    }

    /// Waits for whatever of these comes first. Safe to drop and call again.
    pub(crate) async fn event(&mut self, wants: Wants) -> PtyEvent {
        std::future::poll_fn(|cx| {
            if let Some(coming) = &mut self.coming {
                let Poll::Ready(reached) = Pin::new(&mut coming.reached).poll(cx) else {
                    return Poll::Pending;
                };
                let display = std::mem::take(&mut coming.display);
                self.coming = None;
                // The task that would tell is gone.
                self.switch(display, reached.unwrap_or(Err(ScreenError::NoWayVnc)));
                return Poll::Ready(PtyEvent::Output);
            }
            if wants.output && self.words.is_some() {
                return Poll::Ready(PtyEvent::Output);
            }
            let there = match &self.handshake {
                Some(handshake) if !handshake.to_viewer.is_empty() => true,
                // It is the browser's turn.
                Some(handshake) if handshake.is_with_viewer() => false,
                // An error is found again by the read or write that follows.
                _ => wants.output && self.stream.poll_read_ready(cx).is_ready(),
            };
            if wants.output && there {
                return Poll::Ready(PtyEvent::Output);
            }
            if wants.room && self.stream.poll_write_ready(cx).is_ready() {
                return Poll::Ready(PtyEvent::Room);
            }
            Poll::Pending
        })
        .await
    }

    /// When to look again whether the VNC server has begun.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.has_greeted() && self.over.is_none() && self.coming.is_none())
            .then(|| self.since + GREETING_WITHIN)
    }

    /// Whether it ended so that it may be there again soon.
    pub(crate) fn may_return(&self) -> bool {
        self.over == Some(CLOSED)
    }

    /// Why it is over, once it is.
    pub(crate) fn ending(&self, now: Instant) -> Option<&'static str> {
        self.over.or_else(|| self.deadline().filter(|at| now >= *at).map(|_| SILENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tokio::net::UnixListener;

    async fn reached(socket: &Path) -> Reached {
        let stream = Stream::Unix(tokio::net::UnixStream::connect(socket).await.expect("connects"));
        Reached { stream, password: None, keep: Keep::Nothing, desktop: None }
    }

    #[tokio::test]
    async fn the_display_that_was_chosen_last_is_the_one_that_is_shown() {
        let place = tempfile::tempdir().expect("a folder");
        let socket = place.path().join("vnc.sock");
        let _server = UnixListener::bind(&socket).expect("binds");
        let mut screen = Screen::open(&ScreenSettings::at(&socket)).await.expect("opens");
        let displays = ["A", "B", "C"].map(str::to_owned).to_vec();
        screen.desktop = Some(Desktop { compositor: place.path().join("none"), displays, showing: None });

        let on_its_way = |screen: &mut Screen, display: &str| {
            let (tell, reached) = oneshot::channel();
            screen.coming = Some(Coming { display: display.to_owned(), reached });
            tell
        };
        let wants = Wants { output: true, room: false, exit: false };
        let tell = on_its_way(&mut screen, "A");
        screen.show("B");
        screen.show("unknown");
        screen.show("C");
        tell.send(Ok(reached(&socket).await)).expect("somebody waits");
        screen.event(wants).await;
        assert_eq!(screen.coming.as_ref().map(|it| it.display.as_str()), Some("C"));
        // The page waits for the last one and would take another's bytes for its.
        assert!(screen.words.is_none());

        // Whoever changes their mind back gets the one that was on its way, also after a failure in between.
        let tell = on_its_way(&mut screen, "A");
        screen.show("B");
        screen.show("A");
        tell.send(Ok(reached(&socket).await)).expect("somebody waits");
        screen.event(wants).await;
        assert!(screen.coming.is_none());
        assert_eq!(screen.words, Some(FromScreen::Showing { display: "A".to_owned() }));
        let tell = on_its_way(&mut screen, "B");
        screen.show("C");
        tell.send(Err(ScreenError::NoWayVnc)).expect("somebody waits");
        screen.event(wants).await;
        assert!(screen.over.is_none() && screen.coming.is_some());
    }
}
