//! Sending commands whose types are not known, given as JSON, and counting
//! their answers. Code that has the domain's types uses
//! [`Environment::client`](crate::environment::Environment::client).

use crate::{
    environment::Environment,
    history,
    host::{AggregateHost, CommandEncoder},
    import::ImportRow,
};
pub use factum_client::{Client, Pending, Request, new_trace};
use factum_core::{
    CommandId, Error, ErrorKind, Result, Topic,
    client::ClientConfig,
    wire::{Answer, AnswerCode, header},
};
pub use factum_gateway::{Outgoing, Tally};
use std::{collections::HashSet, ops::ControlFlow, time::Duration};

impl From<&ImportRow> for Outgoing {
    fn from(row: &ImportRow) -> Self {
        Outgoing {
            id: Some(row.command_id()),
            aggregate: row.aggregate().clone(),
            record: row.record().to_owned(),
            fields: serde_json::Value::Object(row.fields()),
            occurred: row.occurred(),
            expected_version: row.expected_version(),
        }
    }
}

/// A new command's id.
pub fn fresh_id() -> CommandId {
    CommandId(*uuid::Uuid::new_v4().as_bytes())
}

/// The ids of all commands in a topic.
///
/// # Errors
/// `Unavailable` when reading stands still; what the log says.
pub(crate) fn command_ids(environment: &Environment, commands: &Topic) -> Result<HashSet<CommandId>> {
    let mut ids = HashSet::new();
    for place in environment.log.admin()?.partitions(commands)? {
        history::read_partition(environment, &place, None, |record| {
            let id = record.headers().find(|(name, _)| *name == header::ID).map(|(_, value)| value);
            ids.extend(id.flatten().and_then(CommandId::parse));
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(ids)
}

/// A client for an aggregate type of this environment.
///
/// # Errors
/// `Invalid` when the topics do not exist; what log and registry say.
pub fn connect(environment: &Environment, aggregate_type: &str) -> Result<Client> {
    let topics = environment.topics(aggregate_type);
    Client::connect(&*environment.log, topics, &environment.schemas, ClientConfig::default())
}

/// The request of one command.
///
/// # Errors
/// `Invalid` when the JSON does not fit the record.
pub fn request(encode: &CommandEncoder, command: &Outgoing, timeout: Duration) -> Result<Request> {
    let value = encode(&command.record, &command.fields)?;
    let mut request = Request::new(command.aggregate.clone(), value);
    request.id = command.id.unwrap_or(request.id);
    request.expected_version = command.expected_version;
    request.occurred = command.occurred;
    request.timeout = timeout;
    Ok(request)
}

/// Sends commands in their order and waits for all answers. Commands of one
/// aggregate keep their order, because they go to one partition.
///
/// # Errors
/// The first command that got no answer; everything before it was answered.
pub fn send_all(
    client: &Client,
    requests: impl IntoIterator<Item = Result<Request>>,
    mut progress: impl FnMut(u64),
) -> Result<Tally> {
    let mut tally = Tally::default();
    for (answered, done) in client.send_all(requests.into_iter()).zip(1..) {
        let (aggregate, answer) = answered?;
        tally.add(&aggregate, &answer);
        progress(done);
    }
    Ok(tally)
}

/// Sends the rows of a file and waits for all answers. Every row is encoded
/// before the first is sent, so that a mapping which does not fit the command's
/// record imports nothing; and once more when it is sent, so that the bytes of
/// a large file need not be kept.
///
/// # Errors
/// `Invalid` with the line of a row that does not fit; then nothing was sent.
/// Later those of [`send_all`].
pub fn import(
    environment: &Environment,
    host: &dyn AggregateHost,
    rows: Vec<ImportRow>,
    timeout: Duration,
    progress: impl FnMut(u64),
) -> Result<Tally> {
    let encode = host.encoder(environment)?;
    let encoded = |row: &ImportRow| {
        let encoded = request(&encode, &Outgoing::from(row), timeout);
        encoded.map_err(|error| error.context(format_args!("line {}", row.line())))
    };
    for row in &rows {
        encoded(row).map_err(|error| error.context("nothing was imported"))?;
    }
    let client = connect(environment, host.aggregate_type())?;
    send_all(&client, rows.iter().map(encoded), progress)
}

/// An answer that is not what was asked for, as an error.
///
/// # Errors
/// `Conflict` for another version, `Invalid` for everything else but accepted.
pub fn expect_accepted(answer: &Answer) -> Result<()> {
    let detail = || answer.detail.clone().unwrap_or_default();
    match answer.code {
        AnswerCode::Accepted => Ok(()),
        AnswerCode::Conflict => Err(Error::new(ErrorKind::Conflict, detail())),
        code => Err(Error::invalid(format!("{code}: {}", detail()))),
    }
}
