//! Values as Rust types: what [`Node::set_value`](super::node::Node::set_value) takes and entries are read as.

use crate::store::event::EntryView;
use crate::wire::value::{Plain, encode, read};

/// A value. Bytes, text, boolean, integer and floating-point number are read as such in every language.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Bytes without a type.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A message of the host's own: a `google.protobuf.Any`.
    Message {
        /// Which type it is of, as in `type.googleapis.com/shop.Order`; at most 255 bytes.
        type_url: String,
        /// The encoded message.
        bytes: Vec<u8>,
    },
}

impl Value {
    /// The value of an entry; `None` for a deleted one.
    pub fn of(view: &EntryView) -> Option<Value> {
        let entry = &view.entry;
        Some(match read(entry.type_url(), entry.value(), entry.head().deleted) {
            Plain::None => return None,
            Plain::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
            Plain::Text(text) => Value::Text(text.to_owned()),
            Plain::Bool(value) => Value::Bool(value),
            Plain::Int(value) => Value::Int(value),
            Plain::Double(value) => Value::Double(value),
            Plain::Message => Value::Message { type_url: entry.type_url().to_owned(), bytes: entry.value().to_vec() },
        })
    }

    /// Type URL and bytes, as they are kept and sent.
    pub fn encode(&self) -> (&str, Vec<u8>) {
        match self {
            Value::Bytes(bytes) => encode(Plain::Bytes(bytes)),
            Value::Text(text) => encode(Plain::Text(text)),
            Value::Bool(value) => encode(Plain::Bool(*value)),
            Value::Int(value) => encode(Plain::Int(*value)),
            Value::Double(value) => encode(Plain::Double(*value)),
            Value::Message { type_url, bytes } => (type_url, bytes.clone()),
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(value) = self { Some(*value) } else { None }
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $made:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Value { $made }
        })*
    };
}

from! {
    &str => |v| Value::Text(v.to_owned());
    String => |v| Value::Text(v);
    bool => |v| Value::Bool(v);
    i64 => |v| Value::Int(v);
    i32 => |v| Value::Int(i64::from(v));
    u32 => |v| Value::Int(i64::from(v));
    f64 => |v| Value::Double(v);
    &[u8] => |v| Value::Bytes(v.to_vec());
    Vec<u8> => |v| Value::Bytes(v);
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}
