//! configuration: settings as texts, checked one by one here and against each other at open

use std::ffi::c_char;

use parking_lot::Mutex;

use super::guard::{guard, guard_err};
use super::handle;
use super::input::{MAX_NAME, out, text};
use super::types::{gossip_bytes, gossip_config, gossip_status};
use crate::config::{Config, MAX_VALUE_LEN};

/// What a `gossip_config` names.
pub struct ConfigObject(Mutex<Config>);

impl ConfigObject {
    /// The settings as they are now.
    pub(super) fn copy(&self) -> Config {
        self.0.lock().clone()
    }
}

/// Makes a configuration, every setting at its default. Free it with gossip_config_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_config_new(out: *mut gossip_config) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the result.
        let place = unsafe { self::out(out) }?;
        place.put(gossip_config { id: handle::insert(ConfigObject(Mutex::new(Config::new())))? });
        Ok(())
    })
}

/// Sets the setting `name` to what `value` says (both end at their NUL). On failure it is as before.
///
/// GOSSIP_ERR_UNKNOWN_SETTING, with the name that was perhaps meant, or GOSSIP_ERR_BAD_SETTING, with what is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_config_set(
    config: gossip_config,
    name: *const c_char,
    value: *const c_char,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes texts with a NUL, and an errbuf with room for errbuf_len bytes, or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            let config = handle::get::<ConfigObject>(config.id)?;
            let (name, value) = (text("name", name, MAX_NAME)?, text("value", value, MAX_VALUE_LEN)?);
            config.0.lock().set(name, value)
        })
    }
}

/// The value of a setting, its default if it was not set, "(secret)" for a secret. Free *out with gossip_bytes_free.
///
/// GOSSIP_ERR_UNKNOWN_SETTING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_config_get(
    config: gossip_config,
    name: *const c_char,
    out: *mut *mut gossip_bytes,
) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes a text with a NUL and a place for the result, or NULL.
        let (place, name) = unsafe { (self::out(out)?, text("name", name, MAX_NAME)?) };
        let value = handle::get::<ConfigObject>(config.id)?.0.lock().get(name)?;
        place.put(gossip_bytes::new(value));
        Ok(())
    })
}

/// Frees the configuration. Nodes opened with it go on.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_config_free(config: gossip_config) -> gossip_status {
    guard(|| handle::remove::<ConfigObject>(config.id).map(drop))
}
