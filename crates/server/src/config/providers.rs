//! The OpenID Connect providers that people may sign in with: a TOML file of its own, because each has
//! several values and one is a secret.

use super::{Hidden, is_loopback};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use url::Url;

/// Most providers: as many as a page can show.
const MAX_PROVIDERS: usize = 10;

/// A provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// In this server's addresses; the provider is told them, so it does not change.
    pub id: String,
    /// On buttons.
    pub name: String,
    /// By which the provider calls itself, exactly.
    pub issuer: String,
    /// By which the provider knows this server.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Hidden,
    /// Whether addresses that it calls verified are believed.
    pub trust_email: bool,
    /// Whether it asks for a second factor itself, so that none is asked for here.
    pub provides_2fa: bool,
    /// Whether people whom it names may join, whatever `registration` says.
    pub sign_up: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    id: String,
    name: String,
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
    client_secret_file: Option<PathBuf>,
    #[serde(default)]
    trust_email: bool,
    #[serde(default)]
    provides_2fa: bool,
    #[serde(default)]
    sign_up: bool,
}

/// Reads the file. The error is a sentence that says what to change.
pub fn read(path: &Path) -> Result<Vec<Provider>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}.", path.display()))?;
    // Not the parser's own words: they quote the line, which may hold a secret.
    let file: File = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or_default().lines().count());
        format!("{}: {} (near line {}).", path.display(), error.message(), line.max(1))
    })?;
    if file.provider.is_empty() {
        return Err(format!("{} has no [[provider]].", path.display()));
    }
    if file.provider.len() > MAX_PROVIDERS {
        return Err(format!("{} has more than {MAX_PROVIDERS} providers.", path.display()));
    }
    let mut providers: Vec<Provider> = Vec::new();
    for entry in file.provider {
        let id = entry.id.clone();
        let provider = checked(entry).map_err(|problem| format!("provider {id:?}: {problem}"))?;
        if providers.iter().any(|other| other.id == provider.id || other.issuer == provider.issuer) {
            return Err(format!("provider {id:?}: its id or issuer is there twice."));
        }
        providers.push(provider);
    }
    Ok(providers)
}

fn checked(entry: Entry) -> Result<Provider, String> {
    let plain = entry.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if entry.id.is_empty() || entry.id.len() > 30 || !plain {
        return Err("an id is 1 to 30 of the characters a-z, 0-9 and -.".to_owned());
    }
    if entry.name.trim().is_empty() || entry.name.chars().count() > 50 {
        return Err("give it a name of at most 50 characters.".to_owned());
    }
    let issuer = Url::parse(&entry.issuer).map_err(|_| "issuer is no URL.".to_owned())?;
    let safe = issuer.scheme() == "https" || (issuer.scheme() == "http" && is_loopback(&issuer));
    if !safe || issuer.query().is_some() || issuer.fragment().is_some() {
        return Err("issuer is an https URL without ? and #.".to_owned());
    }
    let secret = match (entry.client_secret, entry.client_secret_file) {
        (Some(secret), None) => secret,
        (None, Some(path)) => std::fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("{} cannot be read: {error}.", path.display()))?,
        _ => return Err("give it either client-secret or client-secret-file.".to_owned()),
    };
    if secret.is_empty() || entry.client_id.is_empty() {
        return Err("client-id and client secret are not empty.".to_owned());
    }
    Ok(Provider {
        id: entry.id,
        name: entry.name.trim().to_owned(),
        issuer: entry.issuer,
        client_id: entry.client_id,
        client_secret: Hidden::new(secret),
        trust_email: entry.trust_email,
        provides_2fa: entry.provides_2fa,
        sign_up: entry.sign_up,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Provider>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("providers.toml");
        std::fs::write(&path, text).expect("written");
        read(&path)
    }

    const GOOD: &str = "[[provider]]\nid = \"corp\"\nname = \"Corp\"\nissuer = \"https://login.example\"\n\
                        client-id = \"bramble\"\nclient-secret = \"hunter2\"\n";

    #[test]
    fn a_provider_is_read_and_its_secret_is_not_printed() {
        let providers = read_text(&format!("{GOOD}trust-email = true\n")).expect("one");
        let corp = &providers[0];
        assert!(corp.trust_email && !corp.provides_2fa && !corp.sign_up);
        assert_eq!(corp.client_secret.expose(), "hunter2");
        assert!(!format!("{providers:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_its_secret() {
        for (from, to) in [
            ("https://login", "http://login"),
            ("https://login.example", "https://login.example?a"),
            ("\"corp\"", "\"Corp/..\""),
            ("client-secret = \"hunter2\"", "client-secret = \"\""),
            ("client-secret = \"hunter2\"", "client-secret = \"hunter2"),
            ("client-secret", "client-sekret"),
            ("client-secret = \"hunter2\"", "client-secret = \"hunter2\"\nclient-secret-file = \"x\""),
        ] {
            let problem = read_text(&GOOD.replace(from, to)).expect_err(to);
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        read_text(&format!("{GOOD}{GOOD}")).expect_err("twice");
        read_text("").expect_err("nothing");
        let local = GOOD.replace("https://login.example", "http://127.0.0.1:9000");
        read_text(&local).expect("plain HTTP to this machine");
    }
}
