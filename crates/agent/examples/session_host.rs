//! Sessions without a server, for measuring: signalling as JSON lines on standard input and output.
//!
//! In: `{"open":{"id":"…","offer":{…}}}`, `{"candidate":{"id":"…","candidate":{…}}}`,
//! `{"end":{"id":"…","reason":"…"}}`. Out: `{"id":"…","answer":{…}}`, `{"id":"…","candidate":{…}}`,
//! `{"id":"…","state":{…}}`. Arguments: `--relay-only`, `--program PATH`, `--trust FILE.pem`.

use bramble_agent::session::{self, Input, Output, SessionSettings, ShellSettings};
use bramble_wire::SessionId;
use bramble_wire::signalling::{IceCandidate, Offer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use tokio::sync::mpsc;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Open { id: SessionId, offer: Offer },
    Candidate { id: SessionId, candidate: IceCandidate },
    End { id: SessionId, reason: String },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = format!("info,{}", session::QUIET);
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    let settings = settings()?;
    let mut sessions: HashMap<SessionId, mpsc::Sender<Input>> = HashMap::new();
    let (given, mut lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|it| given.blocking_send(it))
    });
    while let Some(line) = lines.recv().await {
        let (id, input) = match serde_json::from_str(&line)? {
            Line::Open { id, offer } => {
                let (input, inputs) = mpsc::channel(64);
                let (outputs, output) = mpsc::channel(64);
                session::start(id, offer, settings.clone(), inputs, outputs);
                tokio::spawn(print(id, output));
                sessions.insert(id, input);
                continue;
            }
            Line::Candidate { id, candidate } => (id, Input::RemoteCandidate(candidate)),
            Line::End { id, reason } => (id, Input::End { reason }),
        };
        if let Some(session) = sessions.get(&id) {
            // It may be over already.
            let _ = session.send(input).await;
        }
    }
    Ok(())
}

async fn print(id: SessionId, mut output: mpsc::Receiver<Output>) {
    while let Some(output) = output.recv().await {
        let line = match output {
            Output::Answer(answer) => json!({ "id": id, "answer": answer }),
            Output::Candidate(candidate) => json!({ "id": id, "candidate": candidate }),
            Output::State(state) => json!({ "id": id, "state": state }),
            Output::Transfer(transfer) => json!({ "id": id, "transfer": transfer }),
        };
        println!("{line}");
    }
}

fn settings() -> Result<SessionSettings, Box<dyn Error>> {
    let mut shell = ShellSettings::of_current_user()?;
    let mut relay_only = false;
    let mut turn_tls = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("a value is missing");
        match argument.as_str() {
            "--relay-only" => relay_only = true,
            "--program" => shell = shell.with_program(value()?),
            "--trust" => turn_tls = Some(trusting(&value()?)?),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let mut settings = SessionSettings::new(Some(shell));
    settings.relay_only = relay_only;
    settings.turn_tls = turn_tls;
    Ok(settings)
}

fn trusting(file: &str) -> Result<Arc<rustls::ClientConfig>, Box<dyn Error>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
