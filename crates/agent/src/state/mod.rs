//! What the agent remembers between two starts: the sign-in, the settings, the key file somebody puts
//! there. One folder, mode 0700, every file 0600 and replaced by write, fsync and rename, so that a
//! power cut leaves the old file or the new one.
//!
//! What it is not: a cache. Nothing here is written by a running session. How to add to it: one file,
//! one type, one pair of functions on [`StateFolder`].

mod deployments;
mod folder;
mod secret_text;
mod server_url;
mod settings;
mod token;

pub use deployments::Deployments;
pub(crate) use folder::NO_LINK;
pub use folder::{FolderError, FolderLock, StateFolder, VARIABLE as FOLDER_VARIABLE};
pub use secret_text::SecretText;
pub use server_url::{
    Configured, ServerUrl, ServerUrlError, VARIABLE as SERVER_VARIABLE, configured_identity,
    configured_server,
};
pub use settings::{ScreenChoice, ScreenSize, Settings, SizeError};
pub use token::StoredToken;
