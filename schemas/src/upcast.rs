//! From records that a domain wrote once to those that it has now.

use crate::{AvroMessage, Record, RecordReader, RecordWriter, message::How, newest, schema_of, shape};
use apache_avro::{AvroSchema, Schema};
use factum_core::{DecodeError, Error, Result, panic_text};
use serde::de::DeserializeOwned;
use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The most events that one stored record may become.
pub const MAX_UPCAST_EVENTS: usize = 1_000;

/// A retired record: it is in the log and written no more. Its struct stays,
/// is no variant of the enum any longer, and is listed in
/// `#[event(retired(Moved))]` on the enum.
///
/// Pure: the same record becomes the same events wherever it is read, today
/// and after a restart. A panic counts as bytes that cannot be decoded: a view
/// parks the aggregate, a handler stops the partition.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is retired and has no upcaster",
    label = "needs `Upcast`",
    note = "write `impl Upcast for {Self}`: which records it became (`INTO`), and how (`upcast`)"
)]
pub trait Upcast: Record + Sized {
    /// The enum of its aggregate type.
    type Event: AvroMessage;

    /// The full names of the records that [`Upcast::upcast`] pushes, for
    /// example `&[Deposited::NAME]`: of the enum, or retired ones, which go on
    /// through their own upcasters. Empty: the event is dropped.
    const INTO: &'static [&'static str];

    /// Pushes the events that it stands for today, in order, perhaps none.
    fn upcast(self, to: &mut Upcasted<Self::Event>);
}

/// What upcasters have made of one record so far.
#[derive(Debug)]
pub struct Upcasted<E> {
    events: Vec<E>,
    /// The records on the way to the one that is pushed, each with its `INTO`.
    path: Vec<(&'static str, &'static [&'static str])>,
    fault: Option<String>,
}

impl<E: AvroMessage> Upcasted<E> {
    /// What becomes of a record: for tests of upcasters, and what a codec does.
    ///
    /// # Errors
    /// `Malformed` when an upcaster panics, pushes a record that its `INTO`
    /// does not name, goes in a circle, or more than [`MAX_UPCAST_EVENTS`] come of it.
    pub fn of<R: Upcast<Event = E>>(record: R) -> Result<Vec<E>, DecodeError> {
        let mut to = Upcasted { events: Vec::new(), path: Vec::new(), fault: None };
        let panicked = catch_unwind(AssertUnwindSafe(|| to.step(record))).err();
        let fault = to.fault.or_else(|| {
            let (at, _) = to.path.last()?;
            panicked.map(|panic| format!("the upcaster of {at} panicked: {}", panic_text(&*panic)))
        });
        match fault {
            None => Ok(to.events),
            Some(fault) => Err(DecodeError::Malformed(format!("record {}: {fault}", R::NAME))),
        }
    }

    /// Adds what `record` stands for: itself, or for a retired one what its upcaster makes of it.
    pub fn push<How>(&mut self, record: impl Successor<E, How>) {
        record.push_to(self);
    }

    fn event(&mut self, event: E) {
        if !self.may_push(event.record_name()) {
            return;
        }
        if self.events.len() >= MAX_UPCAST_EVENTS {
            self.fault = Some(format!("it becomes more than {MAX_UPCAST_EVENTS} events"));
            return;
        }
        self.events.push(event);
    }

    fn retired<R: Upcast<Event = E>>(&mut self, record: R) {
        if !self.may_push(R::NAME) {
            return;
        }
        if self.path.iter().any(|(name, _)| *name == R::NAME) {
            self.fault = Some(format!("its upcasters go in a circle, back to {}", R::NAME));
            return;
        }
        self.step(record);
    }

    fn step<R: Upcast<Event = E>>(&mut self, record: R) {
        self.path.push((R::NAME, R::INTO));
        record.upcast(self);
        self.path.pop();
    }

    /// Whether the upcaster at work has said that it pushes this.
    fn may_push(&mut self, name: &str) -> bool {
        let Some((from, into)) = self.path.last().filter(|_| self.fault.is_none()) else { return false };
        if !into.contains(&name) {
            self.fault = Some(format!("the upcaster of {from} pushes {name}, which its INTO does not name"));
        }
        self.fault.is_none()
    }
}

/// What an upcaster may push: a record of the enum (or the enum itself), or
/// another retired record. `How` tells the two apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one of the events of `{E}`, nor retired from them",
    label = "cannot be pushed",
    note = "push a record that the enum holds, or one that its `#[event(retired(..))]` lists"
)]
pub trait Successor<E, How> {
    /// Adds it.
    fn push_to(self, to: &mut Upcasted<E>);
}

/// A [`Successor`] that the enum holds.
#[derive(Debug)]
pub enum Current {}

/// A [`Successor`] that is retired, too.
#[derive(Debug)]
pub enum Older {}

impl<E: AvroMessage, R: Into<E>> Successor<E, Current> for R {
    fn push_to(self, to: &mut Upcasted<E>) {
        to.event(self.into());
    }
}

impl<E: AvroMessage, R: Upcast<Event = E>> Successor<E, Older> for R {
    fn push_to(self, to: &mut Upcasted<E>) {
        to.retired(self);
    }
}

/// A retired record of an enum with its upcaster, for [`AvroMessage::retired`].
pub struct Retired<M> {
    name: &'static str,
    into: &'static [&'static str],
    schema: fn() -> Schema,
    read: fn(RecordReader<'_>) -> Result<Vec<M>, DecodeError>,
    home: fn() -> Home,
}

impl<M: AvroMessage> Retired<M> {
    /// That of a type. Its upcaster may be for another enum, as for a view's
    /// own enum over records of an aggregate: what that one does not hold is passed over.
    pub fn of<R>() -> Self
    where
        R: Upcast + AvroSchema + DeserializeOwned + 'static,
    {
        Retired {
            name: R::NAME,
            into: R::INTO,
            schema: schema_of::<R>,
            read: |from| narrowed::<R::Event, M>(Upcasted::of(from.record::<R>()?)?),
            home: Home::of::<R::Event>,
        }
    }

    /// The record's full name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The full names of the records that its upcaster pushes.
    pub fn into_records(&self) -> &'static [&'static str] {
        self.into
    }

    pub(crate) fn schema(&self) -> Schema {
        (self.schema)()
    }

    pub(crate) fn read(&self, from: RecordReader<'_>) -> Result<Vec<M>, DecodeError> {
        (self.read)(from)
    }
}

impl<M> fmt::Debug for Retired<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired").field("name", &self.name).field("into", &self.into).finish_non_exhaustive()
    }
}

/// Those of one enum's events that another enum holds, by the names of their records.
fn narrowed<E: AvroMessage, M: AvroMessage>(mut events: Vec<E>) -> Result<Vec<M>, DecodeError> {
    if let Some(same) = (&mut events as &mut dyn Any).downcast_mut::<Vec<M>>() {
        return Ok(std::mem::take(same));
    }
    let unusable = |error: Error| DecodeError::Malformed(error.to_string());
    let from = newest::of_message::<E>().map_err(unusable)?;
    let to = newest::of_message::<M>().map_err(unusable)?;
    let mut held = Vec::with_capacity(events.len());
    for event in events {
        let name = event.record_name();
        let Some(index) = M::RECORDS.iter().position(|record| *record == name) else { continue };
        // The two may have structs of their own for one record, as an earlier program and this one have.
        let (written, read) = (&from[event.record()], &to[index]);
        let mut bytes = Vec::new();
        event.write(RecordWriter { newest: written, into: &mut bytes }).map_err(unusable)?;
        let how = match shape::same_bytes(&written.schema, &read.schema) {
            true => How::Direct,
            false => How::ByValue(&written.schema),
        };
        held.push(M::read(index, RecordReader { newest: read, how, id: None, bytes: &bytes })?);
    }
    Ok(held)
}

/// Where upcasters lead to: the enum of an aggregate type, by name.
#[derive(PartialEq, Eq)]
struct Home {
    of: &'static str,
    records: &'static [&'static str],
    retired: BTreeMap<&'static str, &'static [&'static str]>,
}

impl Home {
    fn of<E: AvroMessage>() -> Self {
        Home {
            of: std::any::type_name::<E>(),
            records: E::RECORDS,
            retired: E::retired().iter().map(|retired| (retired.name, retired.into)).collect(),
        }
    }

    /// Every chain from this record ends at records of the enum. `path` is what led here.
    fn check(&self, name: &'static str, path: &mut Vec<&'static str>) -> Result<()> {
        if self.records.contains(&name) {
            return Ok(());
        }
        if let Some(again) = path.iter().position(|before| *before == name) {
            path.push(name);
            return Err(Error::invalid(format!(
                "upcasters of {} go in a circle: {}; have one of them push a record that the enum holds",
                self.of,
                path[again..].join(" -> ")
            )));
        }
        let Some(into) = self.retired.get(name) else {
            let what = match path.last() {
                Some(from) => format!("record {from} is upcast to {name}, which {} neither holds", self.of),
                None => format!("record {name} is upcast to events of {}, which neither holds it", self.of),
            };
            return Err(Error::invalid(format!(
                "{what} nor lists as retired; if its struct is still there, write `#[event(retired({}))]` on the enum",
                name.rsplit('.').next().unwrap_or(name)
            )));
        };
        path.push(name);
        into.iter().try_for_each(|next| self.check(next, path))?;
        path.pop();
        Ok(())
    }
}

/// Checks the retired records of an enum: none is also current, none is there
/// twice, every chain of upcasters ends, and ends at records that exist.
///
/// # Errors
/// `Invalid` names the records and says what to do.
pub(crate) fn check<M: AvroMessage>(retired: &[Retired<M>]) -> Result<()> {
    for (index, Retired { name, home, .. }) in retired.iter().enumerate() {
        if M::RECORDS.contains(name) {
            return Err(Error::invalid(format!(
                "record {name} is both a variant of {} and retired from it: take it out of one of the two",
                std::any::type_name::<M>()
            )));
        }
        if retired[..index].iter().any(|before| before.name == *name) {
            return Err(Error::invalid(format!(
                "{} lists record {name} twice as retired: once is enough",
                std::any::type_name::<M>()
            )));
        }
        home().check(name, &mut Vec::new())?;
    }
    Ok(())
}
