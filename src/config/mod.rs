//! Settings: by name and value as text, from one table; checked one by one when set and against each other at open.

pub mod settings;

use crate::error::Result;
use settings::Settings;

/// Settings being collected for a node.
#[derive(Clone, Debug, Default)]
pub struct Config {}

#[allow(unused_variables, missing_docs)]
impl Config {
    pub fn new() -> Config {
        unimplemented!()
    }
    pub fn from_text(text: &str) -> Result<Config> {
        unimplemented!()
    }
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        unimplemented!()
    }
    pub fn get(&self, name: &str) -> Result<String> {
        unimplemented!()
    }
    /// All relations checked.
    pub fn settings(&self) -> Result<Settings> {
        unimplemented!()
    }
}
