//! Transforms: a topic of events once more, in another shape.
//!
//! [`Transform`] is what an author writes: an event of the events topic in, none or several of an
//! older or newer shape out. [`Transformer`] is the runtime without thread and clock: a shell polls the
//! log, executes [`Effect`]s, runs each [`Plan`](crate::handler::Plan) as one transaction and tells what
//! came of it. Each transaction holds the records of whole batches of commands and the offset after
//! them (KIP-447), so a record is republished once, whatever ends the process.
//!
//! A batch that becomes nothing leaves nothing but an offset. Any other stays a batch: its records follow
//! each other with an index and a size of their own, and the command, version, times and source of the
//! events that they come from. [`FROM_HEADER`] names the record that each one is made of, which is also
//! how a transformer that has lost its offsets knows where to go on.

mod claim;
mod machine;
mod output;
mod place;

pub use claim::{Republished, Survey};
pub use machine::{Effect, Transformer};
pub use output::Totals;

use crate::{Message, Topic, Topics, view::Recorded};

/// The header of a republished record that names the record it was made of, as a
/// [`Token`](crate::wire::Token) with its topic's identity.
pub const FROM_HEADER: &str = "factum-from";

/// The most records that one event may become.
pub const MAX_RECORDS_OF_EVENT: usize = 256;

/// What is done about a record whose type [`Transform::From`] has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownRecords {
    /// The partition stops before it: what the readers of the new topic lack, somebody has decided.
    Fail,
    /// It is not republished, and counted.
    Skip,
}

/// Events of one aggregate type in another shape. Pure, like an aggregate.
///
/// ```
/// # use factum_core::{Message, transform::Transform, view::Recorded};
/// # #[derive(Debug, Clone)] struct Deposited { cents: i64 } #[derive(Debug, Clone)] struct Withdrawn { cents: i64 }
/// # #[derive(Debug, Clone)] enum Event { Deposited(Deposited), Withdrawn(Withdrawn) }
/// # impl Message for Event {
/// #     const RECORDS: &'static [&'static str] = &["bank.account.Deposited", "bank.account.Withdrawn"];
/// #     fn record(&self) -> usize { match self { Event::Deposited(_) => 0, Event::Withdrawn(_) => 1 } }
/// # }
/// # #[derive(Debug, Clone)] struct Moved { cents: i64 }
/// # #[derive(Debug, Clone)] enum Old { Moved(Moved) }
/// # impl Message for Old {
/// #     const RECORDS: &'static [&'static str] = &["bank.account.Moved"];
/// #     fn record(&self) -> usize { 0 }
/// # }
/// /// The bank's events as its first version wrote them.
/// struct FirstShape;
///
/// impl Transform for FirstShape {
///     const NAME: &'static str = "v1";
///     const INPUT: &'static str = "bank.account";
///     type From = Event;
///     type To = Old;
///
///     fn transform(event: &Recorded<Event>) -> Vec<Old> {
///         let cents = match &event.event {
///             Event::Deposited(deposited) => deposited.cents,
///             Event::Withdrawn(withdrawn) => -withdrawn.cents,
///         };
///         vec![Old::Moved(Moved { cents })]
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transform",
    label = "needs `Transform`",
    note = "write `impl Transform for {Self}` with `transform`: an event of `From` in, none or several of `To` out"
)]
pub trait Transform: Send + 'static {
    /// Its name, of which the output topic's and the group's are made, for example `v1`.
    const NAME: &'static str;

    /// The aggregate type whose events it republishes, for example `bank.account`.
    const INPUT: &'static str;

    /// The topic that it writes, without a deployment's prefix; `<aggregate type>.events.<name>` if none is named.
    const TOPIC: Option<&'static str> = None;

    /// What is done about a record whose type is not in [`Transform::From`].
    const UNKNOWN: UnknownRecords = UnknownRecords::Fail;

    /// The events that it reads.
    type From: Message;

    /// The events that it writes. They have no upcasters to go through: an older shape is an enum of its own.
    type To: Message;

    /// What becomes of an event, at most [`MAX_RECORDS_OF_EVENT`] records.
    ///
    /// A panic here stops the partition before the event; nothing is left out.
    fn transform(event: &Recorded<Self::From>) -> Vec<Self::To>;
}

/// What to do about a record that a transform cannot do, for people.
pub fn remedy<T: Transform>() -> String {
    format!(
        "start a program whose transform {} can do it, or leave the record out by setting the group's offset behind \
         its command's events (kafka-consumer-groups --reset-offsets)",
        T::NAME
    )
}

/// The topic that a transform writes, in a deployment whose names begin with `prefix`.
pub fn output_topic<T: Transform>(prefix: &str) -> Topic {
    Topic::new(match T::TOPIC {
        Some(topic) => format!("{prefix}{topic}"),
        None => format!("{}.{}", Topics::with_prefix(prefix, T::INPUT).events, T::NAME),
    })
}

/// The consumer group of a transform's instances: `<aggregate type>.<name>.transform`.
pub fn transform_group<T: Transform>(prefix: &str) -> String {
    format!("{prefix}{}.{}.transform", T::INPUT, T::NAME)
}
