//! What the list and the device page show of a device.

use crate::app::App;
use crate::web::frames;
use crate::web::times::Moment;
use bramble_model::Timestamp;
use bramble_model::account::{Deed, Standing};
use bramble_store::StoreError;
use bramble_store::devices::Device;
use bramble_wire::DeviceId;
use bramble_wire::device_api::Capability;
use bramble_wire::signalling::SessionKind;
use time::Duration;

/// How long "linked again" and "duplicate device" are shown.
const NOTICE: Duration = Duration::hours(24);

/// Whether a device is there.
#[derive(Debug)]
pub enum Presence {
    /// It has a stream.
    Online,
    /// It had one then.
    Seen(Moment),
    /// It never had one.
    Never,
}

/// One badge.
#[derive(Debug)]
pub struct Badge {
    /// Its words.
    pub label: &'static str,
    /// `allowed`, `disallowed`, `unavailable`.
    pub state: &'static str,
    /// Live sessions.
    pub count: u64,
}

/// A device as its row shows it.
#[derive(Debug)]
pub struct DeviceRow {
    /// Id.
    pub id: DeviceId,
    /// The list that it is in.
    pub list: String,
    /// The same with what is searched for there, up to where one more filter goes.
    pub search: String,
    /// Name.
    pub name: String,
    /// Serial number.
    pub serial_number: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it is there.
    pub presence: Presence,
    /// What it allows.
    pub badges: Vec<Badge>,
    /// Why no shell can be opened now, or nothing.
    pub no_shell: String,
    /// Why no screen can be shown now, or nothing.
    pub no_screen: String,
    /// Why no files can be transferred now, or nothing; `None` for a device that knows no file transfer.
    pub no_files: Option<String>,
    /// The reader may deploy to it, and it could take that.
    pub deploys: bool,
    /// Signed out: it has no token.
    pub signed_out: bool,
    /// Linked again within the past day.
    pub relinked: Option<Moment>,
    /// Two clients used its token within the past day.
    pub duplicate: Option<Moment>,
}

impl DeviceRow {
    /// Whether it has a stream.
    pub fn online(&self) -> bool {
        matches!(self.presence, Presence::Online)
    }
}

/// Makes rows, with one look at the sessions of all of them.
/// `standing` is what their reader is to the account that they are in.
pub async fn rows(
    app: &App,
    standing: &Standing,
    devices: Vec<Device>,
) -> Result<Vec<DeviceRow>, StoreError> {
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    let counts = app.store.count_live_sessions(&ids).await?;
    let forbidden = app.store.account(standing.account).await?.is_some_and(|account| account.files_forbidden);
    let now = app.clock.now();
    let row = |device: Device| {
        let count = |kind| counts.iter().find(|(id, k, _)| *id == device.id && *k == kind).map_or(0, |c| c.2);
        let counts = [SessionKind::Vnc, SessionKind::Shell, SessionKind::Files].map(count);
        row(app, standing, now, &device, counts, forbidden)
    };
    Ok(devices.into_iter().map(row).collect())
}

fn row(
    app: &App,
    standing: &Standing,
    now: Timestamp,
    device: &Device,
    [screens, shells, files]: [u64; 3],
    files_forbidden: bool,
) -> DeviceRow {
    let root = frames::root(standing.kind, standing.account);
    let online = device.token.is_some() && app.link.is_online(device.id);
    let presence = match device.last_seen_at {
        _ if online => Presence::Online,
        Some(at) => Presence::Seen(Moment::new(at, now)),
        None => Presence::Never,
    };
    let badge =
        |label, capability: Option<Capability>, count| Badge { label, state: state(capability), count };
    let can = device.capabilities;
    let recent = |at: Option<Timestamp>| at.filter(|at| now < *at + NOTICE).map(|at| Moment::new(at, now));
    let mut badges = vec![
        badge("Screen sharing", can.vnc, screens),
        badge("Remote shell", can.shell, shells),
        badge("Remote update", can.ota, 0),
    ];
    // Other clients have never heard of it.
    let knows_files = can.files.is_some_and(|files| files != Capability::Unavailable);
    if knows_files {
        let allowed = can.files.filter(|_| !files_forbidden).or(Some(Capability::Available));
        badges.push(badge("File transfer", allowed, files));
    }
    DeviceRow {
        id: device.id,
        list: format!("{root}/devices"),
        search: format!("{root}/devices?query="),
        name: device.name.clone(),
        serial_number: device.serial_number.clone(),
        tags: device.tags.clone(),
        presence,
        badges,
        no_shell: obstacle(device, online, can.shell, None),
        no_screen: obstacle(device, online, can.vnc, device.vnc_reason.as_deref()),
        no_files: knows_files.then(|| match obstacle(device, online, can.files, None) {
            none if none.is_empty() && files_forbidden => "Switched off by your organisation".to_owned(),
            why => why,
        }),
        deploys: standing.may(Deed::ManageUpdates)
            && matches!(can.ota, Some(Capability::Enabled | Capability::Available)),
        signed_out: device.token.is_none(),
        relinked: recent(device.relinked_at),
        duplicate: recent(device.duplicate_seen_at),
    }
}

/// Why no session of a kind can be opened now; empty if one can.
fn obstacle(device: &Device, online: bool, capability: Option<Capability>, reason: Option<&str>) -> String {
    let text = match capability {
        _ if device.token.is_none() => "The device is signed out",
        _ if !online => "The device is offline",
        Some(Capability::Enabled) => "",
        Some(Capability::Available) => "Switched off on the device",
        _ => reason.unwrap_or("Not available on this device"),
    };
    text.to_owned()
}

fn state(capability: Option<Capability>) -> &'static str {
    match capability {
        Some(Capability::Enabled) => "allowed",
        Some(Capability::Available) => "disallowed",
        _ => "unavailable",
    }
}
