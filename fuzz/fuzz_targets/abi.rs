//! Sequences of calls of the C interface with any arguments, ids and order: a status, never a crash.
#![no_main]

use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};

use cluster_gossip::ffi::config::*;
use cluster_gossip::ffi::entries::*;
use cluster_gossip::ffi::events::*;
use cluster_gossip::ffi::members::*;
use cluster_gossip::ffi::node::*;
use cluster_gossip::ffi::queue::*;
use cluster_gossip::ffi::state::*;
use cluster_gossip::ffi::sub::*;
use cluster_gossip::ffi::types::*;
use libfuzzer_sys::fuzz_target;

/// Calls of callbacks, and of those destructors that were owed.
static INSIDE: AtomicI64 = AtomicI64::new(0);
static OWED: AtomicI64 = AtomicI64::new(0);

/// Reads what it is shown, and now and then ends its node or subscription from within.
unsafe extern "C" fn call(user: *mut c_void, event: *const gossip_event) {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    let user = user as usize as u8;
    let mut len = 0;
    // SAFETY: the event lives until this returns.
    unsafe {
        let (sub, node) = (gossip_event_sub(event), gossip_event_node(event));
        let _ = gossip_event_text(event, &mut len);
        let _ = gossip_entry_value(gossip_event_entry(event), &mut len);
        let _ = gossip_member_address(gossip_event_member(event), &mut len);
        match user % 8 {
            0 => _ = gossip_unsubscribe_nowait(gossip_sub { id: sub }),
            1 => _ = gossip_close_nowait(gossip_node { id: node }),
            2 => assert_ne!(gossip_close(gossip_node { id: node }), 0),
            3 => assert_ne!(gossip_unsubscribe(gossip_sub { id: sub }), 0),
            4 => _ = gossip_delete(gossip_node { id: node }, c"a".as_ptr(), 1),
            _ => {}
        }
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

unsafe extern "C" fn drop_user(_: *mut c_void) {
    assert!(OWED.fetch_sub(1, Ordering::SeqCst) > 0, "a destructor too many");
}

/// Ids of every kind that came up, mixed: each is tried as each kind.
struct Ids(Vec<u64>);

impl Ids {
    fn pick(&self, byte: u8) -> u64 {
        match byte {
            255 => u64::MAX,
            254 => 0,
            _ if self.0.is_empty() => u64::from(byte),
            _ => self.0[usize::from(byte) % self.0.len()],
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut ids = Ids(Vec::new());
    let mut nodes = Vec::new();
    let mut rest = input;
    while let [call, a, len, tail @ ..] = rest {
        let (bytes, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = tail;
        let id = ids.pick(*a);
        let text = CString::new(bytes.split(|b| *b == 0).next().unwrap_or_default()).expect("cut at its NUL");
        let key: *const c_char = bytes.as_ptr().cast();
        let value: *const c_void = bytes.as_ptr().cast();
        let mut err = [0x7f as c_char; 16];
        // SAFETY: every pointer comes with its length or a NUL and outlives the call; lists are freed once.
        unsafe {
            let (e, cap) = (err.as_mut_ptr(), err.len());
            match call % 20 {
                0 => {
                    let mut out = gossip_config { id: 0 };
                    gossip_config_new(&mut out);
                    ids.0.push(out.id);
                }
                1 => _ = gossip_config_set(gossip_config { id }, text.as_ptr(), c"1".as_ptr(), e, cap),
                2 => _ = gossip_config_free(gossip_config { id }),
                3 if nodes.len() < 2 => {
                    let mut out = gossip_node { id: 0 };
                    let settings = c"bind=127.0.0.1:0\ncluster=fuzz";
                    if gossip_open_text(settings.as_ptr(), &mut out, e, cap) == 0 {
                        ids.0.push(out.id);
                        nodes.push(out);
                    }
                }
                4 => _ = gossip_set(gossip_node { id }, key, bytes.len(), ptr::null(), value, bytes.len(), e, cap),
                5 => _ = gossip_delete(gossip_node { id }, key, bytes.len()),
                6 | 7 => {
                    let mut list = ptr::null_mut();
                    let member = if call & 1 == 0 { ptr::null() } else { text.as_ptr() };
                    if gossip_get(gossip_node { id }, member, key, bytes.len(), u32::from(*a) & 7, &mut list) == 0 {
                        let mut n = 0;
                        let _ = gossip_entries_packed(list, &mut n);
                        gossip_entries_free(list);
                    }
                }
                8 => {
                    let mut out = gossip_queue { id: 0 };
                    gossip_queue_new(usize::from(*a), &mut out);
                    ids.0.push(out.id);
                }
                9 => {
                    let mut out = gossip_sub { id: 0 };
                    let queue = gossip_queue { id: ids.pick(a.wrapping_add(1)) };
                    let what = u32::from(*a) * 0x1111;
                    let flags = u32::from(*len) & 7;
                    if gossip_subscribe_queue(
                        gossip_node { id },
                        what,
                        ptr::null(),
                        key,
                        bytes.len(),
                        flags,
                        queue,
                        7,
                        &mut out,
                    ) == 0
                    {
                        ids.0.push(out.id);
                    }
                }
                10 => _ = gossip_unsubscribe(gossip_sub { id }),
                11 => {
                    let mut batch = ptr::null_mut();
                    if gossip_queue_take(gossip_queue { id }, usize::from(*len), 0, &mut batch) == 0 {
                        let mut n = 0;
                        let _ = gossip_events_packed(batch, &mut n);
                        gossip_events_free(batch);
                    }
                }
                12 => _ = gossip_queue_wake(gossip_queue { id }),
                13 => _ = gossip_queue_free(gossip_queue { id }),
                14 => _ = gossip_reconfigure(gossip_node { id }, text.as_ptr(), text.as_ptr(), e, cap),
                15 => {
                    let mut out = gossip_sub { id: 0 };
                    let (node, user) = (gossip_node { id }, usize::from(*a ^ *len) as *mut c_void);
                    let what = u32::from(*a) * 0x1111;
                    let flags = u32::from(*len) & 7;
                    OWED.fetch_add(1, Ordering::SeqCst);
                    let (call, drop): (gossip_event_fn, gossip_drop_fn) = (Some(self::call), Some(drop_user));
                    let key = if *len == 0 { ptr::null() } else { key };
                    if gossip_subscribe(node, what, ptr::null(), key, bytes.len(), flags, call, user, drop, &mut out)
                        == 0
                    {
                        ids.0.push(out.id);
                    } else {
                        OWED.fetch_sub(1, Ordering::SeqCst);
                    }
                }
                16 => {
                    let mut list = ptr::null_mut();
                    if gossip_members_get(gossip_node { id }, u32::from(*a) & 1, &mut list) == 0 {
                        let _ = gossip_member_tag_name(gossip_members_at(list, usize::from(*len)), 0, ptr::null_mut());
                        gossip_members_free(list);
                    }
                }
                17 => _ = gossip_leave(gossip_node { id }, 0),
                18 => _ = gossip_close(gossip_node { id }),
                _ => _ = gossip_close_nowait(gossip_node { id }),
            }
        }
    }
    for node in nodes {
        let _ = gossip_close(node);
        // Closed now by whichever call: nothing of it runs any more.
    }
    assert_eq!(INSIDE.load(Ordering::SeqCst), 0, "a callback runs though its node was closed");
    assert_eq!(OWED.load(Ordering::SeqCst), 0, "a destructor did not run");
    // Queues and configurations outlive nodes.
    for id in ids.0 {
        let _ = (gossip_queue_free(gossip_queue { id }), gossip_config_free(gossip_config { id }));
    }
});
