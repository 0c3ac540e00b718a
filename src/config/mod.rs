//! Settings: by name and value as text, from one table; checked one by one when set and against each other at open.

mod parse;
pub mod settings;
pub mod table;

use std::fmt;

use crate::error::{Error, Result, Status, shown};
pub use parse::MAX_TAGS;
use settings::Settings;
use table::{ROWS, Row};

/// Longest value of a setting, in bytes.
pub const MAX_VALUE_LEN: usize = 64 << 10;

/// What is shown in place of a secret value.
const HIDDEN: &str = "(secret)";

/// Settings being collected for a node. What was not set has its default.
#[derive(Clone, Default)]
pub struct Config {
    settings: Settings,
}

impl Config {
    /// Every setting at its default.
    pub fn new() -> Config {
        Config::default()
    }

    /// Settings from a text: a `name=value` a line, with space around both allowed; blank lines and lines that begin
    /// with `#` are passed over; of a name that comes twice the later value counts.
    ///
    /// # Errors
    /// As [`Config::set`]; the message begins with the number of the line.
    pub fn from_text(text: &str) -> Result<Config> {
        let mut config = Config::new();
        // Editors on some systems put a byte order mark at the beginning of a text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let set = match line.split_once('=') {
                Some((name, value)) => config.set(name.trim_end(), value.trim_start()),
                None => Err(Error::new(Status::BadSetting, format!("{} is not of the form name=value", shown(line)))),
            };
            set.map_err(|e| Error::new(e.status(), format!("line {}: {}", index + 1, e.message())))?;
        }
        Ok(config)
    }

    /// Sets `name` to what `value` says.
    ///
    /// # Errors
    /// `UnknownSetting`, with the name that was perhaps meant; `BadSetting`, with what is allowed. The setting is then
    /// as before.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        write(&mut self.settings, row(name)?, value)
    }

    /// The value of `name` as text, its default if it was not set; "(secret)" for a secret that is set.
    ///
    /// # Errors
    /// `UnknownSetting`.
    pub fn get(&self, name: &str) -> Result<String> {
        value_of(&self.settings, name)
    }

    /// The settings, after checking those that depend on each other.
    ///
    /// # Errors
    /// `BadSetting`, naming both settings and their values.
    pub fn settings(&self) -> Result<Settings> {
        check_relations(&self.settings)?;
        Ok(self.settings.clone())
    }
}

/// Shows what differs from the defaults, and no secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Config");
        for row in ROWS {
            let value = row.read(&self.settings);
            if value.as_bytes() != row.default.to_bytes() {
                shown.field(row.name(), &if row.secret { HIDDEN.into() } else { value });
            }
        }
        shown.finish()
    }
}

/// The value of `name` in `settings` as text; "(secret)" for a secret that is set.
///
/// # Errors
/// `UnknownSetting`.
pub fn value_of(settings: &Settings, name: &str) -> Result<String> {
    let row = row(name)?;
    let value = row.read(settings);
    Ok(if row.secret && !value.is_empty() { HIDDEN.into() } else { value })
}

/// Changes a setting of an open node. On failure the settings are as before.
///
/// # Errors
/// `NotLive` for a setting that cannot change after open, else as [`Config::set`] and [`Config::settings`].
pub fn apply_live(settings: &mut Settings, name: &str, value: &str) -> Result<()> {
    let row = row(name)?;
    if !row.live {
        return Err(Error::new(
            Status::NotLive,
            format!("{name} cannot change once the node is open; close it and open a new one"),
        ));
    }
    let mut changed = settings.clone();
    write(&mut changed, row, value)?;
    check_relations(&changed)?;
    *settings = changed;
    Ok(())
}

fn row(name: &str) -> Result<&'static Row> {
    table::find(name).ok_or_else(|| {
        let hint = match table::nearest(name) {
            Some(nearest) => format!("; did you mean {nearest}?"),
            None => String::new(),
        };
        Error::new(Status::UnknownSetting, format!("there is no setting {}{hint}", shown(name)))
    })
}

fn write(settings: &mut Settings, row: &Row, value: &str) -> Result<()> {
    let bad = |why: String| Error::new(Status::BadSetting, format!("{}: {why}", row.name()));
    if value.len() > MAX_VALUE_LEN {
        return Err(bad(format!("the value has {} bytes; at most {MAX_VALUE_LEN} are allowed", value.len())));
    }
    row.write(settings, value).map_err(|why| {
        let shown = if row.secret { "the value".into() } else { shown(value) };
        bad(format!("{shown} {why}"))
    })
}

/// What two settings must be to each other.
fn check_relations(settings: &Settings) -> Result<()> {
    let at_most = [
        ("join_retry", "join_retry_max", settings.join_retry <= settings.join_retry_max),
        ("probe_timeout", "probe_interval", settings.probe_timeout <= settings.probe_interval),
        (
            "heartbeat_interval",
            "heartbeat_expiration",
            settings.heartbeat_expiration.is_zero() || settings.heartbeat_interval <= settings.heartbeat_expiration,
        ),
        ("suspicion_min", "suspicion_silent", settings.suspicion_min <= settings.suspicion_silent),
        ("max_value_size", "max_state_size_per_member", settings.max_value_size <= settings.max_state_size_per_member),
        ("departed_grace", "departed_record", settings.departed_grace <= settings.departed_record),
    ];
    for (small, large, holds) in at_most {
        if !holds {
            let (less, more) = (value_of(settings, small)?, value_of(settings, large)?);
            return Err(Error::new(
                Status::BadSetting,
                format!("{small} ({less}) must not be more than {large} ({more})"),
            ));
        }
    }
    let needed = settings.smallest_packet();
    if needed > settings.max_packet {
        return Err(Error::new(
            Status::BadSetting,
            format!(
                "max_packet ({}) is too small for this id ({} bytes) and these tags ({} bytes); they need {needed}",
                settings.max_packet,
                settings.id.len(),
                parse::tags_size(&settings.tags)
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn status(result: Result<()>) -> Status {
        result.expect_err("must fail").status()
    }

    #[test]
    fn text_is_read_line_by_line() {
        let config = Config::from_text(
            "\u{feff}# a comment\r\n\r\n  cluster = shop \r\nseeds=a:1,b:2\ntags=zone=eu\ngossip_interval=1.5s\ncluster=market\n",
        )
        .unwrap();
        let settings = config.settings().unwrap();
        assert_eq!(settings.cluster, "market");
        assert_eq!(settings.seeds, ["a:1", "b:2"]);
        assert_eq!(settings.tags["zone"], "eu");
        assert_eq!(settings.gossip_interval, Duration::from_millis(1500));
    }

    #[test]
    fn errors_name_line_setting_value_and_what_is_allowed() {
        let error = Config::from_text("cluster=a\n\ngossip_fanout=0").unwrap_err();
        assert_eq!(error.status(), Status::BadSetting);
        assert_eq!(error.message(), "line 3: gossip_fanout: \"0\" is not within 1 to 100");
        let error = Config::from_text("cluster").unwrap_err();
        assert_eq!(error.message(), "line 1: \"cluster\" is not of the form name=value");
        let error = Config::new().set("gossip-intervall", "1s").unwrap_err();
        assert_eq!(error.status(), Status::UnknownSetting);
        assert_eq!(error.message(), "there is no setting \"gossip-intervall\"; did you mean gossip_interval?");
        let error = Config::new().set("colour", "red").unwrap_err();
        assert_eq!(error.message(), "there is no setting \"colour\"");
        let error = Config::new().set("log_level", "loud").unwrap_err();
        assert_eq!(error.message(), "log_level: \"loud\" is none of: off error warn info debug trace");
        let error = Config::new().set("cluster", &"é".repeat(100)).unwrap_err();
        assert!(error.message().len() < 250, "{}", error.message());
    }

    #[test]
    fn every_error_fits_an_errbuf() {
        // What escapes to many times its length, in every place of a value.
        let long = ["\u{1}", "\u{e0001}", "é", ",", "=", ":", "[", "]", "a", "1", "."].map(|part| part.repeat(5000));
        let around = ["{}", "a:1,{}", "[{}", "[{}]:1", "{}:1", "1:{}", "a={}", "{}=a", "[::1]{}", "1{}"];
        let mut errors = 0;
        for row in ROWS {
            for (text, around) in long.iter().flat_map(|text| around.map(|around| (text, around))) {
                let value = around.replace("{}", text);
                let line = Config::from_text(&format!("{}={value}", row.name()));
                let set = Config::new().set(row.name(), &value);
                let name = Config::new().set(&value, "1");
                for error in [line.map(drop), set, name].into_iter().filter_map(|result| result.err()) {
                    assert!(error.message().len() < 512, "{}: {}", error.message().len(), error.message());
                    errors += 1;
                }
            }
        }
        assert!(errors > 1000, "{errors}");
    }

    #[test]
    fn a_failed_set_changes_nothing() {
        let mut config = Config::new();
        config.set("tags", "a=1").unwrap();
        assert_eq!(status(config.set("tags", "b=2,c")), Status::BadSetting);
        assert_eq!(config.get("tags").unwrap(), "a=1");
        assert_eq!(status(config.set("cluster", "")), Status::BadSetting);
        assert_eq!(status(config.set("id", &"x".repeat(MAX_VALUE_LEN + 1))), Status::BadSetting);
    }

    #[test]
    fn relations_are_checked_together_and_not_before() {
        let mut config = Config::new();
        config.set("join_retry", "10s").unwrap();
        let error = config.settings().unwrap_err();
        assert_eq!(error.message(), "join_retry (10s) must not be more than join_retry_max (5s)");
        config.set("join_retry_max", "10s").unwrap();
        config.settings().unwrap();
        for (name, value) in [("max_state_size_per_member", "1MiB"), ("departed_grace", "48h")] {
            let mut config = Config::new();
            config.set(name, value).unwrap();
            assert_eq!(config.settings().unwrap_err().status(), Status::BadSetting, "{name}");
        }
    }

    #[test]
    fn id_and_tags_must_fit_the_packet() {
        let mut config = Config::new();
        config.set("max_packet", "508").unwrap();
        config.settings().unwrap();
        let large = format!("a={0},b={0}", "x".repeat(200));
        config.set("tags", &large).unwrap();
        assert_eq!(config.settings().unwrap_err().status(), Status::BadSetting);
        config.set("max_packet", "1400").unwrap();
        config.set("id", &"i".repeat(255)).unwrap();
        config.set("cluster", &"c".repeat(64)).unwrap();
        config.settings().unwrap();
    }

    #[test]
    fn live_settings_change_and_others_do_not() {
        let mut settings = Config::new().settings().unwrap();
        apply_live(&mut settings, "tags", "role=db").unwrap();
        assert_eq!(value_of(&settings, "tags").unwrap(), "role=db");
        assert_eq!(status(apply_live(&mut settings, "bind", "0.0.0.0:1")), Status::NotLive);
        assert_eq!(status(apply_live(&mut settings, "nonsense", "1")), Status::UnknownSetting);
        assert_eq!(status(apply_live(&mut settings, "max_state_size_per_member", "1MiB")), Status::BadSetting);
        assert_eq!(settings.max_state_size_per_member, 256 << 20);
    }

    #[test]
    fn debug_shows_what_was_set() {
        let mut config = Config::new();
        config.set("cluster", "shop").unwrap();
        assert_eq!(format!("{config:?}"), "Config { cluster: \"shop\" }");
    }
}
