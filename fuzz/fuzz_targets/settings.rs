//! Any text as settings: an error in words, or values that read back as they were set.
#![no_main]

use cluster_gossip::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Config::from_text(text) {
        Ok(config) => {
            if let Err(e) = config.settings() {
                assert!(!e.message().is_empty());
            }
        }
        Err(e) => assert!(!e.message().is_empty()),
    }
    if let Some((name, value)) = text.split_once('=') {
        let mut config = Config::new();
        if config.set(name, value).is_ok() {
            let back = config.get(name).expect("what can be set can be got");
            let mut again = Config::new();
            again.set(name, &back).expect("what was got can be set");
            assert_eq!(again.get(name).expect("what can be set can be got"), back);
        }
    }
});
