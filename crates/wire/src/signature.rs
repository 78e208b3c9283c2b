//! The texts that are signed in headers (part A).
//!
//! `X-Connect-Signature` tells a card that moved to another board from the board it was linked on. It
//! protects nothing against replay, and no decision rests on it. `X-Connect-Identity-Signature` proves
//! a device identity.

/// Name of the header.
pub const HEADER: &str = "X-Connect-Signature";
/// The headers that are signed, in the order in which clients are known to sign them.
pub const SIGNED_HEADERS: [&str; 5] =
    ["Authorization", "Content-Type", "Accept", "X-Connect-Ttl", "X-Connect-If-Txid"];

/// The message to sign: method, URL, each sent header as `Name: value`, each followed by a line feed,
/// and at the end the lower-case hex SHA-256 of the body if there is one.
///
/// ```
/// # use bramble_wire::signature::message;
/// let text = message("POST", "https://pi.example/me", &[("Accept", "*/*")], Some("ab12"));
/// assert_eq!(text, "POST\nhttps://pi.example/me\nAccept: */*\nab12");
/// ```
pub fn message(method: &str, url: &str, headers: &[(&str, &str)], body_sha256_hex: Option<&str>) -> String {
    let mut text = format!("{method}\n{url}\n");
    for (name, value) in headers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push('\n');
    }
    if let Some(digest) = body_sha256_hex {
        text.push_str(digest);
    }
    text
}

/// Name of the header that proves a device identity.
pub const IDENTITY_HEADER: &str = "X-Connect-Identity-Signature";
/// Name of the header with the time of the request, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "X-Connect-Timestamp";
/// The headers that [`IDENTITY_HEADER`] covers where they are sent, in their order.
pub const IDENTITY_SIGNED_HEADERS: [&str; 4] = ["Authorization", "Content-Type", "Accept", TIMESTAMP_HEADER];

/// The text that a device identity signs: method, URL, each sent header as `Name: value`, and the
/// lower-case hex SHA-256 of the body, one per line, without a line feed at the end.
///
/// ```
/// # use bramble_wire::signature::identity_message;
/// let headers = [("Content-Type", "application/json"), ("Accept", "*/*")];
/// let text = identity_message("POST", "https://pi.example/x", &headers, "ab12");
/// assert_eq!(text, "POST\nhttps://pi.example/x\nContent-Type: application/json\nAccept: */*\nab12");
/// ```
pub fn identity_message(method: &str, url: &str, headers: &[(&str, &str)], body_sha256_hex: &str) -> String {
    let mut text = message(method, url, headers, None);
    text.push_str(body_sha256_hex);
    text
}
