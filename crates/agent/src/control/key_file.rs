//! `auth.key`: a key that an installer, an image or a person puts into the state folder, at any time.

use super::{
    api::CallError,
    shared::Shared,
    sign_in::{self, DeviceIdentity, SignInError, Target},
    watch::FolderWatch,
};
use crate::{
    http::backoff::Backoff,
    state::{ServerUrlError, StateFolder, configured_server},
};
use rustix::fs::inotify::WatchFlags;
use std::{sync::Arc, time::Duration};

/// What became of the key.
#[derive(Debug)]
pub enum Outcome {
    /// There is none, or there is a sign-in already.
    Nothing,
    /// Signed in; the file is gone.
    SignedIn,
    /// It cannot be used and stays; why, for people.
    Unusable(String),
    /// Not now.
    Later(String),
}

/// Tells when the key file appears or changes.
#[derive(Debug)]
pub struct KeyWatch(FolderWatch);

impl KeyWatch {
    /// Watches the folder.
    pub fn open(folder: &StateFolder) -> Self {
        Self(FolderWatch::open(folder.path(), WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO))
    }

    /// Waits until it was written or moved here.
    pub async fn appeared(&self) {
        self.0.happened(StateFolder::is_auth_key).await;
    }
}

/// Exchanges the key at the start and whenever it appears; at the start the machine's own identity is
/// tried after it. Runs until the daemon ends.
pub async fn run(shared: Arc<Shared>, watch: KeyWatch, mut identity: Option<Arc<dyn DeviceIdentity>>) {
    let timing = shared.timing;
    let mut backoff = Backoff::new(Arc::clone(&shared.random), timing.first_wait, timing.longest_wait);
    let mut again = Some(Duration::ZERO);
    loop {
        match again.take() {
            None => watch.appeared().await,
            Some(wait) => tokio::select! {
                () = watch.appeared() => {}
                () = tokio::time::sleep(wait) => {}
            },
        }
        let _one_at_a_time = shared.signing_in.lock().await;
        let mut outcome = exchange(&shared, None).await;
        if let (Outcome::Nothing, Some(own)) = (&outcome, &identity) {
            outcome = identify(&shared, own.as_ref()).await;
        }
        if let Outcome::Later(_) = outcome {
            again = Some(backoff.next(None));
        } else {
            backoff.reset();
            // The order is one of the start: a person who signs out later means it.
            identity = None;
        }
    }
}

async fn identify(shared: &Shared, identity: &dyn DeviceIdentity) -> Outcome {
    if shared.credential.borrow().is_some() {
        return Outcome::Nothing;
    }
    let target = match configured_target(shared) {
        Ok(target) => target,
        Err(error) => return Outcome::Unusable(error.to_string()),
    };
    match sign_in::with_identity(shared, &target, identity).await {
        Ok(()) => Outcome::SignedIn,
        Err(error) if error.is_temporary() => Outcome::Later(error.to_string()),
        Err(SignInError::Call(CallError::NoIdentity(why))) => {
            tracing::info!("{why}");
            Outcome::Nothing
        }
        Err(error) => {
            let why = error.to_string();
            shared.set_problem(Some(format!("the device identity cannot be used: {why}")));
            Outcome::Unusable(why)
        }
    }
}

/// Exchanges the key if there is one and no sign-in, at `target` or else at the configured server. The
/// caller holds `signing_in`.
pub async fn exchange(shared: &Shared, target: Option<Target>) -> Outcome {
    if shared.credential.borrow().is_some() {
        return Outcome::Nothing;
    }
    let outcome = try_exchange(shared, target).await;
    match &outcome {
        Outcome::Unusable(why) => {
            tracing::warn!("auth.key cannot be used: {why}");
            shared.set_problem(Some(format!("auth.key cannot be used: {why}")));
        }
        Outcome::Later(why) => {
            tracing::info!("auth.key is not exchanged yet: {why}");
            shared.set_problem(Some(format!("auth.key is not exchanged yet: {why}")));
        }
        Outcome::Nothing | Outcome::SignedIn => {}
    }
    outcome
}

async fn try_exchange(shared: &Shared, target: Option<Target>) -> Outcome {
    let key = match shared.folder.auth_key() {
        Ok(Some(key)) => key,
        Ok(None) => return Outcome::Nothing,
        Err(error) => return Outcome::Unusable(error.to_string()),
    };
    let target = match target.map_or_else(|| configured_target(shared), Ok) {
        Ok(target) => target,
        Err(error) => return Outcome::Unusable(error.to_string()),
    };
    match sign_in::with_key(shared, &target, &key).await {
        Ok(()) => {
            // The sign-in is on the disk; only now may the key go. Another that came meanwhile was not
            // exchanged and stays.
            let same = matches!(shared.folder.auth_key(), Ok(Some(there)) if there == key);
            if same && let Err(error) = shared.folder.delete_auth_key() {
                tracing::warn!(%error, "the used auth.key could not be deleted");
            }
            Outcome::SignedIn
        }
        Err(error) if error.is_temporary() => Outcome::Later(error.to_string()),
        Err(error) => Outcome::Unusable(error.to_string()),
    }
}

/// The server of the configuration, for whoever does not name another.
pub fn configured_target(shared: &Shared) -> Result<Target, ServerUrlError> {
    let environment = std::env::var(crate::state::SERVER_VARIABLE).ok();
    let chosen = configured_server(environment.as_deref(), shared.platform.root())?;
    Ok(Target { server: chosen.server, ca: chosen.ca })
}
