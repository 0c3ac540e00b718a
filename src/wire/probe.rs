//! The frames of failure detection.

use super::codec::{Decoded, Put, Reader};
use super::frame;
use crate::store::members::Cause;

/// A probe, or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Number of the probe; its answer has the same.
    pub seq: u32,
    /// Both fingerprints of the sender in one: equal means equal knowledge. 0 in an answer that is handed on.
    pub digest: u64,
}

impl Ping {
    /// Its bytes.
    pub fn encode(&self) -> [u8; 12] {
        let mut out = [0; 12];
        out[..4].copy_from_slice(&self.seq.to_le_bytes());
        out[4..].copy_from_slice(&self.digest.to_le_bytes());
        out
    }

    /// From its bytes.
    pub fn decode(body: &[u8]) -> Decoded<Ping> {
        let mut r = Reader::new(body);
        Ok(Ping { seq: r.u32()?, digest: r.u64()? })
    }
}

/// A probe by way of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingFor {
    /// Number of the asker's probe.
    pub seq: u32,
    /// Nonce of the member to probe. A member, never an address: nobody can be made to send anywhere.
    pub target: u64,
    /// After so many milliseconds without an answer of it the asker is to hear that there is none, while it still waits.
    pub within_ms: u16,
}

impl PingFor {
    /// Its bytes.
    pub fn encode(&self) -> [u8; 14] {
        let mut out = [0; 14];
        out[..4].copy_from_slice(&self.seq.to_le_bytes());
        out[4..12].copy_from_slice(&self.target.to_le_bytes());
        out[12..].copy_from_slice(&self.within_ms.to_le_bytes());
        out
    }

    /// From its bytes.
    pub fn decode(body: &[u8]) -> Decoded<PingFor> {
        let mut r = Reader::new(body);
        Ok(PingFor { seq: r.u32()?, target: r.u64()?, within_ms: r.u16()? })
    }
}

/// That a member does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accusation {
    /// Its nonce.
    pub target: u64,
    /// Its incarnation: one that it has raised since refutes the accusation.
    pub incarnation: u64,
    /// What connecting to it has shown.
    pub cause: Cause,
}

impl Accusation {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        out.extend_from_slice(&self.target.to_le_bytes());
        out.push(self.cause.code() as u8);
        out.put_varint(self.incarnation);
        out
    }

    /// From its bytes.
    pub fn decode(body: &[u8]) -> Decoded<Accusation> {
        let mut r = Reader::new(body);
        let (target, cause, incarnation) = (r.u64()?, Cause::from_code(r.u8()?), frame::counter(r.varint()?)?);
        Ok(Accusation { target, incarnation, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_read_back(seq: u32, digest: u64, target: u64, within_ms: u16, incarnation in 0..frame::COUNTER_LIMIT, cause in 0u8..9) {
            let ping = Ping { seq, digest };
            prop_assert_eq!(Ping::decode(&ping.encode()), Ok(ping));
            let ping_for = PingFor { seq, target, within_ms };
            prop_assert_eq!(PingFor::decode(&ping_for.encode()), Ok(ping_for));
            let accusation = Accusation { target, incarnation, cause: Cause::from_code(cause) };
            prop_assert_eq!(Accusation::decode(&accusation.encode()), Ok(accusation));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..40)) {
            let _ = (Ping::decode(&bytes), PingFor::decode(&bytes), Accusation::decode(&bytes));
        }
    }
}
