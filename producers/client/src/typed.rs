//! The client of a domain's author.

use crate::{Client, Envelope, Pending, Reply, Request};
use factum_core::{
    Aggregate, AggregateId, Error, ErrorKind, MessageCodec, Result, Topics, client::ClientConfig, log::Log,
};
use factum_schemas::{AvroMessage, RecordCodec, SchemaCache};
use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

/// A client for the commands of aggregate `A`. It may be shared by threads.
///
/// | to | use | it waits for |
/// |---|---|---|
/// | know what became of a command | [`send`](Self::send) | the reply |
/// | go on, and ask for the reply later | [`submit`](Self::submit) | nothing |
/// | hand a command over | [`fire_and_forget`](Self::fire_and_forget) | the log |
/// | send many | [`send_all`](Self::send_all) | each reply, with many in flight |
pub struct TypedClient<A: Aggregate> {
    client: Client,
    // A codec belongs to one thread at a time; encoding takes less than a microsecond.
    codec: Mutex<RecordCodec<A::Command>>,
}

impl<A: Aggregate> TypedClient<A>
where
    A::Command: AvroMessage,
{
    /// Connects, registers the commands' schemas, and waits until replies can be received.
    ///
    /// # Errors
    /// `Invalid` when the topics do not exist or the registry refuses a schema,
    /// `Unavailable` when log or registry are away.
    pub fn connect(log: &dyn Log, topics: Topics, schemas: &Arc<SchemaCache>, config: ClientConfig) -> Result<Self> {
        let codec = RecordCodec::for_writing(topics.commands.as_str(), schemas)?;
        Ok(TypedClient { client: Client::connect(log, topics, schemas, config)?, codec: Mutex::new(codec) })
    }

    /// Sends a command and waits for the reply. Until it comes, the command is
    /// sent again and again under the same id, so it is decided only once.
    ///
    /// # Errors
    /// There is no reply:
    /// - `Unavailable`: none came in time (the command may have been handled or
    ///   not: send a clone of the envelope again to learn which), or too many
    ///   commands are in flight (it was not sent).
    /// - `Invalid`: the aggregate's id is none, or the log refuses the record.
    /// - `Data`: the command does not fit its schema.
    /// - `Conflict`: a command with this id is in flight.
    ///
    /// An error of the log names the topic and the partition.
    pub fn send<C: Into<A::Command>>(&self, command: Envelope<C>) -> Result<Reply<A::Refusal>> {
        self.submit(command)?.wait()
    }

    /// Sends a command and returns at once; the reply comes to the returned value.
    ///
    /// # Errors
    /// Those of [`send`](Self::send) that show before the command is on its way.
    pub fn submit<C: Into<A::Command>>(&self, command: Envelope<C>) -> Result<PendingReply<A::Refusal>> {
        let pending = self.client.submit(self.request(command)?)?;
        Ok(PendingReply { pending, refusal: PhantomData })
    }

    /// Sends a command and waits until the log has it; what becomes of it is
    /// nobody's business. It is decided once, whenever a handler runs.
    ///
    /// # Errors
    /// As [`send`](Self::send), where the log takes the place of the handler.
    pub fn fire_and_forget<C: Into<A::Command>>(&self, command: Envelope<C>) -> Result<()> {
        self.client.fire_and_forget(self.request(command)?)
    }

    /// Sends commands in their order and gives their replies in the same order.
    /// At most 2 000 are in flight at a time (fewer if the client's
    /// [`max_in_flight`](ClientConfig::max_in_flight) is lower): asking for a
    /// reply sends the commands that have room. One that fails does not hold up
    /// those behind it.
    ///
    /// The commands of one aggregate are decided in this order, as long as none
    /// of them has to be sent again; an expected version makes sure.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), each in the place of its command.
    pub fn send_all<C: Into<A::Command>>(
        &self,
        commands: impl IntoIterator<Item = Envelope<C>>,
    ) -> impl Iterator<Item = Result<Reply<A::Refusal>>> {
        let requests = commands.into_iter().map(|command| self.request(command));
        self.client.send_all(requests).map(|answered| answered.map(|(_, answer)| Reply::of(answer)))
    }

    fn request<C: Into<A::Command>>(&self, envelope: Envelope<C>) -> Result<Request> {
        let Envelope { aggregate, command, id, expected_version, occurred, correlation, cause, trace, timeout } =
            envelope;
        let named = AggregateId::new(aggregate);
        let aggregate = named.map_err(|error| Error::new(ErrorKind::Invalid, format!("command {id}: {error}")))?;
        let mut value = Vec::new();
        let codec = self.codec.lock().unwrap_or_else(PoisonError::into_inner);
        codec
            .encode(&command.into(), &mut value)
            .map_err(|error| error.context(format_args!("command {id} for {aggregate}")))?;
        Ok(Request { id, aggregate, value, expected_version, occurred, correlation, cause, trace, timeout })
    }
}

impl<A: Aggregate> fmt::Debug for TypedClient<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedClient").field("aggregate", &A::TYPE).finish_non_exhaustive()
    }
}

/// The reply to come.
#[derive(Debug)]
pub struct PendingReply<R> {
    pending: Pending,
    refusal: PhantomData<fn() -> R>,
}

impl<R> PendingReply<R> {
    /// Waits for the reply, at most as long as the command's time-out.
    ///
    /// # Errors
    /// As [`TypedClient::send`].
    pub fn wait(self) -> Result<Reply<R>> {
        self.pending.wait().map(Reply::of)
    }
}
