//! Every endpoint of the management API but the two that describe it.

mod devices;
mod identities;
mod keys;
mod updates;

use super::endpoint::{Endpoint, Field, Kind, Parameter};

const KEYS: &str = "Auth keys";
const IDENTITIES: &str = "Device identities";
const DEVICES: &str = "Devices";
const UPDATES: &str = "Remote updates";
/// The headings, in their order.
pub const GROUPS: [&str; 4] = [IDENTITIES, KEYS, DEVICES, UPDATES];

const NONE: &[Parameter] = &[];
const PAGE: Parameter = Parameter { name: "page", text: "Which page, from 1.", example: "1" };
const PER_PAGE: Parameter =
    Parameter { name: "per_page", text: "Entries of a page; more than 100 is 100.", example: "100" };
const PAGES: &[Parameter] = &[PAGE, PER_PAGE];
const SEARCH: &[Parameter] = &[
    Parameter {
        name: "query",
        text: "As in the search bar: words of the name or serial number, and model:, memory:, os:, tag:, \
               is:online, is:offline.",
        example: "\"model:5 tag:production\"",
    },
    PAGE,
    PER_PAGE,
];
const BY_NAME: &[Parameter] = &[
    Parameter { name: "name", text: "How the name begins, in upper or lower case.", example: "\"kiosk\"" },
    PAGE,
    PER_PAGE,
];
const BY_STATE: &[Parameter] = &[
    Parameter {
        name: "state",
        text: "One of pending, in_progress, succeeded, failed, cancelled.",
        example: "\"pending\"",
    },
    PAGE,
    PER_PAGE,
];

/// What several things that link a device are described by.
const DESCRIPTION: Field = Field {
    name: "description",
    kind: Kind::Name,
    required: false,
    text: "What it is for; the audit log shows it.",
};
const DEVICE_NAME: Field = Field {
    name: "device_name",
    kind: Kind::OptionalName,
    required: false,
    text: "The name that the device gets; its host name if there is none.",
};
const TAGS: Field =
    Field { name: "tags", kind: Kind::Tags, required: false, text: "The tags that the device gets." };

/// What can be wrong with a body.
const BODY: &[u16] = &[400, 413, 415, 422];
/// The same, and there may be no such thing.
const BODY_OF_ONE: &[u16] = &[400, 404, 413, 415, 422];

/// All of them, in the order of their headings.
pub fn all() -> impl Iterator<Item = &'static Endpoint> {
    [identities::ALL, keys::ALL, devices::ALL, updates::ALL].into_iter().flatten()
}
