//! What an address says, decoded.

use super::Trouble;

/// A part of the address as it was meant. A line feed in it would be a command of its own to some servers.
pub(super) fn text(part: &str) -> Result<String, Trouble> {
    let bytes: Vec<u8> = percent_decoded(part);
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control));
    text.ok_or_else(|| Trouble::Final("the address has characters that no file name has".to_owned()))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let value = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_smuggle_a_command() {
        assert_eq!(text("a%20b/%c3%a4.zst").ok().as_deref(), Some("a b/ä.zst"));
        assert!(text("a%0d%0aDELE%20b").is_err());
        assert_eq!(percent_decoded("100%"), b"100%");
    }
}
