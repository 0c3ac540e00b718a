//! The settings table and the status table: every row does what it says, and the pages of `docs/` say the same.

use cluster_gossip::config::table::{ROWS, Row, Type};
use cluster_gossip::config::{Config, apply_live, value_of};
use cluster_gossip::error::Status;

#[path = "../examples/tables.rs"]
#[allow(dead_code)]
mod pages;

#[test]
fn pages_are_as_generated() {
    for (path, page) in pages::pages() {
        let full = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(&full).unwrap_or_default();
        assert!(committed == page, "{path} is not what the tables say: run `make docs-tables`");
    }
}

fn text(c: &'static std::ffi::CStr) -> &'static str {
    c.to_str().expect("UTF-8")
}

/// Values that the row must take, each with the text that is read back.
fn good(row: &Row) -> Vec<(String, String)> {
    let same = |v: &str| (v.to_string(), v.to_string());
    match row.kind() {
        Type::Integer | Type::Duration => {
            let (least, most) = text(row.bounds).split_once("..").expect("bounds of a number");
            vec![same(text(row.default)), same(least), same(most), (format!(" {least} "), least.into())]
        }
        Type::Size => {
            let (least, most) = text(row.bounds).split_once("..").expect("bounds of a size");
            vec![same(text(row.default)), same(least), same(most)]
        }
        Type::Choice => {
            text(row.bounds).split(' ').flat_map(|word| [same(word), (word.to_uppercase(), word.to_string())]).collect()
        }
        Type::Text => match row.name() {
            "cluster" => vec![same("shop"), same("größe 1")],
            "id" => vec![same(""), same("member-1")],
            "bind" => vec![same(""), same("127.0.0.1:0"), same("[::]:4711")],
            "advertise" => vec![same(""), same("10.0.0.7"), same("host.example:4711"), same("[::1]:4711")],
            other => panic!("the text setting {other} needs values here"),
        },
        Type::List => match row.name() {
            "tags" => vec![same(""), same("role=db"), ("z=1, a=2".into(), "a=2,z=1".into())],
            "seeds" => vec![same(""), same("a:1"), ("a:1 , [::1]:2".into(), "a:1,[::1]:2".into())],
            other => panic!("the list setting {other} needs values here"),
        },
    }
}

/// Values that the row must refuse.
fn bad(row: &Row) -> Vec<String> {
    let own: &[&str] = match row.kind() {
        Type::Integer => &["", "x", "-1", "1.5", "99999999999", "99999999999999999999999", "3 apples"],
        Type::Duration => &["", "x", "-1s", "5 parsecs", "10000h", "99999999999999999999999", "1.5.5s"],
        Type::Size => &["", "x", "-1", "5 parsecs", "100000GiB", "99999999999999999999999"],
        Type::Choice => &["", "loud", "warn,info"],
        Type::Text if row.name() == "cluster" => &["", " x", "a\nb", "a\0b"],
        Type::Text if row.name() == "id" => &["x ", "a\nb", "a\0b"],
        Type::Text => &["not an address", "1:2:3", "host:port", "0.0.0.0:65536"],
        Type::List => &["x", "a,b", ",", "=:", "a:\0=b\0"],
    };
    let mut all: Vec<String> = own.iter().map(|v| v.to_string()).collect();
    all.push("x".repeat(100_000));
    if let Some((least, _)) = text(row.bounds).split_once("..").filter(|_| row.kind() != Type::Text)
        && !least.starts_with('0')
    {
        all.push("0".into());
    }
    all
}

#[test]
fn every_setting_can_be_set_and_read_back() {
    for row in ROWS {
        for (given, read) in good(row) {
            let mut config = Config::new();
            config.set(row.name(), &given).unwrap_or_else(|e| panic!("{} = {given:?}: {e}", row.name()));
            assert_eq!(config.get(row.name()).unwrap(), read, "{}", row.name());
            // What is read back can be set again, also as a line of a text.
            let again = Config::from_text(&format!("{} = {read}", row.name())).unwrap();
            assert_eq!(again.get(row.name()).unwrap(), read, "{}", row.name());
        }
    }
}

#[test]
fn every_setting_refuses_nonsense_in_words_and_stays_as_it_was() {
    for row in ROWS {
        for given in bad(row) {
            let mut config = Config::new();
            let Err(error) = config.set(row.name(), &given) else {
                panic!("{} takes {given:?}", row.name());
            };
            assert_eq!(error.status(), Status::BadSetting, "{} = {given:?}", row.name());
            assert!(error.message().starts_with(row.name()), "{}", error.message());
            assert!(error.message().len() < 512 && !error.message().contains(['\n', '\0']), "{}", error.message());
            assert_eq!(config.get(row.name()).unwrap(), text(row.default));
        }
    }
}

#[test]
fn defaults_are_those_of_the_typed_settings_and_agree_with_each_other() {
    let settings = Config::new().settings().expect("the defaults fit together");
    for row in ROWS {
        assert_eq!(value_of(&settings, row.name()).unwrap(), text(row.default), "{}", row.name());
    }
}

#[test]
fn only_live_settings_change_after_open() {
    for row in ROWS {
        let mut settings = Config::new().settings().unwrap();
        let result = apply_live(&mut settings, row.name(), text(row.default));
        assert_eq!(result.map_err(|e| e.status()), if row.live { Ok(()) } else { Err(Status::NotLive) });
    }
}

#[test]
fn rows_are_complete_and_names_unique() {
    for (index, row) in ROWS.iter().enumerate() {
        assert!(row.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", row.name());
        assert!(text(row.text).ends_with('.'), "{} needs a sentence", row.name());
        assert!(!text(row.bounds).is_empty(), "{} needs bounds", row.name());
        assert!(ROWS[..index].iter().all(|r| r.name() != row.name()), "{} is there twice", row.name());
        let unit = match row.kind() {
            Type::Duration => "ms",
            Type::Size => "bytes",
            _ => "",
        };
        assert_eq!(text(row.unit), unit, "{}", row.name());
    }
}

#[test]
fn statuses_are_numbered_downwards_without_gap() {
    for (index, status) in Status::ALL.iter().enumerate() {
        assert_eq!(status.code(), -(index as i32), "{}", status.name());
        assert_eq!(Status::from_code(status.code()), Some(*status));
        assert!(status.text().ends_with('.') && status.name().starts_with("GOSSIP_"));
    }
    assert_eq!(Status::from_code(1), None);
}
