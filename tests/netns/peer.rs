//! A member of the clusters in network namespaces: told what to do by lines on its standard input, tells what it is told
//! as JSON, an object a line (README.md).

use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use cluster_gossip::store::event::kind;
use cluster_gossip::{Config, Event, Filter, Format, MemberView, Node, Value};
use serde_json::{Value as Json, json};

/// Kinds that tell of a member, by the words of the tests.
const MEMBER_EVENTS: [(u32, &str); 7] = [
    (kind::MEMBER_JOINED, "joined"),
    (kind::MEMBER_SUSPECTED, "suspected"),
    (kind::MEMBER_ALIVE, "alive"),
    (kind::MEMBER_DEAD, "dead"),
    (kind::MEMBER_LEFT, "left"),
    (kind::MEMBER_RESTARTED, "restarted"),
    (kind::MEMBER_UPDATED, "updated"),
];

/// One line at a time, from whichever thread: standard output is locked for it.
fn say(line: Json) {
    let mut out = std::io::stdout().lock();
    // Who reads it may be gone; so is this process soon.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn member(view: &MemberView) -> Json {
    json!({
        "id": view.id(),
        "generation": view.life.generation,
        "address": view.address.to_string(),
        "status": view.status.word(),
        "self": view.is_self,
    })
}

fn event(event: &Event) -> Json {
    let word = match event.kind {
        kind::MEMBER_REMOVED => "removed",
        kind::NODE_STATE => "state",
        kind::SYNCED => "synced",
        kind::WARNING => "warning",
        kind::LOG => "log",
        other => MEMBER_EVENTS.iter().find(|(kind, _)| *kind == other).map_or("other", |(_, word)| word),
    };
    json!({
        "event": word,
        "member": event.member.as_ref().map(member),
        "code": event.code,
        "text": event.text.as_deref(),
    })
}

/// What this process uses of the system: resident memory in KiB, descriptors, threads.
fn usage() -> Result<Json, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let figure = |name: &str| -> Option<u64> {
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let fds = std::fs::read_dir("/proc/self/fd")?.count();
    Ok(json!({"rss_kib": figure("VmRSS:"), "threads": figure("Threads:"), "fds": fds}))
}

/// Sets a key so many times a second; gives the last value.
fn hot(node: &Node, key: &str, hertz: f64, seconds: f64) -> Result<String, Box<dyn Error>> {
    let start = Instant::now();
    for i in 0..(hertz * seconds) as u32 {
        node.set_value(key, i.to_string())?;
        let due = start + Duration::from_secs_f64(f64::from(i + 1) / hertz);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(node.value(node.id(), key)?.map(|value| format!("{value:?}")).unwrap_or_default())
}

/// What is seen here of a member: how many entries, and a number that is the same where the same is seen.
fn holds(node: &Node, member: &str) -> Result<Json, Box<dyn Error>> {
    let mut entries: Vec<_> = node
        .get(Some(member), "", true, false)?
        .iter()
        .map(|e| (e.entry.key().to_owned(), e.entry.value().to_vec()))
        .collect();
    entries.sort_unstable();
    let mut hasher = DefaultHasher::new();
    entries.hash(&mut hasher);
    Ok(json!([entries.len(), hasher.finish().to_string()]))
}

fn answer(node: &Node, command: &str) -> Result<Json, Box<dyn Error>> {
    let words: Vec<&str> = command.split(' ').collect();
    Ok(match *words {
        ["set", key, text] => json!(node.set_value(key, text)?),
        ["set_large", key, size] => json!(node.set_value(key, vec![b'x'; size.parse()?])?),
        ["delete", key] => json!(node.delete(key)?),
        ["fill", prefix, count, size] => {
            let value = vec![b'x'; size.parse()?];
            for i in 0..count.parse::<u32>()? {
                node.set_value(&format!("{prefix}{i}"), value.clone())?;
            }
            json!("ok")
        }
        ["clear", prefix] => {
            let keys = node.get(Some(node.id()), prefix, true, false)?;
            for entry in &keys {
                node.delete(entry.key())?;
            }
            json!(keys.len())
        }
        ["hot", key, hertz, seconds] => json!(hot(node, key, hertz.parse()?, seconds.parse()?)?),
        ["holds", member] => holds(node, member)?,
        ["get", member, key] => match node.value(member, key)? {
            Some(Value::Text(text)) => json!(text),
            Some(Value::Bytes(bytes)) => json!(bytes.len()),
            _ => Json::Null,
        },
        ["members"] => node.members(false)?.iter().map(member).collect(),
        ["departed"] => node.members(true)?.iter().map(member).collect(),
        ["state"] => json!(format!("{:?}", node.state()).to_lowercase()),
        ["describe"] => json!(node.describe()?),
        ["metrics"] => serde_json::from_str(&node.metrics(Format::Json)?)?,
        ["usage"] => usage()?,
        ["leave"] => {
            node.leave(None)?;
            json!("ok")
        }
        _ => return Err(format!("not understood: {command}").into()),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::new();
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("arguments are settings, as NAME=VALUE")?;
        config.set(name, value)?;
    }
    let node = Node::open(&config)?;
    let mut changes = node.changes(Filter {
        what: kind::MEMBERS | kind::NODE_STATE | kind::SYNCED | kind::WARNING | kind::LOG,
        initial: true,
        ..Filter::default()
    })?;
    say(json!({"ready": node.id()}));
    let events = std::thread::spawn(move || {
        while let Some(change) = changes.next_timeout(None) {
            say(event(&change));
        }
    });
    for line in std::io::stdin().lock().lines() {
        match answer(&node, &line?) {
            Ok(answer) => say(json!({"answer": answer})),
            Err(error) => say(json!({"error": error.to_string()})),
        }
    }
    // The driver has ended, or wants this to end: as a crash, for a member that is to be seen leaving has left.
    node.close()?;
    let _ = events.join();
    Ok(())
}
