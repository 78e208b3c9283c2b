//! Which country an address is in, by a database of networks on this machine. Nothing is asked of
//! anybody, and no address is kept: the two letters are.

use maxminddb::{Reader, path};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

/// Where packages put the database.
pub const INSTALLED: &str = "/usr/share/bramble/countries.mmdb";

/// A country by its two letters (ISO 3166-1 alpha-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country([u8; 2]);

impl Country {
    fn parse(code: &str) -> Option<Self> {
        let letters: [u8; 2] = code.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| fmt::Write::write_char(f, char::from(*letter)))
    }
}

/// The database, or none: then no country is known.
#[derive(Default)]
pub struct Countries(Option<Reader<Vec<u8>>>);

impl Countries {
    /// Reads a file in MaxMind's format, as DB-IP, MaxMind and ip-location-db publish it, or says what is
    /// wrong with it.
    pub fn open(file: &Path) -> Result<Self, String> {
        let reader = Reader::open_readfile(file).map_err(|error| error.to_string())?;
        Ok(Self(Some(reader)))
    }

    /// The database of the configuration, else the installed one. One that cannot be read is told in the
    /// log and done without: countries are no reason not to start.
    pub fn of(chosen: Option<&Path>) -> Self {
        let installed = Path::new(INSTALLED);
        let Some(file) = chosen.or_else(|| installed.exists().then_some(installed)) else {
            return Self::default();
        };
        Self::open(file).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), error, "countries stay unknown");
            Self::default()
        })
    }

    /// Where an address is, if that is known. Addresses of private networks are nowhere, whatever the
    /// database says of them.
    pub fn of_address(&self, address: IpAddr) -> Option<Country> {
        let address = Some(address.to_canonical()).filter(|address| !is_local(*address))?;
        let found = self.0.as_ref()?.lookup(address).ok()?;
        let text = |path: &[_]| found.decode_path::<&str>(path).ok().flatten();
        let code = text(&path!["country_code"]).or_else(|| text(&path!["country", "iso_code"]))?;
        Country::parse(code)
    }
}

/// Whether an address belongs to no place in the world (RFC 6890).
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && second & 0xC0 == 64;
            shared
                || first == 0
                || v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || v4.is_multicast()
                || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            let documentation = v6.segments()[..2] == [0x2001, 0x0DB8];
            documentation
                || v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
        }
    }
}

impl fmt::Debug for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Countries").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_capital_letters() {
        assert_eq!(Country::parse("DE").map(|it| it.to_string()).as_deref(), Some("DE"));
        for no in ["", "D", "de", "DEU", "1A", "=A", "Ä"] {
            assert_eq!(Country::parse(no), None, "{no}");
        }
    }

    #[test]
    fn without_a_database_nothing_is_known() {
        assert_eq!(Countries::default().of_address(IpAddr::from([9, 9, 9, 9])), None);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("no.mmdb");
        assert!(Countries::open(&file).is_err());
        std::fs::write(&file, vec![0xAB; 4096]).expect("writes");
        assert!(Countries::open(&file).is_err());
        assert_eq!(Countries::of(Some(&file)).of_address(IpAddr::from([9, 9, 9, 9])), None);
    }
}
