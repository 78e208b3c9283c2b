//! The session bus of the person at the device: the desktop's panel sees how things stand and switches them
//! here, and a notification says who has come.
//!
//! What it is not: the way of `rpi-connect`, which works without a bus ([`crate::local_api`]). Whoever can
//! call here runs as the same user. The names and shapes are the public client's; the panel is a client of
//! exactly these.

mod notify;
mod service;
mod show;

use crate::control::Shared;
use futures_util::StreamExt as _;
use service::{Object, Standing};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::error::RecvError;
use zbus::{
    Connection, connection,
    fdo::{DBusProxy, RequestNameFlags, RequestNameReply},
};

/// The daemon's name on the bus.
pub const NAME: &str = "com.raspberrypi.Connect";
/// Its object.
pub const OBJECT: &str = "/com/raspberrypi/Connect";

/// How often a bus is looked for: a user's services may start before it.
const LOOK: Duration = Duration::from_secs(30);

/// Which session bus the daemon is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionBus {
    /// The one that the environment names.
    OfUser,
    /// The one at this D-Bus address.
    At(String),
}

/// Runs until the daemon ends. Without a bus it does nothing.
pub async fn run(shared: Arc<Shared>, which: SessionBus) {
    loop {
        match connect(&shared, &which).await {
            Ok(bus) => {
                if let Err(error) = serve(&shared, &bus).await {
                    tracing::debug!(%error, "the session bus has gone");
                }
            }
            Err(error) => tracing::debug!(%error, "no session bus"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Comes to the bus, and waits there while another daemon of this user has the name.
async fn connect(shared: &Arc<Shared>, which: &SessionBus) -> zbus::Result<Connection> {
    let object = Object::new(Arc::clone(shared));
    let bus = match which {
        SessionBus::OfUser => connection::Builder::session(),
        SessionBus::At(address) => connection::Builder::address(address.as_str()),
    };
    let bus = bus.serve_at(OBJECT, object).build().await?;
    let of_bus = DBusProxy::new(&bus).await?;
    let mut acquired = of_bus.receive_name_acquired().await?;
    // Without flags the bus keeps a place in the queue for it.
    let reply = bus.request_name_with_flags(NAME, RequestNameFlags::empty()).await?;
    if reply == RequestNameReply::InQueue {
        tracing::info!("another daemon of this user serves the desktop's panel; this one waits for it to go");
        loop {
            let signal = acquired.next().await.ok_or(zbus::Error::NameTaken)?;
            if signal.args()?.name == NAME {
                break;
            }
        }
    }
    Ok(bus)
}

/// Says every change, and who has come and gone.
async fn serve(shared: &Arc<Shared>, bus: &Connection) -> zbus::Result<()> {
    let object = bus.object_server().interface::<_, Object>(OBJECT).await?;
    let mut changed = shared.standing.subscribe();
    let mut credential = shared.credential.subscribe();
    let mut sessions = shared.sessions.watch();
    let mut visits = shared.sessions.visits();
    let mut last = service::standing(shared);
    let mut budget = notify::Budget::new(Instant::now());
    loop {
        let due = budget.due();
        let counted = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // None of the senders goes before this task does.
            _ = changed.changed() => {}
            _ = credential.changed() => {}
            _ = sessions.changed() => {}
            () = counted => {
                show(bus, budget.counted(Instant::now()));
                continue;
            }
            visit = visits.recv() => {
                match visit {
                    Ok(visit) => show(bus, budget.visit(&visit, Instant::now())),
                    Err(RecvError::Lagged(missed)) => budget.hold(missed),
                    Err(RecvError::Closed) => {}
                }
                continue;
            }
        }
        let now: Standing = service::standing(shared);
        if now != last {
            Object::status_changed(object.signal_emitter(), now).await?;
            last = now;
        }
    }
}

/// A desktop without a notification daemon, or with one that is stuck, holds up nothing.
fn show(bus: &Connection, note: Option<notify::Note>) {
    if let Some(note) = note {
        tokio::spawn(notify::tell(bus.clone(), note));
    }
}
