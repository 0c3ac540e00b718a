//! Figures of a run: printed, as JSON, drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use plotters::prelude::*;
use serde_json::{Map, Value, json};

use super::sim::{World, check};

/// Points of a curve.
pub type Points = Vec<(f64, f64)>;

/// See the module.
#[derive(Default)]
pub struct Figures {
    values: Map<String, Value>,
    /// Title, labels of the axes, points.
    charts: Vec<(&'static str, &'static str, &'static str, Points)>,
}

impl Figures {
    /// Prints a figure and keeps it.
    pub fn add(&mut self, name: &str, value: impl Into<Value>, unit: &str) {
        let value = value.into();
        let shown = match &value {
            Value::Number(n) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or_default()),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        println!("{name:<44} {shown} {unit}");
        self.values.insert(name.to_owned(), json!({ "value": value, "unit": unit }));
    }

    /// Keeps what was printed otherwise.
    pub fn keep(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// The distribution of `all`, which is sorted for it.
    pub fn distribution(&mut self, name: &str, all: &mut [f64], unit: &str) {
        all.sort_by(f64::total_cmp);
        for (what, share) in [("median", 0.5), ("p99", 0.99), ("max", 1.0)] {
            if let Some(value) = percentile(all, share) {
                self.add(&format!("{name}, {what}"), value, unit);
            }
        }
    }

    pub fn chart(&mut self, title: &'static str, x: &'static str, y: &'static str, points: Points) {
        self.charts.push((title, x, y, points));
    }

    /// What all nodes have sent since the start, by kind, and the memory of this process.
    pub fn totals(&mut self, world: &World) {
        self.add("virtual time", world.seconds(), "s");
        self.add("datagrams", world.traffic.datagrams, "");
        self.add("bytes in datagrams", world.traffic.datagram_bytes, "B");
        self.add("messages on streams", world.traffic.messages, "");
        self.add("bytes in messages", world.traffic.message_bytes, "B");
        println!("frames by kind: {}", check::kinds(world));
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for metric in world.nodes.iter().flat_map(|n| n.metrics()).filter(|m| !m.gauge) {
            *sums.entry(metric.name).or_default() += metric.value;
        }
        self.values.insert("counters".into(), json!(sums));
        self.memory(world);
    }

    pub fn memory(&mut self, world: &World) {
        let Some(resident) = resident() else { return };
        let running = world.nodes.iter().filter(|n| n.running()).count();
        self.add("resident memory of this process", resident as f64 / 1048576.0, "MiB");
        self.add("... a member", resident as f64 / running as f64 / 1024.0, "KiB");
        self.add("... a view (member × member)", resident as f64 / (running * running) as f64, "B");
    }

    pub fn json(&self, command: &str) -> String {
        let charts: Vec<Value> = self
            .charts
            .iter()
            .map(|(title, x, y, points)| json!({"title": title, "x": x, "y": y, "points": points}))
            .collect();
        format!("{:#}\n", json!({ "command": command, "figures": self.values, "charts": charts }))
    }

    /// Draws the charts below each other.
    pub fn draw(&self, file: &str) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::new(file, (900, 360 * self.charts.len().max(1) as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        let areas = root.split_evenly((self.charts.len().max(1), 1));
        for (area, (title, x, y, points)) in areas.iter().zip(&self.charts) {
            let most = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).fold(f64::MIN_POSITIVE, f64::max);
            let mut chart = ChartBuilder::on(area)
                .caption(*title, ("sans-serif", 18))
                .margin(12)
                .x_label_area_size(40)
                .y_label_area_size(80)
                .build_cartesian_2d(0.0..most(|p| p.0) * 1.02, 0.0..most(|p| p.1) * 1.05)?;
            chart.configure_mesh().x_desc(*x).y_desc(*y).draw()?;
            chart.draw_series(LineSeries::new(points.iter().copied(), &BLUE))?;
        }
        root.present()?;
        Ok(())
    }
}

/// The value below which `share` of the sorted values lie.
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last)])
}

/// Resident bytes of this process, where the system tells.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Processor time of this process so far.
pub fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10)) // 100 ticks a second on every Linux
}
