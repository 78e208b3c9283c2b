//! Proves a device: its token, and its request signature where it sends one or asked for it.
//!
//! [`Device`] is the extractor for requests without a body, [`DeviceBody`] for those with one, because
//! the signature covers the body.

use crate::app::{App, Ctx};
use crate::countries::Country;
use crate::error::ApiFailure;
use crate::front_door::ClientAddress;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bramble_model::{Secret, SecretHash, SecretKind};
use bramble_store::devices::Device as Record;
use bramble_wire::device_api::error::{INVALID_REQUEST, INVALID_SIGNATURE, INVALID_TOKEN, MISSING_TOKEN};
use bramble_wire::{AccountId, DeviceId, signature};
use hmac::{Hmac, KeyInit, Mac};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The largest body of the device API, in bytes: a session description as JSON text, escaped.
pub const MAX_BODY: usize = 160 * 1024;

/// The largest body from a caller without a token, in bytes: linking says little, and strangers are many.
pub const MAX_OPEN_BODY: usize = 16 * 1024;

/// A device that proved itself.
#[derive(Debug, Clone)]
pub struct Device {
    /// Id.
    pub id: DeviceId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name in the dashboard.
    pub name: String,
    /// Its serial number.
    pub serial_number: String,
    /// All that is known of it.
    pub record: Record,
    /// Where the request came from, if that is known.
    pub country: Option<Country>,
}

/// A device that proved itself, and what it sent.
#[derive(Debug)]
pub struct DeviceBody<T>(pub Device, pub T);

/// A body of at most `MOST` bytes from a caller without a token, or from one who was proved before.
#[derive(Debug)]
pub struct OpenBody<T, const MOST: usize = MAX_OPEN_BODY>(pub T);

/// What a caller without a token sent, with all that a signature over it covers.
#[derive(Debug)]
pub struct OpenRequest<T> {
    /// Everything but the body.
    pub parts: Parts,
    /// The body as it came.
    pub body: Bytes,
    /// The body as it was read.
    pub read: T,
}

/// Proves a device from a request's head and its whole body (`None` if it has none).
///
/// `invalid_token` only after the store was asked (or for what cannot be a token); if the store fails the
/// answer is 503 and the device keeps its token.
pub async fn authenticate(app: &App, parts: &Parts, body: Option<&[u8]>) -> Result<Device, ApiFailure> {
    let found = identify(app, parts).await?;
    prove(app, parts, body, found).await
}

/// The token of a request, and the device that it belongs to.
async fn identify(app: &App, parts: &Parts) -> Result<(SecretHash, Record), ApiFailure> {
    let token = bearer(&parts.headers).ok_or_else(no_token)?;
    let Some(token) = Secret::parse(SecretKind::DeviceToken, token).map(|token| token.hash()) else {
        return Err(unknown_token());
    };
    let found = app.store.device_by_token(token).await?.ok_or_else(unknown_token)?;
    Ok((token, found))
}

/// Checks the signature, and notes the first use of a token.
async fn prove(
    app: &App,
    parts: &Parts,
    body: Option<&[u8]>,
    (token, mut found): (SecretHash, Record),
) -> Result<Device, ApiFailure> {
    check_signature(app, parts, body, &found)?;
    if found.token_used_at.is_none() {
        let at = app.clock.now();
        let tx = app.store.begin().await?;
        let first = tx.mark_device_token_used(found.id, token, at).await?;
        tx.commit().await?;
        if !first {
            // Either another request was first, or the token was replaced since it was looked up.
            found = app.store.device_by_token(token).await?.ok_or_else(unknown_token)?;
        }
    }
    Ok(Device {
        id: found.id,
        account: found.account,
        name: found.name.clone(),
        serial_number: found.serial_number.clone(),
        record: found,
        country: app.countries.of_address(ClientAddress::of(parts).0),
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A client that sent one and hears this keeps it: something on the way took it out.
fn no_token() -> ApiFailure {
    ApiFailure::new(
        StatusCode::UNAUTHORIZED,
        MISSING_TOKEN,
        "This needs a device's token in the Authorization header. If the device sent one, a proxy removed it.",
    )
}

fn unknown_token() -> ApiFailure {
    ApiFailure::new(
        StatusCode::UNAUTHORIZED,
        INVALID_TOKEN,
        "This device is not linked, or was signed out. Link it again.",
    )
}

fn check_signature(app: &App, parts: &Parts, body: Option<&[u8]>, device: &Record) -> Result<(), ApiFailure> {
    let wrong = |why: &str| ApiFailure::new(StatusCode::FORBIDDEN, INVALID_SIGNATURE, why);
    let Some(sent) = parts.headers.get(signature::HEADER) else {
        return if device.signing_required {
            Err(wrong(
                "This device asked for signed requests, and this one is not signed. \
                 If the card moved to another board, link it again.",
            ))
        } else {
            Ok(())
        };
    };
    if is_signed(&app.config.public_url, parts, body, &device.serial_number, sent.as_bytes()) {
        Ok(())
    } else {
        tracing::info!(device.id = %device.id, "a device sent a request signature that does not fit its serial number");
        Err(wrong(
            "The signature does not fit the serial number that was linked. \
             If the card moved to another board, link it again.",
        ))
    }
}

/// Whether `sent` signs this request with this serial number, for one of the URLs that the client may
/// have used and one of the two orders of headers.
fn is_signed(
    public_url: &url::Url,
    parts: &Parts,
    body: Option<&[u8]>,
    serial_number: &str,
    sent: &[u8],
) -> bool {
    let mut sent_mac = [0; 32];
    let is_lower_hex = sent.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_lower_hex || hex::decode_to_slice(sent, &mut sent_mac).is_err() {
        return false;
    }
    let key = hex::encode(Sha256::digest(serial_number.as_bytes()));
    let digest = body.filter(|b| !b.is_empty()).map(|b| hex::encode(Sha256::digest(b)));
    let listed = listed_order(&parts.headers);
    let wire = wire_order(&parts.headers);
    let mut any = false;
    for url in urls(public_url, parts) {
        for headers in [&wire, &listed] {
            let text = signature::message(parts.method.as_str(), &url, headers, digest.as_deref());
            // The key may have any length.
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return false };
            mac.update(text.as_bytes());
            any |= mac.verify_slice(&sent_mac).is_ok();
        }
    }
    any
}

/// The URLs that the client may have used: ours, then by its `Host` header, because a proxy or another
/// name of this server may stand between.
pub(crate) fn urls(public_url: &url::Url, parts: &Parts) -> Vec<String> {
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let mut all = vec![format!("{}{path}", public_url.as_str().trim_end_matches('/'))];
    let host = parts.headers.get(header::HOST).and_then(|h| h.to_str().ok());
    // HTTP/2 has the host in the URI.
    if let Some(host) = host.or(uri.authority().map(axum::http::uri::Authority::as_str)) {
        all.extend([format!("https://{host}{path}"), format!("http://{host}{path}")]);
    }
    all
}

fn listed_order(headers: &HeaderMap) -> Vec<(&'static str, &str)> {
    let value = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    signature::SIGNED_HEADERS.into_iter().filter_map(|name| Some((name, value(name)?))).collect()
}

/// A header map keeps names in the order in which they arrived.
fn wire_order(headers: &HeaderMap) -> Vec<(&'static str, &str)> {
    let listed = |name: &str| signature::SIGNED_HEADERS.into_iter().find(|l| l.eq_ignore_ascii_case(name));
    headers.iter().filter_map(|(name, value)| Some((listed(name.as_str())?, value.to_str().ok()?))).collect()
}

impl FromRequestParts<Ctx> for Device {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, app: &Ctx) -> Result<Self, ApiFailure> {
        authenticate(app, parts, None).await
    }
}

impl<T: DeserializeOwned> FromRequest<Ctx> for DeviceBody<T> {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, app: &Ctx) -> Result<Self, ApiFailure> {
        let (parts, body) = request.into_parts();
        // Who asks comes first: a stranger learns nothing about bodies, and none is kept for one.
        let found = identify(app, &parts).await?;
        let body = whole(body, MAX_BODY).await?;
        let device = prove(app, &parts, Some(&body), found).await?;
        Ok(Self(device, read(&parts.headers, &body)?))
    }
}

impl<T: DeserializeOwned, const MOST: usize> FromRequest<Ctx> for OpenBody<T, MOST> {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, _: &Ctx) -> Result<Self, ApiFailure> {
        let (parts, body) = request.into_parts();
        let body = whole(body, MOST).await?;
        Ok(Self(read(&parts.headers, &body)?))
    }
}

impl<T: DeserializeOwned> FromRequest<Ctx> for OpenRequest<T> {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, _: &Ctx) -> Result<Self, ApiFailure> {
        let (parts, body) = request.into_parts();
        let body = whole(body, MAX_OPEN_BODY).await?;
        let read = read(&parts.headers, &body)?;
        Ok(Self { parts, body, read })
    }
}

async fn whole(body: Body, most: usize) -> Result<Bytes, ApiFailure> {
    match axum::body::to_bytes(body, most).await {
        Ok(body) => Ok(body),
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(inner) = cause {
                if inner.is::<http_body_util::LengthLimitError>() {
                    return Err(ApiFailure::new(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        INVALID_REQUEST,
                        "The body is too large.",
                    ));
                }
                cause = inner.source();
            }
            Err(ApiFailure::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, "The body did not arrive whole."))
        }
    }
}

/// Reads JSON or a form. An empty body is an empty object.
fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiFailure> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let bad = |description| ApiFailure::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, description);
    if body.is_empty() {
        return serde_json::from_str("{}").map_err(|_| bad("The body is empty."));
    }
    match kind.as_str() {
        "application/x-www-form-urlencoded" => {
            let value = super::form::to_json(body).ok_or_else(|| bad("The form cannot be read."))?;
            serde_json::from_value(value).map_err(|_| bad("The form has a missing or wrong field."))
        }
        "" | "application/json" => serde_json::from_slice(body)
            .map_err(|_| bad("The body is not the JSON that is expected here: a field is missing or wrong.")),
        _ => {
            Err(ApiFailure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, "Send JSON or a form."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    const SERIAL: &str = "10000000abcdef01";

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post("/me?x=1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn sign(text: &str) -> String {
        let key = hex::encode(Sha256::digest(SERIAL));
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key");
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    fn accepts(parts: &Parts, body: Option<&[u8]>, signature: &str) -> bool {
        let public = url::Url::parse("https://pi.example/").expect("a URL");
        is_signed(&public, parts, body, SERIAL, signature.as_bytes())
    }

    #[test]
    fn every_url_and_both_orders_are_tried() {
        let body = br#"{"a":1}"#;
        let digest = hex::encode(Sha256::digest(body));
        let sent = parts(&[("accept", "*/*"), ("host", "lan:1"), ("authorization", "Bearer t")]);
        for url in ["https://pi.example/me?x=1", "https://lan:1/me?x=1", "http://lan:1/me?x=1"] {
            for headers in
                ["Accept: */*\nAuthorization: Bearer t\n", "Authorization: Bearer t\nAccept: */*\n"]
            {
                let signature = sign(&format!("POST\n{url}\n{headers}{digest}"));
                assert!(accepts(&sent, Some(body), &signature), "{url} {headers}");
                assert!(!accepts(&sent, Some(b"{}"), &signature), "another body");
                assert!(!accepts(&sent, Some(body), &signature.to_uppercase()), "upper case");
            }
        }
        let elsewhere = sign(&format!("POST\nhttps://evil.example/me?x=1\nAccept: */*\n{digest}"));
        assert!(!accepts(&sent, Some(body), &elsewhere));
        for garbage in ["", "00", "zz", &"0".repeat(64), &"0".repeat(4096)] {
            assert!(!accepts(&sent, Some(body), garbage));
        }
    }
}
