//! Frames compressed together, for messages on streams: LZ4, which is fast enough to be worth it on any network.

use super::codec::{Decoded, Malformed, Put, Reader};

/// Less is not worth the work.
const LEAST: usize = 4 << 10;

/// So much is tried first, to see whether the rest is worth it.
const SAMPLE: usize = 16 << 10;

/// Whether `packed` bytes in the place of `plain` ones save an eighth.
fn is_worth_it(plain: usize, packed: usize) -> bool {
    packed + plain / 8 < plain
}

/// `plain` compressed, as the body of a frame; `None` if that does not help.
pub fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() < LEAST {
        return None;
    }
    let sample = &plain[..plain.len().min(SAMPLE)];
    if plain.len() > 2 * SAMPLE && !is_worth_it(sample.len(), lz4_flex::block::compress(sample).len()) {
        return None;
    }
    let packed = lz4_flex::block::compress(plain);
    if !is_worth_it(plain.len(), packed.len()) {
        return None;
    }
    let mut body = Vec::with_capacity(packed.len() + 10);
    body.put_varint(plain.len() as u64);
    body.extend_from_slice(&packed);
    Some(body)
}

/// What was compressed, if it has at most `limit` bytes: no more than that is ever written.
pub fn decompress(body: &[u8], limit: usize) -> Decoded<Vec<u8>> {
    let mut r = Reader::new(body);
    let len = r.count(limit)?;
    let packed = r.bytes(r.len())?;
    // LZ4 makes at most 255 bytes of one: a length that could not be met costs no memory.
    if len / 255 > packed.len() {
        return Err(Malformed);
    }
    let mut plain = vec![0; len];
    match lz4_flex::block::decompress_into(packed, &mut plain) {
        Ok(n) if n == len => Ok(plain),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_compressed_reads_back(words in vec(0u8..3, 0..40_000)) {
            let body = compress(&words);
            prop_assert_eq!(body.is_some(), words.len() >= LEAST);
            if let Some(body) = body {
                prop_assert!(body.len() < words.len());
                prop_assert_eq!(decompress(&body, words.len()), Ok(words.clone()));
                prop_assert_eq!(decompress(&body, words.len() - 1), Err(Malformed));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
            if let Ok(plain) = decompress(&bytes, 10_000) {
                prop_assert!(plain.len() <= 10_000);
            }
        }
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        let mut state = 1u64;
        let noise: Vec<u8> = (0..100_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        assert_eq!(compress(&noise), None);
        assert_eq!(compress(&noise[..LEAST]), None);
    }

    #[test]
    fn a_length_that_cannot_be_true_is_malformed() {
        let mut body = Vec::new();
        body.put_varint(1 << 30);
        body.extend_from_slice(&[0; 16]);
        assert_eq!(decompress(&body, usize::MAX), Err(Malformed));
    }
}
