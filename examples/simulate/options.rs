//! The command line.

use std::time::Duration;

use super::sim::adversary::{self, Fault};
use super::sim::{Latency, Network};

const HELP: &str = "\
Simulates a cluster: virtual time, one seed for everything, the engine and the encoded packets of the real library.

    cargo run --release --example simulate -- [OPTION VALUE]...

  --scenario NAME    what happens (spread):
      spread     values of --size bytes, one at a time: time to all members, bytes, curve
      idle       nothing: bytes, packets and work of each member
      join       all members start at once; then one more joins a state of --keys entries of --size bytes
      crash      hosts are lost and processes killed, one at a time: time until every other member knows
      pause      --stopped of the members are stopped for 1 to 30 s at random: false alarms
      detection  tables of crash and pause for 100 and 1,000 members (or --members), over loss and shares stopped;
                 600 s of pauses, of 1,000 members 60 s, unless --time says otherwise
      partition  two halves for --time, with sets and deletes on both sides: time until all agree again
      large      spread of up to 3 values, two crashes, a partition, on one cluster of thousands (with --begin acquainted)
      churn      members come, leave and crash while values are set: time until all agree
      adversary  faults of every kind, and every invariant checked; --seeds seeds, or new ones for --wall seconds
  --members N        how many (100)
  --begin WORD       how the cluster comes to be: joined, one member after the other; or acquainted, all told of all
                     at once, for thousands of members (joined)
  --seed N           seeds everything (1); the same one gives the same run
  --latency TEXT     ms: 0.2  0.2+exp(0.3)  1+uniform(200)  0.2+lognormal(0.5,1)  (0.2+exp(0.3))
  --loss X           share of datagrams that are lost, 0 to 1 (0); also --duplicate, --corrupt and --reorder
  --bandwidth N      bytes a second of a stream (100000000)
  --size BYTES       of a value (1024)
  --keys N           entries of the state that a newcomer gets (10000)
  --runs N           values of spread, crashes of crash (21)
  --stopped X        share of members stopped at a time (0.1)
  --apart X          share of the members that the partition of large cuts off (0.5)
  --apart-for SECONDS  how long it lasts (until each side holds the other to be gone)
  --time SECONDS     virtual time that idle, pause, partition, churn and adversary take (600; partition 3600; idle 60)
  --faults N         faults of an adversarial run (200)
  --only A,B         only these faults of adversary; --not A,B all but these
  --seeds N          how many seeds of adversary, from --seed on (1)
  --wall SECONDS     adversary with new seeds for so long
  --set NAME=VALUE   a setting of every member, as often as wanted
  --json FILE        writes the figures; --svg FILE draws them
";

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    pub scenario: String,
    pub members: Option<usize>,
    /// All members are told of all others at the beginning, instead of joining.
    pub acquainted: bool,
    pub seed: u64,
    pub net: Network,
    pub size: usize,
    pub keys: usize,
    pub runs: usize,
    pub stopped: f64,
    pub apart: f64,
    pub apart_for: Option<Duration>,
    pub time: Option<Duration>,
    pub faults: usize,
    pub only: Vec<Fault>,
    pub seeds: u64,
    pub wall: Option<Duration>,
    pub settings: Vec<(String, String)>,
    pub json: Option<String>,
    pub svg: Option<String>,
    /// The command that repeats the run.
    pub command: String,
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name}: {text:?} is not such a number"))
}

fn share(name: &str, text: &str) -> Result<f64, String> {
    let x = number(name, text)?;
    if (0.0..=1.0).contains(&x) { Ok(x) } else { Err(format!("{name}: {text} is not within 0 to 1")) }
}

fn seconds(name: &str, text: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(name, text)?).map_err(|_| format!("{name}: {text} is no time in seconds"))
}

impl Options {
    pub fn members(&self) -> usize {
        self.members.unwrap_or(100)
    }

    /// From the arguments; `Err` with the text to show and the exit status.
    pub fn read(mut args: impl Iterator<Item = String>) -> Result<Options, (String, u8)> {
        let mut options = Options {
            scenario: "spread".into(),
            members: None,
            acquainted: false,
            seed: 1,
            net: Network::default(),
            size: 1024,
            keys: 10_000,
            runs: 21,
            stopped: 0.1,
            apart: 0.5,
            apart_for: None,
            time: None,
            faults: 200,
            only: Vec::new(),
            seeds: 1,
            wall: None,
            settings: Vec::new(),
            json: None,
            svg: None,
            command: "cargo run --release --example simulate --".into(),
        };
        while let Some(name) = args.next() {
            if name == "--help" || name == "-h" {
                return Err((HELP.into(), 0));
            }
            let Some(value) = args.next() else { return Err((format!("{name} needs a value; --help shows all"), 2)) };
            options.set(&name, &value).map_err(|e| (e, 2))?;
            if !matches!(name.as_str(), "--seed" | "--seeds" | "--wall" | "--json" | "--svg") {
                options.command += &format!(" {name} '{value}'");
            }
        }
        adversary::settings(&options.settings).map_err(|e| (e, 2))?;
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let faults = || value.split(',').map(Fault::parse).collect::<Result<Vec<_>, _>>();
        match name {
            "--scenario" => self.scenario = value.into(),
            "--members" => self.members = Some(number(name, value)?),
            "--begin" => {
                self.acquainted = match value {
                    "joined" => false,
                    "acquainted" => true,
                    _ => return Err(format!("--begin: {value:?} is neither joined nor acquainted")),
                }
            }
            "--seed" => self.seed = number(name, value)?,
            "--latency" => self.net.latency = Latency::parse(value)?,
            "--loss" => self.net.loss = share(name, value)?,
            "--duplicate" => self.net.duplicate = share(name, value)?,
            "--corrupt" => self.net.corrupt = share(name, value)?,
            "--reorder" => self.net.reorder = share(name, value)?,
            "--bandwidth" => self.net.bandwidth = number(name, value)?,
            "--size" => self.size = number(name, value)?,
            "--keys" => self.keys = number(name, value)?,
            "--runs" => self.runs = number(name, value)?,
            "--stopped" => self.stopped = share(name, value)?,
            "--apart" => self.apart = share(name, value)?,
            "--apart-for" => self.apart_for = Some(seconds(name, value)?),
            "--time" => self.time = Some(seconds(name, value)?),
            "--faults" => self.faults = number(name, value)?,
            "--only" => self.only = faults()?,
            "--not" => {
                let not = faults()?;
                self.only = adversary::FAULTS.iter().copied().filter(|f| !not.contains(f)).collect();
            }
            "--seeds" => self.seeds = number(name, value)?,
            "--wall" => self.wall = Some(seconds(name, value)?),
            "--set" => match value.split_once('=') {
                Some((name, value)) => self.settings.push((name.into(), value.into())),
                None => return Err(format!("--set: {value:?} is not of the form name=value")),
            },
            "--json" => self.json = Some(value.into()),
            "--svg" => self.svg = Some(value.into()),
            _ => return Err(format!("there is no option {name}; --help shows all")),
        }
        if self.members == Some(0) {
            return Err("--members: there must be one at least".into());
        }
        Ok(())
    }
}
