//! Values as text: durations, sizes, lists, addresses; and back to text.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::error::shown;
use crate::store::members::Tags;

/// What is wrong with a value, as the end of a sentence that begins with the setting's name and the value.
pub(super) type Parsed<T> = Result<T, String>;

/// Bytes that all tags of a member may have together, so that a member's record fits a packet: each name and value
/// with one byte for its length.
pub const MAX_TAGS: usize = 600;

const MAX_TAG_NAME: usize = 64;
const MAX_TAG_VALUE: usize = 255;
const MAX_SEEDS: usize = 64;

/// A number with decimals and a unit, as a count of the smallest unit. `units` gives the factor of each unit, the empty
/// one for a bare number.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))?.1;
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
        Some(_) => return None,
        None => (number, ""),
    };
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > 9 || decimals.contains('.') {
        return None;
    }
    let part = decimals.bytes().fold(0, |n, digit| n * 10 + u128::from(digit - b'0')) * u128::from(factor);
    let denominator = 10u128.pow(decimals.len() as u32);
    // Finer than the smallest unit is refused rather than rounded.
    let part = (part.is_multiple_of(denominator)).then_some(part / denominator)?;
    whole.checked_add(u64::try_from(part).ok()?)
}

/// A duration: "300ms", "1s", "1.5s", "10m", "2h"; a bare number counts milliseconds, which is also the resolution.
pub(super) fn duration(text: &str) -> Option<Duration> {
    scaled(text, &[("", 1), ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]).map(Duration::from_millis)
}

/// The shortest text that [`duration`] reads as `d`.
pub(super) fn show_duration(d: Duration) -> String {
    let ms = d.as_millis();
    for (unit, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms != 0 && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    format!("{ms}ms")
}

/// A size in bytes: "1400", "64KiB", "16MiB", "10MB".
pub(super) fn size(text: &str) -> Option<u64> {
    scaled(
        text,
        &[
            ("", 1),
            ("B", 1),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("kB", 1000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
        ],
    )
}

/// The shortest text that [`size`] reads as `bytes`.
pub(super) fn show_size(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes != 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// A name: no control characters, no space around it, at most `max` bytes.
pub(super) fn name(text: &str, max: usize) -> Parsed<String> {
    if text.len() > max {
        return Err(format!("has {} bytes; at most {max} are allowed", text.len()));
    }
    if text.trim() != text {
        return Err("begins or ends with a space".into());
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character".into());
    }
    Ok(text.into())
}

/// The items of a comma-separated list, without the space around them. An empty text is an empty list.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    text.split(',').map(str::trim).filter(move |_| !text.is_empty())
}

/// Tags: "name=value,name=value".
pub(super) fn tags(text: &str) -> Parsed<Tags> {
    let mut tags = Tags::new();
    for item in items(text) {
        let Some((name, value)) = item.split_once('=') else {
            return Err(format!("has the item {}; tags are name=value,name=value", shown(item)));
        };
        let (name, value) = (name.trim_end(), value.trim_start());
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || name.len() > MAX_TAG_NAME || !name.chars().all(legal) {
            return Err(format!(
                "has the tag name {}; names are 1 to {MAX_TAG_NAME} of A-Z a-z 0-9 _ . -",
                shown(name)
            ));
        }
        if value.len() > MAX_TAG_VALUE || value.chars().any(char::is_control) {
            return Err(format!(
                "has a value of {} bytes for the tag {name}; values are up to {MAX_TAG_VALUE} bytes without control characters",
                value.len()
            ));
        }
        if tags.insert(name.into(), value.into()).is_some() {
            return Err(format!("names the tag {name} twice"));
        }
    }
    let total = tags_size(&tags);
    if total > MAX_TAGS {
        return Err(format!("makes {total} bytes of tags; at most {MAX_TAGS} are allowed, so that they fit a packet"));
    }
    Ok(tags)
}

/// What [`MAX_TAGS`] bounds.
pub(super) fn tags_size(tags: &Tags) -> usize {
    tags.iter().map(|(name, value)| name.len() + value.len() + 2).sum()
}

/// The text that [`tags`] reads as `tags`.
pub(super) fn show_tags(tags: &Tags) -> String {
    tags.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Seeds: "host:port,host:port". One that is named twice counts once.
pub(super) fn seeds(text: &str) -> Parsed<Vec<String>> {
    let mut seeds: Vec<String> = Vec::new();
    for item in items(text) {
        let port = host_and_port(item)?;
        if port.is_none_or(|port| port == 0) {
            return Err(format!("has the seed {}; a seed needs a port, as in host:4711", shown(item)));
        }
        if !seeds.iter().any(|s| s == item) {
            seeds.push(item.into());
        }
    }
    if seeds.len() > MAX_SEEDS {
        return Err(format!("names {} seeds; at most {MAX_SEEDS} are allowed", seeds.len()));
    }
    Ok(seeds)
}

/// An address to bind: an IP address of this machine (or "localhost"), a port, or both; or nothing.
pub(super) fn bind(text: &str) -> Parsed<String> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let port_alone = ["localhost:", ":"].iter().any(|host| text.strip_prefix(host).and_then(port).is_some());
    if text.is_empty() || port_alone || bare.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
        return Ok(text.into());
    }
    // A name would have to be looked up, and opening a node waits for no look-up.
    Err("is not an IP address with a port; as in :4711, 0.0.0.0:4711, [::]:0, 10.0.0.7:4711".into())
}

/// Digits that are a port; without the sign that the standard library would take.
fn port(text: &str) -> Option<u16> {
    Some(text).filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// An address to advertise: a host, with or without a port, or nothing.
pub(super) fn advertise(text: &str) -> Parsed<String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    let bare = text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()));
    if bare.is_some_and(|ip| ip.is_unspecified()) {
        return Err("is an address that nobody can send to".into());
    }
    if text.parse::<Ipv6Addr>().is_err() && host_and_port(text)? == Some(0) {
        return Err("has port 0; leave the port out for the one that was bound".into());
    }
    Ok(text.into())
}

/// Checks "host", "host:port", "1.2.3.4:port", "[v6]:port", "[v6]"; gives the port.
fn host_and_port(text: &str) -> Parsed<Option<u16>> {
    let (host, after_colon) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((host, after)) = rest.split_once(']') else {
                return Err(format!("has {}, where the bracket is not closed", shown(text)));
            };
            // A numeric scope (fe80::1%2) is part of the address.
            let (ip, scope) = host.split_once('%').unwrap_or((host, "0"));
            if ip.parse::<Ipv6Addr>().is_err() || scope.parse::<u32>().is_err() {
                return Err(format!("has {}, where {} is not an IPv6 address", shown(text), shown(host)));
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(format!("has {}; after the bracket comes :port", shown(text))),
            }
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(format!("has {}; an IPv6 address stands in brackets, as in [::1]:4711", shown(text)));
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let bracketed = text.starts_with('[');
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !bracketed && (host.is_empty() || host.len() > 253 || !host.chars().all(legal)) {
        return Err(format!("has {}, where {} is neither a host name nor an IP address", shown(text), shown(host)));
    }
    match after_colon {
        None => Ok(None),
        Some(digits) => match port(digits) {
            Some(port) => Ok(Some(port)),
            None => Err(format!("has {}, where {} is not a port (1 to 65535)", shown(text), shown(digits))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("300ms", 300),
            ("300", 300),
            ("1s", 1000),
            ("1.5s", 1500),
            ("0.001s", 1),
            ("1.050s", 1050),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("0.5h", 1_800_000),
            ("0", 0),
            ("3 s", 3000),
            ("3S", 3000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1.s", ".5s", "1.5.5s", "1.0005s", "0.5ms", "1d", "1e3", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for ms in [0, 1, 300, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000, u64::MAX / 3_600_000 * 3_600_000] {
            let d = Duration::from_millis(ms);
            assert_eq!(duration(&show_duration(d)), Some(d));
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1400", 1400),
            ("1400B", 1400),
            ("64KiB", 65_536),
            ("16MiB", 16 << 20),
            ("1.5KiB", 1536),
            ("10MB", 10_000_000),
            ("2GiB", 2 << 30),
            ("1.25 kB", 1250),
            ("1.25KiB", 1280),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "1K", "-1", "1.0005kB", "0.3KiB", "1.55KiB", "1.2.5KiB", "17179869184GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
        for bytes in [0, 1, 1000, 1024, 1400, 16 << 20, 3 << 30] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
    }

    #[test]
    fn tags_are_checked() {
        let read = tags("zone=eu-1, role = db,empty=").unwrap();
        assert_eq!(show_tags(&read), "empty=,role=db,zone=eu-1");
        assert_eq!(tags("  ").unwrap(), Tags::new());
        assert_eq!(tags("formula=a=b").unwrap()["formula"], "a=b");
        for text in ["zone", "=x", "a b=x", "é=x", "a=1,a=2", "a=1,,b=2", "a=x\ny"] {
            assert!(tags(text).is_err(), "{text}");
        }
        assert!(tags(&format!("{}=x", "n".repeat(65))).is_err());
        assert!(tags(&format!("n={}", "x".repeat(256))).is_err());
        let v = "x".repeat(200);
        assert!(tags(&format!("a={v},b={v}")).is_ok());
        assert!(tags(&format!("a={v},b={v},c={v}")).is_err());
    }

    #[test]
    fn seeds_are_checked() {
        assert_eq!(
            seeds("a.example:1, [::1]:2,10.0.0.1:3,a.example:1,[fe80::1%2]:4").unwrap(),
            ["a.example:1", "[::1]:2", "10.0.0.1:3", "[fe80::1%2]:4"]
        );
        assert!(seeds("").unwrap().is_empty());
        for text in
            ["a", "a:0", "a:", "a:x", "a:65536", "a:+1", ":1", "::1:4", "[::1]", "[::1", "[x]:1", "a:1,", "a b:1"]
        {
            assert!(seeds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        for text in ["", ":4711", "0.0.0.0:0", "[::]:4711", "[::1]", "::1", "10.0.0.7", "localhost:0", " 127.0.0.1:1 "]
        {
            assert_eq!(bind(text).as_deref(), Ok(text.trim()));
        }
        for text in [":", ":x", ":+1", ":65536", "4711", "localhost", "host:1", "[10.0.0.7:1", "[::1]:"] {
            assert!(bind(text).is_err(), "{text}");
        }
        for text in ["", "host", "host:1", "10.0.0.7", "10.0.0.7:1", "::1", "[::1]", "[::1]:1"] {
            assert_eq!(advertise(text).as_deref(), Ok(text));
        }
        for text in ["0.0.0.0", "[::]:1", "::", "host:0", "a b", "1:2:3"] {
            assert!(advertise(text).is_err(), "{text}");
        }
    }
}
