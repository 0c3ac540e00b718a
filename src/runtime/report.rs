//! What a node tells of itself: a page for people, and figures.

use std::fmt::Write;

use super::clock;
use super::shared::Shared;
use crate::config::table::ROWS;
use crate::config::value_of;
use crate::engine::Metric;
use crate::error::Result;

/// A page of text for people.
pub fn describe(shared: &Shared) -> Result<String> {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(page, "cluster-gossip {}, node {}", env!("CARGO_PKG_VERSION"), shared.member);
    let _ = writeln!(page, "listening at {} (UDP and TCP)", shared.local);
    page += &shared.with_engine(|engine, now| engine.describe(now))?;

    let _ = writeln!(page, "settings that are not the default:");
    let settings = shared.settings.lock().clone();
    let mut any = false;
    for row in ROWS {
        // A secret is shown as one, if it is set.
        let value = value_of(&settings, row.name())?;
        if value.as_bytes() != row.default.to_bytes() {
            any = true;
            let _ = writeln!(page, "  {} = {value}", row.name());
        }
    }
    if !any {
        let _ = writeln!(page, "  none");
    }

    let _ = writeln!(page, "callbacks subscribed: {}", shared.dispatcher.count());
    let _ = writeln!(page, "sockets:");
    for (_, help, count) in shared.stats.list() {
        if count > 0 {
            let _ = writeln!(page, "  {count} {}", help.trim_end_matches('.'));
        }
    }
    Ok(page)
}

fn metrics(shared: &Shared) -> Result<Vec<Metric>> {
    let mut all = shared.with_engine(|engine, _| engine.metrics())?;
    all.extend(shared.stats.list().into_iter().map(|(name, help, value)| Metric { name, help, gauge: false, value }));
    let callbacks = shared.dispatcher.count() as u64;
    all.push(Metric { name: "callbacks", help: "Subscriptions by callback", gauge: true, value: callbacks });
    all.push(Metric {
        name: "state",
        help: "State of the node, by number: 1 starting, 2 joined, 3 alone, 4 leaving, 5 left, 6 banned, 7 failed",
        gauge: true,
        value: shared.store.state() as u64,
    });
    Ok(all)
}

/// The figures as one flat JSON object.
pub fn metrics_json(shared: &Shared) -> Result<String> {
    let figures: serde_json::Map<_, _> =
        metrics(shared)?.into_iter().map(|m| (m.name.to_owned(), m.value.into())).collect();
    Ok(serde_json::Value::Object(figures).to_string())
}

/// The figures in the text format of Prometheus.
pub fn metrics_prometheus(shared: &Shared) -> Result<String> {
    let mut text = String::new();
    for Metric { name, help, gauge, value } in metrics(shared)? {
        // A counter's name ends so by convention.
        let (kind, suffix) = if gauge { ("gauge", "") } else { ("counter", "_total") };
        let name = format!("cluster_gossip_{name}{suffix}");
        let _ = writeln!(text, "# HELP {name} {}", help.trim_end_matches('.'));
        let _ = writeln!(text, "# TYPE {name} {kind}");
        let _ = writeln!(text, "{name}{{member=\"{}\"}} {value}", label(&shared.member));
    }
    Ok(text)
}

/// A text as the value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The snapshot as bytes, in the encoding of Proto.Actor.
pub fn snapshot_protobuf(shared: &Shared) -> Vec<u8> {
    shared.store.snapshot_protobuf(clock::now(), clock::wall_ms())
}

/// The snapshot as JSON.
pub fn snapshot_json(shared: &Shared) -> Vec<u8> {
    shared.store.snapshot_json(clock::now(), clock::wall_ms()).into_bytes()
}
