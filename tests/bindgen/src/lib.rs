//! The header as bindgen reads it: it must compile, and what it declares must be what the library has.

#![allow(non_camel_case_types, non_upper_case_globals)]

include!(concat!(env!("OUT_DIR"), "/gossip.rs"));

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::{CStr, c_char};

    #[test]
    fn library_has_the_abi_version_of_the_header() {
        assert_eq!(unsafe { gossip_abi_version() }, GOSSIP_ABI_VERSION);
    }

    #[test]
    fn ids_are_as_large_as_a_u64() {
        assert_eq!(size_of::<gossip_node>(), size_of::<u64>());
        assert_eq!(align_of::<gossip_node>(), align_of::<u64>());
    }

    #[test]
    fn statuses_have_the_names_of_the_header() {
        let name = unsafe { CStr::from_ptr(gossip_status_name(GOSSIP_ERR_TIMEOUT)) };
        assert_eq!(name.to_str(), Ok("GOSSIP_ERR_TIMEOUT"));
    }

    #[test]
    fn a_node_opens_sets_reads_and_closes() {
        let mut node = gossip_node { id: 0 };
        let mut errbuf = [0 as c_char; GOSSIP_ERRBUF as usize];
        let settings = c"cluster=bindgen\nid=one\nbind=127.0.0.1:0\n";
        unsafe {
            let status = gossip_open_text(settings.as_ptr(), &mut node, errbuf.as_mut_ptr(), errbuf.len());
            assert_eq!(status, GOSSIP_OK as gossip_status, "{:?}", CStr::from_ptr(errbuf.as_ptr()));
            let status = gossip_set_int(node, c"answer".as_ptr(), 6, 42, errbuf.as_mut_ptr(), errbuf.len());
            assert_eq!(status, GOSSIP_OK as gossip_status, "{:?}", CStr::from_ptr(errbuf.as_ptr()));

            let mut entries = std::ptr::null_mut();
            assert_eq!(gossip_get_own(node, c"answer".as_ptr(), 6, &mut entries), GOSSIP_OK as gossip_status);
            assert_eq!(gossip_entries_len(entries), 1);
            let mut number = 0;
            assert_eq!(gossip_entry_int(gossip_entries_at(entries, 0), &mut number), GOSSIP_OK as gossip_status);
            assert_eq!(number, 42);
            gossip_entries_free(entries);

            let status = gossip_statistic_set(node, c"n".as_ptr(), i64::MIN, errbuf.as_mut_ptr(), errbuf.len());
            assert_eq!(status, GOSSIP_OK as gossip_status, "{:?}", CStr::from_ptr(errbuf.as_ptr()));
            let status = gossip_ban(node, c"two".as_ptr(), errbuf.as_mut_ptr(), errbuf.len());
            assert_eq!(status, GOSSIP_OK as gossip_status, "{:?}", CStr::from_ptr(errbuf.as_ptr()));
            let mut bans = std::ptr::null_mut();
            assert_eq!(gossip_bans(node, &mut bans), GOSSIP_OK as gossip_status);
            let text = CStr::from_ptr(gossip_bytes_data(bans, std::ptr::null_mut()).cast());
            assert_eq!(text.to_str(), Ok(r#"[{"by":"one","id":"two"}]"#));
            gossip_bytes_free(bans);
            assert_eq!(gossip_close(node), GOSSIP_OK as gossip_status);
        }
    }
}
