//! Packets and protobuf messages as bytes.
