//! The management API described: an OpenAPI 3.1 document for programs, a page for people.
//!
//! [`endpoints`] says what there is, [`schema`] what is answered, by the types that answer. A test
//! compares both with the routes and with what the server really does.

pub mod endpoint;
pub mod endpoints;
mod page;
mod schema;

use crate::app::{App, Ctx};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use endpoint::{Answer, Body, Endpoint, Field, Kind, Parameter};
use serde_json::{Map, Value, json};

/// What is sent to every endpoint's caller when it goes wrong.
const ALWAYS: [u16; 3] = [401, 429, 503];

/// Every URL that describes the others.
pub fn routes() -> Router<Ctx> {
    Router::new().route("/organisation/openapi.json", get(serve)).route("/organisation/docs", get(page::show))
}

async fn serve(State(app): State<Ctx>) -> Json<Value> {
    Json(document(&app))
}

/// The whole document.
pub fn document(app: &App) -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints::all() {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.to_lowercase()] = operation(endpoint);
    }
    let schemas: Map<String, Value> =
        schema::all().into_iter().map(|schema| (schema.name.to_owned(), schema.document())).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bramble management API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Manages the devices, auth keys, device identities and updates of an organisation. \
                The token selects the organisation.",
        },
        "servers": [{ "url": app.config.public_url.as_str().trim_end_matches('/') }],
        "security": [{ "token": [] }],
        "tags": endpoints::GROUPS.map(|name| json!({ "name": name })),
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "rporg_…" } },
            "schemas": schemas,
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut parameters = Vec::new();
    if endpoint.path.contains("{id}") {
        let kind = json!({ "type": "string", "format": "uuid" });
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": kind }));
    }
    parameters.extend(endpoint.query.iter().map(parameter));
    if endpoint.signed {
        parameters.push(header("X-Connect-Identity-Signature", true, "Base64 of the device's signature."));
        parameters.push(header("X-Connect-Timestamp", false, "Unix seconds; signed where it is sent."));
    }
    let mut operation = json!({
        "operationId": endpoint.id,
        "tags": [endpoint.group],
        "summary": endpoint.title,
        "responses": responses(endpoint),
    });
    if !endpoint.text.is_empty() {
        operation["description"] = json!(endpoint.text);
    }
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(body) = &endpoint.body {
        operation["requestBody"] = request(body);
    }
    operation
}

fn header(name: &str, required: bool, text: &str) -> Value {
    let kind = json!({ "type": "string" });
    json!({ "name": name, "in": "header", "required": required, "description": text, "schema": kind })
}

fn example(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn parameter(parameter: &Parameter) -> Value {
    let example = example(parameter.example);
    let kind = if example.is_number() {
        json!({ "type": "integer", "minimum": 1 })
    } else {
        json!({ "type": "string" })
    };
    json!({
        "name": parameter.name, "in": "query", "description": parameter.text, "schema": kind, "example": example
    })
}

fn request(body: &Body) -> Value {
    let required = body.fields.iter().any(|field| field.required);
    let example = example(body.example);
    let form = form_example(&example);
    json!({
        "required": required,
        "content": {
            "application/json": { "schema": fields(body, Field::name, property), "example": example },
            "application/x-www-form-urlencoded":
                { "schema": fields(body, Field::form_name, plain), "example": form },
        },
    })
}

/// All fields of a body, each by its name.
fn fields(body: &Body, name: fn(&Field) -> String, property: fn(&Field) -> Value) -> Value {
    let fields: Map<String, Value> = body.fields.iter().map(|field| (name(field), property(field))).collect();
    let required: Vec<String> = body.fields.iter().filter(|field| field.required).map(name).collect();
    json!({ "type": "object", "properties": fields, "required": required })
}

impl Field {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    /// In forms lists say that they are some.
    fn form_name(&self) -> String {
        if self.kind == Kind::Tags { format!("{}[]", self.name) } else { self.name() }
    }
}

fn form_example(example: &Value) -> Value {
    let name = |name: &String, value: &Value| {
        if value.is_array() { format!("{name}[]") } else { name.clone() }
    };
    let fields = example.as_object().into_iter().flatten();
    Value::Object(fields.map(|(key, value)| (name(key, value), value.clone())).collect())
}

fn tags() -> Value {
    let tag = json!({ "type": "string", "pattern": "^[a-z0-9_-]{1,30}$" });
    json!({ "type": "array", "maxItems": 10, "items": tag })
}

fn property(field: &Field) -> Value {
    let mut schema = plain(field);
    // What may be left out may also be null.
    if matches!(field.kind, Kind::OptionalName | Kind::Tags | Kind::Days) {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema
}

/// Forms have no null.
fn plain(field: &Field) -> Value {
    let mut schema = match field.kind {
        Kind::Name => json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        Kind::OptionalName => json!({ "type": "string", "maxLength": 255 }),
        Kind::Tags => tags(),
        Kind::Days => json!({ "type": "integer", "minimum": 1, "maximum": 90, "default": 1 }),
        Kind::PublicKey => json!({ "type": "string" }),
        Kind::Uri => json!({ "type": "string", "format": "uri", "maxLength": 2048 }),
        Kind::Checksum => json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" }),
        Kind::Id => json!({ "type": "string", "format": "uuid" }),
    };
    schema["description"] = json!(field.text);
    schema
}

fn responses(endpoint: &Endpoint) -> Value {
    let shown = |name: &str| json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
    let json_of = |name: &str| json!({ "application/json": shown(name) });
    let mut all = Map::new();
    match endpoint.answer {
        Answer::Shown(name) => {
            all.insert("200".into(), json!({ "description": "Done.", "content": json_of(name) }));
        }
        Answer::Made(name) => {
            let made = json!({ "description": "Made.", "content": json_of(name), "links": links(endpoint) });
            all.insert("201".into(), made);
        }
        Answer::Deleted(name) => {
            all.insert("204".into(), json!({ "description": "Deleted." }));
            let text = "Deleted; to a request with Prefer: return=representation.";
            all.insert("200".into(), json!({ "description": text, "content": json_of(name) }));
        }
    }
    for status in ALWAYS.into_iter().chain(endpoint.refusals.iter().copied()) {
        let content = if status == 429 {
            json!({ "text/plain": { "schema": { "type": "string", "const": "Throttled" } } })
        } else {
            json_of("Failure")
        };
        all.insert(status.to_string(), json!({ "description": refusal(status), "content": content }));
    }
    Value::Object(all)
}

fn links(endpoint: &Endpoint) -> Value {
    let link = |id: &&str| {
        let parameters = json!({ "id": "$response.body#/id" });
        ((*id).to_owned(), json!({ "operationId": id, "parameters": parameters }))
    };
    Value::Object(endpoint.then.iter().map(link).collect())
}

/// What a status says.
fn refusal(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read, or a value of the query string is none.",
        401 => "The management API access token is invalid.",
        403 => "Not now: the trial has ended and billing has not been set up, or the request's time is off.",
        404 => "There is none in the organisation.",
        413 => "The body is larger than 64 KiB.",
        415 => "The body is neither JSON nor a form.",
        422 => "A field is wrong, or the state of the thing does not allow it. The message says what.",
        429 => "The token made too many requests in this hour.",
        503 => "The server cannot reach its database.",
        _ => "",
    }
}
