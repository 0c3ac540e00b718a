//! The C functions, called as C would call them: arguments, ids, results, callbacks. (The tests in C are in tests/c.)
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cluster_gossip::error::Status::{self, *};
use cluster_gossip::ffi::bytes::*;
use cluster_gossip::ffi::cluster::*;
use cluster_gossip::ffi::config::*;
use cluster_gossip::ffi::entries::*;
use cluster_gossip::ffi::events::*;
use cluster_gossip::ffi::members::*;
use cluster_gossip::ffi::node::*;
use cluster_gossip::ffi::queue::*;
use cluster_gossip::ffi::setting::*;
use cluster_gossip::ffi::state::*;
use cluster_gossip::ffi::status::*;
use cluster_gossip::ffi::sub::*;
use cluster_gossip::ffi::types::*;

// SAFETY, for all of this file: pointers come from live Rust values with their lengths, from C string literals, or from
// the functions under test, and are used before they are freed.

fn is(status: i32, expected: Status) {
    assert_eq!(Status::from_code(status), Some(expected));
}

#[track_caller]
fn ok(status: i32) {
    assert_eq!(status, 0, "{:?}", Status::from_code(status));
}

/// A node that has no seeds, on a port of the system's choice.
fn node() -> gossip_node {
    let mut node = gossip_node { id: 0 };
    let mut errbuf = [0 as c_char; GOSSIP_ERRBUF];
    // SAFETY: see the top.
    let status =
        unsafe { gossip_open_text(c"bind=127.0.0.1:0".as_ptr(), &mut node, errbuf.as_mut_ptr(), errbuf.len()) };
    assert_eq!(status, 0, "{}", message(&errbuf));
    node
}

fn message(errbuf: &[c_char]) -> String {
    // SAFETY: see the top; the library ends it with a NUL.
    unsafe { CStr::from_ptr(errbuf.as_ptr()) }.to_str().expect("UTF-8").to_owned()
}

fn key(text: &str) -> (*const c_char, usize) {
    (text.as_ptr().cast(), text.len())
}

fn set_text(node: gossip_node, k: &str, text: &str) -> i32 {
    let (k, k_len) = key(k);
    // SAFETY: see the top.
    unsafe { gossip_set_text(node, k, k_len, text.as_ptr().cast(), text.len(), null_mut(), 0) }
}

fn get(node: gossip_node, k: &str) -> *mut gossip_entries {
    let ((k, k_len), mut list) = (key(k), null_mut());
    // SAFETY: see the top.
    ok(unsafe { gossip_get(node, null(), k, k_len, 0, &mut list) });
    list
}

/// The only entry of a list, and whatever `read` makes of it.
fn read<T>(list: *mut gossip_entries, read: impl FnOnce(*const gossip_entry) -> T) -> T {
    // SAFETY: see the top.
    unsafe {
        assert_eq!(gossip_entries_len(list), 1);
        assert!(gossip_entries_at(list, 1).is_null());
        let result = read(gossip_entries_at(list, 0));
        gossip_entries_free(list);
        result
    }
}

fn text_of(pointer: *const c_char, len: usize) -> String {
    // SAFETY: see the top.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), len) };
    std::str::from_utf8(bytes).expect("UTF-8").to_owned()
}

/// Waits for what comes by itself; the time only ends a wait that would never end.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "still not: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn tables_can_be_walked() {
    // SAFETY: see the top.
    unsafe {
        assert_eq!(gossip_status_count(), Status::ALL.len());
        for i in 0..gossip_status_count() {
            let status = gossip_status_at(i);
            let known = Status::from_code(status).expect("a status");
            assert_eq!(CStr::from_ptr(gossip_status_name(status)), known.c_name());
            assert_eq!(CStr::from_ptr(gossip_status_text(status)), known.c_text());
            assert_eq!(gossip_status_can_retry(status) == 1, known.can_retry());
        }
        assert_eq!(gossip_status_at(usize::MAX), 0);
        assert_eq!(CStr::from_ptr(gossip_status_name(-9999)), c"GOSSIP_ERR_UNKNOWN");
        assert!(!CStr::from_ptr(gossip_status_text(1)).is_empty());
        for i in 0..gossip_setting_count() {
            for column in [gossip_setting_name, gossip_setting_type, gossip_setting_bounds, gossip_setting_text] {
                assert!(!CStr::from_ptr(column(i)).is_empty());
            }
            assert!(!gossip_setting_default(i).is_null() && !gossip_setting_unit(i).is_null());
            assert!(gossip_setting_flags(i) <= GOSSIP_SETTING_LIVE | GOSSIP_SETTING_SECRET);
        }
        assert!(gossip_setting_name(gossip_setting_count()).is_null());
        assert_eq!(gossip_setting_flags(usize::MAX), 0);
        assert_eq!(CStr::from_ptr(gossip_version()).to_bytes(), env!("CARGO_PKG_VERSION").as_bytes());
        assert_eq!(gossip_abi_version(), GOSSIP_ABI_VERSION);
    }
}

#[test]
fn configurations_are_set_read_and_freed() {
    let mut config = gossip_config { id: 0 };
    let mut errbuf = [0x55 as c_char; GOSSIP_ERRBUF];
    let (buffer, len) = (errbuf.as_mut_ptr(), errbuf.len());
    // SAFETY: see the top.
    unsafe {
        is(gossip_config_new(null_mut()), InvalidArgument);
        ok(gossip_config_new(&mut config));
        ok(gossip_config_set(config, c"cluster".as_ptr(), c"shop".as_ptr(), buffer, len));
        assert_eq!(message(&errbuf), "");
        is(gossip_config_set(config, c"cluste".as_ptr(), c"shop".as_ptr(), buffer, len), UnknownSetting);
        assert_eq!(message(&errbuf), "there is no setting \"cluste\"; did you mean cluster?");
        is(gossip_config_set(config, c"gossip_fanout".as_ptr(), c"many".as_ptr(), buffer, len), BadSetting);
        is(gossip_config_set(config, c"cluster".as_ptr(), c"\xff".as_ptr(), buffer, len), InvalidArgument);
        assert_eq!(message(&errbuf), "value is not UTF-8 at byte 0");
        is(gossip_config_set(config, null(), c"".as_ptr(), null_mut(), 0), InvalidArgument);
        is(gossip_config_set(config, c"cluster".as_ptr(), null(), null_mut(), 0), InvalidArgument);

        let mut value = null_mut();
        ok(gossip_config_get(config, c"cluster".as_ptr(), &mut value));
        let mut len = 0;
        assert_eq!(CStr::from_ptr(gossip_bytes_data(value, &mut len).cast()), c"shop");
        assert_eq!(len, 4);
        gossip_bytes_free(value);
        value = null_mut();
        is(gossip_config_get(config, c"colour".as_ptr(), &mut value), UnknownSetting);
        assert!(value.is_null(), "written on failure");
        is(gossip_config_get(config, c"cluster".as_ptr(), null_mut()), InvalidArgument);

        ok(gossip_config_free(config));
        is(gossip_config_free(config), Closed);
        is(gossip_config_get(config, c"cluster".as_ptr(), &mut value), Closed);
        is(gossip_config_free(gossip_config { id: 0 }), InvalidHandle);
    }
}

#[test]
fn foreign_and_made_up_ids_are_told_from_closed_ones() {
    let mut config = gossip_config { id: 0 };
    let mut state = 0;
    // SAFETY: see the top.
    unsafe {
        ok(gossip_config_new(&mut config));
        for id in [0, 1, 42, u64::MAX, config.id, config.id | 1 << 62] {
            is(gossip_state(gossip_node { id }, &mut state), InvalidHandle);
            is(gossip_close(gossip_node { id }), InvalidHandle);
            is(gossip_close_nowait(gossip_node { id }), InvalidHandle);
            is(gossip_leave(gossip_node { id }, 0), InvalidHandle);
            is(gossip_queue_wake(gossip_queue { id }), InvalidHandle);
            is(gossip_queue_free(gossip_queue { id }), InvalidHandle);
            is(gossip_unsubscribe(gossip_sub { id }), InvalidHandle);
            is(gossip_unsubscribe_nowait(gossip_sub { id }), InvalidHandle);
        }
        ok(gossip_config_free(config));
        let node = node();
        assert!(node.id < 1 << 53);
        is(gossip_state(node, null_mut()), InvalidArgument);
        ok(gossip_state(node, &mut state));
        ok(gossip_close(node));
        is(gossip_close(node), Closed);
        is(gossip_state(node, &mut state), Closed);
        is(set_text(node, "k", "v"), Closed);
    }
}

#[test]
fn opening_fails_in_words_and_hands_out_nothing() {
    let mut node = gossip_node { id: 77 };
    let mut errbuf = [0 as c_char; GOSSIP_ERRBUF];
    let (buffer, len) = (errbuf.as_mut_ptr(), errbuf.len());
    // SAFETY: see the top.
    unsafe {
        is(gossip_open_text(c"cluster=a\nfanout=3".as_ptr(), &mut node, buffer, len), UnknownSetting);
        assert!(message(&errbuf).starts_with("line 2: "), "{}", message(&errbuf));
        is(gossip_open_text(c"join_retry=10s".as_ptr(), &mut node, buffer, len), BadSetting);
        is(gossip_open_text(c"bind=192.0.2.1:1".as_ptr(), &mut node, buffer, len), Bind);
        assert!(message(&errbuf).contains("192.0.2.1:1"), "{}", message(&errbuf));
        is(gossip_open_text(null(), &mut node, buffer, len), InvalidArgument);
        is(gossip_open_text(c"".as_ptr(), null_mut(), buffer, len), InvalidArgument);
        is(gossip_open(gossip_config { id: 0 }, &mut node, buffer, len), InvalidHandle);
        assert_eq!(message(&errbuf), "the id names no configuration");
    }
    assert_eq!(node.id, 77, "written on failure");
}

#[test]
fn plain_values_are_set_and_read_as_what_they_are() {
    let node = node();
    let (k, k_len) = key("k");
    // SAFETY: see the top.
    unsafe {
        ok(set_text(node, "k", "grün"));
        read(get(node, "k"), |e| {
            let mut len = 0;
            let text = gossip_entry_text(e, &mut len);
            assert_eq!(text_of(text, len), "grün");
            assert_eq!(gossip_entry_value_kind(e), GOSSIP_VALUE_TEXT);
            is(gossip_entry_int(e, &mut 0), WrongType);
            is(gossip_entry_bool(e, &mut 0), WrongType);
            is(gossip_entry_double(e, &mut 0.0), WrongType);
            is(gossip_entry_double(e, null_mut()), InvalidArgument);
            assert_eq!(text_of(gossip_entry_key(e, &mut len), len), "k");
            assert_eq!(
                text_of(gossip_entry_type_url(e, &mut len), len),
                "type.googleapis.com/google.protobuf.StringValue"
            );
            assert_eq!(text_of(gossip_entry_member(e, &mut len), len).len(), 32);
            assert!(gossip_entry_seq(e) >= 1 && gossip_entry_generation(e) >= 1 && gossip_entry_age_ms(e) >= 0);
            assert_eq!(gossip_entry_member_status(e), GOSSIP_MEMBER_ALIVE);
        });
        ok(gossip_set_text(node, k, k_len, c"by its NUL".as_ptr(), GOSSIP_NUL, null_mut(), 0));
        read(get(node, "k"), |e| {
            let mut len = 0;
            assert_eq!(text_of(gossip_entry_text(e, &mut len), len), "by its NUL");
        });
        ok(gossip_set_bool(node, k, k_len, 5, null_mut(), 0));
        read(get(node, "k"), |e| {
            let mut value = 0;
            ok(gossip_entry_bool(e, &mut value));
            assert_eq!(value, 1);
            assert!(gossip_entry_text(e, null_mut()).is_null());
        });
        ok(gossip_set_int(node, k, k_len, i64::MIN, null_mut(), 0));
        read(get(node, "k"), |e| {
            let mut value = 0;
            ok(gossip_entry_int(e, &mut value));
            assert_eq!(value, i64::MIN);
        });
        ok(gossip_set_double(node, k, k_len, -0.1, null_mut(), 0));
        read(get(node, "k"), |e| {
            let mut value = 0.0;
            ok(gossip_entry_double(e, &mut value));
            assert_eq!(value, -0.1);
        });

        let plain = |kind, value: &[u8]| {
            let mut seq = 0;
            let bytes = value.as_ptr().cast();
            gossip_set_plain(node, k, k_len, kind, bytes, value.len(), 0, 0, &mut seq, null_mut(), 0)
        };
        ok(plain(GOSSIP_VALUE_INT, &7i64.to_ne_bytes()));
        ok(plain(GOSSIP_VALUE_DOUBLE, &7f64.to_ne_bytes()));
        ok(plain(GOSSIP_VALUE_BOOL, &[1]));
        ok(plain(GOSSIP_VALUE_TEXT, b"text"));
        ok(plain(GOSSIP_VALUE_BYTES, b"\0\xff"));
        read(get(node, "k"), |e| {
            let mut len = 0;
            let value = gossip_entry_value(e, &mut len);
            assert_eq!(std::slice::from_raw_parts(value, len + 1), b"\0\xff\0");
            assert_eq!(gossip_entry_value_kind(e), GOSSIP_VALUE_BYTES);
        });
        is(plain(GOSSIP_VALUE_INT, &[0; 4]), InvalidArgument);
        is(plain(GOSSIP_VALUE_DOUBLE, &[]), InvalidArgument);
        is(plain(GOSSIP_VALUE_BOOL, &[]), InvalidArgument);
        is(plain(GOSSIP_VALUE_TEXT, b"\xff"), InvalidArgument);
        is(plain(GOSSIP_VALUE_NONE, &[]), InvalidArgument);
        is(plain(GOSSIP_VALUE_MESSAGE, &[]), InvalidArgument);
        ok(gossip_close(node));
    }
}

#[test]
fn keys_lengths_and_flags_are_checked() {
    let node = node();
    let mut errbuf = [0 as c_char; GOSSIP_ERRBUF];
    let (buffer, len) = (errbuf.as_mut_ptr(), errbuf.len());
    let long = "k".repeat(256);
    let long_c = CString::new(long.as_str()).unwrap();
    // SAFETY: see the top.
    unsafe {
        let set = |key: *const c_char, key_len| gossip_set(node, key, key_len, null(), null(), 0, buffer, len);
        is(set(c"".as_ptr(), 0), InvalidKey);
        is(set(null(), 0), InvalidKey);
        is(set(null(), 3), InvalidArgument);
        is(set(null(), GOSSIP_NUL), InvalidArgument);
        is(set(long.as_ptr().cast(), 256), InvalidKey);
        assert_eq!(message(&errbuf), "the key has 256 bytes; at most 255 are allowed");
        is(set(long_c.as_ptr(), GOSSIP_NUL), InvalidKey);
        is(set(c"\xff".as_ptr(), 1), InvalidKey);
        is(set(c"cluster:x".as_ptr(), GOSSIP_NUL), ReservedKey);
        is(set(c"k".as_ptr(), isize::MAX as usize + 2), InvalidArgument);
        ok(set(long.as_ptr().cast(), 255));
        ok(set(c"by its NUL".as_ptr(), GOSSIP_NUL));
        ok(set("with\0zero".as_ptr().cast(), 9));
        read(get(node, "with\0zero"), |e| {
            let mut key_len = 0;
            assert_eq!(text_of(gossip_entry_key(e, &mut key_len), key_len), "with\0zero");
            gossip_entry_value(e, &mut key_len);
            assert_eq!((key_len, gossip_entry_value_kind(e)), (0, GOSSIP_VALUE_BYTES));
        });

        let with = |value: *const c_void, value_len, ttl, flags| {
            let mut seq = 0;
            let status =
                gossip_set_with(node, c"k".as_ptr(), 1, null(), value, value_len, ttl, flags, &mut seq, buffer, len);
            (status, seq)
        };
        let value = b"v".as_ptr().cast();
        is(with(null(), 1, 0, 0).0, InvalidArgument);
        is(with(value, GOSSIP_NUL, 0, 0).0, InvalidArgument);
        is(with(value, 1, -1, 0).0, InvalidArgument);
        is(with(value, 1, 0, 2).0, InvalidArgument);
        assert_eq!(message(&errbuf), "unknown flags 0x2");
        let (status, first) = with(value, 1, 0, 0);
        ok(status);
        assert_eq!(with(value, 1, 0, GOSSIP_SET_IF_CHANGED), (0, first));
        assert_eq!(with(value, 1, 0, 0), (0, first + 1));

        let mut list = null_mut();
        is(gossip_get(node, null(), c"k".as_ptr(), 1, 4, &mut list), InvalidArgument);
        is(gossip_get(node, c"".as_ptr(), c"k".as_ptr(), 1, 0, &mut list), InvalidArgument);
        is(gossip_get(node, long_c.as_ptr(), c"k".as_ptr(), 1, 0, &mut list), InvalidArgument);
        is(gossip_get(node, null(), c"k".as_ptr(), 1, 0, null_mut()), InvalidArgument);
        is(gossip_get(node, null(), c"".as_ptr(), 0, 0, &mut list), InvalidKey);
        assert!(list.is_null(), "written on failure");
        ok(gossip_get(node, null(), null(), 0, GOSSIP_GET_PREFIX, &mut list));
        assert!(gossip_entries_len(list) >= 4);
        gossip_entries_free(list);
        ok(gossip_get_own(node, c"k".as_ptr(), 1, &mut list));
        assert_eq!(read(list, |e| gossip_entry_seq(e)), first + 1);
        ok(gossip_delete(node, c"k".as_ptr(), 1));
        is(gossip_delete(node, c"k".as_ptr(), 1), NotFound);
        ok(gossip_get_own(node, c"k".as_ptr(), 1, &mut list));
        assert_eq!(gossip_entries_len(list), 0);
        gossip_entries_free(list);
        ok(gossip_close(node));
    }
}

#[test]
fn an_empty_id_key_or_name_is_refused_by_all_that_take_one() {
    let node = node();
    let (none, text, nul) = (c"".as_ptr(), c"x".as_ptr(), null_mut());
    let (mut entries, mut bytes, mut sub, mut queue) =
        (null_mut(), null_mut(), gossip_sub { id: 0 }, gossip_queue { id: 0 });
    // SAFETY: see the top.
    unsafe {
        ok(gossip_queue_new(0, &mut queue));
        for call in [gossip_ban, gossip_unban, gossip_statistic_delete] {
            is(call(node, none, nul, 0), InvalidArgument);
            is(call(node, null(), nul, 0), InvalidArgument);
        }
        is(gossip_statistic_set(node, none, 1, nul, 0), InvalidArgument);
        is(gossip_set(node, none, 0, none, null(), 0, nul, 0), InvalidKey);
        is(gossip_set_text(node, none, 0, text, 1, nul, 0), InvalidKey);
        is(gossip_set_int(node, none, 0, 1, nul, 0), InvalidKey);
        is(gossip_set_bool(node, none, 0, 1, nul, 0), InvalidKey);
        is(gossip_set_double(node, none, 0, 1.0, nul, 0), InvalidKey);
        is(gossip_delete(node, none, 0), InvalidKey);
        is(gossip_get(node, null(), none, 0, 0, &mut entries), InvalidKey);
        is(gossip_get(node, none, text, 1, 0, &mut entries), InvalidArgument);
        is(gossip_get_own(node, none, 0, &mut entries), InvalidKey);
        let all = GOSSIP_EVENTS_ALL;
        is(gossip_subscribe_queue(node, all, none, null(), 0, 0, queue, 0, &mut sub), InvalidArgument);
        is(gossip_subscribe_queue(node, all, null(), none, 0, 0, queue, 0, &mut sub), InvalidKey);
        is(
            gossip_subscribe(node, all, none, null(), 0, 0, Some(count_call), nul.cast(), None, &mut sub),
            InvalidArgument,
        );
        is(gossip_setting_get(node, none, &mut bytes), UnknownSetting);
        is(gossip_reconfigure(node, none, text, nul, 0), UnknownSetting);
        ok(gossip_queue_free(queue));
    }
    ok(gossip_close(node));
}

#[test]
fn messages_about_any_key_and_value_end_within_an_errbuf() {
    let node = node();
    let ask = |k: &str, type_url: &CStr, value: &[u8], ttl| {
        let ((k, k_len), mut errbuf) = (key(k), [0 as c_char; 2 * GOSSIP_ERRBUF]);
        // SAFETY: see the top.
        let status = unsafe {
            let (value, len, buffer, cap) = (value.as_ptr().cast(), value.len(), errbuf.as_mut_ptr(), errbuf.len());
            gossip_set_with(node, k, k_len, type_url.as_ptr(), value, len, ttl, 0, null_mut(), buffer, cap)
        };
        (Status::from_code(status), message(&errbuf))
    };
    // SAFETY: see the top.
    ok(unsafe { gossip_reconfigure(node, c"max_value_size".as_ptr(), c"10".as_ptr(), null_mut(), 0) });
    // Escaped, such a key is five times as long as it may be.
    for part in ["\u{1}", "\u{e0001}", "\"", "\0", "é", "a"] {
        let long = part.repeat(255 / part.len());
        let reserved = format!("cluster:{}", &part.repeat(247 / part.len()));
        for (k, value, wanted, end) in [
            (&reserved, 1, ReservedKey, "choose another key"),
            (&long, 11, ValueTooLarge, "has 11 bytes; max_value_size is 10"),
        ] {
            let (status, text) = ask(k, c"", &vec![0; value], 0);
            assert_eq!(status, Some(wanted));
            assert!(text.len() < GOSSIP_ERRBUF && text.ends_with(end), "{} bytes: {text}", text.len());
        }
        let (status, text) = ask(&long, c"", b"", -1);
        assert_eq!((status, text.as_str()), (Some(InvalidArgument), "a time to live of -1 ms; 0 is none"));
    }
    ok(gossip_close(node));
}

#[test]
fn accessors_take_null() {
    let mut len = 99;
    // SAFETY: see the top.
    unsafe {
        assert_eq!(gossip_entries_len(null()), 0);
        assert!(gossip_entries_at(null(), 0).is_null());
        assert_eq!((*gossip_entries_packed(null(), &mut len), len), (0, 0));
        for text in [gossip_entry_member, gossip_entry_key, gossip_entry_type_url] {
            assert!(CStr::from_ptr(text(null(), null_mut())).is_empty());
        }
        assert!(!gossip_entry_value(null(), &mut len).is_null());
        assert!(gossip_entry_text(null(), &mut len).is_null());
        is(gossip_entry_bool(null(), &mut 0), InvalidArgument);
        assert_eq!((gossip_entry_value_kind(null()), gossip_entry_seq(null())), (0, 0));
        assert_eq!((gossip_entry_age_ms(null()), gossip_entry_generation(null())), (0, 0));
        assert_eq!(gossip_entry_member_status(null()), 0);
        assert_eq!(gossip_members_len(null()), 0);
        assert!(gossip_members_at(null(), 0).is_null());
        assert!(!gossip_members_packed(null(), null_mut()).is_null());
        for text in [gossip_member_id, gossip_member_address] {
            assert!(CStr::from_ptr(text(null(), null_mut())).is_empty());
        }
        assert!(gossip_member_tag_name(null(), 0, &mut len).is_null());
        assert!(gossip_member_tag_value(null(), 0, &mut len).is_null());
        assert_eq!((gossip_member_tag_count(null()), gossip_member_rtt_us(null())), (0, -1));
        assert_eq!((gossip_member_status(null()), gossip_member_is_self(null())), (0, 0));
        assert_eq!((gossip_member_generation(null()), gossip_member_status_age_ms(null())), (0, 0));
        assert_eq!(gossip_events_len(null()), 0);
        assert!(gossip_events_at(null(), 0).is_null());
        assert!(!gossip_events_packed(null(), &mut len).is_null());
        assert_eq!((gossip_event_kind(null()), gossip_event_tag(null()), gossip_event_node(null())), (0, 0, 0));
        assert_eq!((gossip_event_sub(null()), gossip_event_conflated(null()), gossip_event_code(null())), (0, 0, 0));
        for text in [gossip_event_text, gossip_event_target] {
            assert!(CStr::from_ptr(text(null(), null_mut())).is_empty());
        }
        assert!(gossip_event_entry(null()).is_null() && gossip_event_member(null()).is_null());
        assert!(!gossip_bytes_data(null(), &mut len).is_null());
        gossip_entries_free(null_mut());
        gossip_members_free(null_mut());
        gossip_events_free(null_mut());
        gossip_bytes_free(null_mut());
    }
}

#[test]
fn members_have_texts_that_outlive_the_node() {
    let mut node = gossip_node { id: 0 };
    let settings = c"bind=127.0.0.1:0\nid=me\ntags=zone=eu,role=db";
    // SAFETY: see the top.
    unsafe {
        ok(gossip_open_text(settings.as_ptr(), &mut node, null_mut(), 0));
        let (mut me, mut all) = (null_mut(), null_mut());
        ok(gossip_self(node, &mut me));
        ok(gossip_members_get(node, GOSSIP_GET_DEPARTED, &mut all));
        is(gossip_members_get(node, GOSSIP_GET_PREFIX, &mut all), InvalidArgument);
        ok(gossip_close(node));
        for list in [me, all] {
            assert_eq!(gossip_members_len(list), 1);
            let member = gossip_members_at(list, 0);
            let mut len = 0;
            assert_eq!(CStr::from_ptr(gossip_member_id(member, &mut len)), c"me");
            assert_eq!(len, 2);
            assert!(text_of(gossip_member_address(member, &mut len), len).starts_with("127.0.0.1:"));
            assert_eq!(gossip_member_tag_count(member), 2);
            assert_eq!(CStr::from_ptr(gossip_member_tag_name(member, 0, null_mut())), c"role");
            assert_eq!(CStr::from_ptr(gossip_member_tag_value(member, 1, &mut len)), c"eu");
            assert!(gossip_member_tag_name(member, 2, &mut len).is_null());
            assert_eq!((gossip_member_is_self(member), gossip_member_status(member)), (1, GOSSIP_MEMBER_ALIVE));
            assert!(gossip_member_generation(member) > 0 && gossip_member_status_age_ms(member) >= 0);
            let first = gossip_members_packed(list, &mut len);
            assert!(len >= 112 && len % 8 == 0);
            assert_eq!(gossip_members_packed(list, &mut len), first, "made once");
            gossip_members_free(list);
        }
    }
}

#[test]
fn reports_and_settings_of_an_open_node() {
    let node = node();
    // SAFETY: see the top.
    unsafe {
        let mut bytes = null_mut();
        let text = |bytes: *mut gossip_bytes| {
            let mut len = 0;
            let data = gossip_bytes_data(bytes, &mut len);
            let text = text_of(data.cast(), len);
            gossip_bytes_free(bytes);
            text
        };
        ok(gossip_reconfigure(node, c"gossip_fanout".as_ptr(), c"5".as_ptr(), null_mut(), 0));
        is(gossip_reconfigure(node, c"bind".as_ptr(), c"".as_ptr(), null_mut(), 0), NotLive);
        ok(gossip_setting_get(node, c"gossip_fanout".as_ptr(), &mut bytes));
        assert_eq!(text(bytes), "5");
        is(gossip_setting_get(node, c"colour".as_ptr(), &mut bytes), UnknownSetting);
        ok(gossip_describe(node, &mut bytes));
        assert!(!text(bytes).is_empty());
        ok(gossip_offsets(node, &mut bytes));
        assert!(text(bytes).starts_with(['{', '[']));
        ok(gossip_snapshot(node, GOSSIP_FORMAT_JSON, &mut bytes));
        assert!(text(bytes).starts_with('{'));
        ok(gossip_snapshot(node, GOSSIP_FORMAT_PROTOBUF, &mut bytes));
        gossip_bytes_free(bytes);
        is(gossip_snapshot(node, GOSSIP_FORMAT_PROMETHEUS, &mut bytes), InvalidArgument);
        ok(gossip_metrics(node, GOSSIP_FORMAT_JSON, &mut bytes));
        assert!(text(bytes).starts_with('{'));
        ok(gossip_metrics(node, GOSSIP_FORMAT_PROMETHEUS, &mut bytes));
        assert!(text(bytes).contains("# TYPE"));
        is(gossip_metrics(node, 0, &mut bytes), InvalidArgument);
        ok(gossip_wait_for_members(node, 1, 0));
        is(gossip_wait_for_members(node, 2, 0), Timeout);
        is(gossip_wait_for_members(node, 2, -2), InvalidArgument);
        ok(gossip_wait_synced(node, -1));
        ok(gossip_leave(node, -1));
        is(set_text(node, "k", "v"), Left);
        ok(gossip_close(node));
    }
}

fn queue() -> gossip_queue {
    let mut queue = gossip_queue { id: 0 };
    // SAFETY: see the top.
    ok(unsafe { gossip_queue_new(0, &mut queue) });
    queue
}

fn subscribe_queue(node: gossip_node, what: u32, flags: u32, queue: gossip_queue, tag: u64) -> gossip_sub {
    let mut sub = gossip_sub { id: 0 };
    // SAFETY: see the top.
    ok(unsafe { gossip_subscribe_queue(node, what, null(), null(), 0, flags, queue, tag, &mut sub) });
    sub
}

#[test]
fn a_queue_gives_events_and_says_how_it_ended() {
    let (node, queue) = (node(), queue());
    ok(set_text(node, "before", "1"));
    let sub = subscribe_queue(node, GOSSIP_EVENTS_ENTRIES, GOSSIP_SUB_INITIAL, queue, 7);
    let mut batch = null_mut();
    let mut seen = Vec::new();
    // SAFETY: see the top.
    unsafe {
        while seen.last().is_none_or(|(kind, _)| *kind != GOSSIP_EVENT_INITIAL_DONE) {
            ok(gossip_queue_take(queue, 1, -1, &mut batch));
            assert_eq!(gossip_events_len(batch), 1);
            let event = gossip_events_at(batch, 0);
            assert_eq!(
                (gossip_event_tag(event), gossip_event_node(event), gossip_event_sub(event)),
                (7, node.id, sub.id)
            );
            let mut len = 0;
            let key = text_of(gossip_entry_key(gossip_event_entry(event), &mut len), len);
            seen.push((gossip_event_kind(event), key));
            assert!(gossip_event_member(event).is_null());
            assert!(!gossip_events_packed(batch, &mut len).is_null() && len >= 112);
            gossip_events_free(batch);
        }
        assert!(seen.contains(&(GOSSIP_EVENT_ENTRY_CHANGED, "before".into())), "{seen:?}");

        is(gossip_queue_take(queue, 10, 0, &mut batch), Timeout);
        is(gossip_queue_take(queue, 0, 0, &mut batch), InvalidArgument);
        is(gossip_queue_take(queue, 1, -7, &mut batch), InvalidArgument);
        is(gossip_queue_take(queue, 1, 0, null_mut()), InvalidArgument);
        ok(gossip_queue_wake(queue));
        is(gossip_queue_take(queue, 10, -1, &mut batch), Interrupted);

        for _ in 0..5 {
            ok(set_text(node, "counter", "x"));
        }
        ok(gossip_queue_take(queue, 10, -1, &mut batch));
        let event = gossip_events_at(batch, 0);
        assert_eq!((gossip_events_len(batch), gossip_event_conflated(event)), (1, 5));
        ok(gossip_unsubscribe(sub));
        is(gossip_unsubscribe(sub), Closed);
        ok(gossip_close(node));
        ok(gossip_queue_free(queue));
        // The batch needs neither queue nor node.
        assert_eq!(gossip_entry_seq(gossip_event_entry(event)), 6);
        gossip_events_free(batch);
        is(gossip_queue_take(queue, 1, 0, &mut batch), Closed);
        is(gossip_queue_free(queue), Closed);
    }
}

#[test]
fn ends_of_node_and_queue_end_the_subscriptions() {
    let (first, second, queue) = (node(), node(), queue());
    let of_first = subscribe_queue(first, GOSSIP_EVENTS_ALL, 0, queue, 1);
    let of_second = subscribe_queue(second, GOSSIP_EVENTS_ALL, 0, queue, 2);
    let mut batch = null_mut();
    // SAFETY: see the top.
    unsafe {
        ok(gossip_close(first));
        is(gossip_unsubscribe(of_first), Closed);
        let mut closed = false;
        while !closed {
            ok(gossip_queue_take(queue, 1, -1, &mut batch));
            let event = gossip_events_at(batch, 0);
            closed = gossip_event_kind(event) == GOSSIP_EVENT_CLOSED && gossip_event_tag(event) == 1;
            gossip_events_free(batch);
        }
        ok(gossip_queue_free(queue));
        is(gossip_unsubscribe(of_second), Closed);
        let mut sub = gossip_sub { id: 77 };
        let what = GOSSIP_EVENTS_ALL;
        is(gossip_subscribe_queue(second, what, null(), null(), 0, 0, queue, 0, &mut sub), Closed);
        is(gossip_subscribe_queue(first, what, null(), null(), 0, 0, queue, 0, &mut sub), Closed);
        assert_eq!(sub.id, 77, "written on failure");
        ok(gossip_close(second));
    }
}

#[test]
fn a_take_is_ended_by_freeing_the_queue_and_one_thread_takes_at_a_time() {
    let queue = queue();
    let taker = std::thread::spawn(move || {
        let mut batch = null_mut();
        loop {
            // SAFETY: see the top.
            let status = unsafe { gossip_queue_take(queue, 1, -1, &mut batch) };
            // The look from outside, below, is a take too, and may have come between.
            if status != GOSSIP_ERR_BUSY {
                return status;
            }
        }
    });
    let mut batch = null_mut();
    until("the other thread takes", || {
        // SAFETY: see the top.
        unsafe { gossip_queue_take(queue, 1, 0, &mut batch) == GOSSIP_ERR_BUSY }
    });
    ok(gossip_queue_free(queue));
    is(taker.join().unwrap(), Closed);
}

#[cfg(target_os = "linux")]
#[test]
fn the_file_descriptor_is_readable_while_there_is_something() {
    let (node, queue) = (node(), queue());
    subscribe_queue(node, GOSSIP_EVENT_ENTRY_CHANGED, 0, queue, 0);
    let (mut fd, mut again, mut batch) = (-1, -1, null_mut());
    let readable = |fd| {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, as said.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    };
    // SAFETY: see the top.
    unsafe {
        ok(set_text(node, "k", "before the descriptor"));
        is(gossip_queue_fd(queue, null_mut()), InvalidArgument);
        ok(gossip_queue_fd(queue, &mut fd));
        ok(gossip_queue_fd(queue, &mut again));
        assert_eq!(fd, again);
        assert_eq!(libc::fcntl(fd, libc::F_GETFD), libc::FD_CLOEXEC);
        assert!(readable(fd) && readable(fd));
        ok(gossip_queue_take(queue, 10, 0, &mut batch));
        gossip_events_free(batch);
        assert!(!readable(fd));
        ok(set_text(node, "k", "v"));
        assert!(readable(fd));
        ok(gossip_queue_take(queue, 10, 0, &mut batch));
        gossip_events_free(batch);
        ok(gossip_queue_wake(queue));
        assert!(readable(fd));
        is(gossip_queue_take(queue, 10, 0, &mut batch), Interrupted);
        assert!(!readable(fd));
        ok(gossip_queue_free(queue));
        ok(gossip_close(node));
    }
}

/// What a callback is given.
#[derive(Default)]
struct Host {
    node: AtomicU64,
    calls: AtomicUsize,
    drops: AtomicUsize,
    status: AtomicI32,
}

unsafe extern "C" fn count_drop(user: *mut c_void) {
    // SAFETY: see the top; every test hands in a `Host` that outlives its node.
    unsafe { &*user.cast::<Host>() }.drops.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn count_call(user: *mut c_void, _: *const gossip_event) {
    // SAFETY: as in `count_drop`.
    unsafe { &*user.cast::<Host>() }.calls.fetch_add(1, Ordering::SeqCst);
}

fn subscribe(node: gossip_node, function: gossip_event_fn, host: &Host, sub: &mut gossip_sub) -> i32 {
    let user = std::ptr::from_ref(host).cast_mut().cast();
    let what = GOSSIP_EVENT_ENTRY_CHANGED;
    // SAFETY: see the top.
    unsafe { gossip_subscribe(node, what, null(), null(), 0, 0, function, user, Some(count_drop), sub) }
}

#[test]
fn callbacks_are_called_and_their_user_pointer_is_given_back_once() {
    let (node, host, mut sub) = (node(), Host::default(), gossip_sub { id: 0 });
    let counts = || (host.calls.load(Ordering::SeqCst), host.drops.load(Ordering::SeqCst));
    ok(subscribe(node, Some(count_call), &host, &mut sub));
    ok(set_text(node, "k", "v"));
    until("the callback was called", || counts().0 == 1);
    ok(gossip_unsubscribe(sub));
    assert_eq!(counts(), (1, 1));
    ok(set_text(node, "k", "w"));
    ok(subscribe(node, Some(count_call), &host, &mut sub));
    ok(gossip_close(node));
    assert_eq!(counts().1, 2);
    is(gossip_unsubscribe_nowait(sub), Closed);
    assert_eq!(counts().1, 2);
}

#[test]
fn a_subscription_that_fails_has_taken_nothing() {
    let (node, host, mut sub) = (node(), Host::default(), gossip_sub { id: 77 });
    let user = std::ptr::from_ref(&host).cast_mut().cast();
    is(subscribe(node, None, &host, &mut sub), InvalidArgument);
    // SAFETY: see the top.
    unsafe {
        let mut with = |what, key: *const c_char, key_len, flags| {
            let (call, drop) = (Some(count_call as _), Some(count_drop as _));
            gossip_subscribe(node, what, null(), key, key_len, flags, call, user, drop, &mut sub)
        };
        is(with(0, null(), 0, 0), InvalidArgument);
        is(with(GOSSIP_EVENT_CLOSED, null(), 0, 0), InvalidArgument);
        is(with(GOSSIP_EVENTS_ALL, null(), 0, 8), InvalidArgument);
        is(with(GOSSIP_EVENTS_ALL, c"".as_ptr(), 0, 0), InvalidKey);
    }
    ok(gossip_close(node));
    is(subscribe(node, Some(count_call), &host, &mut sub), Closed);
    assert_eq!((sub.id, host.drops.load(Ordering::SeqCst)), (77, 0));
}

unsafe extern "C" fn end_everything(user: *mut c_void, event: *const gossip_event) {
    // SAFETY: as in `count_drop`; the event lives during the call.
    unsafe {
        let host = &*user.cast::<Host>();
        let (node, sub) =
            (gossip_node { id: host.node.load(Ordering::SeqCst) }, gossip_sub { id: gossip_event_sub(event) });
        assert_eq!(gossip_event_node(event), node.id);
        is(gossip_unsubscribe(sub), WouldDeadlock);
        is(gossip_close(node), WouldDeadlock);
        ok(gossip_wait_synced(node, -1));
        ok(gossip_unsubscribe_nowait(sub));
        is(gossip_unsubscribe_nowait(sub), Closed);
        host.status.store(gossip_close_nowait(node) + 1, Ordering::SeqCst);
        host.calls.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_callback_can_end_its_subscription_and_its_node_without_waiting() {
    let (node, host, mut sub) = (node(), Host::default(), gossip_sub { id: 0 });
    host.node.store(node.id, Ordering::SeqCst);
    ok(subscribe(node, Some(end_everything), &host, &mut sub));
    ok(set_text(node, "k", "v"));
    until("the user pointer was given back", || host.drops.load(Ordering::SeqCst) == 1);
    assert_eq!(host.calls.load(Ordering::SeqCst), 1);
    assert_eq!(host.status.load(Ordering::SeqCst), 1, "gossip_close_nowait failed");
    is(gossip_close(node), Closed);
}

#[test]
fn a_panic_that_is_caught_is_told_and_not_printed() {
    const CHILD: &str = "CLUSTER_GOSSIP_TEST_PANICS";
    let name = "a_panic_that_is_caught_is_told_and_not_printed";
    if std::env::var_os(CHILD).is_some() {
        ok(gossip_close(node()));
        let caught = cluster_gossip::runtime::caught::caught(|| panic!("not to be seen"));
        assert!(caught.is_err_and(|text| text.starts_with("not to be seen (at tests/ffi.rs:")));
        // The host's own are printed as ever.
        assert!(std::thread::spawn(|| panic!("to be seen")).join().is_err());
        return;
    }
    let program = std::env::current_exe().unwrap();
    let child =
        std::process::Command::new(program).args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let printed = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{printed}");
    assert!(printed.contains("to be seen") && !printed.contains("not to be seen"), "{printed}");
}

#[test]
fn opening_and_closing_leaves_no_ids_behind() {
    let mut highest = 0;
    for _ in 0..200 {
        let (node, queue) = (node(), queue());
        subscribe_queue(node, GOSSIP_EVENTS_ALL, GOSSIP_SUB_INITIAL, queue, 0);
        ok(gossip_close(node));
        ok(gossip_queue_free(queue));
        highest = highest.max(node.id & 0xf_ffff);
    }
    // Slots are used again after a rest; other tests of this process have some of their own.
    assert!(highest < 150, "{highest}");
}

/// Bytes of the library's as JSON.
fn json(status: i32, bytes: *mut gossip_bytes) -> serde_json::Value {
    ok(status);
    let mut len = 0;
    // SAFETY: see the top.
    unsafe {
        let data = gossip_bytes_data(bytes, &mut len);
        let value = serde_json::from_slice(std::slice::from_raw_parts(data, len)).expect("JSON");
        gossip_bytes_free(bytes);
        value
    }
}

fn offsets(node: gossip_node) -> serde_json::Value {
    let mut bytes = null_mut();
    // SAFETY: see the top.
    json(unsafe { gossip_offsets(node, &mut bytes) }, bytes)
}

fn id_of(node: gossip_node) -> String {
    let mut list = null_mut();
    // SAFETY: see the top.
    unsafe {
        ok(gossip_self(node, &mut list));
        let mut len = 0;
        let id = gossip_member_id(gossip_members_at(list, 0), &mut len);
        let id = text_of(id, len);
        gossip_members_free(list);
        id
    }
}

#[test]
fn what_nobody_acknowledges_is_not_committed() {
    let first = node();
    let mut second = gossip_node { id: 0 };
    // SAFETY: see the top.
    unsafe {
        let mut list = null_mut();
        ok(gossip_self(first, &mut list));
        let mut len = 0;
        let address = gossip_member_address(gossip_members_at(list, 0), &mut len);
        let settings = CString::new(format!("bind=127.0.0.1:0\nseeds={}", text_of(address, len))).expect("no NUL");
        gossip_members_free(list);
        ok(gossip_open_text(settings.as_ptr(), &mut second, null_mut(), 0));
        ok(gossip_wait_for_members(first, 2, 60_000));
    }
    let (me, other) = (id_of(first), id_of(second));
    let set = |text: &str| {
        let (k, k_len) = key("k");
        let mut seq = 0;
        // SAFETY: see the top.
        ok(unsafe {
            gossip_set_with(
                first,
                k,
                k_len,
                c"".as_ptr(),
                text.as_ptr().cast(),
                text.len(),
                0,
                0,
                &mut seq,
                null_mut(),
                0,
            )
        });
        seq
    };
    let committed = || offsets(first)[&other][&me].as_u64();
    let acknowledged = set("acknowledged");
    until("the other has acknowledged", || committed().is_some_and(|offset| offset >= acknowledged));
    // It ends without a word: what is set now, nobody acknowledges. Until it is held dead it is asked again and again.
    ok(gossip_close(second));
    let lost = set("lost");
    until("the other is held dead", || {
        let offset = committed();
        assert!(
            offset.is_none_or(|offset| offset < lost),
            "{offset:?} is committed at one that is gone; {lost} was set"
        );
        offset.is_none()
    });
    ok(gossip_close(first));
}
