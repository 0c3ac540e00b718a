//! Figures of a whole cluster in one process over loopback: this library's, or chitchat's, by the same code.
//!
//! `cluster-bench (ours|chitchat) STAGE,STAGE... [--members N] [--seconds S] [--runs STAGE=N,...]` runs the stages one after another on
//! one cluster and prints a line of JSON for each. `benches/run.py` calls it and makes a table of what it prints.

mod chitchat;
mod cluster;
mod measure;
mod ours;
mod stages;

use std::process::ExitCode;
use std::str::FromStr;

use cluster::Cluster;

const USAGE: &str =
    "usage: cluster-bench (ours|chitchat) STAGE,STAGE... [--members N] [--seconds S] [--runs STAGE=N,...]";

/// How much is to be done.
pub struct Options {
    /// Members of the cluster.
    pub members: usize,
    /// Length of an idle window.
    pub seconds: f64,
    /// Repetitions by stage, where they are not to be the stage's own number.
    runs: Vec<(String, usize)>,
}

impl Options {
    /// How often `stage` does what it repeats; `usual` if nothing else was asked for.
    pub fn runs(&self, stage: &str, usual: usize) -> usize {
        self.runs.iter().find(|(name, _)| name == stage).map_or(usual, |(_, runs)| *runs).max(1)
    }
}

/// `stage=number,stage=number`.
fn repetitions(text: &str) -> Result<Vec<(String, usize)>, String> {
    let parse = |part: &str| {
        let (stage, runs) = part.split_once('=')?;
        Some((stage.to_owned(), runs.parse().ok()?))
    };
    text.split(',').map(|part| parse(part).ok_or_else(|| format!("--runs {part}: not stage=number"))).collect()
}

/// The value after the option `name`.
fn option<T: FromStr>(args: &[String], name: &str) -> Result<Option<T>, String> {
    let Some(at) = args.iter().position(|a| a == name) else { return Ok(None) };
    let value = args.get(at + 1).ok_or_else(|| format!("{name} needs a value"))?;
    value.parse().map(Some).map_err(|_| format!("{name} {value}: not a number"))
}

fn run<C: Cluster>(stages: &str, args: &[String]) -> Result<(), String> {
    if stages == "receive" {
        // The other half of the stage "entries", in a process of its own.
        let seed = option::<String>(args, "--seed")?.ok_or("--seed is missing")?;
        let name = option::<String>(args, "--cluster")?.ok_or("--cluster is missing")?;
        return stages::receive::<C>(&name, &seed);
    }
    let options = Options {
        members: option(args, "--members")?.unwrap_or(2),
        seconds: option(args, "--seconds")?.unwrap_or(20.0),
        runs: option::<String>(args, "--runs")?.map_or(Ok(Vec::new()), |text| repetitions(&text))?,
    };
    if options.members < 2 {
        return Err("--members: 2 or more".into());
    }
    stages::run::<C>(stages, &options)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [library, stages, rest @ ..] if library == "ours" => run::<ours::Ours>(stages, rest),
        [library, stages, rest @ ..] if library == "chitchat" => run::<chitchat::Chitchat>(stages, rest),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cluster-bench: {why}");
            ExitCode::FAILURE
        }
    }
}
