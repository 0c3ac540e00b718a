//! The kinds of fault that the adversarial scenario draws from.

/// The kinds, and the list of them.
macro_rules! faults {
    ($($(#[$about:meta])* $fault:ident,)*) => {
        /// What befalls members and the network.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$about])* $fault,)*
        }

        pub const FAULTS: &[Fault] = &[$(Fault::$fault,)*];
    };
}

faults! {
    Kill,
    LoseHost,
    Restart,
    RestartClockBack,
    OtherAtAddress,
    Twin,
    Leave,
    Join,
    Pause,
    Slow,
    Partition,
    Isolate,
    OneWayCut,
    BlockUdp,
    BlockTcp,
    Move,
    Loss,
    Delay,
    Duplicates,
    Reordering,
    FlippedBits,
    NarrowStreams,
    NamesChange,
    NamesDown,
    HotKey,
    ManyKeys,
    DeleteAll,
    /// A member bans the id of another.
    Ban,
}

impl Fault {
    /// By its name as `{:?}` gives it.
    pub fn parse(name: &str) -> Result<Fault, String> {
        let found = FAULTS.iter().find(|f| format!("{f:?}").eq_ignore_ascii_case(name)).copied();
        found.ok_or_else(|| format!("{name:?} is no fault; there are: {FAULTS:?}"))
    }
}
