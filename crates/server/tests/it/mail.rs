//! The outbox against a mail server that really speaks SMTP.

use crate::accounts::site::{PASSWORD, Plan, Site};
use bramble_server::app::Ctx;
use bramble_server::mail::delivery::round;
use bramble_server::mail::{self, Smtp};
use bramble_store::testing::Engine;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const ADA: &str = "ada@example.org";

/// Takes every message, or refuses all of them.
#[derive(Clone, Default)]
struct MailServer {
    taken: Arc<Mutex<Vec<String>>>,
    refuses: Arc<Mutex<bool>>,
}

impl MailServer {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        format!("smtp://{address}")
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 test\r\n").await.ok()?;
        while let Some(line) = lines.next_line().await.ok()? {
            let word = line.get(..4).unwrap_or_default().to_uppercase();
            let answer = match word.as_str() {
                "MAIL" if *self.refuses.lock().expect("not poisoned") => "451 not now",
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await.ok()?;
                    let mut text = String::new();
                    while let Some(line) = lines.next_line().await.ok()? {
                        if line == "." {
                            break;
                        }
                        text.push_str(&line);
                        text.push('\n');
                    }
                    self.taken.lock().expect("not poisoned").push(text);
                    "250 taken"
                }
                "QUIT" => return None,
                _ => "250 yes",
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
        Some(())
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().expect("not poisoned").clone()
    }
}

async fn ask_for_mails(site: &Site, count: usize) {
    for n in 0..count {
        let email = format!("user{n}@example.org");
        let tx = site.app.store.begin().await.expect("begins");
        mail::queue(&site.app, &tx, mail::already_registered(&site.app, &email)).await.expect("queues");
        tx.commit().await.expect("commits");
    }
}

#[tokio::test]
async fn a_mail_leaves_in_both_forms_and_is_erased() {
    let server = MailServer::default();
    let url = server.start().await;
    let site = Plan { smtp: Some(url), ..Plan::default() }.build().await;
    let smtp = Smtp::from_config(&site.app.config).expect("good settings");
    site.person(ADA).await;
    site.browser().post("/forgotten-password", &[("email", ADA)]).await;
    let link = site.link(ADA, "reset_password").await;
    round(&site.app, smtp.as_ref()).await.expect("a round");
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    for part in [
        "To: ada@example.org",
        "Subject: Choose a new password",
        "text/plain",
        "text/html",
        "Auto-Submitted: auto-generated",
        "Message-ID: <",
    ] {
        assert!(taken[0].contains(part), "{part}: {}", taken[0]);
    }
    // Long lines are folded on the wire.
    let secret = link.rsplit('/').next().expect("a token");
    assert!(taken[0].replace("=\n", "").contains(secret), "{}", taken[0]);
    let all = mail::list(&site.app).await.expect("the outbox");
    assert_eq!((all.len(), all[0].state), (1, "sent"));
    let shown = mail::show(&site.app, all[0].id).await.expect("reads").expect("a mail");
    assert_eq!((shown.text.as_str(), shown.html.as_str()), ("", ""), "erased");
    round(&site.app, smtp.as_ref()).await.expect("a round");
    assert_eq!(server.taken().len(), 1, "once");
}

#[tokio::test]
async fn nothing_is_lost_while_the_mail_server_is_down() {
    let server = MailServer::default();
    let url = server.start().await;
    let site = Plan { smtp: Some(url), ..Plan::default() }.build().await;
    let smtp = Smtp::from_config(&site.app.config).expect("good settings");
    *server.refuses.lock().expect("not poisoned") = true;
    ask_for_mails(&site, 3).await;
    let mut rounds = 0;
    for _ in 0..12 {
        round(&site.app, smtp.as_ref()).await.expect("a round");
        let held = round(&site.app, smtp.as_ref()).await.expect("a round");
        assert_eq!(held, 0, "who failed waits");
        site.clock.advance(Duration::hours(1));
        rounds += 1;
    }
    let all = mail::list(&site.app).await.expect("the outbox");
    assert!(all.iter().all(|m| m.attempts == rounds && m.state == "waiting"), "{all:?}");
    assert!(all[0].last_error.as_deref().is_some_and(|error| error.contains("not now")), "{all:?}");
    *server.refuses.lock().expect("not poisoned") = false;
    round(&site.app, smtp.as_ref()).await.expect("a round");
    assert_eq!(server.taken().len(), 3);
    assert!(mail::list(&site.app).await.expect("the outbox").iter().all(|m| m.state == "sent"));
}

#[tokio::test]
async fn delivery_is_given_up_after_three_days() {
    let site = Plan { smtp: Some("smtp://127.0.0.1:1".into()), ..Plan::default() }.build().await;
    let smtp = Smtp::from_config(&site.app.config).expect("good settings");
    ask_for_mails(&site, 1).await;
    round(&site.app, smtp.as_ref()).await.expect("a round");
    site.clock.advance(Duration::days(3));
    round(&site.app, smtp.as_ref()).await.expect("a round");
    let all = mail::list(&site.app).await.expect("the outbox");
    assert_eq!((all[0].state, all[0].attempts), ("gave up", 2));
    let shown = mail::show(&site.app, all[0].id).await.expect("reads").expect("a mail");
    assert_eq!(shown.text, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_send_each_mail_once() {
    for engine in Engine::BOTH {
        let server = MailServer::default();
        let plan = Plan { engine, smtp: Some(server.start().await), ..Plan::default() };
        let url = plan.smtp.clone();
        let site = plan.build().await;
        let plan = Plan { engine, smtp: url, ..Plan::default() };
        ask_for_mails(&site, 40).await;
        let mut nodes = vec![Arc::clone(&site.app)];
        for folder in ["second", "third"] {
            nodes.push(plan.node(&site.database, &site.clock, folder).await);
        }
        let all: Vec<_> = nodes.into_iter().map(|app| tokio::spawn(empty_outbox(app))).collect();
        for one in all {
            one.await.expect("no panic");
        }
        let mut counts = BTreeMap::new();
        for text in server.taken() {
            let to = text.lines().find(|line| line.starts_with("To: ")).expect("a recipient").to_owned();
            *counts.entry(to).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 40, "{engine:?}");
        assert!(counts.values().all(|count| *count == 1), "{engine:?}: {counts:?}");
    }
}

async fn empty_outbox(app: Ctx) {
    let smtp = Smtp::from_config(&app.config).expect("good settings");
    loop {
        round(&app, smtp.as_ref()).await.expect("a round");
        let all = mail::list(&app).await.expect("the outbox");
        if all.iter().all(|m| m.state == "sent") {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_node_that_dies_with_a_mail_loses_it_to_the_others() {
    for engine in Engine::BOTH {
        let site = Site::on(engine).await;
        ask_for_mails(&site, 1).await;
        let now = site.app.clock.now();
        let claim = async |now| {
            site.app.store.claim_mails(now, Duration::minutes(10), 10).await.expect("claims").len()
        };
        assert_eq!(claim(now).await, 1);
        assert_eq!(claim(now + Duration::minutes(10) - Duration::seconds(1)).await, 0, "{engine:?}");
        assert_eq!(claim(now + Duration::minutes(10)).await, 1, "{engine:?}");
    }
}

#[tokio::test]
async fn without_a_mail_server_the_operator_reads_it_for_a_week() {
    let site = Site::new().await;
    site.browser().post("/sign-up", &[("name", "Ada"), ("email", ADA), ("password", PASSWORD)]).await;
    assert_eq!(round(&site.app, None).await.expect("a round"), 1);
    assert_eq!(round(&site.app, None).await.expect("a round"), 0, "told once");
    let link = site.link(ADA, "verify_email").await;
    assert!(link.starts_with("/verify-email/"));
    site.clock.advance(Duration::days(7));
    mail::delivery::sweep(&site.app).await.expect("sweeps");
    assert_eq!(site.mails(ADA).await.len(), 1, "a week to the moment");
    site.clock.advance(Duration::seconds(1));
    mail::delivery::sweep(&site.app).await.expect("sweeps");
    assert_eq!(site.mails(ADA).await.len(), 0);
}

#[test]
fn bad_settings_are_refused_without_repeating_the_password() {
    for (url, from) in
        [("mail.example.org", "a@b.c"), ("ftp://u:canary@h", "a@b.c"), ("smtps://u:canary@h", "nobody")]
    {
        let error = Smtp::new(url, from).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
