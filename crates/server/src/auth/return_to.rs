//! Where a person goes after signing in: a path of this server and nothing else.

use serde::Deserialize;
use std::fmt;

/// Where a person goes without another wish.
pub const HOME: &str = "/";
/// Longest path that is remembered, in bytes: longer than any page's address.
const MAX_LENGTH: usize = 2048;

/// A path of this server, with its query. Whatever else somebody sends becomes [`HOME`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct ReturnTo(String);

impl ReturnTo {
    /// Keeps a local path, forgets anything else.
    pub fn new(text: &str) -> Self {
        if is_local_path(text) { Self(text.to_owned()) } else { Self::default() }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The page `path` with this as its `return_to`.
    pub fn on(&self, path: &str) -> String {
        if *self == Self::default() {
            return path.to_owned();
        }
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", &self.0).finish();
        format!("{path}?{query}")
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self(HOME.to_owned())
    }
}

impl From<String> for ReturnTo {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl fmt::Debug for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Paths may carry codes and tokens.
        f.write_str("ReturnTo")
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a browser that follows this text as a `Location` stays on this server. Browsers take a
/// backslash for a slash and drop tabs and line breaks, so `/\evil` and `/\t/evil` lead away.
fn is_local_path(text: &str) -> bool {
    text.len() <= MAX_LENGTH
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_kept() {
        let local =
            ["/", "/devices", "/verify/TKD8-F392", "/devices?q=os:bookworm&x=%2F%2Fa", "/a//b", "/@a"];
        for path in local {
            assert_eq!(ReturnTo::new(path).as_str(), path);
        }
        let away = [
            "",
            "devices",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\b",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            " /devices",
            "/de vices",
            "/ü",
            "/\u{0}",
            "@evil.example",
            "?a",
            "#a",
            "/\r\nSet-Cookie: a=b",
        ];
        for path in away {
            assert_eq!(ReturnTo::new(path).as_str(), "/", "{path:?}");
        }
        assert_eq!(ReturnTo::new(&format!("/{}", "a".repeat(3000))).as_str(), "/");
    }

    #[test]
    fn every_kept_path_resolves_to_this_server() {
        let base = url::Url::parse("https://here.example").expect("a URL");
        for path in
            ["/a", "/a//b", "/%5cevil", "/..//evil.example", "/.//evil.example", "/a/..//evil", "/?//b"]
        {
            let kept = ReturnTo::new(path);
            let led = base.join(kept.as_str()).expect("joins");
            assert_eq!(led.host_str(), Some("here.example"), "{path:?}");
        }
    }

    #[test]
    fn a_page_carries_it_escaped() {
        assert_eq!(ReturnTo::new("/a?b=c&d").on("/sign-in"), "/sign-in?return_to=%2Fa%3Fb%3Dc%26d");
        assert_eq!(ReturnTo::default().on("/sign-in"), "/sign-in");
    }
}
