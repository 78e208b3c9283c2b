//! The OpenAPI document against the routes, the documented fields and the real answers.

use super::identities::Board;
use super::{Program, header};
use crate::desk::{Desk, Device};
use axum::body::Body;
use bramble_server::management::openapi::endpoints;
use bramble_server::routes::TABLE;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const DOCUMENT: &str = "/organisation/openapi.json";

async fn document(desk: &Desk) -> Value {
    let request = crate::desk::request(http::Method::GET, DOCUMENT, "203.0.113.5");
    let answer = desk.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(header(&answer, "content-type"), "application/json; charset=utf-8");
    answer.json()
}

/// Names of an object's fields.
fn names(value: &Value) -> Vec<&str> {
    value.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[tokio::test]
async fn it_lists_exactly_the_routes() {
    let desk = Desk::new().await;
    let document = document(&desk).await;
    assert_eq!(
        (&document["openapi"], &document["servers"][0]["url"]),
        (&json!("3.1.0"), &json!("https://pi.example"))
    );
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        described
            .extend(names(operations).into_iter().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let routed: BTreeSet<String> = TABLE
        .iter()
        .filter(|(_, path, _)| path.starts_with("/organisation/"))
        .filter(|(_, path, _)| ![DOCUMENT, "/organisation/docs"].contains(path))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(described, routed);
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
    }
}

/// The fields of the public documentation, in its order.
#[tokio::test]
async fn its_schemas_have_the_documented_fields() {
    let desk = Desk::new().await;
    let schemas = document(&desk).await["components"]["schemas"].clone();
    let key = ["id", "description", "device_name", "tags", "expires_at", "exchanged_at", "created_at"];
    let new_key =
        ["id", "description", "device_name", "tags", "secret", "expires_at", "exchanged_at", "created_at"];
    let identity = ["id", "description", "device_name", "tags", "created_at", "public_key"];
    let device = ["id", "name", "serial_number", "tags", "board", "os", "kernel_architecture", "filters"];
    let deployment = ["id", "state", "state_reason", "device_id", "artefact_id", "created_at", "updated_at"];
    let documented: [(&str, &[&str], &[&str]); 6] = [
        ("AuthKey", &key, &[]),
        ("NewAuthKey", &new_key, &[]),
        ("DeviceIdentity", &identity, &[]),
        ("Device", &device, &[]),
        ("Artefact", &["id", "name", "uri", "checksum"], &[]),
        ("Deployment", &deployment, &[]),
    ];
    for (name, fields, optional) in documented {
        let schema = &schemas[name];
        let of: BTreeSet<&str> = names(&schema["properties"]).into_iter().collect();
        assert_eq!(of, fields.iter().copied().collect(), "{name}");
        let required = schema["required"].as_array().expect("a list").len();
        assert_eq!(required, fields.len() - optional.len(), "{name}");
    }
    for (list, field) in [
        ("AuthKeys", "auth_keys"),
        ("DeviceIdentities", "device_identities"),
        ("Devices", "devices"),
        ("Artefacts", "artefacts"),
        ("Deployments", "deployments"),
    ] {
        let properties = &schemas[list]["properties"];
        assert_eq!(names(&properties["meta"]["properties"]).len(), 4, "{list}");
        assert_eq!(properties[field]["type"], "array", "{list}");
    }
    assert_eq!(schemas["Device"]["properties"]["board"]["type"], json!(["object", "null"]));
    assert_eq!(schemas["Device"]["properties"]["filters"]["required"], json!([]));
    assert_eq!(schemas["AuthKey"]["properties"]["exchanged_at"]["type"], json!(["string", "null"]));
    let states = json!(["pending", "in_progress", "succeeded", "failed", "cancelled"]);
    assert_eq!(schemas["Deployment"]["properties"]["state"]["enum"], states);
}

/// Whether a value is what a schema allows; the few words of the language that the document uses.
fn fits(document: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect("a schema");
        return fits(document, target, value);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(some) => some.iter().any(|one| one == kind),
        _ => true,
    };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let inside = match value {
        Value::Object(fields) => {
            required.into_iter().all(|name| fields.contains_key(name))
                && fields.iter().all(|(name, value)| {
                    schema["properties"].get(name).is_some_and(|schema| fits(document, schema, value))
                })
        }
        Value::Array(list) => list.iter().all(|one| fits(document, &schema["items"], one)),
        _ => true,
    };
    allowed && inside
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The example of a body, as what it is described as, with what only this server knows.
fn written(described: &Value, kind: &str, board: &Board, artefact: Option<&String>) -> Vec<u8> {
    let mut body = described["content"][kind]["example"].clone();
    if !body["public_key"].is_null() {
        body["public_key"] = json!(board.pem());
    }
    if !body["artefact_id"].is_null() {
        body["artefact_id"] = json!(artefact);
    }
    if kind != FORM {
        return body.to_string().into_bytes();
    }
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in body.as_object().expect("an object") {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        assert_eq!(name.ends_with("[]"), value.is_array(), "{name}");
        for value in values {
            form.append_pair(name, value.as_str().unwrap_or(&value.to_string()));
        }
    }
    form.finish().into_bytes()
}

#[tokio::test]
async fn its_examples_are_taken_and_the_answers_fit_its_schemas() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    for (kind, name) in [("application/json", "Shed"), (FORM, "Barn")] {
        let program = Program::of(&desk, desk.organisation(&ann, name).await).await;
        take_examples(&desk, &program, kind).await;
    }
}

async fn take_examples(desk: &Desk, program: &Program<'_>, kind: &str) {
    let document = document(desk).await;
    let device = {
        let made = program.json("POST", "/organisation/auth-keys", json!({ "description": "k" })).await;
        Device::of(desk, &desk.exchange(&made.text("secret"), "s1").await).id.to_string()
    };
    let (mut ids, mut deployments) = (std::collections::HashMap::new(), Vec::new());
    ids.insert("devices", device.clone());
    let mut done = 0;
    // What is made comes before what is shown, and what is deleted last.
    let mut all: Vec<_> = endpoints::all().collect();
    all.sort_by_key(|endpoint| match endpoint.method {
        "POST" => u8::from(endpoint.path.ends_with("/deployments")),
        "DELETE" => 3,
        _ => 2,
    });
    for endpoint in all {
        let noun = endpoint.path.split('/').nth(2).expect("a noun");
        let id = ids.get(noun).cloned().unwrap_or_default();
        let path = endpoint.path.replace("{id}", &id);
        let described = &document["paths"][endpoint.path][endpoint.method.to_lowercase()]["requestBody"];
        let board = Board::new();
        let answer = if endpoint.body.is_none() {
            program.raw(endpoint.method, &path, &[], Vec::new()).await
        } else {
            let body = written(described, kind, &board, ids.get("artefacts"));
            if endpoint.signed {
                board.send(program, Some(kind), &body).await
            } else {
                program.raw(endpoint.method, &path, &[("content-type", kind)], body).await
            }
        };
        let name = endpoint.id;
        // The artefact was deployed.
        let expected = if name == "deleteArtefact" { 422 } else { endpoint.answer.status() };
        assert_eq!(answer.status.as_u16(), expected, "{name}: {}", answer.body);
        if answer.status == StatusCode::CREATED {
            if endpoint.path.ends_with("/deployments") {
                deployments.push(answer.text("id"));
                ids.insert("deployments", answer.text("id"));
            } else {
                ids.insert(noun, answer.text("id"));
            }
        }
        if !answer.body.is_empty() && answer.status.is_success() {
            let schema = json!({ "$ref": format!("#/components/schemas/{}", endpoint.answer.schema()) });
            assert!(fits(&document, &schema, &answer.json()), "{name}: {}", answer.body);
        }
        done += 1;
    }
    assert!(done >= 20 && deployments.len() == 1);
}

#[tokio::test]
async fn bodies_are_described_as_json_and_as_forms() {
    let desk = Desk::new().await;
    let document = document(&desk).await;
    let mut bodies = 0;
    for endpoint in endpoints::all() {
        let described = &document["paths"][endpoint.path][endpoint.method.to_lowercase()]["requestBody"];
        let Some(body) = &endpoint.body else {
            assert!(described.is_null(), "{}", endpoint.id);
            continue;
        };
        bodies += 1;
        let content = &described["content"];
        assert_eq!(names(content), ["application/json", FORM], "{}", endpoint.id);
        let fields: BTreeSet<&str> = body.fields.iter().map(|field| field.name).collect();
        let (json, form) = (&content["application/json"]["schema"], &content[FORM]["schema"]);
        let bare = |schema: &Value| -> BTreeSet<String> {
            names(&schema["properties"]).iter().map(|name| name.trim_end_matches("[]").to_owned()).collect()
        };
        for schema in [json, form] {
            assert!(bare(schema).iter().map(String::as_str).eq(fields.iter().copied()), "{}", endpoint.id);
            let required: Vec<&str> = body.fields.iter().filter(|it| it.required).map(|it| it.name).collect();
            assert_eq!(schema["required"], json!(required), "{}", endpoint.id);
        }
        for (name, property) in form["properties"].as_object().expect("properties") {
            let is_list = property["type"] == "array";
            assert_eq!((name.ends_with("[]"), property["type"].is_string()), (is_list, true), "{name}");
        }
    }
    assert!(bodies >= 7);
}

/// The guide has a request for every endpoint, and none for what does not exist.
#[test]
fn the_guide_has_curl_for_every_endpoint() {
    let guide = include_str!("../../../../../docs/api.md");
    let mut shown = BTreeSet::new();
    for line in
        guide.split("```sh test").skip(1).filter_map(|block| block.split("```").next()).flat_map(str::lines)
    {
        let Some((_, call)) = line.split_once("api ").filter(|(before, _)| !before.contains("()")) else {
            continue;
        };
        let url = call.split("\"$SERVER").nth(1).map(str::to_owned);
        let url = url.or_else(|| {
            call.split("$URL").nth(1).map(|rest| format!("/organisation/device-identities{rest}"))
        });
        let url = url.unwrap_or_else(|| panic!("no address in {line}"));
        let path = url.split(['"', '?']).next().unwrap_or_default();
        let path: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('$') { "{id}" } else { part }).collect();
        let sends = call.contains("--json") || call.contains("--data ");
        let method = match call.split_once("--request ") {
            Some((_, rest)) => rest.split_whitespace().next().unwrap_or_default(),
            None if sends => "POST",
            None => "GET",
        };
        shown.insert(format!("{method} {}", path.join("/")));
    }
    let described: BTreeSet<String> =
        endpoints::all().map(|endpoint| format!("{} {}", endpoint.method, endpoint.path)).collect();
    assert_eq!(shown, described);
}

#[tokio::test]
async fn the_page_shows_everything_and_loads_nothing_from_elsewhere() {
    let desk = Desk::new().await;
    let request = crate::desk::request(http::Method::GET, "/organisation/docs", "203.0.113.5");
    let page = desk.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(page.status, StatusCode::OK);
    for endpoint in endpoints::all() {
        assert!(page.body.contains(&format!("id=\"{}\"", endpoint.id)), "{}", endpoint.id);
    }
    for attribute in ["src=\"", "href=\"", "action=\""] {
        for target in page.body.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(
                target.starts_with('/') && !target.starts_with("//") || target.starts_with('#'),
                "{target}"
            );
        }
    }
    assert!(!page.body.contains("rporg_1") && page.body.contains("$TOKEN"));
}
