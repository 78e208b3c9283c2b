//! Auth keys as lists show them.

use super::LinkingError;
use super::key_pages::Place;
use super::keys;
use crate::app::App;
use crate::auth::SignedIn;
use crate::web::times::Moment;
use bramble_model::auth_key::State as KeyState;
use bramble_store::auth_keys::AuthKey;
use bramble_store::device_search::Slice;
use bramble_wire::{AccountId, AuthKeyId, DeviceId};

/// A key as a list shows it.
pub(super) struct KeyRow {
    pub(super) id: AuthKeyId,
    pub(super) description: String,
    pub(super) device_name: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) made_by: String,
    pub(super) made: Moment,
    pub(super) state: RowState,
}

/// What became of it.
pub(super) enum RowState {
    Usable(Moment),
    Expired(Moment),
    Used { at: Moment, device: Option<(DeviceId, String)> },
}

/// Whether a new key takes the place of a usable one, which stands first in the list.
pub(super) async fn replaces(app: &App, place: &Place) -> Result<bool, LinkingError> {
    if place.organisation {
        return Ok(false);
    }
    let (now, first) = (app.clock.now(), Slice { offset: 0, limit: 1 });
    let (keys, _) = app.store.auth_key_page(place.account, now, first).await?;
    Ok(keys.iter().any(|key| key.is_usable(now)))
}

/// A page of an account's keys, and how many there are.
pub(super) async fn rows(
    app: &App,
    who: &SignedIn,
    account: AccountId,
    page: u64,
) -> Result<(Vec<KeyRow>, u64), LinkingError> {
    let now = app.clock.now();
    let (keys, total) = keys::list_auth_keys(app, who, account, page).await?;
    let used: Vec<_> = keys.iter().filter_map(|key| key.device).collect();
    let devices = app.store.devices_by_id(account, &used).await?;
    let row = |key: AuthKey| KeyRow {
        state: match key.state(now) {
            KeyState::Usable { expires_at } => RowState::Usable(Moment::new(expires_at, now)),
            KeyState::Expired { expired_at } => RowState::Expired(Moment::new(expired_at, now)),
            KeyState::Exchanged { at, device } => RowState::Used {
                at: Moment::new(at, now),
                device: device
                    .and_then(|id| devices.iter().find(|d| d.id == id))
                    .map(|device| (device.id, device.name.clone())),
            },
        },
        id: key.id,
        description: key.description,
        device_name: key.device_name,
        tags: key.tags,
        made_by: key.created_by_name,
        made: Moment::new(key.created_at, now),
    };
    Ok((keys.into_iter().map(row).collect(), total))
}
