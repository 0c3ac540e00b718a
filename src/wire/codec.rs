//! Reading and writing numbers and texts. All reads are checked; varints are LEB128 of at most ten bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The bytes are not what they should be. Where does not matter: such a packet is dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What decoding answers.
pub type Decoded<T> = Result<T, Malformed>;

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the front.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Decoded<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Decoded<u8> {
        Ok(self.bytes(1)?[0])
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> Decoded<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Decoded<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Decoded<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| Malformed)
    }

    /// A varint.
    pub fn varint(&mut self) -> Decoded<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A varint that must not exceed `max`.
    pub fn count(&mut self, max: usize) -> Decoded<usize> {
        usize::try_from(self.varint()?).ok().filter(|n| *n <= max).ok_or(Malformed)
    }

    /// A text of up to 255 bytes without NUL, its length before it in one byte.
    pub fn text(&mut self) -> Decoded<&'a str> {
        let n = self.u8()?;
        let text = std::str::from_utf8(self.bytes(n.into())?).map_err(|_| Malformed)?;
        if text.contains('\0') { Err(Malformed) } else { Ok(text) }
    }

    /// A key: like a text, but 1 to 255 bytes, and a NUL may be in it.
    pub fn key(&mut self) -> Decoded<&'a str> {
        let n = self.u8()?;
        if n == 0 {
            return Err(Malformed);
        }
        std::str::from_utf8(self.bytes(n.into())?).map_err(|_| Malformed)
    }

    /// An address and port.
    pub fn address(&mut self) -> Decoded<SocketAddr> {
        let ip = match self.u8()? {
            4 => IpAddr::V4(Ipv4Addr::from(self.array::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(self.array::<16>()?)),
            _ => return Err(Malformed),
        };
        Ok(SocketAddr::new(ip, self.u16()?))
    }
}

/// Appends to a byte vector.
pub trait Put {
    /// Appends `value` as a varint.
    fn put_varint(&mut self, value: u64);
    /// Appends a text of at most 255 bytes (longer ones are cut by the caller's checks, never here) behind its length.
    fn put_text(&mut self, text: &str);
    /// Appends an address and port.
    fn put_address(&mut self, address: SocketAddr);
}

impl Put for Vec<u8> {
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn put_text(&mut self, text: &str) {
        debug_assert!(text.len() <= 255);
        self.push(text.len() as u8);
        self.extend_from_slice(text.as_bytes());
    }

    fn put_address(&mut self, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(ip) => {
                self.push(4);
                self.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                self.push(6);
                self.extend_from_slice(&ip.octets());
            }
        }
        self.extend_from_slice(&address.port().to_le_bytes());
    }
}

/// How many bytes `value` takes as a varint.
pub fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_varint_reads_back(value: u64) {
            let mut bytes = Vec::new();
            bytes.put_varint(value);
            prop_assert_eq!(bytes.len(), varint_len(value));
            let mut r = Reader::new(&bytes);
            prop_assert_eq!(r.varint(), Ok(value));
            prop_assert!(r.is_empty());
        }

        #[test]
        fn an_address_reads_back(v6: bool, ip: u128, port: u16) {
            let ip: IpAddr = if v6 { Ipv6Addr::from(ip).into() } else { Ipv4Addr::from(ip as u32).into() };
            let mut bytes = Vec::new();
            bytes.put_address(SocketAddr::new(ip, port));
            prop_assert_eq!(Reader::new(&bytes).address(), Ok(SocketAddr::new(ip, port)));
        }
    }

    #[test]
    fn a_varint_over_64_bits_is_malformed() {
        assert_eq!(Reader::new(&[0xff; 10]).varint(), Err(Malformed));
        let mut max = [0xff; 10];
        max[9] = 1;
        assert_eq!(Reader::new(&max).varint(), Ok(u64::MAX));
    }
}
