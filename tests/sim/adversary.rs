//! The adversarial scenario: everything at once, drawn from one seed, and at the end all must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster_gossip::config::Config;
use cluster_gossip::config::settings::Settings;
use cluster_gossip::store::NodeState;
use cluster_gossip::time::Time;
use rand::Rng;
use rand::seq::SliceRandom;

pub use super::fault::{FAULTS, Fault};
use super::membership::{self, Bounds, Flaps};
use super::{Latency, Network, Start, World, bans, check};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(12);

/// What ends a fault that lasts.
#[derive(Clone, Debug)]
enum Undo {
    Quick(usize),
    Join,
    OneWay,
    Unblock(usize),
    Network,
    Names,
    /// Any member lifts the bans of an id.
    Unban(String),
}

/// How hard it is.
#[derive(Clone, Debug)]
pub struct Adversary {
    pub members: usize,
    /// Virtual time under faults.
    pub time: Duration,
    pub faults: usize,
    /// Faults drawn from; all of them if empty.
    pub only: Vec<Fault>,
    /// Who is in the cluster is judged too.
    pub membership: Option<Bounds>,
    /// Settings of every member, by name.
    pub settings: Vec<(String, String)>,
}

impl Default for Adversary {
    fn default() -> Adversary {
        Adversary {
            members: 20,
            time: Duration::from_secs(600),
            faults: 200,
            only: Vec::new(),
            membership: None,
            settings: Vec::new(),
        }
    }
}

/// What a run was.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub faults: BTreeMap<String, usize>,
    pub processes: usize,
    pub events: u64,
    pub datagrams: u64,
    /// Virtual time from the end of the faults until all agreed.
    pub agreed_after: Duration,
    pub trace: u64,
}

/// How long agreement may take once all faults have ended: seeds are asked every 30 s (± 30 %).
const AGREE_WITHIN: Duration = Duration::from_secs(300);

/// Runs it; says what was violated.
pub fn run(seed: u64, adversary: &Adversary) -> Result<Report, String> {
    Run::new(seed, adversary).whole()
}

struct Run<'a> {
    how: &'a Adversary,
    world: World,
    undo: Vec<(Time, Undo)>,
    report: Report,
    flaps: Flaps,
    born: usize,
    calm: Network,
}

impl Run<'_> {
    fn new(seed: u64, how: &Adversary) -> Run<'_> {
        let calm = Network {
            latency: Latency::exponential(MS / 5, 3 * MS),
            loss: 0.02,
            duplicate: 0.01,
            corrupt: 0.002,
            ..Network::default()
        };
        let mut world = World::new(seed, calm.clone());
        world.base = settings(&how.settings).expect("the settings were checked");
        Run { how, world, undo: Vec::new(), report: Report::default(), flaps: Flaps::default(), born: 0, calm }
    }

    fn whole(mut self) -> Result<Report, String> {
        let step = self.how.time.div_f64(self.how.faults as f64);
        for _ in 0..self.how.members {
            self.join(None);
        }
        self.name();
        self.world.run(2 * SECOND);
        let until = self.world.now + self.how.time;
        let kinds = if self.how.only.is_empty() { FAULTS } else { &self.how.only };
        let mut drawn = 0;
        while drawn < self.how.faults || self.world.now < until {
            let fault = kinds[self.world.rng.random_range(0..kinds.len())];
            if self.inject(fault) {
                drawn += 1;
                *self.report.faults.entry(format!("{fault:?}")).or_default() += 1;
            }
            let pause = step.mul_f64(self.world.rng.random_range(0.3..1.7));
            self.write(pause);
            self.look(drawn)?;
        }
        self.rest()
    }

    /// Faults have ended: all must agree about who is banned, and, once that was lifted, about everything.
    fn rest(mut self) -> Result<Report, String> {
        for (_, undo) in std::mem::take(&mut self.undo) {
            self.undo(undo);
        }
        self.world.heal();
        self.world.net = Network::default();
        self.name();
        let start = self.world.now;
        let (mut lifted, mut agreed) = (false, false);
        while !agreed && self.world.now.since(start) < AGREE_WITHIN {
            self.world.run(500 * MS);
            self.bury();
            check::order(&mut self.world)?;
            agreed = lifted && bans::unlike(&self.world, Some(&[])).is_none() && self.world.converged();
            if !lifted && bans::unlike(&self.world, None).is_none() {
                self.lift_all()?;
                lifted = true;
            }
        }
        if !agreed {
            let expected: Option<&[bans::Ban]> = lifted.then_some(&[]);
            let why = bans::unlike(&self.world, expected).or_else(|| check::difference(&self.world));
            let why = why.unwrap_or_default();
            self.world.describe();
            return Err(format!("{why} ({AGREE_WITHIN:.0?} after the last fault)"));
        }
        self.report.agreed_after = self.world.now.since(start);
        // One that is stopped to this moment may agree as well, if nothing has changed since; there is quiet once it goes on.
        self.world.run_until(LONGEST_PAUSE, 100 * MS, |w| w.members().into_iter().all(|n| !w.is_paused(n)));
        self.world.run(5 * SECOND);
        let members = self.world.members();
        let observers: Vec<usize> = members.iter().copied().step_by(members.len().div_ceil(20)).collect();
        check::at_rest(&mut self.world, &observers)?;
        for _ in 0..3 {
            let node = self.any();
            check::at_once(&mut self.world, node)?;
        }
        if self.how.only.is_empty() || self.how.only.contains(&Fault::Ban) {
            self.ban_outlives_its_author()?;
        }
        if let Some(bounds) = self.how.membership {
            self.world.run(bounds.back.max(bounds.gone) + SECOND);
            check::order(&mut self.world)?;
            membership::check(&self.world, bounds)?;
            membership::agreement(&self.world)?;
            check::ends(&self.world)?;
            check::sizes(&self.world)?;
            bans::check(&self.world, Some(&[]))?;
        }
        self.report.processes = self.world.nodes.len();
        self.report.events = self.world.nodes.iter().map(|n| n.subscriber.events).sum();
        self.report.datagrams = self.world.traffic.datagrams;
        self.report.trace = self.world.trace;
        Ok(self.report)
    }

    /// All know the same bans: they must be heeded by all. Then any members lift them.
    fn lift_all(&mut self) -> Result<(), String> {
        bans::check(&self.world, None)?;
        check::order(&mut self.world)?;
        check::mirrors(&self.world, &self.world.members())?;
        let first = self.any();
        let ids: BTreeSet<String> = bans::at(&self.world.nodes[first]).into_iter().map(|ban| ban.id).collect();
        for id in ids {
            let n = self.any();
            bans::unban(&mut self.world, n, &id);
        }
        Ok(())
    }

    /// All is quiet. A ban reaches everyone; it stands when its author has gone and the banned member has started anew,
    /// newcomers hear of it, and anyone lifts it.
    fn ban_outlives_its_author(&mut self) -> Result<(), String> {
        let mut three = self.world.members();
        if three.len() < 4 {
            return Ok(());
        }
        three.shuffle(&mut self.world.rng);
        let [by, whom, lifter] = [three[0], three[1], three[2]];
        let [author, id] = [by, whom].map(|n| self.world.nodes[n].id.clone());
        let stands = [bans::Ban { id: id.clone(), by: author }];
        bans::ban(&mut self.world, by, &id);
        bans::until(&mut self.world, &stands)?;
        self.end(by, true);
        self.join(None);
        self.end(whom, false);
        self.world.run(SECOND);
        self.again(whom, false, 0);
        self.world.run(60 * SECOND);
        bans::check(&self.world, Some(&stands))?;
        bans::unban(&mut self.world, lifter, &id);
        bans::until(&mut self.world, &[])?;
        self.world.run_until(AGREE_WITHIN, 500 * MS, World::converged);
        check::at_rest(&mut self.world, &[lifter])
    }

    fn look(&mut self, drawn: usize) -> Result<(), String> {
        self.bury();
        check::order(&mut self.world)?;
        let n = self.any();
        check::mirrors(&self.world, &[n])?;
        bans::heeded(&bans::view(&self.world, n))?;
        if drawn.is_multiple_of(10) {
            check::offsets(&self.world, &[n], false)?;
        }
        if let Some(bounds) = self.how.membership {
            membership::flaps(&mut self.world, &mut self.flaps)?;
            if drawn.is_multiple_of(5) {
                membership::check(&self.world, bounds)?;
            }
        } else {
            self.world.nodes.iter_mut().for_each(|n| n.subscriber.changes.clear());
        }
        Ok(())
    }

    /// Hosts write for `pause`.
    fn write(&mut self, pause: Duration) {
        let writes = self.world.rng.random_range(1..5u32);
        for _ in 0..writes {
            let node = self.any();
            let key = format!("k{}", self.world.rng.random_range(0..12));
            if self.world.rng.random_bool(0.25) {
                self.world.delete(node, &key);
            } else {
                let size = match self.world.rng.random_range(0..200) {
                    0 => 100_000,
                    1..5 => 20_000,
                    _ => self.world.rng.random_range(0..200),
                };
                let longest = if self.world.rng.random_bool(0.3) { 200_000 } else { 4000 };
                let ttl = self.world.rng.random_bool(0.15).then(|| MS * self.world.rng.random_range(300..longest));
                let byte: u8 = self.world.rng.random();
                self.world.set(node, &key, &vec![byte; size], ttl);
            }
            self.world.run(pause / writes);
            self.end_faults();
        }
    }

    fn any(&mut self) -> usize {
        let members = self.world.members();
        members[self.world.rng.random_range(0..members.len())]
    }

    /// One that may be taken away; enough must remain.
    fn victim(&mut self) -> Option<usize> {
        (self.world.members().len() > self.how.members / 2).then(|| self.any())
    }

    /// Processes whose id was taken over end, as their hosts would end them.
    fn bury(&mut self) {
        for n in 0..self.world.nodes.len() {
            if self.world.nodes[n].running() && self.world.nodes[n].store.state() == NodeState::Failed {
                self.world.kill(n);
            }
        }
    }

    /// The name of the seeds stands for some of those that run now.
    fn name(&mut self) {
        let mut members = self.world.members();
        let mut addresses = Vec::new();
        while addresses.len() < 5 && !members.is_empty() {
            let n = members.swap_remove(self.world.rng.random_range(0..members.len()));
            addresses.push(self.world.nodes[n].address);
        }
        self.world.dns.set("seeds.test", addresses);
        self.world.dns.down = false;
    }

    fn join(&mut self, start: Option<Start>) {
        let mut start = start.unwrap_or_default();
        if start.id.is_empty() {
            start.id = format!("m{}", self.born);
            self.born += 1;
        }
        start.seeds = vec!["seeds.test:4000".to_owned()];
        let members = self.world.members();
        if !members.is_empty() {
            start.seeds.push(self.world.nodes[members[0]].address.to_string());
            let any = self.any();
            start.seeds.push(self.world.nodes[any].address.to_string());
        }
        let max_packet = [1400, 1400, 1232, 576][self.world.rng.random_range(0..4)];
        let given = |name: &str| self.how.settings.iter().any(|(n, _)| n == name);
        let own = |s: &mut Settings| {
            // What is given by name stays.
            let _ = given("tombstone_grace") || replace(&mut s.tombstone_grace, 5 * SECOND);
            let _ = given("departed_grace") || replace(&mut s.departed_grace, 40 * SECOND);
            let _ = given("max_packet") || replace(&mut s.max_packet, max_packet);
        };
        self.world.spawn(start, own);
    }

    fn later(&mut self, from: u64, to: u64, undo: Undo) {
        let d = MS * u32::try_from(self.world.rng.random_range(from..to)).expect("a few minutes at most");
        self.undo.push((self.world.now + d, undo));
    }

    fn end_faults(&mut self) {
        let now = self.world.now;
        let (over, open): (Vec<_>, Vec<_>) = self.undo.drain(..).partition(|(at, _)| *at <= now);
        self.undo = open;
        over.into_iter().for_each(|(_, undo)| self.undo(undo));
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Quick(n) => self.world.slow(n, Duration::ZERO),
            Undo::Join => {
                self.world.cuts.join();
                self.world.disturb_all();
            }
            Undo::OneWay => {
                let sides: Vec<usize> = (0..self.world.nodes.len()).filter(|n| self.world.cuts.side(*n) != 0).collect();
                self.world.cuts.heal();
                self.world.cuts.partition(&sides);
                self.world.disturb_all();
            }
            Undo::Unblock(n) => {
                (self.world.nodes[n].udp_blocked, self.world.nodes[n].tcp_blocked) = (false, false);
                self.world.disturb(n);
            }
            Undo::Network => {
                self.world.net = self.calm.clone();
                self.world.disturb_all();
            }
            Undo::Names => self.name(),
            Undo::Unban(id) => self.unban(id),
        }
    }

    /// A member lifts the bans of an id. Who does not know of one cannot lift it: then another tries later.
    fn unban(&mut self, id: String) {
        let n = self.any();
        let stands = |n: usize| bans::at(&self.world.nodes[n]).iter().any(|ban| ban.id == id);
        let lifts = !self.world.is_paused(n) && stands(n);
        if lifts {
            // One that subscribes before that is to be told of the member's entries too.
            let other = self.any();
            self.world.subscribe_anew(other);
            bans::unban(&mut self.world, n, &id);
        } else if self.world.members().into_iter().any(stands) {
            self.later(500, 10_000, Undo::Unban(id));
        }
    }

    fn end(&mut self, n: usize, host: bool) {
        if host { self.world.lose_host(n) } else { self.world.kill(n) }
    }

    /// A new life of `n`, which has ended.
    fn again(&mut self, n: usize, same_address: bool, back_ms: u64) {
        let node = &self.world.nodes[n];
        let free = same_address && self.world.at(node.address) == Some(n) && !node.host_lost;
        let start = Start { id: node.id.clone(), address: free.then_some(node.address), back_ms, ..Start::default() };
        self.join(Some(start));
    }

    /// Lets a fault happen; gives false where it cannot just now.
    fn inject(&mut self, fault: Fault) -> bool {
        let rng = |run: &mut Self, to: usize| run.world.rng.random_range(0..to);
        match fault {
            Fault::Kill | Fault::LoseHost => {
                let Some(n) = self.victim() else { return false };
                self.end(n, fault == Fault::LoseHost);
            }
            Fault::Restart | Fault::RestartClockBack => {
                let Some(n) = self.victim() else { return false };
                let host = rng(self, 3) == 0;
                self.end(n, host);
                let gap = MS * self.world.rng.random_range(1..3000);
                self.world.run(gap);
                let back = if fault == Fault::RestartClockBack { 3_600_000 } else { 0 };
                let same = rng(self, 2) == 0;
                self.again(n, same, back);
            }
            Fault::OtherAtAddress => {
                let Some(n) = self.victim() else { return false };
                self.end(n, false);
                let address = Some(self.world.nodes[n].address);
                self.join(Some(Start { address, ..Start::default() }));
            }
            Fault::Twin => {
                let n = self.any();
                if self.world.nodes[n].store.state() != NodeState::Joined {
                    return false;
                }
                self.world.disturb(n);
                self.again(n, false, 0);
            }
            Fault::Leave => {
                let Some(n) = self.victim() else { return false };
                self.world.leave(n);
            }
            Fault::Join => {
                if self.world.members().len() >= self.how.members * 5 / 4 {
                    return false;
                }
                self.join(None);
            }
            Fault::Pause => {
                let (n, longest) = (self.any(), LONGEST_PAUSE.as_millis() as u32);
                let d = self.world.rng.random_range(50..longest);
                self.world.pause(n, MS * d);
            }
            Fault::Slow => {
                let (n, work) = (self.any(), self.world.rng.random_range(1..30));
                self.world.slow(n, MS * work);
                self.later(500, 15_000, Undo::Quick(n));
            }
            Fault::Partition | Fault::Isolate => {
                let members = self.world.members();
                let share = if fault == Fault::Isolate { 0.05 } else { 0.4 };
                let mut side: Vec<usize> = members.into_iter().filter(|_| self.world.rng.random_bool(share)).collect();
                if side.is_empty() {
                    side.push(self.any());
                }
                self.world.partition(&side);
                self.later(500, 40_000, Undo::Join);
            }
            Fault::OneWayCut => {
                let (from, to) = (self.any(), self.any());
                if from == to {
                    return false;
                }
                self.world.cuts.one_way(from, to);
                self.world.disturb(from);
                self.world.disturb(to);
                self.later(500, 20_000, Undo::OneWay);
            }
            Fault::BlockUdp | Fault::BlockTcp => {
                let n = self.any();
                let node = &mut self.world.nodes[n];
                *(if fault == Fault::BlockUdp { &mut node.udp_blocked } else { &mut node.tcp_blocked }) = true;
                self.world.disturb(n);
                self.later(500, 20_000, Undo::Unblock(n));
            }
            Fault::Move => {
                let n = self.any();
                let i = self.undo.len() as u16 + 5000;
                let address = std::net::SocketAddr::new(self.world.nodes[n].address.ip(), i);
                if self.world.at(address).is_some() {
                    return false;
                }
                self.world.move_to(n, address);
            }
            Fault::Loss | Fault::Delay | Fault::Duplicates | Fault::Reordering | Fault::FlippedBits => {
                let net = &mut self.world.net;
                match fault {
                    Fault::Loss => net.loss = [0.1, 0.2, 0.5][self.world.rng.random_range(0..3)],
                    Fault::Delay => net.latency = Latency::uniform(MS, 200 * MS),
                    Fault::Duplicates => net.duplicate = 0.2,
                    Fault::Reordering => (net.reorder, net.reorder_by) = (0.3, 300 * MS),
                    _ => net.corrupt = 0.05,
                }
                self.world.disturb_all();
                self.later(500, 10_000, Undo::Network);
            }
            Fault::NarrowStreams => {
                self.world.net.bandwidth = 100e3;
                self.later(500, 10_000, Undo::Network);
            }
            Fault::NamesChange => self.name(),
            Fault::NamesDown => {
                self.world.dns.down = true;
                self.later(500, 20_000, Undo::Names);
            }
            Fault::HotKey => {
                let n = self.any();
                for i in 0..100u8 {
                    self.world.set(n, "hot", &[i; 50], None);
                    self.world.run(MS / 10);
                }
            }
            Fault::ManyKeys => {
                let n = self.any();
                for i in 0..60 {
                    self.world.set(n, &format!("many{i}"), &[i; 40], Some(SECOND * 20));
                }
            }
            Fault::DeleteAll => {
                let n = self.any();
                let keys: Vec<String> = self.world.nodes[n]
                    .store
                    .get_prefix(self.world.now, Some(&self.world.nodes[n].id), "", true)
                    .iter()
                    .map(|v| v.entry.key().to_owned())
                    .collect();
                keys.iter().filter(|k| !k.starts_with("cluster:")).for_each(|k| _ = self.world.delete(n, k));
            }
            Fault::Ban => {
                let (by, whom) = (self.any(), self.any());
                let id = self.world.nodes[whom].id.clone();
                if self.world.nodes[by].id == id || self.world.is_paused(by) {
                    return false;
                }
                bans::ban(&mut self.world, by, &id);
                self.later(500, 30_000, Undo::Unban(id));
            }
        }
        true
    }
}

fn replace<T>(place: &mut T, value: T) -> bool {
    *place = value;
    true
}

/// Settings by name and value, checked as a configuration is.
pub fn settings(values: &[(String, String)]) -> Result<Settings, String> {
    let mut config = Config::new();
    for (name, value) in values {
        config.set(name, value).map_err(|e| e.message().to_owned())?;
    }
    config.settings().map_err(|e| e.message().to_owned())
}
