//! A TCP proxy that breaks connections on command.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// Bytes moved at once; small, so that a throttle is even.
const CHUNK: usize = 4096;

#[derive(Debug)]
struct Orders {
    /// Answers do not come through; when the first bytes of one arrive, the connection is cut.
    swallow: AtomicBool,
    /// New connections are closed at once.
    refuse: AtomicBool,
    /// Milliseconds that every chunk waits, each way.
    delay: AtomicU64,
    /// Bytes in a second, each way; 0 for no limit.
    rate: AtomicU64,
    /// How many answers were swallowed.
    swallowed: watch::Sender<u64>,
}

/// Stands between a client and a server.
#[derive(Debug)]
pub struct ChaosProxy {
    address: SocketAddr,
    orders: Arc<Orders>,
    /// Changes when all connections are to be cut.
    generation: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl ChaosProxy {
    /// Listens on a free port of loopback and passes everything on.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let orders = Arc::new(Orders {
            swallow: AtomicBool::new(false),
            refuse: AtomicBool::new(false),
            delay: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            swallowed: watch::Sender::new(0),
        });
        let (generation, cut) = watch::channel(0);
        let accepting = tokio::spawn(accept(listener, upstream, Arc::clone(&orders), cut));
        Self { address, orders, generation, accepting }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.address.port())
    }

    /// Requests go through, their answers do not: the connection is cut when an answer begins.
    pub fn swallow_answers(&self, on: bool) {
        self.orders.swallow.store(on, Ordering::SeqCst);
    }

    /// Waits until an answer was swallowed.
    pub async fn swallowed(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.orders.swallowed.subscribe().wait_for(|count| *count > 0).await;
    }

    /// Turns new connections away.
    pub fn refuse(&self, on: bool) {
        self.orders.refuse.store(on, Ordering::SeqCst);
    }

    /// Cuts every connection that stands.
    pub fn cut(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Lets everything take longer, each way.
    pub fn delay(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.orders.delay.store(millis, Ordering::SeqCst);
    }

    /// Lets only so many bytes through in a second, each way and connection; 0 for no limit.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.orders.rate.store(bytes_per_second, Ordering::SeqCst);
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, orders: Arc<Orders>, cut: watch::Receiver<u64>) {
    while let Ok((client, _)) = listener.accept().await {
        if orders.refuse.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(pass(client, upstream, Arc::clone(&orders), cut.clone()));
    }
}

async fn pass(client: TcpStream, upstream: SocketAddr, orders: Arc<Orders>, mut cut: watch::Receiver<u64>) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    cut.mark_unchanged();
    let requests = async {
        pump(client_in, server_out, &orders, false).await;
        // The client may have said all it has to say and still wait for the answer.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = pump(server_in, client_out, &orders, true) => {}
        () = requests => {}
        _ = cut.changed() => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    orders: &Orders,
    answers: bool,
) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length) = from.read(&mut buffer).await {
        if length == 0 {
            break;
        }
        if answers && orders.swallow.load(Ordering::SeqCst) {
            orders.swallowed.send_modify(|count| *count += 1);
            return;
        }
        let delay = orders.delay.load(Ordering::SeqCst);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        let rate = orders.rate.load(Ordering::SeqCst);
        if let Some(micros) = (length as u64 * 1_000_000).checked_div(rate) {
            sleep(Duration::from_micros(micros)).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
