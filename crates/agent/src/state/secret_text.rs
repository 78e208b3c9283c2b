//! A secret in memory: a token or a key.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// Text that must not be printed: it has no `Display`, its `Debug` hides it, and it is erased when
/// dropped. It serialises, because it is kept in a 0600 file and sent to the server it belongs to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// A key as a person or a file gives it: white space around it does not count. `None` if what is
    /// left cannot be a key, which keeps rubbish (and header injection) away from the server.
    pub fn from_input(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty()
            && text.len() <= bramble_wire::device_api::MAX_STRING
            && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText")
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::SecretText;

    #[test]
    fn it_never_prints_itself() {
        assert_eq!(format!("{:?}", SecretText::new("rpdev_canary".into())), "SecretText");
    }

    #[test]
    fn rubbish_is_no_key() {
        for text in ["", " \n", "two words", "line\r\nbreak", "caf\u{e9}", &"k".repeat(256)] {
            assert!(SecretText::from_input(text).is_none(), "{text:?}");
        }
        assert_eq!(SecretText::from_input(" rpuak_x\n").expect("a key").expose(), "rpuak_x");
    }
}
