//! Packets and protobuf messages as bytes. Decoding is total: any bytes give a message or an error, never a panic.

pub mod codec;
pub mod compress;
pub mod frame;
pub mod packet;
pub mod probe;
pub mod proto;
pub mod segment;
pub mod value;
