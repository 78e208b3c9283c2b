//! What a device's page warns of: a wrong clock, an old client.

use bramble_store::devices::Device;

/// How wrong a clock is believed to be at most, in seconds: a hundred years.
pub(super) const LONGEST_OFF: i64 = 100 * 365 * 24 * 3600;
/// The version of this server, and of the client that is made with it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How wrong the device's clock is, for people: "3 hours ahead", "2 days behind".
pub(super) fn clock(device: &Device) -> Option<String> {
    let off = device.clock_off.filter(|off| *off != 0)?;
    let seconds = off.unsigned_abs();
    let units =
        [(365 * 24 * 3600, "year"), (24 * 3600, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let (size, unit) = units.into_iter().find(|(size, _)| seconds >= *size)?;
    let many = seconds / size;
    let plural = if many == 1 { "" } else { "s" };
    Some(format!("{many} {unit}{plural} {}", if off > 0 { "ahead" } else { "behind" }))
}

/// The version that the device could have instead of its own. Only of our own client, which is the one
/// that says how its clock is.
pub(super) fn update(device: &Device) -> Option<&'static str> {
    device.clock_off?;
    is_older(device.client_version.as_deref()?, VERSION).then_some(VERSION)
}

fn is_older(version: &str, than: &str) -> bool {
    matches!((numbers(version), numbers(than)), (Some(one), Some(other)) if one < other)
}

/// The three numbers of a version; a suffix as in `1.2.0-rc.1` is left out.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let version = version.split(['-', '+']).next()?;
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, than) in [("0.1.0", "0.2.0"), ("0.9.9", "0.10.0"), ("1.2.3", "2.0.0-rc.1")] {
            assert!(is_older(version, than) && !is_older(than, version), "{version} {than}");
        }
        for odd in ["", "1", "1.2", "1.2.3.4", "x.y.z", "99999999999999999999.0.0", "0.2.0", "\u{661}.0.0"] {
            assert!(!is_older(odd, "0.2.0"), "{odd}");
        }
    }
}
