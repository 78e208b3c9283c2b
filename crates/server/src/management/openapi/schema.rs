//! Schemas, made of values: what the server's own types write is what the document says.
//!
//! Of each type there are values with everything and with as little as possible. A field that one of
//! these lacks is optional; one that is null there may be null.

use crate::management::moment;
use bramble_model::Timestamp;
use bramble_model::deployment::Word;
use bramble_wire::management::{
    Artefact, Artefacts, AuthKey, AuthKeys, Board, Deployment, DeploymentOutput, Deployments, Device,
    DeviceIdentities, DeviceIdentity, Devices, Failure, Filters, Meta, Os,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::str::FromStr;
use time::macros::datetime;
use uuid::Uuid;

const AT: Timestamp = datetime!(2026-02-25 16:09:52 UTC);
const UNTIL: Timestamp = datetime!(2026-02-26 16:09:52 UTC);
const CHECKSUM: &str = "d39fc02ad7878db7f6803f54dfce89346a763a603cb8e62221ba893fee9c5cc6";
const META: Meta = Meta { page: 1, per_page: 100, total_count: 1, total_pages: 1 };

/// A type of the API.
pub(super) struct Schema {
    pub(super) name: &'static str,
    full: Value,
    /// With the fields in the order in which the server writes them.
    pub(super) text: String,
    bare: Vec<Value>,
    /// Of a list: the field with the entries, and what they are.
    entries: Option<(&'static str, &'static str)>,
}

impl Schema {
    fn of(name: &'static str, full: impl Serialize, bare: &[impl Serialize]) -> Self {
        let bare = bare.iter().map(value).collect();
        let text = serde_json::to_string_pretty(&full).unwrap_or_default();
        Self { name, full: value(full), text, bare, entries: None }
    }

    fn list(name: &'static str, field: &'static str, of: &'static str, full: impl Serialize) -> Self {
        let list = Self::of(name, &full, &[&full]);
        Self { entries: Some((field, of)), ..list }
    }

    /// As the document has it.
    pub(super) fn document(&self) -> Value {
        let mut schema = described(&self.full, &self.bare.iter().collect::<Vec<_>>());
        if let Some(state) = schema.pointer_mut("/properties/state") {
            *state = json!({ "type": "string", "enum": Word::ALL.map(Word::as_str) });
        }
        if let Some((field, of)) = self.entries {
            schema["properties"][field]["items"] = json!({ "$ref": format!("#/components/schemas/{of}") });
        }
        schema["examples"] = json!([self.full]);
        schema
    }
}

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

fn described(full: &Value, bare: &[&Value]) -> Value {
    let mut schema = match full {
        Value::String(text) => text_schema(text),
        Value::Number(_) => json!({ "type": "integer" }),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Null => json!({ "type": "null" }),
        Value::Array(list) => {
            let items = list.first().map_or_else(|| json!({}), |one| described(one, &[]));
            json!({ "type": "array", "items": items })
        }
        Value::Object(fields) => object(fields, bare),
    };
    if bare.contains(&&Value::Null) && !full.is_null() {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema
}

fn object(fields: &Map<String, Value>, bare: &[&Value]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, value) in fields {
        let of: Vec<&Value> = bare.iter().filter_map(|bare| bare.get(name)).collect();
        properties.insert(name.clone(), described(value, &of));
        if of.len() == bare.iter().filter(|bare| bare.is_object()).count() {
            required.push(name.clone());
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

fn text_schema(text: &str) -> Value {
    if Uuid::parse_str(text).is_ok() {
        json!({ "type": "string", "format": "uuid" })
    } else if text.len() == 20 && text.ends_with('Z') {
        json!({ "type": "string", "format": "date-time" })
    } else {
        json!({ "type": "string" })
    }
}

fn id<T: FromStr<Err: std::fmt::Debug> + From<Uuid>>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| Uuid::nil().into())
}

fn key() -> AuthKey {
    AuthKey {
        id: id("096ce472-2cbd-412a-8295-6c03a1a07ba4"),
        description: "my-auth-key".to_owned(),
        device_name: Some("pi5-001".to_owned()),
        tags: vec!["kiosk".to_owned(), "production".to_owned()],
        secret: None,
        expires_at: moment(UNTIL),
        exchanged_at: Some(moment(AT)),
        created_at: moment(AT),
    }
}

fn identity() -> DeviceIdentity {
    DeviceIdentity {
        id: id("096ce472-2cbd-412a-8295-6c03a1a07ba4"),
        description: "my-device-identity".to_owned(),
        device_name: Some("pi5-001".to_owned()),
        tags: vec!["kiosk".to_owned(), "production".to_owned()],
        created_at: moment(AT),
        public_key: "-----BEGIN PUBLIC KEY-----\nMFkw…\n-----END PUBLIC KEY-----\n".to_owned(),
    }
}

fn device() -> Device {
    let text = |text: &str| Some(text.to_owned());
    Device {
        id: id("69739b44-ebb2-468e-9e24-08126dec4925"),
        name: "raspberrypi5".to_owned(),
        serial_number: "ea636879c4d47a37".to_owned(),
        tags: vec!["kiosk".to_owned(), "production".to_owned()],
        board: Some(Board { model: text("Raspberry Pi 5"), revision: text("1.0"), memory: text("8 GB") }),
        os: Some(Os { name: text("Raspberry Pi OS"), version: text("13 (Trixie)") }),
        kernel_architecture: text("aarch64"),
        filters: Filters { model: text("5"), memory: text("8gb"), os: text("raspios-13") },
    }
}

fn artefact() -> Artefact {
    Artefact {
        id: id("ee92e7e6-2c2c-4e7d-9d80-2cce8a6c7e8a"),
        name: "kiosk-v1.0".to_owned(),
        uri: "https://example.com/kiosk-v1.0.tar.zst".to_owned(),
        checksum: CHECKSUM.to_owned(),
    }
}

fn deployment() -> Deployment {
    Deployment {
        id: id("fdf45c44-2c0e-4f12-9b04-3a6a1c0d3b8d"),
        state: Word::Failed.as_str().to_owned(),
        state_reason: Some("Checksum mismatch".to_owned()),
        device_id: id("69739b44-ebb2-468e-9e24-08126dec4925"),
        artefact_id: id("ee92e7e6-2c2c-4e7d-9d80-2cce8a6c7e8a"),
        created_at: moment(AT),
        updated_at: moment(AT + time::Duration::seconds(38)),
    }
}

/// Every type of the API.
pub(super) fn all() -> Vec<Schema> {
    let bare_key = AuthKey { device_name: None, exchanged_at: None, ..key() };
    let new_key = |name: Option<&str>| AuthKey {
        secret: Some("rpoak_1111111111111111111111AB".to_owned()),
        device_name: name.map(str::to_owned),
        exchanged_at: None,
        ..key()
    };
    let bare_identity = DeviceIdentity { device_name: None, ..identity() };
    let bare_device =
        Device { board: None, os: None, kernel_architecture: None, filters: Filters::default(), ..device() };
    let quiet_device = Device {
        board: Some(Board { model: None, revision: None, memory: None }),
        os: Some(Os { name: None, version: None }),
        ..device()
    };
    let bare_deployment = Deployment { state_reason: None, ..deployment() };
    let output = |output: Option<&str>| DeploymentOutput { output: output.map(str::to_owned) };
    let devices = Devices { devices: vec![device()], meta: META };
    let deployments = Deployments { deployments: vec![deployment()], meta: META };
    let identities = DeviceIdentities { device_identities: vec![identity()], meta: META };
    let keys = AuthKeys { auth_keys: vec![key()], meta: META };
    let artefacts = Artefacts { artefacts: vec![artefact()], meta: META };
    let failure = Failure { message: "Validation failed: Description can't be blank".to_owned() };
    vec![
        Schema::of("DeviceIdentity", identity(), &[bare_identity]),
        Schema::list("DeviceIdentities", "device_identities", "DeviceIdentity", identities),
        Schema::of("AuthKey", key(), &[&bare_key]),
        Schema::of("NewAuthKey", new_key(Some("pi5-001")), &[new_key(None)]),
        Schema::list("AuthKeys", "auth_keys", "AuthKey", keys),
        Schema::of("Device", device(), &[bare_device, quiet_device]),
        Schema::list("Devices", "devices", "Device", devices),
        Schema::of("Artefact", artefact(), &[artefact()]),
        Schema::list("Artefacts", "artefacts", "Artefact", artefacts),
        Schema::of("Deployment", deployment(), &[bare_deployment]),
        Schema::list("Deployments", "deployments", "Deployment", deployments),
        Schema::of("DeploymentOutput", output(Some("unpacked 12 files")), &[output(None)]),
        Schema::of("Failure", &failure, &[&failure]),
    ]
}
