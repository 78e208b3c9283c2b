//! The mail server: `smtps://user:password@host` (TLS from the start) or `smtp://user:password@host:587`
//! (STARTTLS). Without encryption only on this very machine, or with `?tls=off`.

use crate::config::Config;
use bramble_store::mails::Mail;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{AsyncTransport, Message, Tokio1Executor};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

/// How long the mail server may take for one answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How long one message may take as a whole.
const MESSAGE: Duration = Duration::from_secs(30);

/// Settings that cannot be used. The text does not repeat them: they hold a password.
#[derive(Debug, thiserror::Error)]
pub enum BadSmtp {
    /// The URL.
    #[error(
        "the mail server's URL cannot be used. Write it like smtps://user:password@mail.example.org, or \
         smtp://user:password@mail.example.org:587?tls=required for STARTTLS"
    )]
    Url,
    /// The sender.
    #[error("the sender's address cannot be used. Write it like bramble@example.org")]
    From,
}

/// Why a message did not leave.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The recipient's address cannot stand in a header, or the message cannot be written.
    #[error("the message cannot be sent to this address")]
    Message,
    /// The mail server said no.
    #[error("{0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// It said nothing.
    #[error("the mail server did not answer in time")]
    Timeout,
}

/// A mail server and the sender.
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// STARTTLS where the URL does not say: a password or a link must not cross a network in the clear.
fn with_encryption(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    match (url.scheme(), tls.as_deref()) {
        ("smtp", Some("off")) => url.set_query(None),
        ("smtp", None) if !is_this_machine(url.host_str()?) => url.set_query(Some("tls=required")),
        _ => {}
    }
    Some(url)
}

fn is_this_machine(host: &str) -> bool {
    // Of a scheme that browsers do not know, addresses are not parsed by the URL.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Smtp")
    }
}

/// Says that no person wrote this, so that absence notes stay away (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Smtp {
    /// From the configuration; `None` if it names no mail server.
    pub fn from_config(config: &Config) -> Result<Option<Self>, BadSmtp> {
        let Some(url) = &config.smtp_url else { return Ok(None) };
        let host = config.public_url.host_str().unwrap_or("localhost");
        let from = config.mail_from.clone().unwrap_or_else(|| format!("bramble@{host}"));
        Self::new(url.expose(), &from).map(Some)
    }

    /// From a URL and a sender. Connects to nothing yet.
    pub fn new(url: &str, from: &str) -> Result<Self, BadSmtp> {
        let url = with_encryption(url).ok_or(BadSmtp::Url)?;
        let builder =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| BadSmtp::Url)?;
        let transport = builder.timeout(Some(ANSWER)).build();
        let Mailbox { name, email } = from.parse().map_err(|_| BadSmtp::From)?;
        let name = name.or_else(|| Some("Bramble".to_owned()));
        Ok(Self { transport, from: Mailbox::new(name, email) })
    }

    /// Hands one message to the mail server.
    pub(super) async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let message = self.message(mail).ok_or(SendError::Message)?;
        let sent = tokio::time::timeout(MESSAGE, self.transport.send(message)).await;
        sent.map_err(|_| SendError::Timeout)??;
        Ok(())
    }

    fn message(&self, mail: &Mail) -> Option<Message> {
        let to = Mailbox::new(None, mail.recipient.parse().ok()?);
        // The same id at every attempt: should an answer be lost, the recipient's server sees that it
        // has the message.
        let id = format!("<{}@{}>", mail.id, self.from.email.domain());
        let body = MultiPart::alternative_plain_html(mail.text_body.clone(), mail.html_body.clone());
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject.clone())
            .message_id(Some(id))
            .header(AutoSubmitted)
            .multipart(body)
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::with_encryption;

    #[test]
    fn nothing_crosses_a_network_in_the_clear_unless_asked_for() {
        let cases = [
            ("smtp://mail.example.org", "smtp://mail.example.org?tls=required"),
            ("smtp://u:p@mail.example.org:587", "smtp://u:p@mail.example.org:587?tls=required"),
            ("smtp://mail.example.org?tls=opportunistic", "smtp://mail.example.org?tls=opportunistic"),
            ("smtp://mail.example.org?tls=off", "smtp://mail.example.org"),
            ("smtps://mail.example.org", "smtps://mail.example.org"),
            ("smtp://localhost:25", "smtp://localhost:25"),
            ("smtp://127.0.0.1:25", "smtp://127.0.0.1:25"),
            ("smtp://[::1]:25", "smtp://[::1]:25"),
        ];
        for (given, used) in cases {
            assert_eq!(with_encryption(given).expect("a URL").as_str(), used);
        }
    }
}
