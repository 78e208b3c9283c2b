//! What a supervisor sends and hears: SIGHUP, and the words of `sd_notify(3)`.

use bramble_testkit::{Authority, SHORT, eventually, free_port};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::path::Path;
use std::process::Stdio;
use tokio::net::{TcpStream, UnixDatagram};
use tokio::process::{Child, Command};
use tokio::time::timeout;

fn serve(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bramble"));
    command.arg("serve").args(arguments).arg("--data").arg(data).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    Command::new("kill").args([name, &pid]).status().await.expect("kill runs");
}

fn first_of(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate")
}

/// The certificate that a port shows to somebody who trusts this authority; `None` for everybody else.
async fn shown(port: u16, authority: &Authority) -> Option<CertificateDer<'static>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let name = ServerName::try_from("localhost").expect("a name");
    let connected =
        timeout(SHORT, tokio_rustls::TlsConnector::from(authority.client()).connect(name, tcp)).await;
    let stream = connected.expect("in time").ok()?;
    stream.get_ref().1.peer_certificates()?.first().cloned()
}

#[tokio::test]
async fn a_hang_up_reads_the_certificates_again_and_keeps_the_former_if_they_are_bad() {
    let (folder, others) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (first, second) = (Authority::new(folder.path()), Authority::new(others.path()));
    let [main, turn, turn_tls] = [free_port(), free_port(), free_port()];
    let address = |port: u16| format!("127.0.0.1:{port}");
    let file = |path: &Path| path.display().to_string();
    let mut command = serve(&folder.path().join("data"), &["--listen", &address(main)]);
    command.args(["--public-url", &format!("https://localhost:{main}")]);
    command.args(["--tls-cert", &file(&first.cert), "--tls-key", &file(&first.key)]);
    command.args(["--relay-udp", &address(turn), "--relay-tcp", &address(turn)]);
    command.args(["--relay-tls", &address(turn_tls)]);
    let log = folder.path().join("log");
    command.stderr(std::fs::File::create(&log).expect("a file"));
    let child = command.spawn().expect("it starts");
    let ports = [main, turn_tls];
    for port in ports {
        let found = eventually("it listens", SHORT, async || shown(port, &first).await).await;
        assert_eq!(found, first_of(&first.cert), "port {port}");
    }

    // A certificate and a key that do not belong together.
    let kept = first_of(&first.cert);
    std::fs::copy(&second.cert, &first.cert).expect("copied");
    signal(&child, "-HUP").await;
    eventually("it says what is wrong", SHORT, async || {
        let log = std::fs::read_to_string(&log).expect("the log");
        log.contains("the former certificate stays in use").then_some(())
    })
    .await;
    for port in ports {
        assert_eq!(shown(port, &first).await.as_ref(), Some(&kept), "port {port}");
    }

    std::fs::copy(&second.key, &first.key).expect("copied");
    signal(&child, "-HUP").await;
    for port in ports {
        let found = eventually("the new certificate", SHORT, async || shown(port, &second).await).await;
        assert_eq!(found, first_of(&second.cert), "port {port}");
        assert_eq!(shown(port, &first).await, None, "port {port}");
    }
}

#[tokio::test]
async fn a_service_manager_hears_that_it_is_up_and_that_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    let listen = format!("127.0.0.1:{}", free_port());
    let mut command = serve(&folder.path().join("data"), &["--relay", "off", "--listen", &listen]);
    let mut child = command.env("NOTIFY_SOCKET", &path).spawn().expect("it starts");
    let mut heard = [0; 64];
    let mut next = async || {
        let length = timeout(SHORT, manager.recv(&mut heard)).await.expect("in time").expect("received");
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };
    assert_eq!(next().await, "READY=1");
    // It is not said before it is true.
    TcpStream::connect(&listen).await.expect("it listens");
    signal(&child, "-TERM").await;
    assert_eq!(next().await, "STOPPING=1");
    assert!(timeout(SHORT, child.wait()).await.expect("in time").expect("it ended").success());
}
