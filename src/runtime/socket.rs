//! The sockets of a node: UDP, and a TCP listener on the same port number.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{Error, Result, Status};

/// How often another port is tried where the system chose one that is taken for TCP.
const PORT_TRIES: usize = 50;

/// Room for the packets of a burst; the system may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 256;

/// Which addresses a socket can send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both, IPv4 in its IPv6-mapped form.
    Dual,
}

impl Family {
    /// `address` as the socket wants it; `None` if it cannot reach it.
    pub fn map(self, address: SocketAddr) -> Option<SocketAddr> {
        match (self, address) {
            (Family::V4, SocketAddr::V4(_)) | (Family::V6 | Family::Dual, SocketAddr::V6(_)) => Some(address),
            (Family::Dual, SocketAddr::V4(a)) => Some(SocketAddr::new(a.ip().to_ipv6_mapped().into(), a.port())),
            _ => None,
        }
    }
}

/// An address as the engine knows it: IPv4 is IPv4, however it was received.
pub fn plain(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(a) => match a.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), a.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// Bound sockets, not yet given to an event loop; non-blocking and closed on exec.
#[derive(Debug)]
pub struct Bound {
    /// For datagrams.
    pub udp: UdpSocket,
    /// For streams, on the same port.
    pub tcp: TcpListener,
    /// Where both are bound.
    pub local: SocketAddr,
    /// What they can reach.
    pub family: Family,
}

/// Binds as the setting `bind` says; where it is empty, to every address and a port that the system chooses.
pub fn bind(bind: &str) -> Result<Bound> {
    if bind.is_empty() {
        let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        return bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0))
            .or_else(|_| bind_to(v4)) // a host without IPv6
            .map_err(|e| fail(v4, &e));
    }
    match bind.parse() {
        Ok(address) => bind_to(address).map_err(|e| fail(address, &e)),
        Err(_) => Err(Error::new(
            Status::Bind,
            format!(
                "bind is {bind:?}: an IP address of this host with a port is needed, as in 0.0.0.0:4711 or [::1]:0"
            ),
        )),
    }
}

fn fail(address: SocketAddr, e: &io::Error) -> Error {
    let status = if is_out_of_descriptors(e) { Status::NoResources } else { Status::Bind };
    Error::new(status, format!("{address} can not be bound for UDP and TCP: {e}"))
}

/// Whether file descriptors are used up.
#[cfg(unix)]
pub fn is_out_of_descriptors(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Whether file descriptors are used up.
#[cfg(not(unix))]
pub fn is_out_of_descriptors(_: &io::Error) -> bool {
    false
}

/// Whether a datagram was larger than the path takes.
#[cfg(unix)]
pub fn is_too_big(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::EMSGSIZE)
}

/// Whether a datagram was larger than the path takes.
#[cfg(not(unix))]
pub fn is_too_big(e: &io::Error) -> bool {
    const WSAEMSGSIZE: i32 = 10040;
    e.raw_os_error() == Some(WSAEMSGSIZE)
}

/// Whether the system reports with this error that an earlier datagram could not be delivered.
#[cfg(target_os = "linux")]
pub fn is_refusal(e: &io::Error) -> bool {
    use libc::{ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT, EPROTO};
    let told = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENOPROTOOPT, EPROTO];
    e.raw_os_error().is_some_and(|code| told.contains(&code))
}

/// Whether the system reports with this error that an earlier datagram could not be delivered.
#[cfg(not(target_os = "linux"))]
pub fn is_refusal(_: &io::Error) -> bool {
    false
}

/// Asks the system to tell where datagrams could not be delivered (`IP_RECVERR`).
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn ask_for_undelivered(socket: &Socket, domain: Domain, dual: bool) {
    use std::os::fd::AsRawFd;
    let set = |level, name| {
        let on: libc::c_int = 1;
        // SAFETY: the pointer and the length are those of `on`, which lives until the call returns.
        // Best effort: without it a silent member is found out a little later.
        let _ = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                name,
                (&raw const on).cast(),
                size_of_val(&on) as libc::socklen_t,
            )
        };
    };
    if domain == Domain::IPV6 {
        set(libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
    }
    if domain == Domain::IPV4 || dual {
        set(libc::IPPROTO_IP, libc::IP_RECVERR);
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_undelivered(_: &Socket, _: Domain, _: bool) {}

/// Where a datagram could not be delivered, as some host on the way has said; `None`: another kind of message was there.
/// `WouldBlock`: there is none.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub fn undelivered(socket: &impl std::os::fd::AsRawFd) -> io::Result<Option<SocketAddr>> {
    // SAFETY: all of these are plain numbers and pointers, for which zero is a value.
    let (mut name, mut message): (libc::sockaddr_storage, libc::msghdr) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    // Of `u64`, for the alignment that control messages need.
    let mut control = [0u64; 64];
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = size_of_val(&name) as libc::socklen_t;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: name and control of the message are the buffers above, with their sizes; it has no part for data.
    if unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, flags) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut told = false;
    // SAFETY: the message was filled in by the call above, and its control buffer still stands; headers are only read where
    // these macros say that there is one, and an extended error only from one that says that it is one.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            let kind = ((*header).cmsg_level, (*header).cmsg_type);
            if kind == (libc::IPPROTO_IP, libc::IP_RECVERR) || kind == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) {
                let error = std::ptr::read_unaligned(libc::CMSG_DATA(header).cast::<libc::sock_extended_err>());
                let by_network = matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6);
                told |= by_network && is_refusal(&io::Error::from_raw_os_error(error.ee_errno as i32));
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    // SAFETY: the system has written an address of this length; `name` was all zero beyond.
    let address = unsafe { socket2::SockAddr::new(std::mem::transmute_copy(&name), message.msg_namelen) };
    Ok(address.as_socket().filter(|_| told))
}

/// Where a datagram could not be delivered; this system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn undelivered<T>(_: &T) -> io::Result<Option<SocketAddr>> {
    Err(io::ErrorKind::WouldBlock.into())
}

fn bind_to(address: SocketAddr) -> io::Result<Bound> {
    let tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..tries {
        match bind_pair(address) {
            Ok(bound) => return Ok(bound),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(last)
}

fn bind_pair(address: SocketAddr) -> io::Result<Bound> {
    let domain = Domain::for_address(address);
    // Only the wildcard of IPv6 covers IPv4 too.
    let dual = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let new = |kind, protocol| -> io::Result<Socket> {
        let socket = Socket::new(domain, kind, Some(protocol))?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(!dual)?;
        }
        socket.set_nonblocking(true)?;
        Ok(socket)
    };

    let udp = new(Type::DGRAM, Protocol::UDP)?;
    // Best effort: what the system allows is what there is.
    let _ = udp.set_recv_buffer_size(RECEIVE_BUFFER);
    ask_for_undelivered(&udp, domain, dual);
    udp.bind(&address.into())?;
    let udp: UdpSocket = udp.into();
    let local = udp.local_addr()?;

    let tcp = new(Type::STREAM, Protocol::TCP)?;
    // Connections of a process that ended a moment ago must not keep its port from the next one. (On Windows the
    // option means that two processes may share a port.)
    #[cfg(unix)]
    tcp.set_reuse_address(true)?;
    tcp.bind(&local.into())?;
    tcp.listen(BACKLOG)?;

    let family = match (domain == Domain::IPV4, dual) {
        (true, _) => Family::V4,
        (false, true) => Family::Dual,
        (false, false) => Family::V6,
    };
    Ok(Bound { udp, tcp: tcp.into(), local, family })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_protocols_get_the_same_port() {
        for bind_text in ["127.0.0.1:0", "0.0.0.0:0", ""] {
            let bound = bind(bind_text).unwrap();
            assert_ne!(bound.local.port(), 0);
            assert_eq!(bound.udp.local_addr().unwrap(), bound.local);
            assert_eq!(bound.tcp.local_addr().unwrap(), bound.local);
        }
    }

    #[test]
    fn a_taken_port_is_an_error_with_its_address() {
        let first = bind("127.0.0.1:0").unwrap();
        let error = bind(&first.local.to_string()).unwrap_err();
        assert_eq!(error.status(), Status::Bind);
        assert!(error.message().contains(&first.local.to_string()), "{error}");
        // Taken for TCP only is taken, too.
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(bind(&tcp.local_addr().unwrap().to_string()).unwrap_err().status(), Status::Bind);
    }

    #[test]
    fn what_is_no_address_is_an_error_in_words() {
        for text in ["example.org:1", "127.0.0.1:70000", "[::1", "127.0.0.1", "192.0.2.1:0"] {
            assert_eq!(bind(text).unwrap_err().status(), Status::Bind, "{text}");
        }
    }

    #[test]
    fn addresses_are_mapped_to_and_fro() {
        let v4: SocketAddr = "10.1.2.3:4".parse().unwrap();
        let v6: SocketAddr = "[fe80::1]:4".parse().unwrap();
        let mapped = Family::Dual.map(v4).unwrap();
        assert_eq!(mapped.to_string(), "[::ffff:10.1.2.3]:4");
        assert_eq!(plain(mapped), v4);
        assert_eq!(plain(v6), v6);
        assert_eq!(Family::V4.map(v4), Some(v4));
        assert_eq!(Family::V4.map(v6), None);
        assert_eq!(Family::V6.map(v4), None);
        assert_eq!(Family::Dual.map(v6), Some(v6));
    }

    #[test]
    fn a_dual_stack_socket_reaches_ipv4() {
        let Ok(bound) = bind("[::]:0") else {
            eprintln!("skipped: this host has no IPv6");
            return;
        };
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        bound.udp.send_to(b"hello", Family::Dual.map(peer.local_addr().unwrap()).unwrap()).unwrap();
        let mut buffer = [0; 16];
        let (n, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..n], from),
            (&b"hello"[..], SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.local.port()))
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_where_nobody_is() {
        let bound = bind("127.0.0.1:0").unwrap();
        let nobody = {
            let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap()
        };
        assert_eq!(undelivered(&bound.udp).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        bound.udp.send_to(b"hello", nobody).unwrap();
        // On loopback the answer is there when the call returns; elsewhere this would have to wait.
        assert_eq!(undelivered(&bound.udp).unwrap(), Some(nobody));
        assert_eq!(undelivered(&bound.udp).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
