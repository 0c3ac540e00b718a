//! Opening a node: its sockets, its identity, its store and engine, and the tasks that drive them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::advertise::{self, Later};
use super::driver::{self, Driver};
use super::net::{INBOX, Net, Tasks, Udp};
use super::progress::Signals;
use super::shared::{Core, Shared};
use super::stats::Stats;
use super::stream::{Inbound, Limits, Uploads};
use super::{clock, fork, pool, socket};
use crate::config::Config;
use crate::config::settings::Settings;
use crate::engine::{Engine, Identity};
use crate::error::{Error, Result, Status};
use crate::store::Store;
use crate::store::entry::MemberId;
use crate::store::event::Level;

/// Binds the sockets and starts the tasks; waits for no look-up of a name and for no peer. `id` is what events carry as their
/// node. Errors as `Node::open`.
pub fn open(config: &Config, id: u64) -> Result<Arc<Shared>> {
    fork::install();
    let settings = config.settings()?;
    let bound = socket::bind(&settings.bind)?;
    let choice = advertise::choose(&settings.advertise, &settings.seeds, bound.local, bound.family)?;
    let identity = identity(&settings, choice.address)?;
    let member = identity.id.as_str().to_owned();

    let pool = pool::acquire(settings.worker_threads)?;
    let runtime = pool.handle().clone();
    // Sockets and timers belong to the event loop in whose context they are made.
    let _context = runtime.enter();
    let no_sockets = |e: std::io::Error| {
        Error::new(Status::NoResources, format!("the sockets can not be given to the event loop: {e}"))
    };
    let udp = Arc::new(Udp::new(bound.udp, bound.family).map_err(no_sockets)?);
    let listener = tokio::net::TcpListener::from_std(bound.tcp).map_err(no_sockets)?;

    let (inbox, incoming) = mpsc::channel(INBOX);
    let tasks = Tasks::new(runtime.clone());
    let stats = Arc::new(Stats::default());
    let signals = Arc::new(Signals::default());
    let now = clock::now();
    let shown = settings.clone();
    let settings = Arc::new(settings);
    let store = Arc::new(Store::sharing(id, identity.life(), settings.clone(), signals.clone(), pool.contacts()));
    let engine = Engine::new(settings, identity, store.clone(), now);
    let uploads = Uploads::new(Limits::default(), bound.family, stats.clone(), inbox.clone());
    let net = Net {
        udp: udp.clone(),
        uploads,
        tasks: tasks.clone(),
        inbox: inbox.clone(),
        stats: stats.clone(),
        pending: Vec::new(),
    };
    let core = Core { engine, net, later: choice.later.clone(), port: bound.local.port() };

    let largest_value = {
        let store = store.clone();
        move || crate::engine::largest_read(store.settings().max_value_size)
    };
    let inbound = Inbound::new(tasks.clone(), Limits::default(), largest_value, stats.clone(), inbox.clone());
    tasks.spawn(inbound.accept(listener));
    if matches!(choice.later, Later::Name(_)) {
        tasks.spawn(driver::look_up_advertised(choice.later, udp.clone(), inbox.clone()));
    }
    let follows = shown.advertise.is_empty() && bound.local.ip().is_unspecified();
    let shared = Shared::new(member, shown, store, signals, stats, core, bound.local, pool);
    if follows {
        tasks.spawn(driver::follow_address(shared.clone(), udp.clone(), inbox));
    }
    shared.log(Level::Info, || format!("open: listening at {}, advertised as {}", bound.local, choice.address));
    runtime.spawn(driver::run(Driver { shared: shared.clone(), udp, tasks, inbox: incoming, asleep: clock::asleep() }));
    Ok(shared)
}

/// A new life: the member id that is configured, or a random one, as of now.
fn identity(settings: &Settings, address: SocketAddr) -> Result<Identity> {
    let member = match settings.id.as_str() {
        "" => format!("{:016x}{:016x}", clock::random_u64()?, clock::random_u64()?),
        id => id.to_owned(),
    };
    Ok(Identity {
        id: MemberId::new(&member).ok_or_else(|| Error::new(Status::BadSetting, "id: 1 to 255 bytes without a NUL"))?,
        generation: u64::try_from(clock::wall_ms()).unwrap_or(0).max(1),
        nonce: clock::random_u64()?.max(1),
        address,
        rng_seed: clock::random_u64()?,
    })
}
