//! Artefacts: what devices can be given. The server keeps where it is and what it must be; it never
//! fetches one.

use crate::{phrases, text};
use url::Url;

/// Longest address, in bytes.
pub const MAX_URI: usize = 2048;
/// From where devices fetch.
const SCHEMES: [&str; 6] = ["http", "https", "ftp", "ftps", "sftp", "file"];

/// An artefact's fields as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Name for people.
    pub name: String,
    /// Where devices fetch it.
    pub uri: String,
    /// Lower-case hex SHA-256.
    pub checksum: String,
}

/// What is wrong with the fields, each in a sentence of the contract.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    /// The name.
    pub name: Option<String>,
    /// The address.
    pub uri: Option<String>,
    /// The checksum.
    pub checksum: Option<String>,
}

impl Problems {
    /// The sentences in the order of the fields.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        [&self.name, &self.uri, &self.checksum].into_iter().filter_map(Option::as_deref)
    }
}

impl Description {
    /// Checks what somebody typed or sent.
    ///
    /// ```
    /// use bramble_model::artefact::Description;
    /// let sum = "AB".repeat(32);
    /// let it = Description::new(" App 1.2 ", "https://x.example/app.tar.zst", &sum).expect("valid");
    /// assert_eq!((it.name.as_str(), it.checksum), ("App 1.2", "ab".repeat(32)));
    /// let wrong = Description::new("", "gopher://x/", "").expect_err("three problems");
    /// assert_eq!(
    ///     wrong.sentences().collect::<Vec<_>>(),
    ///     ["Name can't be blank", "Uri is invalid", "Checksum is invalid"],
    /// );
    /// ```
    pub fn new(name: &str, uri: &str, checksum: &str) -> Result<Self, Problems> {
        let (name, uri, checksum) = (text::clean(name), uri.trim(), checksum.trim());
        let problems = Problems {
            name: if name.is_empty() {
                Some(phrases::blank("Name"))
            } else if name.chars().count() > text::MAX_NAME {
                Some(phrases::too_long("Name"))
            } else {
                None
            },
            uri: uri_problem(uri),
            checksum: checksum_problem(checksum),
        };
        if problems != Problems::default() {
            return Err(problems);
        }
        Ok(Self { name, uri: uri.to_owned(), checksum: checksum.to_ascii_lowercase() })
    }
}

/// What is wrong with an address.
pub fn uri_problem(uri: &str) -> Option<String> {
    let uri = uri.trim();
    if uri.is_empty() {
        Some(phrases::blank("Uri"))
    } else {
        (!is_fetchable(uri)).then(|| phrases::URI.to_owned())
    }
}

/// What is wrong with a checksum.
pub fn checksum_problem(checksum: &str) -> Option<String> {
    (!is_sha256(checksum.trim())).then(|| phrases::CHECKSUM.to_owned())
}

/// Whether a device could fetch from here. The text is kept as it is and signed in one line, so white
/// space and what deceives is refused, not removed.
fn is_fetchable(uri: &str) -> bool {
    let plain = uri.len() <= MAX_URI && !uri.chars().any(|c| c.is_whitespace() || text::is_deceptive(c));
    plain
        && Url::parse(uri).is_ok_and(|url| {
            SCHEMES.contains(&url.scheme())
                && if url.scheme() == "file" { url.path().len() > 1 } else { url.has_host() }
        })
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// An address as pages show it: a password in it is for devices only.
///
/// ```
/// use bramble_model::artefact::without_password;
/// assert_eq!(without_password("ftp://ann:secret@x.example/a"), "ftp://ann:…@x.example/a");
/// assert_eq!(without_password("https://x.example/a@b:c"), "https://x.example/a@b:c");
/// ```
pub fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((name, _)) => format!("{scheme}://{name}:…@{host}{path}"),
            None => uri.to_owned(),
        },
        None => uri.to_owned(),
    }
}

/// The same for whoever only looks, and for logs: without the login, and without the query and fragment,
/// which often carry a token.
///
/// ```
/// use bramble_model::artefact::without_secrets;
/// assert_eq!(without_secrets("ftp://ann:secret@x.example/a"), "ftp://…@x.example/a");
/// assert_eq!(without_secrets("https://x.example/a?token=secret#b"), "https://x.example/a?…");
/// assert_eq!(without_secrets("https://x.example/a@b:c"), "https://x.example/a@b:c");
/// ```
pub fn without_secrets(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return "…".to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let host = authority.rsplit_once('@').map(|(_, host)| format!("…@{host}"));
    let (path, more) = rest.find(['?', '#']).map_or((rest, ""), |at| (&rest[..at], "?…"));
    format!("{scheme}://{}{path}{more}", host.as_deref().unwrap_or(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_fetch_from_six_kinds_of_places() {
        for good in [
            "http://x/a",
            "https://x.example:8443/a?b=c#d",
            "ftp://ann:pw@x/a",
            "ftps://x/a",
            "sftp://x/~/a",
            "file:///var/lib/a.tar.zst",
            "HTTPS://x/a",
        ] {
            assert!(is_fetchable(good), "{good}");
        }
        let long = format!("https://x/{}", "a".repeat(MAX_URI));
        for bad in [
            "x",
            "/a",
            "https://",
            "javascript:alert(1)",
            "data:,x",
            "file:",
            "file:///",
            "https://x/a b",
            "https://x/a\nb",
            "https://x/\u{202E}a",
            "ssh://x/a",
            &long,
        ] {
            assert!(!is_fetchable(bad), "{bad}");
        }
    }

    #[test]
    fn checksums_are_64_hexadecimal_digits() {
        let sum = "0123456789abcdefABCDEF".repeat(3);
        assert!(is_sha256(&sum[..64]));
        for bad in [&sum[..63], &sum[..65], &format!("{}g", &sum[..63]), &format!("{}é", &sum[..62])] {
            assert!(!is_sha256(bad), "{bad}");
        }
    }
}
