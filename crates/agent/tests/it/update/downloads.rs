//! Fetching from servers that misbehave.

use super::board::{Board, failed, script};
use bramble_agent::update::{artefact::Checksum, record::Outcome};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A script with ballast, so that it comes in pieces.
fn artefact() -> Vec<u8> {
    let ballast = hex::encode(crate::artefact::noise(100_000));
    script(&format!("#!/bin/sh\nexit 0\n# {ballast}\n"))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Cuts the connection after so many bytes, each time; knows `Range`.
    Cuts(usize),
    /// The same without `Range`: each time a little more.
    CutsAndForgets(usize),
    /// Cannot now, then can.
    BusyOnce,
    Missing,
    RedirectsTo(&'static str),
    /// Accepts and never answers.
    Silent,
    /// Falls silent in the middle.
    Stalls,
}

struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
}

async fn serve(manner: Manner, body: Vec<u8>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}/artefact", listener.local_addr().expect("address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            let body = body.clone();
            tokio::spawn(async move { answer(stream, manner, n, &body).await });
        }
    });
    Server { url, asked }
}

async fn answer(stream: TcpStream, manner: Manner, n: usize, body: &[u8]) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut start) = (String::new(), 0_usize);
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = range.trim().trim_end_matches('-').parse().ok()?;
        }
    }
    let total = body.len();
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n");
    let part = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{total}\r\n\r\n",
        total - start,
        total - 1
    );
    let (head, from, to) = match manner {
        Manner::Cuts(most) if start > 0 => (part, start, start + most),
        Manner::Cuts(most) => (whole, 0, most),
        Manner::CutsAndForgets(most) => (whole, 0, most * (n + 1)),
        Manner::BusyOnce if n == 0 => ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned(), 0, 0),
        Manner::BusyOnce => (whole, 0, total),
        Manner::Missing => ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned(), 0, 0),
        Manner::RedirectsTo(to) => {
            (format!("HTTP/1.1 302 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"), 0, 0)
        }
        Manner::Silent => (String::new(), 0, 0),
        Manner::Stalls => (whole, 0, total / 2),
    };
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&body[from..to.min(total)]).await.ok()?;
    stream.flush().await.ok()?;
    if matches!(manner, Manner::Silent | Manner::Stalls) {
        // Until the other side gives up.
        let _ = stream.read_u8().await;
    }
    Some(())
}

fn impatient() -> Board {
    let mut board = Board::single();
    board.patience.connect = Duration::from_millis(200);
    board.patience.silence = Duration::from_millis(200);
    board.patience.give_up = Duration::from_millis(600);
    board
}

async fn outcome(board: &Board, manner: Manner) -> (Option<Outcome>, usize) {
    let body = artefact();
    let checksum = Checksum::of(&body).to_string();
    let server = serve(manner, body).await;
    let standing = board.apply_from(&board.engine(), 1, &server.url, &checksum).await;
    (standing.outcome, server.asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_broken_connection_goes_on_where_it_ended() {
    let size = artefact().len();
    let (outcome_, asked) = outcome(&Board::single(), Manner::Cuts(size / 4 + 1)).await;
    assert_eq!((outcome_, asked), (Some(Outcome::Succeeded), 4));
    let (outcome_, asked) = outcome(&Board::single(), Manner::CutsAndForgets(size / 3 + 1)).await;
    assert_eq!(
        (outcome_, asked),
        (Some(Outcome::Succeeded), 3),
        "without Range it is read again and skipped"
    );
    let (outcome_, _) = outcome(&Board::single(), Manner::BusyOnce).await;
    assert_eq!(outcome_, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn what_cannot_get_better_fails_at_once() {
    for (manner, words) in [
        (Manner::Missing, "Download refused by the server: 404 Not Found"),
        (Manner::RedirectsTo("https://localhost/x"), "Download refused: a redirect from http to https"),
        (Manner::RedirectsTo("file:///etc/passwd"), "Download refused: a redirect from http to file"),
    ] {
        let (outcome, asked) = outcome(&Board::single(), manner).await;
        assert_eq!((outcome, asked), (Some(Outcome::Failed(words.to_owned())), 1));
    }
    let (outcome, asked) = outcome(&Board::single(), Manner::RedirectsTo("/artefact")).await;
    let words = "Download refused: too many redirects".to_owned();
    assert_eq!((outcome, asked), (Some(Outcome::Failed(words)), 6));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (outcome_, asked) = outcome(&impatient(), Manner::Silent).await;
    let words = "Download could not connect to server (retry)".to_owned();
    assert_eq!(outcome_, Some(Outcome::Failed(words.clone())));
    assert!(asked > 1, "it was tried again");
    let (outcome_, _) = outcome(&impatient(), Manner::Stalls).await;
    let stopped = "Download stopped: the server fell silent".to_owned();
    assert_eq!(outcome_, Some(Outcome::Failed(stopped)));
    // Nobody listens.
    let board = impatient();
    let standing = board.apply_from(&board.engine(), 1, "http://127.0.0.1:1/x", &"0".repeat(64)).await;
    assert_eq!(failed(&standing), words);
}

#[tokio::test]
async fn a_file_must_be_one() {
    let board = impatient();
    let standing = board.apply_from(&board.engine(), 1, "file:///dev/zero", &"0".repeat(64)).await;
    assert_eq!(failed(&standing), "Download stopped: /dev/zero is not a file");
    let standing = board.apply_from(&board.engine(), 2, "file:///nowhere/x", &"0".repeat(64)).await;
    assert_eq!(failed(&standing), "Download stopped: there is no file /nowhere/x");
}

/// An FTP server of a few lines; its first data connection breaks in the middle.
async fn ftp_session(control: TcpStream, n: usize, body: Arc<Vec<u8>>) -> Option<()> {
    let mut control = BufReader::new(control);
    control.write_all(b"220-hello\r\n220 ready\r\n").await.ok()?;
    let data = TcpListener::bind("127.0.0.1:0").await.ok()?;
    let (mut start, mut line) = (0, String::new());
    loop {
        line.clear();
        if control.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let reply = match verb {
            "USER" if rest == "ada" => "331 password".to_owned(),
            "PASS" if rest == "pass word" => "230 in".to_owned(),
            "TYPE" => "200 ok".to_owned(),
            "SIZE" if rest == "a file.zst" => format!("213 {}", body.len()),
            "EPSV" if n == 0 => "500 no".to_owned(),
            "EPSV" => format!("229 ok (|||{}|)", data.local_addr().ok()?.port()),
            "PASV" => {
                let port = data.local_addr().ok()?.port();
                // An address that must not be believed.
                format!("227 ok (192,0,2,1,{},{})", port / 256, port % 256)
            }
            "REST" => {
                start = rest.parse().ok()?;
                "350 go on".to_owned()
            }
            "RETR" if rest == "a file.zst" => {
                control.write_all(b"150 here\r\n").await.ok()?;
                let (mut stream, _) = data.accept().await.ok()?;
                let end = if n == 0 { body.len() / 2 } else { body.len() };
                stream.write_all(&body[start..end]).await.ok()?;
                drop(stream);
                if n == 0 { "426 broken".to_owned() } else { "226 done".to_owned() }
            }
            _ => "550 no".to_owned(),
        };
        control.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
}

#[tokio::test]
async fn ftp_is_spoken_too_and_resumed() {
    let body = Arc::new(artefact());
    let checksum = Checksum::of(&body).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("address").port();
    tokio::spawn(async move {
        let mut n = 0;
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(ftp_session(stream, n, Arc::clone(&body)));
            n += 1;
        }
    });
    let board = Board::single();
    let url = format!("ftp://ada:pass%20word@127.0.0.1:{port}/a%20file.zst");
    let standing = board.apply_from(&board.engine(), 1, &url, &checksum).await;
    assert_eq!(standing.outcome, Some(Outcome::Succeeded));
    let url = format!("ftp://ada:pass%20word@127.0.0.1:{port}/other");
    let standing = board.apply_from(&board.engine(), 2, &url, &checksum).await;
    assert_eq!(failed(&standing), "Download refused by the server: FTP answer 550");
}
