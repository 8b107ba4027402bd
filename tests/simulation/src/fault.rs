//! What goes wrong, and how often.

use crate::random::Random;
use std::{collections::BTreeMap, fmt};

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $rate:literal;)+) => {
        /// Something that goes wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[doc = $doc])+ $name,)+ }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Fault] = &[$(Fault::$name),+];

            /// Its name for people.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$name => $text,)+ }
            }

            /// How often it strikes at most, in 100 000 occasions.
            fn most(self) -> u32 {
                match self { $(Fault::$name => $rate,)+ }
            }
        }
    };
}

faults! {
    /// A process is killed before a call to the log.
    Crash = "process killed", 300;
    /// A process hangs before a call to the log, for as long as a session at most.
    ShortPause = "process hangs for a while", 300;
    /// A process hangs before a call to the log, for longer than its session.
    LongPause = "process hangs past its session (zombie)", 250;
    /// A member leaves its group in good order and comes back.
    Rebalance = "member leaves and another joins", 1_000;
    /// A member of a classic group starts.
    ClassicMember = "member joins a classic group", 0;
    /// A member of a group of the newer protocol starts.
    NewerMember = "member joins a group of KIP-848", 0;
    /// A static member is there again.
    StaticRestart = "static member restarts", 0;
    /// A process is started with the instance id of one that still runs.
    Twin = "static member replaced while it runs", 1_500;
    /// A request does not reach the log.
    LostRequest = "request lost", 600;
    /// A request is executed, and its answer is lost.
    LostReply = "reply lost", 2_500;
    /// The log is away for everybody.
    Outage = "log away", 60;
    /// The registry is away for everybody.
    RegistryOutage = "registry away", 30_000;
    /// The views' database is away for everybody.
    DatabaseOutage = "database away", 500;
    /// A process hangs before a call to its database.
    DatabaseHang = "view hangs in a transaction (zombie)", 4_000;
    /// A process hangs between its decision and its transaction.
    HangBeforeTransaction = "handler hangs before a transaction (zombie)", 2_500;
    /// A client does not know its generation for a while.
    UnsettledMember = "generation not known for a while", 10_000;
    /// A producer's start is to be repeated: the log still ends what its predecessor left.
    StartRetried = "producer's start to be repeated", 30_000;
    /// A commit happens, and its producer is not told.
    UnknownCommitted = "commit unknown, committed", 3_000;
    /// A commit does not happen, and its producer is not told.
    UnknownAborted = "commit unknown, aborted", 3_000;
    /// A commit is to be repeated.
    CommitRetried = "commit to be repeated", 3_000;
    /// A commit is refused for good.
    CommitRefused = "commit refused", 3_000;
    /// Another producer takes the transactional id.
    ProducerFenced = "producer fenced", 1_500;
    /// The log forgets a transactional id.
    ExpiredId = "transactional id expired", 1_500;
    /// A part of a transaction's records arrives when its producer has given them up.
    LateWrite = "write late, after its producer gave it up (torn)", 2_500;
    /// A transaction is committed, and its markers are written one by one, later.
    SlowMarkers = "markers written late", 30_000;
    /// A member leaves in good order, and the markers of its last commit are still to be written.
    LeavesBehindMarkers = "member leaves before its last markers", 30_000;
    /// The log's cleaner compacts and deletes.
    Cleaning = "log compacted", 1_500;
    /// A command's record is written twice.
    Duplicate = "command duplicated", 8_000;
    /// A client asks again for a command that it knows the answer of.
    Repeat = "answered command repeated", 8_000;
    /// A client of another language writes a command to a wrong partition.
    WrongPartition = "command in a wrong partition", 4_000;
    /// A command must be decided soon.
    Deadline = "command with a deadline", 15_000;
    /// A command expects a version.
    Expectation = "command with an expected version", 20_000;
    /// A client's process is killed and goes on with what it had written down.
    ClientCrash = "client killed", 600;
    /// An operator sets the handler's group to an earlier offset.
    OffsetReset = "handler's offsets reset", 1_500;
    /// An operator sets a view's group to an earlier offset.
    ViewReset = "view's offsets reset", 1_500;
    /// An operator sets an offset of a view's group forward, and builds the view anew later.
    ForwardReset = "view's offset set forward", 1_500;
    /// A view is deployed with code that cannot apply some events; a later deployment mends it.
    BadCode = "view deployed with code that some events are poison for", 6_000;
    /// An operator gives parked events up.
    GivenUp = "parked events given up", 60_000;
    /// All topics are deleted and made again, and the views are forgotten.
    Recreated = "topics deleted and made again", 60_000;
    /// Not drawn: a view stops because its progress is of another topic.
    IdentityStop = "view stops at another topic of the name", 0;
    /// Not drawn: a view parked an aggregate.
    Parked = "aggregate parked", 0;
    /// Not drawn: records behind a parked one are put behind it.
    BehindParked = "event put behind a parked one", 0;
    /// Not drawn: parked records were applied.
    Redriven = "parked records redriven", 0;
    /// Not drawn: the code of a redrive cannot apply them either.
    RedriveFailed = "redrive failed at an event", 0;
    /// Not drawn: another operator was faster.
    RedriveRefused = "redrive refused, the key moved on", 0;
    /// Not drawn: the log is away for a handler.
    LogAtHandler = "log away for a handler's call", 0;
    /// Not drawn: the log is away for a view.
    LogAtView = "log away for a view's call", 0;
    /// Not drawn: the log is away for a client.
    LogAtClient = "log away for a client's call", 0;
    /// Not drawn: the registry is away for a handler.
    RegistryAtHandler = "registry away for a handler's schema", 0;
    /// Not drawn: the registry is away for a view.
    RegistryAtView = "registry away for a view's schema", 0;
    /// Not drawn: the database is away for a view, or for an operator.
    DatabaseAtView = "database away for a view's call", 0;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each fault strikes in one run, in 100 000 occasions. Runs differ:
/// where everything fails at once, much is never reached.
#[derive(Debug, Clone)]
pub(crate) struct Profile(BTreeMap<Fault, u32>);

impl Profile {
    /// A profile by chance: a third of the faults stays away, others are rare or frequent.
    pub(crate) fn draw(seed: u64) -> Self {
        let rate = |fault: &Fault| {
            let mut random = Random::named(seed, &format!("how often: {fault}"));
            let most = u64::from(fault.most());
            if most == 0 {
                return 0;
            }
            let rate = match random.below(3) {
                0 => 0,
                1 => 1 + random.below(most / 4 + 1),
                _ => 1 + random.below(most),
            };
            u32::try_from(rate).unwrap_or(0)
        };
        Profile(Fault::ALL.iter().map(|fault| (*fault, rate(fault))).collect())
    }

    pub(crate) fn rate(&self, fault: Fault) -> u32 {
        self.0.get(&fault).copied().unwrap_or(0)
    }
}

/// How often each fault struck.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Struck(BTreeMap<Fault, u64>);

impl Struck {
    pub(crate) fn count(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Struck) {
        for (fault, times) in &other.0 {
            *self.0.entry(*fault).or_default() += times;
        }
    }

    /// How often a fault struck.
    pub fn times(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or(0)
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fault::ALL.iter().try_for_each(|fault| writeln!(f, "{:>9}  {fault}", self.times(*fault)))
    }
}
