//! Bodies: JSON, or the form that stands for it. What cannot be text is marked, so that the field that
//! holds it is refused and not the whole request.

use super::{Failure, MAX_BODY};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};
use std::error::Error;

/// Stands for bytes that are no text. Fields refuse it, and it cannot be kept either.
const NO_TEXT: char = '\0';

/// Takes the whole body in.
pub(super) async fn whole(body: Body) -> Result<Bytes, Failure> {
    axum::body::to_bytes(body, MAX_BODY).await.map_err(|error| {
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(inner) = cause {
            if inner.is::<http_body_util::LengthLimitError>() {
                return too_large();
            }
            cause = inner.source();
        }
        Failure::bad_request("The body did not arrive whole")
    })
}

/// 413.
pub(super) fn too_large() -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB")
}

/// Reads a body by its content type. An empty one has no fields.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => json(body),
        "application/x-www-form-urlencoded" => Ok(form(body)),
        _ => Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send application/json or application/x-www-form-urlencoded",
        )),
    }
}

fn json(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            // Within a string it is [`NO_TEXT`]; elsewhere it is as wrong as the bytes were.
            text.push_str("\\u0000");
        }
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Failure::bad_request("The body must be a JSON object")),
        Err(error) => Err(Failure::bad_request(format!(
            "The body is not valid JSON (line {}, column {})",
            error.line(),
            error.column()
        ))),
    }
}

/// `tags[]=a&tags[]=b` is a list, `tags[]=` the empty one; of a name that is there twice the last wins.
fn form(body: &[u8]) -> Map<String, Value> {
    let mut fields = Map::new();
    for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|b| *b == b'=');
        let (name, value) = at.map_or((pair, &pair[..0]), |at| (&pair[..at], &pair[at + 1..]));
        let (name, value) = (decoded(name), decoded(value));
        let Some(name) = name.strip_suffix("[]") else {
            fields.insert(name, Value::String(value));
            continue;
        };
        let entry = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        if !entry.is_array() {
            *entry = Value::Array(Vec::new());
        }
        if let (Value::Array(list), false) = (entry, value.is_empty()) {
            list.push(Value::String(value));
        }
    }
    fields
}

/// Percent signs and plus signs resolved; what is no text then is marked.
fn decoded(text: &[u8]) -> String {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &after[2..];
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(NO_TEXT);
        }
    }
    text
}

/// Whether a text can be kept.
pub(super) fn is_text(text: &str) -> bool {
    !text.contains(NO_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_are_the_json_they_stand_for() {
        let read = |form: &str| Value::Object(super::form(form.as_bytes()));
        assert_eq!(
            read("description=my+key&ttl_days=1&tags[]=b&tags%5B%5D=a"),
            json!({"description": "my key", "ttl_days": "1", "tags": ["b", "a"]})
        );
        assert_eq!(read("tags[]="), json!({"tags": []}));
        assert_eq!(read("a=1&a=%C3%A9&&b&=x"), json!({"a": "é", "b": "", "": "x"}));
        assert_eq!(read("a=%zz%4"), json!({"a": "%zz%4"}));
        assert_eq!(read("a=x%FFy"), json!({"a": "x\0y"}));
        assert_eq!(read("tags=a&tags[]=b"), json!({"tags": ["b"]}));
    }

    #[test]
    fn json_with_bytes_that_are_no_text_is_still_json() {
        let read = |body: &[u8]| super::json(body).map(Value::Object).map_err(|failure| failure.status());
        assert_eq!(read(b"{\"a\":1,\"a\":2}"), Ok(json!({"a": 2})));
        assert_eq!(read(b"{\"a\":\"x\xFFy\"}"), Ok(json!({"a": "x\0y"})));
        for bad in [&b"{"[..], b"[]", b"null", b"{\"a\":\xFF}", b"\xFF{}", b"{\"a\":1e999}", b"\"x\""] {
            assert_eq!(read(bad), Err(StatusCode::BAD_REQUEST), "{bad:?}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(10_000));
        assert_eq!(read(deep.as_bytes()), Err(StatusCode::BAD_REQUEST));
    }
}
