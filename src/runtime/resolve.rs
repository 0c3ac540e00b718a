//! Names to addresses.

use std::net::SocketAddr;
use std::time::Duration;

use super::socket::{Family, plain};

/// How long a look-up may take; one that takes longer goes on in its thread, and its answer is not wanted any more.
const DEADLINE: Duration = Duration::from_secs(5);

/// The address that `name` is already, without a look-up.
pub fn literal(name: &str) -> Option<SocketAddr> {
    name.parse().ok().map(plain)
}

/// Looks up `host:port`, with the error in words. Addresses that sockets of this family cannot reach are left out.
pub async fn resolve(name: &str, family: Family) -> Result<Vec<SocketAddr>, String> {
    if let Some(address) = literal(name) {
        return reachable(name, vec![address], family);
    }
    match tokio::time::timeout(DEADLINE, tokio::net::lookup_host(name)).await {
        Ok(Ok(addresses)) => reachable(name, addresses.map(plain).collect(), family),
        Ok(Err(e)) => Err(format!("{name} can not be looked up: {e}")),
        Err(_) => Err(format!("{name} can not be looked up: no answer in {} s", DEADLINE.as_secs())),
    }
}

/// `addresses` without doubles and without those that `family` cannot reach.
pub fn reachable(name: &str, addresses: Vec<SocketAddr>, family: Family) -> Result<Vec<SocketAddr>, String> {
    let mut found: Vec<SocketAddr> = Vec::new();
    let any = !addresses.is_empty();
    for address in addresses {
        if family.map(address).is_some() && !found.contains(&address) {
            found.push(address);
        }
    }
    match (found.is_empty(), any, family) {
        (false, ..) => Ok(found),
        (true, false, _) => Err(format!("{name} has no address")),
        (true, true, Family::V4) => Err(format!("{name} has IPv6 addresses only, and this node is bound to IPv4")),
        (true, true, _) => Err(format!("{name} has IPv4 addresses only, and this node is bound to IPv6")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn literals_and_names() {
        let v4: SocketAddr = "127.0.0.1:7".parse().unwrap();
        let v6: SocketAddr = "[::1]:7".parse().unwrap();
        assert_eq!(resolve("127.0.0.1:7", Family::V4).await, Ok(vec![v4]));
        assert_eq!(resolve("[::ffff:127.0.0.1]:7", Family::V4).await, Ok(vec![v4]));
        assert_eq!(resolve("[::1]:7", Family::Dual).await, Ok(vec![v6]));
        assert!(resolve("[::1]:7", Family::V4).await.unwrap_err().contains("IPv6 addresses only"));
        assert!(resolve("127.0.0.1:7", Family::V6).await.unwrap_err().contains("IPv4 addresses only"));
        assert_eq!(resolve("localhost:7", Family::V4).await, Ok(vec![v4]));
        assert!(resolve("no port", Family::V4).await.unwrap_err().contains("no port"));
    }
}
