//! How long the server takes to be there, and what it takes while nobody is.

use crate::report::{Row, Target, mb, median};
use bramble_testkit::{TestServer, resident_kb};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

/// Starts in one run.
const ROUNDS: usize = 11;

/// Cold start with an existing database, and memory afterwards.
pub async fn measure() -> Vec<Row> {
    let mut server = TestServer::builder().relay().start().await;
    server.person("Ada").await;
    server.stop().await;
    let mut times = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        server.spawn();
        let address = server.address();
        // As often as the machine can: a pause would be part of the result.
        while !answers(address) {
            std::hint::spin_loop();
        }
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        memory.push(mb(resident_kb(server.pid()).expect("the server runs")));
        server.stop().await;
    }
    vec![
        Row::new("cold start to the first 200", median(times), "ms", Target::AtMost(50.0)),
        Row::new("server, empty, RSS", median(memory), "MB", Target::AtMost(30.0)),
    ]
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
