//! Text from people and devices: what is stripped, what is refused, and how it is compared.

use unicode_normalization::UnicodeNormalization;

/// Longest name or description, in characters.
pub const MAX_NAME: usize = 255;
/// Longest email address, in bytes (RFC 5321, 4.5.3.1.3, without the angle brackets).
pub const MAX_EMAIL: usize = 254;

/// Whether a character could fake or disturb the text around it: controls, bidirectional overrides
/// and isolates, zero-width characters that are not joiners, and the line and paragraph separators.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// A name as it is kept: without deceptive characters, white space collapsed, trimmed.
///
/// ```
/// assert_eq!(bramble_model::text::clean("  kiosk\u{202E}\n 3 "), "kiosk 3");
/// ```
pub fn clean(text: &str) -> String {
    let spaced: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_deceptive(*c)).collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The form in which names are compared and searched: NFKC, lower case. Made here so that both
/// database engines agree.
///
/// ```
/// assert_eq!(bramble_model::text::fold("ＫiosK É"), "kiosk é");
/// ```
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// What a program printed, for a page: lines as a terminal would break them, without escape sequences
/// and deceptive characters.
///
/// ```
/// assert_eq!(bramble_model::text::printed("\u{1b}[1;32mok\u{1b}[0m\r\n10%\r20%\tx\u{202E}"), "ok\n10%\n20%\tx");
/// ```
pub fn printed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // Parameters, then one final letter (ECMA-48, 5.4).
                while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            c if is_deceptive(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// At most `limit` characters of a text from a device, cleaned: for fields that are shown and decide
/// nothing, where cutting is kinder than refusing.
pub fn clip(text: &str, limit: usize) -> String {
    clean(text).chars().take(limit).collect()
}

/// Whether this can be a serial number: 1 to 64 printable ASCII characters without a space.
pub fn is_serial_number(text: &str) -> bool {
    (1..=bramble_wire::device_api::MAX_SERIAL_NUMBER).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// An email address in the form in which it is compared, or `None` if it cannot be one. Only the
/// shape is checked: whether it exists, the verification mail tells.
///
/// ```
/// use bramble_model::text::email;
/// assert_eq!(email(" Ann@Example.ORG ").as_deref(), Some("ann@example.org"));
/// assert_eq!(email("ann@localhost\r\nBcc: x@y"), None);
/// ```
pub fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let printable =
        text.chars().all(|c| !c.is_whitespace() && !is_deceptive(c) && !"<>()[],;:\\\"".contains(c));
    let fits = !local.is_empty() && local.len() <= 64 && text.len() <= MAX_EMAIL;
    let domain_fits =
        !domain.is_empty() && !domain.starts_with('.') && !domain.ends_with('.') && !domain.contains("..");
    (printable && fits && domain_fits && !local.contains('@')).then(|| fold(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_deceives_and_keep_what_is_theirs() {
        assert_eq!(clean("a\u{0000}b\u{7f}"), "ab");
        assert_eq!(clean("\u{2066}evil\u{2069}"), "evil");
        assert_eq!(clean("Küche 🍓 \"<b>"), "Küche 🍓 \"<b>");
        assert_eq!(clean(" \t\r\n "), "");
        // Families of emoji are joined by a zero-width joiner.
        assert_eq!(clean("👩\u{200D}💻"), "👩\u{200D}💻");
    }

    #[test]
    fn serial_numbers() {
        assert!(is_serial_number("10000000abcdef01"));
        for bad in ["", "a b", "ü", "a\n", &"1".repeat(65)] {
            assert!(!is_serial_number(bad), "{bad:?}");
        }
    }

    #[test]
    fn addresses() {
        for bad in ["", "@", "a@", "@b", "a b@c", "a@b@c", "a@.b", "a@b..c", "a\n@b", "<a@b>"] {
            assert!(email(bad).is_none(), "{bad:?}");
        }
        assert!(email(&format!("{}@b.c", "a".repeat(65))).is_none());
    }
}
