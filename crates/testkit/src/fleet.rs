//! Thousands of devices.

use crate::{Dialer, EventStream, Person, TestServer};
use bramble_model::tags::Tags;
use bramble_model::{Clock, OsRandom, Random, Secret, SecretKind, SystemClock};
use bramble_store::{Store, Target, devices::NewDevice};
use bramble_wire::device_api::{Capabilities, Capability, Me};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{interval, timeout},
};

/// Connections that are being made at the same time.
const AT_ONCE: usize = 128;
/// Time between two tries of one device.
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
/// Connections from one address of loopback.
const PER_ADDRESS: usize = 1000;

/// Tokens of linked devices.
#[derive(Debug)]
pub struct Fleet {
    tokens: Vec<String>,
}

/// Allows this process as many open files as the system lets it have.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Without it the fleet is smaller, and says so when it cannot connect.
    let _ = setrlimit(Resource::Nofile, raised);
}

impl Fleet {
    /// Writes devices of somebody straight into the database of a server that is stopped: linking them
    /// one by one would take longer than what is to be seen.
    ///
    /// # Panics
    /// If the database does not take them.
    pub async fn insert(server: &TestServer, owner: &Person, count: usize) -> Self {
        Self::insert_described(server, owner, count, None).await
    }

    /// The same of devices that allow remote updates.
    ///
    /// # Panics
    /// If the database does not take them.
    pub async fn insert_updatable(server: &TestServer, owner: &Person, count: usize) -> Self {
        let capabilities = Capabilities { ota: Some(Capability::Enabled), ..Capabilities::default() };
        let me = Me { capabilities, ..Me::default() };
        Self::insert_described(server, owner, count, Some(&me)).await
    }

    async fn insert_described(server: &TestServer, owner: &Person, count: usize, me: Option<&Me>) -> Self {
        let store = Store::open(&Target::Sqlite(server.data().join("bramble.db"))).await.expect("it opens");
        let random: &dyn Random = &OsRandom;
        let now = SystemClock.now();
        let user = store.user_by_email(&owner.email).await.expect("an answer").expect("the owner");
        let account = store.personal_account(user.id).await.expect("an answer").expect("their account");
        let mut tokens = Vec::with_capacity(count);
        let tx = store.begin().await.expect("a transaction");
        for number in 0..count {
            let token = Secret::generate(SecretKind::DeviceToken, random);
            let id = random.id();
            tx.insert_device(NewDevice {
                tags: Tags::default(),
                id,
                account,
                name: format!("fleet-{number}"),
                serial_number: format!("fleet{number:08}"),
                hostname: None,
                board_model: None,
                token: Some(token.hash()),
                at: now,
            })
            .await
            .expect("a device");
            if let Some(me) = me {
                tx.describe_device(id, me).await.expect("what it says of itself");
            }
            tokens.push(token.expose().to_owned());
        }
        tx.commit().await.expect("committed");
        store.close().await.expect("closed");
        Self { tokens }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Opens the streams of the first `count`, some at a time, each trying again until it has one or the
    /// time is over. Also hands out the refusals by status: what was not 200.
    ///
    /// # Panics
    /// If not all have a stream in time.
    pub async fn connect(
        &self,
        dialer: &Dialer,
        count: usize,
        limit: Duration,
    ) -> (Vec<EventStream>, Vec<u16>) {
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = Vec::with_capacity(count);
        for (number, token) in self.tokens.iter().take(count).cloned().enumerate() {
            let (gate, dialer) = (Arc::clone(&gate), dialer.clone());
            let last = u8::try_from(2 + number / PER_ADDRESS).expect("at most 250,000 devices");
            let from = Ipv4Addr::new(127, 0, 0, last);
            let connecting = async move {
                let mut refusals = Vec::new();
                let stream = persist(&dialer, &token, from, &gate, &mut refusals).await;
                (stream, refusals)
            };
            tasks.push(tokio::spawn(timeout(limit, connecting)));
        }
        let mut streams = Vec::with_capacity(count);
        let mut refusals = Vec::new();
        for task in tasks {
            let (stream, refused) = task.await.expect("no panic").expect("the device connects in time");
            streams.push(stream);
            refusals.extend(refused);
        }
        (streams, refusals)
    }
}

/// Tries until there is a stream.
async fn persist(
    dialer: &Dialer,
    token: &str,
    from: Ipv4Addr,
    gate: &Semaphore,
    refusals: &mut Vec<u16>,
) -> EventStream {
    let mut tries = interval(BETWEEN_TRIES);
    loop {
        tries.tick().await;
        let _turn = gate.acquire().await.expect("the gate stays open");
        match dialer.events_from(token, from).await {
            Ok(stream) if stream.status == 200 => return stream,
            Ok(stream) => refusals.push(stream.status),
            // The server is not there yet.
            Err(_) => {}
        }
    }
}
