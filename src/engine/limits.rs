//! What one member may keep at another.

use crate::store::own;
use crate::wire::segment::WireEntry;

/// Bounds on what one member may keep here.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Keys that are not deleted.
    pub keys: usize,
    /// Bytes of keys, values and type URLs.
    pub bytes: usize,
    /// Bytes of one value.
    pub value: usize,
}

impl Limits {
    /// Why an entry is not kept, in words; `None` if it is. `size` are the keys and bytes that its member would have with
    /// it, `reserved` those of them that are the library's own.
    pub fn refusal(
        &self,
        wire: &WireEntry<'_>,
        size: (usize, usize),
        reserved: impl FnOnce() -> (usize, usize),
    ) -> Option<String> {
        let (length, (mut keys, mut bytes)) = (wire.value.len(), size);
        if own::is_reserved(wire.key) {
            let most = own::RESERVED_VALUE;
            return (length > most).then(|| format!("its value has {length} bytes; {most} are the most"));
        }
        // The owner keeps the limits; in between, segments and resets may bring a key before the delete that made room for
        // it. Twice the room lets that pass, and still bounds what a member that keeps no limits can do here. The library's
        // own keys, which are few and bounded, take none of it.
        if keys > 2 * self.keys || bytes > 2 * self.bytes {
            let (few, small) = reserved();
            (keys, bytes) = (keys.saturating_sub(few), bytes.saturating_sub(small));
        }
        if length > self.value {
            Some(format!("its value has {length} bytes; max_value_size is {}", self.value))
        } else if keys > 2 * self.keys {
            Some(format!("it would be key {keys} of its member; max_keys_per_member is {}", self.keys))
        } else if bytes > 2 * self.bytes {
            Some(format!("its member would have {bytes} bytes; max_state_size_per_member is {}", self.bytes))
        } else {
            None
        }
    }
}
