//! Fetching from real servers: with and without TLS, across their death, at a wrong time.

use super::{
    board::{Board, failed, order, script, trust},
    servers::{Certificates, FtpTls, Server, artefact},
};
use bramble_agent::{
    state::ServerUrl,
    update::{
        artefact::Checksum,
        engine::{Engine, Standing},
        record::Outcome,
        trust::Trust,
    },
};
use bramble_model::{Clock, SystemClock};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;

const YEAR: i64 = 365 * 24 * 3600;

fn small() -> Vec<u8> {
    script("#!/bin/sh\nexit 0\n")
}

/// Trust in a server of the same host, signed in to with `--ca`.
fn trusting(authority: &str) -> Trust {
    let server = ServerUrl::parse("https://localhost:1").expect("a server");
    Trust { server, ca: Some(authority.to_owned()), ..trust() }
}

fn now() -> i64 {
    SystemClock.unix()
}

/// Applies what lies at this address and has to be these bytes.
async fn apply(engine: &Engine, trust: &Trust, id: u128, (url, bytes): (&str, &[u8]), at: i64) -> Standing {
    let (order, signature) = order(id, url, &Checksum::of(bytes).to_string(), at);
    let accepted = engine.accept(trust, order, &signature).expect("accepted");
    engine.work(accepted).await.expect("no power cut");
    engine.standing()
}

/// Applies what the server offers, and kills it when a tenth is here; it is back a moment later.
async fn across_a_death(mut server: Server, url: &str, trust: Trust) -> (Standing, Server) {
    let bytes = artefact();
    server.offer(&bytes);
    let board = Board::single();
    let engine = board.engine();
    let working = tokio::spawn({
        let (engine, url) = (Arc::clone(&engine), url.to_owned());
        async move { apply(&engine, &trust, 1, (&url, &bytes), now()).await }
    });
    let seen = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match engine.standing().percent {
                Some(percent) if percent >= 10 => return percent,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    let seen = seen.await.unwrap_or_else(|_| panic!("{url}: nothing came: {:?}", engine.standing()));
    assert!(seen < 95, "{url}: {seen} % had come already");
    server.die();
    server.start();
    let standing = working.await.expect("no panic");
    assert_eq!(standing.outcome, Some(Outcome::Succeeded), "{url}");
    (standing, server)
}

#[tokio::test]
async fn http_and_https_go_on_where_nginx_died() {
    let certificates = Certificates::new();
    for tls in [false, true] {
        let server = Server::nginx(&certificates);
        let (scheme, port) = if tls { ("https", server.tls_port) } else { ("http", server.port) };
        let url = format!("{scheme}://localhost:{port}/a%20file.zst");
        let (_, server) = across_a_death(server, &url, trusting(&certificates.authority)).await;
        let resumed = |line: &str| line.starts_with("/a%20file.zst 206 bytes=") && !line.contains("bytes=0-");
        server.logged(resumed).await;
    }
}

#[tokio::test]
async fn ftp_and_ftps_go_on_where_vsftpd_died() {
    let certificates = Certificates::new();
    for (scheme, tls) in [("ftp", FtpTls::Never), ("ftps", FtpTls::Asked), ("ftps", FtpTls::FirstByte)] {
        let server = Server::vsftpd(&certificates, tls);
        let url = format!("{scheme}://localhost:{}/a%20file.zst", server.port);
        let (_, server) = across_a_death(server, &url, trusting(&certificates.authority)).await;
        let log = server.logged(|line| line.contains("OK DOWNLOAD")).await;
        let sent = log.iter().filter(|line| line.contains("OK DOWNLOAD")).find_map(|line| {
            let before = line.split(" bytes").next()?;
            before.rsplit(' ').next()?.parse::<usize>().ok()
        });
        let sent = sent.unwrap_or_else(|| panic!("no number of bytes in {log:?}"));
        assert!(sent < artefact().len(), "{scheme} {tls:?}: the second connection brought all {sent} bytes");
    }
}

#[tokio::test]
async fn only_the_named_authority_vouches_for_a_server() {
    let bytes = small();
    let (good, other) = (Certificates::new(), Certificates::new());
    let web = Server::nginx(&good);
    let ftp = Server::vsftpd(&good, FtpTls::Asked);
    let first = Server::vsftpd(&good, FtpTls::FirstByte);
    let plain = Server::vsftpd(&good, FtpTls::Never);
    for server in [&web, &ftp, &first, &plain] {
        server.offer(&bytes);
    }
    let board = Board::single();
    let https = format!("https://localhost:{}/a%20file.zst", web.tls_port);
    let ftps = format!("ftps://localhost:{}/a%20file.zst", ftp.port);
    let from_the_first_byte = format!("ftps://localhost:{}/a%20file.zst", first.port);
    for (id, url) in [(1, &https), (2, &ftps), (3, &from_the_first_byte)] {
        let standing = apply(&board.engine(), &trusting(&other.authority), id, (url, &bytes), now()).await;
        let words = failed(&standing);
        assert!(words.contains("no secure connection to localhost"), "{url}: {words}");
        // The same with the right authority, so that the test can fail.
        let standing =
            apply(&board.engine(), &trusting(&good.authority), id + 10, (url, &bytes), now()).await;
        assert_eq!(standing.outcome, Some(Outcome::Succeeded), "{url}");
    }
    // A server that does without TLS where it was asked for is not talked to in the clear.
    let refusing = format!("ftps://localhost:{}/a%20file.zst", plain.port);
    let standing = apply(&board.engine(), &trusting(&good.authority), 21, (&refusing, &bytes), now()).await;
    assert_eq!(failed(&standing), "Download refused by the server: FTP answer 530");
}

#[tokio::test]
async fn a_redirect_stays_within_its_scheme() {
    let bytes = small();
    let certificates = Certificates::new();
    let server = Server::nginx(&certificates);
    server.offer(&bytes);
    let board = Board::single();
    let trust = trusting(&certificates.authority);
    let at = |path: &str| format!("https://localhost:{}/{path}", server.tls_port);
    let standing = apply(&board.engine(), &trust, 1, (&at("plain"), &bytes), now()).await;
    assert_eq!(failed(&standing), "Download refused: a redirect from https to http");
    let standing = apply(&board.engine(), &trust, 2, (&at("again"), &bytes), now()).await;
    assert_eq!(standing.outcome, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_a_year_stops_nothing() {
    let bytes = small();
    let right = OffsetDateTime::from_unix_timestamp(now()).expect("a time");
    let shifted = |by: i64| Certificates::around(right + time::Duration::seconds(by));
    // Where the certificate is valid, and what the order says the time is, both beside this device's clock.
    for (valid, signed) in [(YEAR, YEAR), (-YEAR, -YEAR), (0, YEAR), (0, -YEAR)] {
        let certificates = shifted(valid);
        let server = Server::nginx(&certificates);
        server.offer(&bytes);
        let url = format!("https://localhost:{}/a%20file.zst", server.tls_port);
        let board = Board::single();
        let trust = trusting(&certificates.authority);
        let standing = apply(&board.engine(), &trust, 1, (&url, &bytes), now() + signed).await;
        assert_eq!(standing.outcome, Some(Outcome::Succeeded), "{valid} {signed}");
    }
    // A certificate that was valid a year ago, and nobody says that it is that time.
    let certificates = shifted(-YEAR);
    let server = Server::nginx(&certificates);
    server.offer(&bytes);
    let mut board = Board::single();
    board.patience.give_up = Duration::from_millis(100);
    let url = format!("https://localhost:{}/a%20file.zst", server.tls_port);
    let standing = apply(&board.engine(), &trusting(&certificates.authority), 1, (&url, &bytes), now()).await;
    assert_eq!(failed(&standing), "Download could not connect to server (retry)");
}
