//! The kinds of fault that the adversarial scenario draws from.

/// What befalls members and the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
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

pub const FAULTS: &[Fault] = {
    use Fault::*;
    &[
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
        Ban,
    ]
};

impl Fault {
    /// By its name as `{:?}` gives it.
    pub fn parse(name: &str) -> Result<Fault, String> {
        let found = FAULTS.iter().find(|f| format!("{f:?}").eq_ignore_ascii_case(name)).copied();
        found.ok_or_else(|| format!("{name:?} is no fault; there are: {FAULTS:?}"))
    }
}
