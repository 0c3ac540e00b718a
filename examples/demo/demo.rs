//! The Rust program of the mixed-language demo: says hello, counts, and follows the others as an async stream of changes.
//!
//! Each program of the demo, in whatever language, sets two keys: `demo:greeting` (a text) once, and `demo:counter` (an
//! integer) four times a second. Its exit status is 0 if it saw the greeting and a changing counter of as many members as
//! `--expect` says, itself included.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cluster_gossip::{Config, Event, Filter, Node, Value, kind};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

const TICK: Duration = Duration::from_millis(250);

struct Options {
    language: String,
    seeds: String,
    seconds: f64,
    print_address: Option<String>,
    expect: usize,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { language: "Rust".into(), seeds: String::new(), seconds: 15.0, print_address: None, expect: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--language" => options.language = value,
            "--seeds" => options.seeds = value,
            "--seconds" => options.seconds = value.parse()?,
            "--print-address" => options.print_address = Some(value),
            "--expect" => options.expect = value.parse()?,
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    Ok(options)
}

/// What was seen of one member.
#[derive(Default)]
struct Seen {
    greeted: bool,
    counter: Option<i64>,
    counter_changed: bool,
}

fn note(seen: &mut HashMap<String, Seen>, event: &Event) {
    let (kind::ENTRY_CHANGED, Some(view)) = (event.kind, &event.entry) else { return };
    let member = seen.entry(view.member().to_owned()).or_default();
    match (view.entry.key(), Value::of(view)) {
        ("demo:greeting", Some(Value::Text(_))) => member.greeted = true,
        ("demo:counter", Some(Value::Int(counter))) => {
            member.counter_changed |= member.counter.is_some_and(|before| before != counter);
            member.counter = Some(counter);
        }
        _ => {}
    }
}

/// Whoever waits for the file finds all of the address or no file.
fn write_address(node: &Node, path: &str) -> Result<(), Box<dyn Error>> {
    let temporary = Path::new(path).with_extension("tmp");
    std::fs::write(&temporary, format!("{}\n", node.address()?))?;
    Ok(std::fs::rename(temporary, path)?)
}

/// Told when the program is to end, by Ctrl-C or SIGTERM.
fn end_asked() -> Result<Arc<Notify>, Box<dyn Error>> {
    let asked = Arc::new(Notify::new());
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn({
        let tell = asked.clone();
        move || signals.forever().for_each(|_| tell.notify_one())
    });
    Ok(asked)
}

async fn run(options: Options) -> Result<bool, Box<dyn Error>> {
    let end_asked = end_asked()?;
    let mut config = Config::new();
    config.set("cluster", "demo")?;
    config.set("bind", "127.0.0.1:0")?;
    config.set("seeds", &options.seeds)?;
    config.set("tags", &format!("language={}", options.language))?;
    let node = Node::open(&config)?;

    let demo =
        Filter { what: kind::ENTRIES, key: Some("demo:".into()), prefix: true, initial: true, ..Filter::default() };
    let mut changes = node.changes(demo)?;
    let mut seen = HashMap::new();
    node.set_value("demo:greeting", format!("Hello from {}", options.language))?;
    if let Some(path) = &options.print_address {
        write_address(&node, path)?;
    }

    let end = Instant::now() + Duration::try_from_secs_f64(options.seconds)?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut counter = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                counter += 1;
                node.set_value("demo:counter", counter)?;
            }
            change = changes.next_async() => match change {
                Some(event) => note(&mut seen, &event),
                None => return Err("the node was closed".into()),
            },
            () = sleep_until(end) => break,
            () = end_asked.notified() => break,
        }
    }

    // What came in with the last tick counts as well.
    while let Some(event) = changes.next_timeout(Some(Duration::ZERO)) {
        note(&mut seen, &event);
    }
    // Too few acknowledgements are no failure of the demo: others may have left before.
    let _ = node.leave_async().await;
    node.close_async().await?;
    let whole = seen.values().filter(|member| member.greeted && member.counter_changed).count();
    println!("{}: saw {whole} of {} members greet and count", options.language, options.expect);
    Ok(whole >= options.expect)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match options() {
        Ok(options) => run(options).await,
        Err(e) => {
            eprintln!("demo: {e}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("demo: {e}");
            ExitCode::FAILURE
        }
    }
}
