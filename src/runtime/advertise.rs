//! The address that others are told to reach this node at.
//!
//! In this order: the setting `advertise`; the bound address, if it is not a wildcard; the source address of the route
//! to the first seed that resolves, never loopback when a seed is not; without seeds the source address towards the
//! rest of the world, or loopback on a host that has no such route. No packet is sent to find any of this out, and
//! opening waits for no look-up: a node begins with the best guess, and [`Choice::later`] says what decides.
//!
//! A host may lose the address that was chosen so (DHCP, roaming): it is looked for now and then, and another one chosen
//! in the same way. As long as the host has it, it stands, whatever routes change.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::fork::FdGuard;
use super::resolve::literal;
use super::socket::{Family, plain};
use crate::error::{Error, Result, Status, shown};

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The address, or the best guess so far.
    pub address: SocketAddr,
    /// What remains to be found out.
    pub later: Later,
}

/// What decides about the address after the node has been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Later {
    /// Nothing: it stands.
    Nothing,
    /// The look-up of this `host:port`: the setting `advertise` is a name.
    Name(String),
    /// The route to the first seed that can be looked up.
    Seeds,
}

/// Chooses for sockets bound to `local`.
pub fn choose(advertise: &str, seeds: &[String], local: SocketAddr, family: Family) -> Result<Choice> {
    let local = plain(local);
    let settled = |ip: IpAddr| Choice { address: SocketAddr::new(ip, local.port()), later: Later::Nothing };
    if !advertise.is_empty() {
        return explicit(advertise, local.port(), family);
    }
    if !local.ip().is_unspecified() {
        return Ok(settled(local.ip()));
    }
    if seeds.is_empty() {
        return Ok(settled(outward(family).unwrap_or_else(|| loopback(family))));
    }

    let mut on_loopback = None;
    let mut why = Vec::new();
    for (seed, address) in seeds.iter().filter_map(|s| Some((s, literal(s)?))) {
        match towards(address, family) {
            Ok(ip) if ip.is_loopback() => on_loopback = on_loopback.or(Some(ip)),
            Ok(ip) => return Ok(settled(ip)),
            Err(e) => why.push(format!("{seed}: {e}")),
        }
    }
    if seeds.iter().any(|s| literal(s).is_none()) {
        let guess = on_loopback.or_else(|| outward(family)).unwrap_or_else(|| loopback(family));
        return Ok(Choice { later: Later::Seeds, ..settled(guess) });
    }
    match on_loopback {
        Some(ip) if why.is_empty() => Ok(settled(ip)),
        _ => Err(Error::new(
            Status::Advertise,
            format!(
                "no address can be chosen for others to reach this node at: this host has no route to a seed ({}); set \
                 advertise, or bind to one address",
                why.join("; ")
            ),
        )),
    }
}

fn explicit(advertise: &str, port: u16, family: Family) -> Result<Choice> {
    let with_port = |address: SocketAddr| {
        let address = plain(address);
        if address.ip().is_unspecified() {
            return Err(Error::new(
                Status::Advertise,
                format!("advertise is {}: others can not reach a node at a wildcard address", shown(advertise)),
            ));
        }
        let port = if address.port() == 0 { port } else { address.port() };
        Ok(Choice { address: SocketAddr::new(address.ip(), port), later: Later::Nothing })
    };
    if let Ok(address) = advertise.parse::<SocketAddr>() {
        return with_port(address);
    }
    let bare = advertise.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(advertise);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return with_port(SocketAddr::new(ip, 0));
    }
    let (host, port) = match advertise.rsplit_once(':') {
        None => (advertise, port),
        Some((host, digits)) => match digits.parse::<u16>() {
            Ok(given) if !host.is_empty() && !host.contains([':', '[', ']']) => {
                (host, if given == 0 { port } else { given })
            }
            _ => {
                return Err(Error::new(
                    Status::Advertise,
                    format!("advertise is {}: host, host:port or [IPv6 address]:port is needed", shown(advertise)),
                ));
            }
        },
    };
    let guess = outward(family).unwrap_or_else(|| loopback(family));
    Ok(Choice { address: SocketAddr::new(guess, port), later: Later::Name(format!("{host}:{port}")) })
}

/// The source address of the route to `to`; an error in words if it would be of no use to others.
pub fn towards(to: SocketAddr, family: Family) -> std::result::Result<IpAddr, String> {
    if family.map(to).is_none() {
        return Err("of the other IP version than this node is bound to".into());
    }
    match route(to) {
        Ok(ip) if ip.is_unspecified() => Err("no route".into()),
        Ok(ip) if ip.is_loopback() && !to.ip().is_loopback() && !to.ip().is_unspecified() => {
            Err("reached by the loopback interface only".into())
        }
        Ok(ip) => Ok(ip),
        Err(e) => Err(e.to_string()),
    }
}

/// Connecting a datagram socket sends nothing: the system only chooses the route, and with it the source address.
fn route(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(to)?;
    Ok(plain(socket.local_addr()?).ip())
}

/// Whether this host has an address. Where a system lets sockets be bound to any address, it always has.
pub fn is_here(ip: IpAddr) -> bool {
    match UdpSocket::bind(SocketAddr::new(ip, 0)) {
        Ok(socket) => {
            // A process may fork at any time.
            let _guard = FdGuard::new(&socket);
            true
        }
        // Any other error says nothing about the address.
        Err(e) => e.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// The source address of the route to the first of these addresses that has one of use to others.
pub fn towards_any(addresses: &[SocketAddr], family: Family) -> Option<IpAddr> {
    addresses.iter().filter_map(|&to| towards(to, family).ok()).find(|ip| !ip.is_loopback())
}

/// The source address towards the rest of the world; IPv4 where there is both, since more peers can reach that.
pub fn outward(family: Family) -> Option<IpAddr> {
    // Addresses kept for documentation (RFC 5737, RFC 3849): nobody is there, and they take the default route.
    let far: [SocketAddr; 2] = [
        SocketAddr::new(Ipv4Addr::new(198, 51, 100, 1).into(), 9),
        SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), 9),
    ];
    far.into_iter().find_map(|to| towards(to, family).ok())
}

fn loopback(family: Family) -> IpAddr {
    match family {
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
        Family::V4 | Family::Dual => Ipv4Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(advertise: &str, seeds: &[&str], local: &str, family: Family) -> Result<Choice> {
        let seeds: Vec<String> = seeds.iter().map(|s| s.to_string()).collect();
        choose(advertise, &seeds, local.parse().unwrap(), family)
    }

    fn address(advertise: &str, seeds: &[&str], local: &str, family: Family) -> String {
        let choice = chosen(advertise, seeds, local, family).unwrap();
        assert_eq!(choice.later, Later::Nothing);
        choice.address.to_string()
    }

    #[test]
    fn the_setting_comes_first() {
        assert_eq!(address("10.0.0.7", &[], "0.0.0.0:4711", Family::V4), "10.0.0.7:4711");
        assert_eq!(address("10.0.0.7:0", &[], "0.0.0.0:4711", Family::V4), "10.0.0.7:4711");
        assert_eq!(address("10.0.0.7:80", &["127.0.0.1:1"], "127.0.0.1:4711", Family::V4), "10.0.0.7:80");
        assert_eq!(address("fd00::7", &[], "[::]:4711", Family::Dual), "[fd00::7]:4711");
        assert_eq!(address("[fd00::7]", &[], "[::]:4711", Family::Dual), "[fd00::7]:4711");
        assert_eq!(address("[fd00::7]:80", &[], "[::]:4711", Family::Dual), "[fd00::7]:80");
    }

    #[test]
    fn a_name_is_looked_up_later() {
        let later = |advertise| chosen(advertise, &[], "0.0.0.0:4711", Family::V4).unwrap().later;
        assert_eq!(later("host.example"), Later::Name("host.example:4711".into()));
        assert_eq!(later("host.example:0"), Later::Name("host.example:4711".into()));
        assert_eq!(later("host.example:80"), Later::Name("host.example:80".into()));
    }

    #[test]
    fn a_setting_of_no_use_is_an_error() {
        for advertise in ["0.0.0.0", "[::]:4711", "host:port", ":80", "a:b:80", "[fd00::7"] {
            let error = chosen(advertise, &[], "0.0.0.0:4711", Family::V4).unwrap_err();
            assert_eq!(error.status(), Status::Advertise, "{advertise}");
        }
    }

    #[test]
    fn then_the_bound_address() {
        assert_eq!(address("", &["10.9.9.9:1"], "127.0.0.1:4711", Family::V4), "127.0.0.1:4711");
        assert_eq!(address("", &[], "[::1]:4711", Family::V6), "[::1]:4711");
        assert_eq!(address("", &[], "[::ffff:10.0.0.7]:4711", Family::V6), "10.0.0.7:4711");
    }

    #[test]
    fn then_the_route_to_a_seed() {
        assert_eq!(address("", &["127.0.0.1:1"], "0.0.0.0:4711", Family::V4), "127.0.0.1:4711");
        assert_eq!(address("", &["127.0.0.1:1"], "[::]:4711", Family::Dual), "127.0.0.1:4711");
        // A name may turn out to be anything: the guess stands until then.
        let choice = chosen("", &["seed.example:1", "127.0.0.1:1"], "0.0.0.0:4711", Family::V4).unwrap();
        assert_eq!(choice, Choice { address: "127.0.0.1:4711".parse().unwrap(), later: Later::Seeds });
    }

    #[test]
    fn a_seed_of_the_other_ip_version_gives_no_address() {
        let error = chosen("", &["[fd00::1]:1"], "0.0.0.0:4711", Family::V4).unwrap_err();
        assert_eq!(error.status(), Status::Advertise);
        assert!(error.message().contains("[fd00::1]:1"), "{error}");
    }

    #[test]
    fn whether_a_host_has_an_address() {
        assert!(is_here(Ipv4Addr::LOCALHOST.into()));
        // Kept for documentation: no host has it.
        assert!(!is_here(Ipv4Addr::new(198, 51, 100, 1).into()));
    }

    #[test]
    fn without_seeds_there_is_always_an_address() {
        let choice = chosen("", &[], "0.0.0.0:4711", Family::V4).unwrap();
        assert!(!choice.address.ip().is_unspecified());
        assert_eq!((choice.address.port(), choice.later), (4711, Later::Nothing));
    }
}
