use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::store::entry::{Entry, EntryHead, Life, LifeRef, MemberId, Origin, TypeUrl};
use crate::store::members::{Contact, MemberStatus};

const GENERATION: u64 = 1_700_000_000_000;
const WRAPPER: &str = "type.googleapis.com/google.protobuf.";

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

fn life() -> LifeRef {
    LifeRef::new(Life { id: MemberId::new("alpha").unwrap(), generation: GENERATION, nonce: 5 })
}

fn entry_view(key: &str, type_url: &str, value: Option<&[u8]>, status: MemberStatus) -> EntryView {
    let head = EntryHead {
        life: life(),
        type_url: TypeUrl::new(type_url),
        seq: 42,
        received: at(500),
        origin: Origin::received(at(0)),
        expires: Time::NEVER,
        key_len: key.len() as u8,
        deleted: value.is_none(),
        drained: true.into(),
    };
    EntryView { entry: Entry::new(head, key, value.unwrap_or(b"")), status, read_at: at(2000) }
}

fn event(kind: u32) -> Event {
    Event {
        kind,
        tag: 0x0102_0304_0506_0708,
        node: 0x11,
        sub: 0x22,
        conflated: 1,
        code: 0,
        text: None,
        target: None,
        entry: None,
        member: None,
        taken_at: at(2000),
    }
}

fn changed(key: &str, type_url: &str, value: &[u8]) -> Event {
    let entry = Some(entry_view(key, type_url, Some(value), MemberStatus::Alive));
    Event { entry, ..event(kind::ENTRY_CHANGED) }
}

fn wrapped(key: &str, wrapper: &str, value: &[u8]) -> Event {
    changed(key, &format!("{WRAPPER}{wrapper}"), value)
}

fn member_view() -> MemberView {
    let tags = [("zone", "eu"), ("role", "web")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    MemberView {
        contact: triomphe::Arc::new(Contact {
            life: life(),
            address: "10.0.0.7:4711".parse().unwrap(),
            versions: (1, 1),
            tags: Arc::new(BTreeMap::from(tags)),
        }),
        status: MemberStatus::Alive,
        since: at(1750),
        rtt_us: Some(321),
        is_self: false,
        banned: false,
    }
}

/// One of each shape, with the name of its golden file.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let mut text = wrapped("greeting", "StringValue", "\x0a\x06hällo".as_bytes());
    text.conflated = 3;
    let mut suspected = wrapped("on", "BoolValue", b"\x08\x01");
    suspected.entry.as_mut().unwrap().status = MemberStatus::Suspect;
    let int = [&[8, 0xfe][..], &[0xff; 8], &[1]].concat();
    let double = [&[9][..], &1.5f64.to_le_bytes()].concat();
    let deleted = entry_view("order", "", None, MemberStatus::Left);
    let own = MemberView {
        contact: triomphe::Arc::new(Contact {
            life: life(),
            address: "[::1]:4711".parse().unwrap(),
            versions: (1, 1),
            tags: Arc::default(),
        }),
        since: at(2000),
        rtt_us: None,
        is_self: true,
        ..member_view()
    };
    let member = |kind| Event { member: Some(member_view()), ..event(kind) };
    let words = |kind, code, text: &str| Event { code, text: Some(text.into()), ..event(kind) };
    let events = vec![
        ("entry_changed_bytes", changed("kéy", "", b"\0\x01\xff")),
        ("entry_changed_text", text),
        ("entry_changed_empty_text", wrapped("greeting", "StringValue", b"")),
        ("entry_changed_bool", suspected),
        ("entry_changed_int", wrapped("n", "Int64Value", &int)),
        ("entry_changed_double", wrapped("x", "DoubleValue", &double)),
        ("entry_changed_message", changed("order", "type.googleapis.com/shop.Order", b"\x08\x07")),
        ("entry_deleted", Event { entry: Some(deleted), conflated: 2, ..event(kind::ENTRY_DELETED) }),
        (
            "entry_refused",
            Event {
                member: Some(member_view()),
                target: Some("big".into()),
                ..words(kind::ENTRY_REFUSED, 0, "over max_value_size")
            },
        ),
        ("member_joined", member(kind::MEMBER_JOINED)),
        ("member_removed", member(kind::MEMBER_REMOVED)),
        ("member_updated_self", Event { member: Some(own), ..event(kind::MEMBER_UPDATED) }),
        ("node_state", Event { conflated: 2, ..words(kind::NODE_STATE, 2, "equal to a peer") }),
        ("synced", event(kind::SYNCED)),
        ("topology", words(kind::TOPOLOGY, 3, "00c0ffee12345678")),
        ("warning", words(kind::WARNING, -16, "in use")),
        ("log", Event { conflated: 6, target: Some("engine".into()), ..words(kind::LOG, 3, "member beta joined") }),
        ("initial_done", event(kind::INITIAL_DONE)),
        ("closed", event(kind::CLOSED)),
    ];
    let mut samples: Vec<_> = events.iter().map(|(name, e)| (*name, pack_events(std::slice::from_ref(e)))).collect();
    let entry = |value| pack_entries(&[entry_view("k", "", value, MemberStatus::Alive)]);
    samples.push(("list_entry", entry(Some(b"v"))));
    samples.push(("list_entry_deleted", entry(None)));
    samples.push(("list_member", pack_members(&[member_view()], at(2000))));
    samples
}

/// The bytes of a golden file: hex digits, with comments after `#`.
fn golden(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes = text.lines().flat_map(|line| line.split('#').next().unwrap_or("").split_whitespace());
    bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events")
}

#[test]
fn each_shape_has_its_golden_bytes() {
    for (name, packed) in samples() {
        let expected = golden(&folder().join(format!("{name}.hex")));
        for (at, (a, b)) in packed.iter().zip(&expected).enumerate() {
            assert_eq!(a, b, "{name}: byte {at}");
        }
        assert_eq!(packed.len(), expected.len(), "{name}");
    }
}

#[test]
fn each_golden_file_is_used() {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|f| f.unwrap().path()).collect();
    let mut samples: Vec<_> = samples().iter().map(|(name, _)| folder().join(format!("{name}.hex"))).collect();
    files.sort();
    samples.sort();
    assert_eq!(files, samples);
}

/// A record as a binding reads it: by the offsets of `docs/events.md`, with nothing taken from the writer.
#[derive(Debug)]
struct Read<'a> {
    kind: u32,
    number: i64,
    value_kind: u32,
    texts: [&'a [u8]; 5],
    plain: Option<&'a [u8]>,
}

fn read(mut packed: &[u8]) -> Vec<Read<'_>> {
    let mut all = Vec::new();
    while !packed.is_empty() {
        let u32_at = |at: usize| u32::from_le_bytes(packed[at..at + 4].try_into().unwrap());
        let (size, head) = (u32_at(0) as usize, u32_at(4) as usize);
        assert!(size % 8 == 0 && head >= 112 && size >= head);
        let mut at = head;
        let texts = [88, 92, 96, 100, 104].map(|len| {
            let len = u32_at(len) as usize;
            at += len;
            &packed[at - len..at]
        });
        assert!(packed[at..size].iter().all(|b| *b == 0) && size - at < 8);
        let number = i64::from_le_bytes(packed[72..80].try_into().unwrap());
        let off = u32_at(108) as usize;
        let plain = (u32_at(84) == 2).then(|| &texts[3][off..off + number as usize]);
        all.push(Read { kind: u32_at(8), number, value_kind: u32_at(84), texts, plain });
        packed = &packed[size..];
    }
    all
}

#[test]
fn a_list_is_read_record_by_record() {
    let events = [
        wrapped("greeting", "StringValue", "\x0a\x06hällo".as_bytes()),
        event(kind::SYNCED),
        wrapped("n", "Int64Value", b"\x08\x07"),
        changed("k", "", b""),
    ];
    let packed = pack_events(&events);
    let records = read(&packed);
    assert_eq!(records.len(), 4);
    assert_eq!(records[0].plain, Some("hällo".as_bytes()));
    assert_eq!(records[0].texts[0], b"alpha");
    assert_eq!(records[0].texts[1], b"greeting");
    assert_eq!((records[1].kind, records[1].texts.concat()), (kind::SYNCED, vec![]));
    assert_eq!((records[2].number, records[2].value_kind), (7, 4));
    assert_eq!((records[3].value_kind, records[3].texts[3]), (1, &b""[..]));
    assert!(pack_events(&[]).is_empty() && pack_entries(&[]).is_empty() && pack_members(&[], at(0)).is_empty());
}

#[test]
fn a_text_is_found_behind_other_fields() {
    // Unknown field 2, then the text, which protobuf lets come in any order; the last one counts.
    let packed = pack_events(&[wrapped("k", "StringValue", b"\x10\x05\x0a\x01a\x0a\x02bc\x10\x06")]);
    assert_eq!(read(&packed)[0].plain, Some(&b"bc"[..]));
}

#[test]
fn a_tag_cannot_forge_a_line() {
    let tags = BTreeMap::from([("a".to_owned(), "x\nrole=admin".to_owned())]);
    let mut view = member_view();
    triomphe::Arc::make_mut(&mut view.contact).tags = Arc::new(tags);
    let packed = pack_members(&[view], at(2000));
    assert_eq!(read(&packed)[0].texts[3], b"a=x role=admin\n");
}
