//! Answering in this process.

use super::{
    EventFound, HistoryFound, HistoryRequest, MAX_EVENTS, PublishAllRequest, PublishRequest, QueryFound, QueryRequest,
    Service, StateFound, StateRequest, ViewReader,
};
use crate::{
    App,
    environment::Environment,
    history,
    host::{CommandEncoder, rfc3339},
    send::{self, Client, Outgoing, Request, Tally},
};
use factum_core::{
    RecordRef, Result, TimestampMs,
    wire::{Answer, EventHeader},
};
use factum_gateway::BatchError;
use factum_views::Database;
use std::{
    collections::BTreeMap,
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Answers requests on a log, with the rows of its views in a database.
pub(crate) struct LocalService {
    app: Arc<App>,
    environment: Environment,
    views: ViewReader,
    /// By aggregate type; made when the first command is sent.
    senders: Mutex<BTreeMap<&'static str, Arc<Sender>>>,
}

/// What sends commands of one aggregate type.
struct Sender {
    client: Client,
    encode: Mutex<CommandEncoder>,
}

impl Sender {
    fn request(&self, command: &Outgoing, timeout: Duration) -> Result<Request> {
        send::request(&self.encode.lock().unwrap_or_else(PoisonError::into_inner), command, timeout)
    }
}

impl LocalService {
    pub(crate) fn new(app: Arc<App>, environment: Environment, views: Database) -> Self {
        let views = ViewReader::new(app.clone(), views, &environment.prefix);
        LocalService { app, environment, views, senders: Mutex::default() }
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    fn sender(&self, aggregate_type: &str) -> Result<Arc<Sender>> {
        let host = self.app.aggregate_host(aggregate_type)?;
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = senders.get(host.aggregate_type()) {
            return Ok(sender.clone());
        }
        let client = send::connect(&self.environment, host.aggregate_type())?;
        let sender = Arc::new(Sender { client, encode: Mutex::new(host.encoder(&self.environment)?) });
        senders.insert(host.aggregate_type(), sender.clone());
        Ok(sender)
    }

    /// Sends commands as they are made, and waits for all answers.
    ///
    /// # Errors
    /// Those of [`send::send_all`].
    pub(crate) fn publish_sample(
        &self,
        aggregate_type: &str,
        commands: impl Iterator<Item = Outgoing>,
        timeout: Duration,
        progress: impl FnMut(u64),
    ) -> Result<Tally> {
        let sender = self.sender(aggregate_type)?;
        let requests = commands.map(|command| sender.request(&command, timeout));
        send::send_all(&sender.client, requests, progress)
    }
}

impl Service for LocalService {
    fn publish(&self, request: &PublishRequest) -> Result<Answer> {
        let sender = self.sender(&request.aggregate_type)?;
        let mut command = sender.request(&request.command, request.timeout)?;
        command.trace = request.trace;
        sender.client.send(command)
    }

    fn check_all(&self, request: &PublishAllRequest<'_>) -> Result<(), BatchError> {
        let sender = self.sender(&request.aggregate_type)?;
        for index in 0..request.commands.count() {
            sender
                .request(&request.commands.command(index), request.timeout)
                .map_err(|error| BatchError { at: Some(index), error })?;
        }
        Ok(())
    }

    fn publish_all(&self, request: &PublishAllRequest<'_>, progress: &mut dyn FnMut(u64)) -> Result<Tally, BatchError> {
        self.check_all(request)?;
        let sender = self.sender(&request.aggregate_type)?;
        // Encoded once more, so that the bytes of a large file need not be kept.
        let requests = (0..request.commands.count())
            .take_while(|_| !request.stop.is_stopped())
            .map(|index| sender.request(&request.commands.command(index), request.timeout));
        Ok(send::send_all(&sender.client, requests, progress)?)
    }

    fn state(&self, request: &StateRequest) -> Result<StateFound> {
        let host = self.app.aggregate_host(&request.aggregate_type)?;
        let mut fold = host.fold(&self.environment)?;
        history::read_events(&self.environment, host.aggregate_type(), &request.id, |record| {
            fold.apply(record)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(StateFound { id: request.id.as_str().to_owned(), version: fold.version().0, state: fold.state()? })
    }

    fn history(&self, request: &HistoryRequest) -> Result<HistoryFound> {
        let host = self.app.aggregate_host(&request.aggregate_type)?;
        let mut found = HistoryFound::default();
        let limit = request.limit.min(MAX_EVENTS);
        history::read_events(&self.environment, host.aggregate_type(), &request.id, |record| {
            let header = EventHeader::read(record)?;
            if header.version <= request.after {
                return Ok(ControlFlow::Continue(()));
            }
            if found.events.len() >= limit {
                found.more = true;
                return Ok(ControlFlow::Break(()));
            }
            found.events.push(self.event(record, &header)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    fn query(&self, request: &QueryRequest) -> Result<QueryFound> {
        self.views.query(request)
    }
}

impl LocalService {
    fn event(&self, record: RecordRef<'_>, header: &EventHeader<'_>) -> Result<EventFound> {
        let (name, event) = history::event_json(&self.environment, record)?;
        Ok(EventFound {
            version: header.version.0,
            record: name,
            event,
            occurred: rfc3339(header.occurred),
            recorded: rfc3339(record.timestamp().unwrap_or(TimestampMs(0))),
            command: header.command.to_string(),
            correlation: header.correlation.to_string(),
            source: header.source.to_owned(),
            partition: record.partition().0,
            offset: record.offset().0,
            trace: header.trace.map(|trace| trace.to_string()),
        })
    }
}

impl fmt::Debug for LocalService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalService").field("views", self.views.database()).finish_non_exhaustive()
    }
}
