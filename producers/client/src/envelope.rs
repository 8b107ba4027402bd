//! A command on its way: what is asked, of whom, and how.

use crate::{DEFAULT_TIMEOUT, request::new_command_id};
use factum_core::{CommandId, EventId, TimestampMs, Version, wire::TraceContext};
use std::{fmt::Display, time::Duration};

/// Addresses a command to an aggregate, by its id: 1 to 256 bytes of text.
///
/// ```
/// # struct Withdraw { cents: i64 }
/// use factum_client::to;
/// use factum_core::Version;
///
/// let plain = to("anna", Withdraw { cents: 30 });
/// let careful = to("anna", Withdraw { cents: 30 }).expected_version(Version(7));
/// ```
///
/// The id is checked when the command is sent.
pub fn to<C>(aggregate: impl Display, command: C) -> Envelope<C> {
    Envelope {
        aggregate: aggregate.to_string(),
        command,
        id: new_command_id(),
        expected_version: None,
        occurred: None,
        correlation: None,
        cause: None,
        trace: None,
        timeout: DEFAULT_TIMEOUT,
    }
}

/// A command with its address and its options; [`to`] makes one.
///
/// It has its command id from the beginning, and a clone has the same one: send
/// a clone again after an error, and the handler answers it with what became of
/// the first (it remembers the last 64 commands of each aggregate).
#[derive(Debug, Clone)]
#[must_use = "a command is sent by a client"]
pub struct Envelope<C> {
    pub(crate) aggregate: String,
    pub(crate) command: C,
    pub(crate) id: CommandId,
    pub(crate) expected_version: Option<Version>,
    pub(crate) occurred: Option<TimestampMs>,
    pub(crate) correlation: Option<CommandId>,
    pub(crate) cause: Option<EventId>,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) timeout: Duration,
}

impl<C> Envelope<C> {
    /// The command's id.
    pub fn id(&self) -> CommandId {
        self.id
    }

    /// Gives the command an id of your own instead of a random one: one that is
    /// derived from a key (a UUID of version 5) is the same in the next process.
    pub fn command_id(mut self, id: CommandId) -> Self {
        self.id = id;
        self
    }

    /// Decides only if the aggregate has this version, else the reply is a
    /// [`Conflict`](crate::Reply::Conflict). [`Version::NONE`]: it has no events yet.
    pub fn expected_version(mut self, version: Version) -> Self {
        self.expected_version = Some(version);
        self
    }

    /// When it occurred; without it, when it is handled.
    pub fn occurred(mut self, time: TimestampMs) -> Self {
        self.occurred = Some(time);
        self
    }

    /// The business conversation that it belongs to; without it, the command's id.
    pub fn correlation(mut self, conversation: CommandId) -> Self {
        self.correlation = Some(conversation);
        self
    }

    /// The event that caused it. `trace` (the verb) shows commands under the
    /// events that caused them; give it the event's correlation id as well.
    pub fn caused_by(mut self, event: EventId) -> Self {
        self.cause = Some(event);
        self
    }

    /// The trace that it belongs to: the events carry the same context, and the
    /// handler's and the views' spans name its trace id.
    /// [`new_trace`](crate::new_trace) begins one.
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// How long to wait; [`DEFAULT_TIMEOUT`] without it. Meanwhile the command
    /// is sent again under its id, after 2 seconds, then 4, 8 …
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}
