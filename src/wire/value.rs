//! Plain values: what every language reads as its own bytes, text, boolean, integer or floating-point number.
//!
//! A value on the wire is a `google.protobuf.Any`: type URL and bytes. An empty type URL means plain bytes, the wrapper
//! messages of `google/protobuf/wrappers.proto` mean the scalar that they wrap, everything else is a message of the
//! hosts' own.

/// What a value is, with the value where it is plain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plain<'a> {
    /// No value: the entry was deleted.
    None,
    /// Bytes: the type URL is empty.
    Bytes(&'a [u8]),
    /// `StringValue`.
    Text(&'a str),
    /// `BoolValue`.
    Bool(bool),
    /// `Int64Value`; also the other integer wrappers, where the number fits.
    Int(i64),
    /// `DoubleValue`, `FloatValue`.
    Double(f64),
    /// Any other type URL, or a wrapper whose bytes are malformed.
    Message,
}

impl Plain<'_> {
    /// The kind of value, `GOSSIP_VALUE_*` of the C header.
    pub fn kind(&self) -> i32 {
        match self {
            Plain::None => 0,
            Plain::Bytes(_) => 1,
            Plain::Text(_) => 2,
            Plain::Bool(_) => 3,
            Plain::Int(_) => 4,
            Plain::Double(_) => 5,
            Plain::Message => 6,
        }
    }
}

/// Type URLs of the wrappers that [`encode`] writes.
pub mod type_url {
    /// Of [`Plain::Text`](super::Plain::Text).
    pub const TEXT: &str = "type.googleapis.com/google.protobuf.StringValue";
    /// Of [`Plain::Bool`](super::Plain::Bool).
    pub const BOOL: &str = "type.googleapis.com/google.protobuf.BoolValue";
    /// Of [`Plain::Int`](super::Plain::Int).
    pub const INT: &str = "type.googleapis.com/google.protobuf.Int64Value";
    /// Of [`Plain::Double`](super::Plain::Double).
    pub const DOUBLE: &str = "type.googleapis.com/google.protobuf.DoubleValue";
}

/// Reads a value. Total: a wrapper that does not decode is [`Plain::Message`].
///
/// `BytesValue` is a message like any other: its bytes are not the entry's bytes, and a reader that is told "bytes" takes
/// those as they are.
pub fn read<'a>(type_url: &str, value: &'a [u8], deleted: bool) -> Plain<'a> {
    if deleted {
        return Plain::None;
    }
    if type_url.is_empty() {
        return Plain::Bytes(value);
    }
    // What stands before the last slash says where a type could be looked up, not which it is.
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    let Some(wrapper) = name.strip_prefix("google.protobuf.") else {
        return Plain::Message;
    };
    let plain = match wrapper {
        "StringValue" => text(value),
        "BoolValue" => varint_field(value).map(|n| Plain::Bool(n != 0)),
        "Int64Value" => varint_field(value).map(|n| Plain::Int(n as i64)),
        "Int32Value" => varint_field(value).map(|n| Plain::Int(i64::from(n as i32))),
        "UInt32Value" => varint_field(value).map(|n| Plain::Int(i64::from(n as u32))),
        "UInt64Value" => varint_field(value).and_then(|n| i64::try_from(n).ok()).map(Plain::Int),
        "DoubleValue" => double(value),
        "FloatValue" => float(value),
        _ => None,
    };
    plain.unwrap_or(Plain::Message)
}

/// Type URL and bytes of a plain value; both empty for [`Plain::None`] and [`Plain::Message`], which are not plain.
///
/// A value equal to the type's default has no bytes, as in proto3.
pub fn encode(plain: Plain<'_>) -> (&'static str, Vec<u8>) {
    const FIELD_1_VARINT: u8 = 1 << 3;
    const FIELD_1_FIXED64: u8 = 1 << 3 | 1;
    const FIELD_1_BYTES: u8 = 1 << 3 | 2;
    match plain {
        Plain::None | Plain::Message => ("", Vec::new()),
        Plain::Bytes(bytes) => ("", bytes.to_vec()),
        Plain::Text("") => (type_url::TEXT, Vec::new()),
        Plain::Text(text) => {
            let mut out = Vec::with_capacity(text.len() + 11);
            out.push(FIELD_1_BYTES);
            put_varint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
            (type_url::TEXT, out)
        }
        Plain::Bool(false) => (type_url::BOOL, Vec::new()),
        Plain::Bool(true) => (type_url::BOOL, vec![FIELD_1_VARINT, 1]),
        Plain::Int(0) => (type_url::INT, Vec::new()),
        Plain::Int(n) => {
            let mut out = Vec::with_capacity(11);
            out.push(FIELD_1_VARINT);
            put_varint(&mut out, n as u64);
            (type_url::INT, out)
        }
        // By bits: minus zero is not the default.
        Plain::Double(d) if d.to_bits() == 0 => (type_url::DOUBLE, Vec::new()),
        Plain::Double(d) => {
            let mut out = Vec::with_capacity(9);
            out.push(FIELD_1_FIXED64);
            out.extend_from_slice(&d.to_le_bytes());
            (type_url::DOUBLE, out)
        }
    }
}

/// Where the text begins in the bytes of a `StringValue` that [`read`] called [`Plain::Text`]: the offset of `text`
/// within `value`, both as `read` had them.
pub fn text_offset(value: &[u8], text: &str) -> usize {
    // An empty text may be a literal that lies elsewhere.
    if text.is_empty() { 0 } else { text.as_ptr().addr() - value.as_ptr().addr() }
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn text(value: &[u8]) -> Option<Plain<'_>> {
    let mut found = "";
    for field in Fields(value) {
        match field? {
            (1, Field::Bytes(bytes)) => found = std::str::from_utf8(bytes).ok()?,
            (1, _) => return None,
            _ => {}
        }
    }
    Some(Plain::Text(found))
}

fn varint_field(value: &[u8]) -> Option<u64> {
    let mut found = 0;
    for field in Fields(value) {
        match field? {
            (1, Field::Varint(n)) => found = n,
            (1, _) => return None,
            _ => {}
        }
    }
    Some(found)
}

fn double(value: &[u8]) -> Option<Plain<'_>> {
    let mut found = 0.0;
    for field in Fields(value) {
        match field? {
            (1, Field::Fixed64(bits)) => found = f64::from_bits(bits),
            (1, _) => return None,
            _ => {}
        }
    }
    Some(Plain::Double(found))
}

fn float(value: &[u8]) -> Option<Plain<'_>> {
    let mut found = 0.0;
    for field in Fields(value) {
        match field? {
            (1, Field::Fixed32(bits)) => found = f32::from_bits(bits),
            (1, _) => return None,
            _ => {}
        }
    }
    Some(Plain::Double(f64::from(found)))
}

/// A field's content.
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    Group,
}

/// The fields of a message, in order; `None` as an item where the bytes are malformed, and nothing after it.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u32, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field(MAX_GROUPS).filter(|(_, field)| field.is_some());
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.and_then(|(number, field)| Some((number, field?))))
    }
}

/// Nested groups deeper than this are malformed, as other decoders have it.
const MAX_GROUPS: u32 = 100;

impl<'a> Fields<'a> {
    /// The next field; its content is `None` at the end of a group.
    fn field(&mut self, groups: u32) -> Option<(u32, Option<Field<'a>>)> {
        let key = u32::try_from(self.varint()?).ok()?;
        let number = key >> 3;
        if number == 0 {
            return None;
        }
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(len)?)
            }
            3 => {
                self.skip_group(number, groups.checked_sub(1)?)?;
                Field::Group
            }
            4 => return Some((number, None)),
            5 => Field::Fixed32(u32::from_le_bytes(*self.take(4)?.first_chunk()?)),
            _ => return None,
        };
        Some((number, Some(field)))
    }

    fn skip_group(&mut self, number: u32, groups: u32) -> Option<()> {
        loop {
            if let (end, None) = self.field(groups)? {
                return (end == number).then_some(());
            }
        }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for i in 0..10 {
            let byte = *self.take(1)?.first()?;
            // The tenth byte holds the one bit that is left of 64.
            if i == 9 && byte > 1 {
                return None;
            }
            n |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;

    fn url(name: &str) -> String {
        format!("type.googleapis.com/google.protobuf.{name}")
    }

    /// What `prost` makes of the same bytes.
    fn by_prost(name: &str, value: &[u8]) -> Option<Owned> {
        Some(match name {
            "StringValue" => Owned::Text(String::decode(value).ok()?),
            "BoolValue" => Owned::Bool(bool::decode(value).ok()?),
            "Int64Value" => Owned::Int(i64::decode(value).ok()?),
            "Int32Value" => Owned::Int(i32::decode(value).ok()?.into()),
            "UInt32Value" => Owned::Int(u32::decode(value).ok()?.into()),
            "UInt64Value" => Owned::Int(u64::decode(value).ok()?.try_into().ok()?),
            "DoubleValue" => Owned::Bits(f64::decode(value).ok()?.to_bits()),
            "FloatValue" => Owned::Bits(f64::from(f32::decode(value).ok()?).to_bits()),
            _ => return None,
        })
    }

    #[derive(Debug, PartialEq)]
    enum Owned {
        Text(String),
        Bool(bool),
        Int(i64),
        Bits(u64),
    }

    fn owned(plain: Plain<'_>) -> Option<Owned> {
        match plain {
            Plain::Text(t) => Some(Owned::Text(t.into())),
            Plain::Bool(b) => Some(Owned::Bool(b)),
            Plain::Int(n) => Some(Owned::Int(n)),
            Plain::Double(d) => Some(Owned::Bits(d.to_bits())),
            Plain::None | Plain::Bytes(_) | Plain::Message => None,
        }
    }

    const WRAPPERS: [&str; 8] = [
        "StringValue",
        "BoolValue",
        "Int64Value",
        "Int32Value",
        "UInt32Value",
        "UInt64Value",
        "DoubleValue",
        "FloatValue",
    ];

    /// Bytes that are often messages of few fields, some of them unknown, some cut or wrong.
    fn almost_messages() -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            (1u8..4, any::<u64>()).prop_map(|(n, v)| {
                let mut out = vec![n << 3];
                put_varint(&mut out, v);
                out
            }),
            (1u8..4, any::<u64>()).prop_map(|(n, v)| [&[n << 3 | 1][..], &v.to_le_bytes()].concat()),
            (1u8..4, any::<u32>()).prop_map(|(n, v)| [&[n << 3 | 5][..], &v.to_le_bytes()].concat()),
            (1u8..4, "[a-zé\0]{0,9}").prop_map(|(n, v)| [&[n << 3 | 2, v.len() as u8][..], v.as_bytes()].concat()),
            (2u8..4, 0u8..9).prop_map(|(n, v)| vec![n << 3 | 3, 8, v, n << 3 | 4]),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        (proptest::collection::vec(field, 0..4), 0usize..64).prop_map(|(fields, cut)| {
            let mut all = fields.concat();
            if cut < 8 {
                all.truncate(all.len().saturating_sub(cut));
            }
            all
        })
    }

    proptest! {
        #[test]
        fn any_bytes_read_as_prost_reads_them(value in almost_messages()) {
            for name in WRAPPERS {
                let ours = read(&url(name), &value, false);
                prop_assert_eq!(owned(ours), by_prost(name, &value), "{}", name);
            }
        }

        #[test]
        fn texts_survive(text in any::<String>()) {
            let (type_url, value) = encode(Plain::Text(&text));
            prop_assert_eq!(&value, &text.encode_to_vec());
            prop_assert_eq!(read(type_url, &value, false), Plain::Text(&text));
            let Plain::Text(read) = read(type_url, &value, false) else { unreachable!() };
            let at = text_offset(&value, read);
            prop_assert_eq!(&value[at..at + read.len()], text.as_bytes());
        }

        #[test]
        fn integers_survive(n in any::<i64>()) {
            let (type_url, value) = encode(Plain::Int(n));
            prop_assert_eq!(&value, &n.encode_to_vec());
            prop_assert_eq!(read(type_url, &value, false), Plain::Int(n));
        }

        #[test]
        fn doubles_survive_bit_by_bit(bits in any::<u64>()) {
            let (type_url, value) = encode(Plain::Double(f64::from_bits(bits)));
            prop_assert_eq!(owned(read(type_url, &value, false)), Some(Owned::Bits(bits)));
        }
    }

    #[test]
    fn defaults_have_no_bytes_and_read_back() {
        for plain in [Plain::Text(""), Plain::Bool(false), Plain::Int(0), Plain::Double(0.0), Plain::Bytes(b"")] {
            let (type_url, value) = encode(plain);
            assert!(value.is_empty(), "{plain:?}");
            assert_eq!(read(type_url, &value, false), plain);
        }
        let (type_url, value) = encode(Plain::Double(-0.0));
        assert_eq!(owned(read(type_url, &value, false)), Some(Owned::Bits((-0.0f64).to_bits())));
    }

    #[test]
    fn what_is_not_plain_is_a_message() {
        assert_eq!(read("type.googleapis.com/shop.Order", b"\x08\x01", false), Plain::Message);
        assert_eq!(read(&url("BytesValue"), b"\x0a\x01x", false), Plain::Message);
        assert_eq!(read(&url("StringValue"), b"\x0a\x01\xff", false), Plain::Message);
        assert_eq!(read(&url("StringValue"), b"\x0a\x7f", false), Plain::Message);
        assert_eq!(read(&url("UInt64Value"), &u64::MAX.encode_to_vec(), false), Plain::Message);
        assert_eq!(read(&url("UInt64Value"), &7u64.encode_to_vec(), false), Plain::Int(7));
    }

    #[test]
    fn deleted_and_untyped() {
        assert_eq!(read(&url("StringValue"), b"", true), Plain::None);
        assert_eq!(read("", b"\0x", false), Plain::Bytes(b"\0x"));
        assert_eq!(encode(Plain::Message), ("", Vec::new()));
        assert_eq!(encode(Plain::None), ("", Vec::new()));
    }

    #[test]
    fn kinds_have_the_numbers_of_the_header() {
        let kinds = [
            Plain::None,
            Plain::Bytes(b""),
            Plain::Text(""),
            Plain::Bool(true),
            Plain::Int(1),
            Plain::Double(1.0),
            Plain::Message,
        ];
        assert_eq!(kinds.map(|k| k.kind()), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn groups_cannot_nest_without_end() {
        let deep = [vec![2 << 3 | 3; 500], vec![2 << 3 | 4; 500]].concat();
        assert_eq!(read(&url("Int64Value"), &deep, false), Plain::Message);
    }
}
