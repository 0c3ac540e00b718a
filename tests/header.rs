//! The committed header is what `src/ffi` generates, and its numbers are those that the library works with.

use std::collections::BTreeMap;

use cluster_gossip::error::Status;
use cluster_gossip::ffi;
use cluster_gossip::store::NodeState;
use cluster_gossip::store::event::{Level, kind};
use cluster_gossip::store::members::MemberStatus;
use cluster_gossip::wire::value::Plain;

#[path = "../examples/header.rs"]
#[allow(dead_code)]
mod generator;

fn committed() -> String {
    std::fs::read_to_string(format!("{}/{}", env!("CARGO_MANIFEST_DIR"), generator::PATH)).expect("the header")
}

/// Each constant with its value, and the comment above it.
fn constants() -> BTreeMap<String, (i64, String)> {
    let header = committed();
    let mut found = BTreeMap::new();
    let mut comment = String::new();
    for line in header.lines() {
        if let Some(text) = line.strip_prefix("// ") {
            comment = if comment.is_empty() { text.into() } else { format!("{comment} {text}") };
            continue;
        }
        if let Some((name, value)) = line.strip_prefix("#define ").and_then(|rest| rest.split_once(' ')) {
            let digits = value.trim_end_matches('u');
            let number = match digits.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16).ok(),
                None => digits.parse().ok(),
            };
            if let Some(number) = number {
                assert!(!comment.is_empty(), "{name} has no comment");
                assert!(found.insert(name.to_string(), (number, comment.clone())).is_none(), "{name} is there twice");
            } else {
                assert_eq!((name, value), ("GOSSIP_NUL", "SIZE_MAX"));
            }
        }
        comment.clear();
    }
    found
}

#[test]
fn header_is_as_generated() {
    assert!(committed() == generator::header(), "{} is not what src/ffi says: run `make header`", generator::PATH);
}

#[test]
fn statuses_are_those_of_the_table_with_their_sentences() {
    let mut constants = constants();
    constants.retain(|name, _| name == "GOSSIP_OK" || name.starts_with("GOSSIP_ERR_"));
    assert_eq!(constants.len(), Status::ALL.len());
    for status in Status::ALL {
        let (number, sentence) = &constants[status.name()];
        assert_eq!((*number, sentence.as_str()), (status.code().into(), status.text()), "{}", status.name());
    }
}

#[test]
fn version_is_that_of_the_package() {
    let number = env!("CARGO_PKG_VERSION").split('.').fold(0, |n, part| n << 8 | part.parse::<i64>().unwrap()) << 8;
    assert_eq!(constants()["GOSSIP_VERSION_NUMBER"].0, number);
}

#[test]
fn numbers_are_those_of_the_library() {
    use MemberStatus::*;
    let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
    let mut put = |name, number: i64| assert!(expected.insert(name, number).is_none(), "{name} twice");
    for (name, state) in [
        ("GOSSIP_STATE_STARTING", NodeState::Starting),
        ("GOSSIP_STATE_JOINED", NodeState::Joined),
        ("GOSSIP_STATE_ALONE", NodeState::Alone),
        ("GOSSIP_STATE_LEAVING", NodeState::Leaving),
        ("GOSSIP_STATE_LEFT", NodeState::Left),
        ("GOSSIP_STATE_BANNED", NodeState::Banned),
        ("GOSSIP_STATE_FAILED", NodeState::Failed),
    ] {
        put(name, state as i64);
    }
    for (name, status) in [
        ("GOSSIP_MEMBER_ALIVE", Alive),
        ("GOSSIP_MEMBER_SUSPECT", Suspect),
        ("GOSSIP_MEMBER_DEAD", Dead),
        ("GOSSIP_MEMBER_LEAVING", Leaving),
        ("GOSSIP_MEMBER_LEFT", Left),
        ("GOSSIP_MEMBER_BANNED", Banned),
    ] {
        put(name, status.code().into());
    }
    for (name, plain) in [
        ("GOSSIP_VALUE_NONE", Plain::None),
        ("GOSSIP_VALUE_BYTES", Plain::Bytes(b"")),
        ("GOSSIP_VALUE_TEXT", Plain::Text("")),
        ("GOSSIP_VALUE_BOOL", Plain::Bool(true)),
        ("GOSSIP_VALUE_INT", Plain::Int(1)),
        ("GOSSIP_VALUE_DOUBLE", Plain::Double(1.0)),
        ("GOSSIP_VALUE_MESSAGE", Plain::Message),
    ] {
        put(name, plain.kind().into());
    }
    for (name, level) in [
        ("GOSSIP_LOG_ERROR", Level::Error),
        ("GOSSIP_LOG_WARN", Level::Warn),
        ("GOSSIP_LOG_INFO", Level::Info),
        ("GOSSIP_LOG_DEBUG", Level::Debug),
        ("GOSSIP_LOG_TRACE", Level::Trace),
    ] {
        put(name, level as i64);
    }
    for (name, mask) in [
        ("GOSSIP_EVENT_ENTRY_CHANGED", kind::ENTRY_CHANGED),
        ("GOSSIP_EVENT_ENTRY_DELETED", kind::ENTRY_DELETED),
        ("GOSSIP_EVENT_ENTRY_REFUSED", kind::ENTRY_REFUSED),
        ("GOSSIP_EVENT_MEMBER_JOINED", kind::MEMBER_JOINED),
        ("GOSSIP_EVENT_MEMBER_SUSPECTED", kind::MEMBER_SUSPECTED),
        ("GOSSIP_EVENT_MEMBER_ALIVE", kind::MEMBER_ALIVE),
        ("GOSSIP_EVENT_MEMBER_DEAD", kind::MEMBER_DEAD),
        ("GOSSIP_EVENT_MEMBER_LEFT", kind::MEMBER_LEFT),
        ("GOSSIP_EVENT_MEMBER_RESTARTED", kind::MEMBER_RESTARTED),
        ("GOSSIP_EVENT_MEMBER_UPDATED", kind::MEMBER_UPDATED),
        ("GOSSIP_EVENT_MEMBER_BANNED", kind::MEMBER_BANNED),
        ("GOSSIP_EVENT_MEMBER_UNBANNED", kind::MEMBER_UNBANNED),
        ("GOSSIP_EVENT_MEMBER_REMOVED", kind::MEMBER_REMOVED),
        ("GOSSIP_EVENT_NODE_STATE", kind::NODE_STATE),
        ("GOSSIP_EVENT_SYNCED", kind::SYNCED),
        ("GOSSIP_EVENT_CONSENSUS", kind::CONSENSUS),
        ("GOSSIP_EVENT_TOPOLOGY", kind::TOPOLOGY),
        ("GOSSIP_EVENT_WARNING", kind::WARNING),
        ("GOSSIP_EVENT_LOG", kind::LOG),
        ("GOSSIP_EVENT_INITIAL_DONE", kind::INITIAL_DONE),
        ("GOSSIP_EVENT_CLOSED", kind::CLOSED),
        ("GOSSIP_EVENTS_ENTRIES", kind::ENTRIES),
        ("GOSSIP_EVENTS_MEMBERS", kind::MEMBERS),
        ("GOSSIP_EVENTS_NODE", kind::NODE),
        // With room for kinds to come.
        ("GOSSIP_EVENTS_ALL", (kind::ENTRIES | kind::MEMBERS | kind::NODE).next_power_of_two() - 1),
        ("GOSSIP_GET_DEPARTED", ffi::state::GOSSIP_GET_DEPARTED),
        ("GOSSIP_GET_PREFIX", ffi::state::GOSSIP_GET_PREFIX),
        ("GOSSIP_SET_IF_CHANGED", ffi::state::GOSSIP_SET_IF_CHANGED),
        ("GOSSIP_SUB_INITIAL", ffi::sub::GOSSIP_SUB_INITIAL),
        ("GOSSIP_SUB_NO_SELF", ffi::sub::GOSSIP_SUB_NO_SELF),
        ("GOSSIP_SUB_PREFIX", ffi::sub::GOSSIP_SUB_PREFIX),
        ("GOSSIP_SETTING_LIVE", ffi::setting::GOSSIP_SETTING_LIVE),
        ("GOSSIP_SETTING_SECRET", ffi::setting::GOSSIP_SETTING_SECRET),
        ("GOSSIP_ABI_VERSION", ffi::setting::GOSSIP_ABI_VERSION),
    ] {
        put(name, mask.into());
    }
    put("GOSSIP_FORMAT_PROTOBUF", ffi::node::GOSSIP_FORMAT_PROTOBUF.into());
    put("GOSSIP_FORMAT_JSON", ffi::node::GOSSIP_FORMAT_JSON.into());
    put("GOSSIP_FORMAT_PROMETHEUS", ffi::node::GOSSIP_FORMAT_PROMETHEUS.into());
    put("GOSSIP_ERRBUF", ffi::types::GOSSIP_ERRBUF as i64);
    assert_eq!(ffi::types::GOSSIP_NUL, usize::MAX);

    let mut found = constants();
    found.retain(|name, _| name != "GOSSIP_OK" && name != "GOSSIP_VERSION_NUMBER" && !name.starts_with("GOSSIP_ERR_"));
    let found: BTreeMap<&str, i64> = found.iter().map(|(name, (number, _))| (name.as_str(), *number)).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_export_is_declared_and_every_declaration_documented() {
    let header = committed();
    let mut exported = Vec::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ffi")).expect("src/ffi") {
        let source = std::fs::read_to_string(file.expect("a file").path()).expect("a source");
        let mut lines = source.lines();
        while lines.any(|line| line.trim() == "#[unsafe(no_mangle)]") {
            let line = lines.next().unwrap_or_default();
            let name = line.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).expect("a function");
            exported.push(name.to_string());
        }
    }
    assert!(exported.len() > 90);
    for name in &exported {
        assert!(
            header.contains(&format!("{name}(")),
            "{name} is not in the header: see SECTIONS in examples/header.rs"
        );
    }

    let mut before = "";
    for line in header.lines() {
        let declares = line.contains("gossip_") && line.contains('(') && !line.starts_with([' ', '/', '#']);
        if declares || line.starts_with("typedef") {
            assert!(before.starts_with("//"), "without a comment: {line}");
        }
        before = line;
    }
}
