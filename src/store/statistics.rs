//! The host's statistics, name to number: what is published under `cluster:heartbeat`.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::Store;
use crate::error::{Error, Result, Status};

/// How many a host may have.
const MAX: usize = 1024;

/// The longest name, in bytes.
const MAX_NAME: usize = 255;

#[derive(Debug, Default)]
struct Values {
    values: BTreeMap<String, i64>,
    changed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<Values>);

impl Statistics {
    /// All of them, if any has changed since the last call.
    pub fn take_changed(&self) -> Option<BTreeMap<String, i64>> {
        let mut all = self.0.lock();
        std::mem::take(&mut all.changed).then(|| all.values.clone())
    }

    /// What was taken could not be published: it counts as changed again.
    pub fn note_changed(&self) {
        self.0.lock().changed = true;
    }

    /// All of them.
    pub fn list(&self) -> BTreeMap<String, i64> {
        self.0.lock().values.clone()
    }

    /// Whether any has changed since they were taken.
    pub fn has_changed(&self) -> bool {
        self.0.lock().changed
    }
}

impl Store {
    /// Sets one of the host's statistics; with `None` it is taken out. Never waits.
    pub fn set_statistic(&self, name: &str, value: Option<i64>) -> Result<()> {
        if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("the name of a statistic is 1 to {MAX_NAME} bytes without a NUL; {name:?} has {}", name.len()),
            ));
        }
        let changed = {
            let mut all = self.statistics.0.lock();
            let before = match value {
                Some(value) if all.values.len() >= MAX && !all.values.contains_key(name) => {
                    return Err(Error::new(
                        Status::Limit,
                        format!("{name:?} = {value} would be statistic {} of this node; at most {MAX}", MAX + 1),
                    ));
                }
                Some(value) => all.values.insert(name.to_owned(), value),
                None => all.values.remove(name),
            };
            let changed = before != value;
            all.changed |= changed;
            changed
        };
        if changed {
            self.wake_engine();
        }
        Ok(())
    }
}
