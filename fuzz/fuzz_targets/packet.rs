//! Any bytes to every decoder: an answer, never a panic; what decodes encodes to the same again.
#![no_main]

use cluster_gossip::wire::frame::{Challenge, Join, Statement, decode_nonces, decode_records};
use cluster_gossip::wire::packet;
use cluster_gossip::wire::segment::Segment;
use cluster_gossip::wire::value;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((_, frames)) = packet::open(bytes, packet::cluster_tag("fuzz")) {
        let _ = frames.count();
    }
    if let Ok(statement) = Statement::decode(bytes) {
        assert_eq!(Statement::decode(&statement.encode()), Ok(statement));
    }
    if let Ok(join) = Join::decode(bytes) {
        assert_eq!(Join::decode(&join.encode()), Ok(join));
    }
    let _ = Challenge::decode(bytes);
    let _ = decode_records(bytes);
    let _ = decode_nonces(bytes);
    if let Ok(segment) = Segment::decode(bytes) {
        assert!(segment.entries().all(|e| e.seq > segment.head.from && e.seq <= segment.head.to));
    }
    for kind in ["StringValue", "BoolValue", "Int64Value", "DoubleValue", "BytesValue", "UInt64Value", "FloatValue"] {
        let _ = value::read(&format!("type.googleapis.com/google.protobuf.{kind}"), bytes, false);
    }
});
