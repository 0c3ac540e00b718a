//! What the network does to packets: latency, loss, duplication, reordering, flipped bits, cuts, names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

/// The random part of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Always zero.
    None,
    /// Exponential, with this mean.
    Exponential(Duration),
    /// Between zero and this.
    Uniform(Duration),
    /// Log-normal, with this median and sigma of the logarithm: most are quick, some take very long.
    LogNormal(Duration, f64),
}

/// How long a packet is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The shortest way.
    pub base: Duration,
    /// What comes on top.
    pub jitter: Jitter,
}

impl Latency {
    pub const fn constant(base: Duration) -> Latency {
        Latency { base, jitter: Jitter::None }
    }

    pub const fn exponential(base: Duration, mean: Duration) -> Latency {
        Latency { base, jitter: Jitter::Exponential(mean) }
    }

    pub const fn uniform(base: Duration, up_to: Duration) -> Latency {
        Latency { base, jitter: Jitter::Uniform(up_to) }
    }

    pub fn draw(&self, rng: &mut SmallRng) -> Duration {
        let open = |rng: &mut SmallRng| 1.0 - rng.random::<f64>(); // never 0
        self.base
            + match self.jitter {
                Jitter::None => Duration::ZERO,
                Jitter::Exponential(mean) => mean.mul_f64(-open(rng).ln()),
                Jitter::Uniform(up_to) => up_to.mul_f64(rng.random::<f64>()),
                Jitter::LogNormal(median, sigma) => {
                    // Box and Muller: a normal number out of two even ones.
                    let radius = (-2.0 * open(rng).ln()).sqrt();
                    let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
                    median.mul_f64((sigma * normal).exp())
                }
            }
    }

    /// Reads `0.2`, `0.2+exp(0.3)`, `10+uniform(200)` or `1+lognormal(0.5,1)`, in milliseconds.
    pub fn parse(text: &str) -> Result<Latency, String> {
        let bad =
            || format!("{text:?} is none of: 0.2  0.2+exp(0.3)  0.2+uniform(5)  0.2+lognormal(0.5,1) (milliseconds)");
        let ms = |s: &str| {
            let n: f64 = s.trim().parse().map_err(|_| bad())?;
            if (0.0..1e9).contains(&n) { Ok(Duration::from_secs_f64(n / 1000.0)) } else { Err(bad()) }
        };
        let Some((base, jitter)) = text.split_once('+') else { return Ok(Latency::constant(ms(text)?)) };
        let (name, rest) = jitter.split_once('(').ok_or_else(bad)?;
        let inside = rest.trim_end().strip_suffix(')').ok_or_else(bad)?;
        let jitter = match (name.trim(), inside.split_once(',')) {
            ("exp", None) => Jitter::Exponential(ms(inside)?),
            ("uniform", None) => Jitter::Uniform(ms(inside)?),
            ("lognormal", Some((median, sigma))) => {
                Jitter::LogNormal(ms(median)?, sigma.trim().parse().map_err(|_| bad())?)
            }
            _ => return Err(bad()),
        };
        Ok(Latency { base: ms(base)?, jitter })
    }
}

/// What the network does to packets.
#[derive(Clone, Debug)]
pub struct Network {
    pub latency: Latency,
    /// Share of datagrams that are lost.
    pub loss: f64,
    /// Share of datagrams that arrive twice.
    pub duplicate: f64,
    /// Share of datagrams that are held back, up to `reorder_by`, so that later ones overtake them.
    pub reorder: f64,
    pub reorder_by: Duration,
    /// Share of datagrams in which a bit is flipped.
    pub corrupt: f64,
    /// Bytes a second of a stream.
    pub bandwidth: f64,
    /// All streams to a member share that, one message after the other; else each message has it to itself. What a process
    /// that ends has not got out by then is lost.
    pub shared: bool,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            latency: Latency::exponential(Duration::from_micros(200), Duration::from_micros(300)),
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(20),
            corrupt: 0.0,
            bandwidth: 100e6,
            shared: false,
        }
    }
}

/// Between which hosts nothing passes.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    /// Side of a partition by node number; those not listed are on side 0.
    sides: Vec<u8>,
    one_way: BTreeSet<(usize, usize)>,
}

impl Cuts {
    /// Puts the nodes `side` apart from all others. A partition replaces the one before.
    pub fn partition(&mut self, side: &[usize]) {
        self.sides.clear();
        self.sides.resize(side.iter().max().map_or(0, |n| n + 1), 0);
        side.iter().for_each(|n| self.sides[*n] = 1);
    }

    /// Moves one node to a side of the partition.
    pub fn put(&mut self, node: usize, side: u8) {
        if self.sides.len() <= node {
            self.sides.resize(node + 1, 0);
        }
        self.sides[node] = side;
    }

    /// Nothing passes from `from` to `to`; what goes the other way does.
    pub fn one_way(&mut self, from: usize, to: usize) {
        self.one_way.insert((from, to));
    }

    /// Ends the partition; one-way cuts stay.
    pub fn join(&mut self) {
        self.sides.clear();
    }

    pub fn heal(&mut self) {
        self.sides.clear();
        self.one_way.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.one_way.is_empty() && self.sides.iter().all(|s| *s == 0)
    }

    pub fn side(&self, node: usize) -> u8 {
        self.sides.get(node).copied().unwrap_or(0)
    }

    pub fn passes(&self, from: usize, to: usize) -> bool {
        self.side(from) == self.side(to) && (self.one_way.is_empty() || !self.one_way.contains(&(from, to)))
    }
}

/// Names with their addresses, which change as the test says.
#[derive(Clone, Debug, Default)]
pub struct Dns {
    names: BTreeMap<String, Vec<SocketAddr>>,
    /// No answer at all while this holds.
    pub down: bool,
    /// How much longer than usual an answer takes.
    pub delay: Duration,
}

impl Dns {
    /// From now on `name` (without a port) stands for these.
    pub fn set(&mut self, name: &str, addresses: Vec<SocketAddr>) {
        self.names.insert(name.to_owned(), addresses);
    }

    /// Answers for `host:port`; an address stands for itself.
    pub fn resolve(&self, seed: &str) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = seed.parse() {
            return Ok(vec![address]);
        }
        if self.down {
            return Err("the name server does not answer".into());
        }
        let (name, port) = seed.rsplit_once(':').unwrap_or((seed, "4000"));
        let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
        match self.names.get(name) {
            Some(all) => Ok(all.iter().map(|a| SocketAddr::new(a.ip(), port)).collect()),
            None => Err(format!("the name {name} is not known")),
        }
    }
}
