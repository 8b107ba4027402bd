//! Answering in this process.

use super::{
    AuditFound, AuditRequest, CausesFound, HistoryFound, HistoryRequest, PublishAllRequest, PublishRequest, QueryFound,
    QueryRequest, Service, StateFound, StateRequest, ViewReader, live::Hub,
};
use crate::{
    App,
    environment::Environment,
    host::CommandEncoder,
    journal::{self, Reader},
    send::{self, Client, Outgoing, Request, Tally},
};
use factum_core::{
    CommandId, Offset, Partition, Result, Version,
    wire::{Answer, AnswerCode, Token},
};
use factum_gateway::{Backend, BatchError, FollowRequest, MAX_EVENTS, OutcomeRequest, Outlet, Patience};
use factum_views::Database;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Answers requests on a log, with the rows of its views in a database.
pub(crate) struct LocalService {
    app: Arc<App>,
    environment: Environment,
    views: Arc<ViewReader>,
    live: Hub,
    journal: Mutex<Option<Arc<Reader>>>,
    /// By aggregate type; made when the first command is sent.
    senders: Mutex<BTreeMap<&'static str, Arc<Sender>>>,
    /// Whether states that were folded from far are kept beside the journal.
    keeps_states: bool,
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
        let views = Arc::new(ViewReader::new(app.clone(), views, &environment.prefix));
        LocalService {
            live: Hub::new(app.clone(), environment.clone(), views.clone()),
            views,
            app,
            environment,
            journal: Mutex::default(),
            senders: Mutex::default(),
            keeps_states: true,
        }
    }

    /// The same where the database is only read.
    pub(crate) fn reading_only(self) -> Self {
        LocalService { keeps_states: false, ..self }
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
        command.correlation = request.correlation;
        command.cause = request.cause;
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
        let keep_in = self.keeps_states.then(|| self.views.database());
        journal::state(&*self.journal()?, &self.environment, keep_in, host, request)
    }

    fn history(&self, request: &HistoryRequest) -> Result<HistoryFound> {
        self.app.aggregate_host(&request.aggregate_type)?;
        journal::history(&*self.journal()?, &self.environment, request)
    }

    fn audit(&self, request: &AuditRequest) -> Result<AuditFound> {
        journal::audit(&*self.journal()?, &self.app, &self.environment, request)
    }

    fn causes(&self, correlation: CommandId) -> Result<CausesFound> {
        journal::causes(&*self.journal()?, &self.app, &self.environment, correlation)
    }

    fn query(&self, request: &QueryRequest) -> Result<QueryFound> {
        let mut found = self.views.query(request)?;
        if request.patience == Patience::Stale {
            let topics = self.views.topics(self.app.view_host(&request.view)?);
            found.lag_records = Some(self.views.lag(&request.view, &self.live.ends(&topics)?)?);
        }
        Ok(found)
    }
}

impl Backend for LocalService {
    fn submit(&self, request: &PublishRequest) -> Result<CommandId> {
        let sender = self.sender(&request.aggregate_type)?;
        let mut command = sender.request(&request.command, request.timeout)?;
        command.trace = request.trace;
        command.correlation = request.correlation;
        command.cause = request.cause;
        let id = command.id;
        sender.client.fire_and_forget(command)?;
        Ok(id)
    }

    fn outcome(&self, request: &OutcomeRequest) -> Result<Option<Answer>> {
        let topic = self.environment.topics(&request.aggregate_type).events;
        let mut page = HistoryRequest {
            aggregate_type: request.aggregate_type.clone(),
            id: request.id.clone(),
            after: Version::NONE,
            limit: MAX_EVENTS,
        };
        let command = request.command.to_string();
        let mut answer: Option<Answer> = None;
        loop {
            let found = self.history(&page)?;
            for event in found.events {
                page.after = Version(event.version);
                if event.command == command {
                    let place = topic.partition(Partition(event.partition));
                    answer = Some(Answer {
                        command: request.command,
                        code: AnswerCode::Accepted,
                        version: page.after,
                        events: answer.map_or(0, |answer| answer.events) + 1,
                        token: Some(Token { place, offset: Offset(event.offset), topic_id: None }),
                        detail: None,
                    });
                } else if answer.is_some() {
                    // A command's events are one batch.
                    return Ok(answer);
                }
            }
            if !found.more {
                return Ok(answer);
            }
        }
    }

    fn follow(&self, request: &FollowRequest, outlet: Outlet) -> Result<()> {
        self.live.follow(request, || self.journal(), outlet)
    }
}

impl LocalService {
    /// The reader of the journal, made when it is first asked for.
    fn journal(&self) -> Result<Arc<Reader>> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = &*journal {
            return Ok(reader.clone());
        }
        let reader = Arc::new(Reader::new(&self.environment, self.views.rows())?);
        *journal = Some(reader.clone());
        Ok(reader)
    }
}

impl fmt::Debug for LocalService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalService").field("views", self.views.database()).finish_non_exhaustive()
    }
}
