//! The text that `X-Connect-Signature` signs (part A).
//!
//! It tells a card that moved to another board from the board it was linked on. It protects nothing
//! against replay, and no decision rests on it.

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
