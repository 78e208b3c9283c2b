//! The object on the system bus.

use super::{
    super::{
        bus::{Error, NAME, OBJECT, Status},
        engine::{Engine, Refusal},
        record::Outcome,
        trust::{Order, Trust, TrustError},
    },
    due,
};
use bramble_wire::deployments::DeploymentKeys;
use std::{collections::HashMap, path::PathBuf, sync::Arc};
use zbus::{Connection, connection, fdo::DBusProxy, message::Header};

/// Asked by others than the user whom the administrator named.
const ACTION: &str = "com.raspberrypi.ota.manage";
/// Largest list of keys that is looked at.
const MAX_KEYS: usize = 64 * 1024;

struct Object {
    engine: Arc<Engine>,
    root: PathBuf,
}

/// Takes the name and answers until the connection is dropped.
pub(super) async fn serve(engine: Arc<Engine>, root: PathBuf) -> zbus::Result<Connection> {
    connection::Builder::system().serve_at(OBJECT, Object { engine, root }).name(NAME).build().await
}

#[zbus::interface(name = "com.raspberrypi.ota")]
impl Object {
    #[expect(clippy::too_many_arguments, reason = "the method's arguments and the caller")]
    async fn apply(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
        deployment_id: &str,
        uri: &str,
        checksum: &str,
        timestamp: i64,
        signature: &str,
    ) -> Result<(), Error> {
        let trust = self.trusted_caller(&header, connection).await?;
        let deployment =
            deployment_id.parse().map_err(|_| Error::Invalid("this is no deployment's id".to_owned()))?;
        let order = Order { deployment, uri: uri.to_owned(), checksum: checksum.to_owned(), timestamp };
        let accepted = self.engine.accept(&trust, order, signature).map_err(|why| {
            tracing::warn!(deployment.id = %deployment, %why, "an order was not taken");
            refused(why)
        })?;
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move {
            // Nothing cuts the power here but the power.
            let _ = engine.work(accepted).await;
            due(engine).await;
        });
        Ok(())
    }

    fn get_status(&self) -> Status {
        let standing = self.engine.standing();
        let (outcome, reason) = match standing.outcome {
            None => ("", String::new()),
            Some(Outcome::Succeeded) => ("succeeded", String::new()),
            Some(Outcome::Failed(why)) => ("failed", why),
        };
        Status {
            state: standing.phase.as_str().to_owned(),
            running: standing.running,
            deployment: standing.deployment.map(|id| id.to_string()).unwrap_or_default(),
            percent: standing.percent.map_or(-1, i32::from),
            outcome: outcome.to_owned(),
            reason,
            auto_commit: standing.auto_commit,
        }
    }

    /// Scripts may print what is nobody else's business.
    async fn get_output(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        self.manager(&header, connection).await?;
        Ok(self.engine.standing().output)
    }

    async fn follow_keys(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
        keys: &str,
    ) -> Result<bool, Error> {
        let mut trust = self.trusted_caller(&header, connection).await?;
        let nonsense = || Error::Invalid("this is no list of keys".to_owned());
        if keys.len() > MAX_KEYS {
            return Err(nonsense());
        }
        let offered: DeploymentKeys = serde_json::from_str(keys).map_err(|_| nonsense())?;
        if !trust.follow(&offered) {
            return Ok(false);
        }
        trust.store(&self.root).map_err(|error| Error::Failed(error.to_string()))?;
        tracing::info!("the server's signing key changed; the old one vouched for the new one");
        Ok(true)
    }

    async fn reboot(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.manager(&header, connection).await?;
        self.engine.reboot().map_err(refused)
    }

    async fn commit(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.manager(&header, connection).await?;
        self.engine.commit().map_err(refused)
    }

    async fn rollback(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.manager(&header, connection).await?;
        self.engine.rollback().map_err(refused)
    }
}

impl Object {
    /// The trust file, if the caller is the user in it. Nobody else gives orders, not even root: who is
    /// root needs no updater.
    async fn trusted_caller(&self, header: &Header<'_>, connection: &Connection) -> Result<Trust, Error> {
        let uid = caller(header, connection).await?;
        let trust = Trust::load(&self.root).map_err(|why| refused(why.into()))?;
        if trust.uid == uid {
            return Ok(trust);
        }
        tracing::warn!(uid, "a process of another user was turned away");
        Err(Error::AccessDenied("only the user who allowed remote updates may do this".to_owned()))
    }

    /// The user in the trust file, root, or whoever polkit lets.
    async fn manager(&self, header: &Header<'_>, connection: &Connection) -> Result<(), Error> {
        let uid = caller(header, connection).await?;
        let named = Trust::load(&self.root).is_ok_and(|trust| trust.uid == uid);
        if named || uid == 0 || polkit_lets(header, connection).await {
            return Ok(());
        }
        Err(Error::AccessDenied("this needs an administrator's password".to_owned()))
    }
}

/// The user of the process that sent a message, as the bus knows it.
async fn caller(header: &Header<'_>, connection: &Connection) -> Result<u32, Error> {
    let unknown = || Error::AccessDenied("the bus does not say who calls".to_owned());
    let sender = header.sender().ok_or_else(unknown)?.to_owned();
    let bus = DBusProxy::new(connection).await?;
    bus.get_connection_unix_user(sender.into()).await.map_err(|_| unknown())
}

/// Asks polkit, which may ask a person for a password. No polkit, no.
async fn polkit_lets(header: &Header<'_>, connection: &Connection) -> bool {
    let Some(sender) = header.sender() else { return false };
    let subject = ("system-bus-name", HashMap::from([("name", zbus::Variant::from(sender.as_str()))]));
    let details: HashMap<&str, &str> = HashMap::new();
    let allow_interaction = 1_u32;
    let asked = connection
        .call_method(
            Some("org.freedesktop.PolicyKit1"),
            "/org/freedesktop/PolicyKit1/Authority",
            Some("org.freedesktop.PolicyKit1.Authority"),
            "CheckAuthorization",
            &(subject, ACTION, details, allow_interaction, ""),
        )
        .await;
    let answer =
        asked.ok().and_then(|reply| reply.body().deserialize::<(bool, bool, HashMap<String, String>)>().ok());
    answer.is_some_and(|(authorised, _, _)| authorised)
}

#[expect(clippy::needless_pass_by_value, reason = "so that map_err takes it")]
fn refused(why: Refusal) -> Error {
    let words = why.to_string();
    match why {
        Refusal::Trust(TrustError::Missing) => Error::AccessDenied(words),
        Refusal::Trust(_) | Refusal::Device(_) | Refusal::Cut(_) => Error::Failed(words),
        Refusal::Signature | Refusal::Stale => Error::NotTrusted(words),
        Refusal::Finished => Error::Finished(words),
        Refusal::Busy => Error::Busy(words),
        Refusal::WaitingForCommit => Error::WaitingForCommit(words),
        Refusal::Order(_) | Refusal::NothingToDo => Error::Invalid(words),
    }
}
