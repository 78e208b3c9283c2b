//! How fast the relay is, beside coturn, in one run on this machine:
//!
//! ```sh
//! cargo run --release -p bramble-relay --example throughput -- [seconds per row]
//! ```
//!
//! Two clients of one session send 1,200 byte datagrams on channels to each other's relayed address, at most 512 KiB on their
//! way. Each server is a process of its own, so that its processor time and memory can be read. coturn is left out where
//! `turnserver` (Debian package coturn) is missing.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bramble_relay::credentials::{Credential, Secret, Side, issue};
use bramble_relay::stun::{Builder, Class, method, write_channel_data};
use bramble_relay::{Config, Limits, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

#[path = "../tests/it/client.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod client;

use client::{Client, Wire};

const SECRET: &str = "a-secret-for-measuring";
const PAYLOAD: usize = 1200;
const FRAME: usize = PAYLOAD + 4;
const WINDOW: u64 = 512 * 1024;
const CHANNEL: u16 = 0x4000;
/// Datagrams of one joined send.
const JOINED: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Udp,
    UdpJoined,
    Tcp,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1);
    let runtime = tokio::runtime::Runtime::new()?;
    if argument.as_deref() == Some("serve") {
        return runtime.block_on(serve());
    }
    let seconds = argument.and_then(|it| it.parse().ok()).unwrap_or(3);
    println!("| server | way | MB/s | server CPU ms per MB | server RSS MB |");
    println!("|---|---|---|---|---|");
    for way in [Way::Udp, Way::UdpJoined, Way::Tcp] {
        let ours = Server::bramble()?;
        runtime.block_on(measure("bramble", &ours, way, Duration::from_secs(seconds)))?;
        drop(ours);
        if let Ok(coturn) = Server::coturn() {
            runtime.block_on(measure("coturn", &coturn, way, Duration::from_secs(seconds)))?;
        }
    }
    Ok(())
}

/// The server under test, until its standard input ends.
async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        udp: vec![any],
        tcp: vec![any],
        tls: vec![],
        public_ip: None,
        ports: 49152..=65535,
        allow: vec![],
        own_addresses: vec![],
        secret: Secret::new(SECRET),
        limits: Limits {
            bytes_per_second: 1 << 40,
            burst_bytes: 1 << 40,
            bytes_per_credential: 1 << 50,
            ..Limits::default()
        },
    };
    let relay = Relay::start(config, Arc::new(unix_seconds))?;
    println!("{} {}", relay.local_addresses().udp[0], relay.local_addresses().tcp[0]);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "coturn looks at the real time, too")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

struct Server {
    child: Child,
    udp: SocketAddr,
    tcp: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn bramble() -> Result<Self, Box<dyn std::error::Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let (udp, tcp) = line.trim().split_once(' ').ok_or("no addresses")?;
        Ok(Self { child, udp: udp.parse()?, tcp: tcp.parse()? })
    }

    fn coturn() -> Result<Self, Box<dyn std::error::Error>> {
        let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let child = Command::new("turnserver")
            .args(["-n", "--use-auth-secret", "--static-auth-secret", SECRET, "--realm", "bramble"])
            .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--allow-loopback-peers"])
            .args([
                "--no-tls",
                "--no-dtls",
                "--no-cli",
                "--no-rfc5780",
                "--no-stdout-log",
                "--log-file",
                "/dev/null",
            ])
            .args(["--pidfile", "/dev/null"])
            .arg("--userdb")
            .arg(std::env::temp_dir().join("bramble-throughput-coturn.db"))
            .args(["--listening-port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { child, udp: address, tcp: address };
        let limit = Instant::now() + Duration::from_secs(10);
        let binding = Builder::new(Class::Request, method::BINDING, client::transaction()).finish();
        let probe = std::net::UdpSocket::bind("127.0.0.1:0")?;
        probe.connect(address)?;
        probe.set_read_timeout(Some(Duration::from_millis(100)))?;
        while probe.send(&binding).and_then(|_| probe.recv(&mut [0; 200])).is_err() {
            if Instant::now() > limit {
                return Err("coturn does not listen".into());
            }
        }
        Ok(server)
    }

    /// Processor time in milliseconds, and resident memory in MB.
    fn usage(&self) -> Option<(f64, f64)> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        let pages: f64 = fields.get(21)?.parse().ok()?;
        // Linux has 100 ticks per second and pages of 4 KiB on the machines this is for.
        Some((ticks * 10.0, pages * 4096.0 / 1e6))
    }
}

async fn measure(
    name: &str,
    server: &Server,
    way: Way,
    length: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let credential = |side| issue(&Secret::new(SECRET), "measured", side, unix_seconds() + 600);
    let mut sender = connect(server, way, &credential(Side::Browser)?).await;
    let mut receiver = connect(server, way, &credential(Side::Device)?).await;
    let (at_sender, at_receiver) = (sender.allocate().await, receiver.allocate().await);
    sender.bind(CHANNEL, at_receiver).await.map_err(|code| format!("refused: {code}"))?;
    receiver.bind(CHANNEL, at_sender).await.map_err(|code| format!("refused: {code}"))?;
    let arrived = Arc::new(AtomicU64::new(0));
    let counting = tokio::spawn(receive(receiver.wire, Arc::clone(&arrived)));
    let (cpu_before, _) = server.usage().unwrap_or_default();
    let started = Instant::now();
    send(sender.wire, way, &arrived, started + length).await?;
    let (seconds, bytes) = (started.elapsed().as_secs_f64(), arrived.load(Ordering::Relaxed));
    let (cpu, memory) = server.usage().unwrap_or_default();
    counting.abort();
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let megabytes = bytes as f64 / 1e6;
    println!(
        "| {name} | {way:?} | {:.0} | {:.2} | {memory:.1} |",
        megabytes / seconds,
        (cpu - cpu_before) / megabytes
    );
    Ok(())
}

async fn connect(server: &Server, way: Way, credential: &Credential) -> Client {
    match way {
        Way::Udp | Way::UdpJoined => Client::udp(server.udp, credential).await,
        Way::Tcp => {
            let stream = TcpStream::connect(server.tcp).await.expect("connected");
            let _ = stream.set_nodelay(true);
            Client::stream(stream, credential)
        }
    }
}

/// Sends until `end`, never more than the window ahead of what has arrived. What does not arrive for 20 ms is lost.
async fn send(
    mut wire: Wire,
    way: Way,
    received: &AtomicU64,
    end: Instant,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut frame = Vec::new();
    write_channel_data(&mut frame, CHANNEL, &[7; PAYLOAD], true);
    let many = frame.repeat(JOINED);
    let payload = u64::try_from(PAYLOAD)?;
    let mut sent = 0;
    let mut progressed = (0, Instant::now());
    while Instant::now() < end {
        let arrived = received.load(Ordering::Relaxed);
        if sent > arrived + WINDOW {
            if progressed.0 != arrived {
                progressed = (arrived, Instant::now());
            } else if progressed.1.elapsed() > Duration::from_millis(20) {
                sent = arrived;
            }
            tokio::task::yield_now().await;
            continue;
        }
        match &mut wire {
            Wire::Udp(socket) if way == Way::UdpJoined => {
                send_joined(socket, &many).await?;
                sent += payload * u64::try_from(JOINED)?;
            }
            Wire::Udp(socket) => {
                socket.send(&frame).await?;
                sent += payload;
            }
            Wire::Stream { stream, .. } => {
                stream.write_all(&many).await?;
                sent += payload * u64::try_from(JOINED)?;
            }
        }
    }
    Ok(())
}

async fn send_joined(socket: &UdpSocket, many: &[u8]) -> std::io::Result<()> {
    let state = quinn_udp::UdpSocketState::new(socket.into())?;
    let transmit = quinn_udp::Transmit {
        destination: socket.peer_addr()?,
        ecn: None,
        contents: many,
        segment_size: Some(FRAME),
        src_ip: None,
    };
    socket.writable().await?;
    socket.try_io(tokio::io::Interest::WRITABLE, || state.try_send(socket.into(), &transmit))
}

/// Counts payload bytes. Frames all have one length, so a stream need not be taken apart.
async fn receive(mut wire: Wire, received: Arc<AtomicU64>) {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let length = match &mut wire {
            Wire::Udp(socket) => socket.recv(&mut buffer).await,
            Wire::Stream { stream, .. } => stream.read(&mut buffer).await,
        };
        let Ok(length @ 1..) = length else { return };
        total += length;
        let payload = total / FRAME * PAYLOAD;
        received.store(u64::try_from(payload).unwrap_or_default(), Ordering::Relaxed);
    }
}
