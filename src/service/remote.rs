//! Asking the process that holds the embedded log.

use super::{
    At, AuditFound, AuditRequest, CausesFound, HistoryFound, HistoryRequest, PublishAllRequest, PublishRequest,
    QueryFound, QueryRequest, Service, StateFound, StateRequest,
};
use crate::{
    host::rfc3339,
    send::{Tally, fresh_id},
};
use factum_core::{CommandId, Error, ErrorKind, Result, TimestampMs, Version, wire::Answer};
use factum_gateway::{
    BatchError, CAUSATION, CORRELATION, CommandBody, Commands, MAX_BATCH, OCCURRED, entity_tag, parse_token,
};
use reqwest::blocking::{Client, RequestBuilder};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    ops::ControlFlow,
    time::Duration,
};

/// The most bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// A request of many commands is sent when it has so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// What an answer takes beside the wait for the log.
const GRACE: Duration = Duration::from_secs(10);
/// An answer that is written while its work goes on takes no longer.
const LONGEST_ANSWER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Asks a service over HTTP.
#[derive(Debug)]
pub(crate) struct RemoteService {
    client: Client,
    base: String,
}

/// A problem's members that are read back.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    at: Option<usize>,
}

impl RemoteService {
    /// The service at that address.
    ///
    /// # Errors
    /// `Unavailable` when no client can be made.
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .build()
            .map_err(|error| Error::unavailable(format!("there is no HTTP client: {error}")))?;
        Ok(RemoteService { client, base: format!("http://{address}") })
    }

    fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<reqwest::Url> {
        // RFC 3986: in a path these two mean something else, however they are written.
        if let Some(name) = segments.iter().find(|segment| matches!(**segment, "." | "..")) {
            return Err(Error::invalid(format!(
                "{name:?} cannot be asked for while another process has the log: stop that one, or choose another id"
            )));
        }
        let broken = || Error::invalid(format!("{} cannot be asked for {segments:?}", self.base));
        let mut url: reqwest::Url = self.base.parse().map_err(|_| broken())?;
        url.path_segments_mut().map_err(|()| broken())?.clear().extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// The status and the body of an answer.
    fn ask(&self, request: RequestBuilder, wait: Duration) -> Result<(u16, Vec<u8>)> {
        let response = request.timeout(wait + GRACE).send().map_err(|error| self.silent(&error.without_url()))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        response.take(MAX_ANSWER_BYTES).read_to_end(&mut body).map_err(|error| self.silent(&error))?;
        Ok((status, body))
    }

    /// The body of a good answer; else the problem as an error.
    fn fetch<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        match self.ask(request, Duration::from_secs(60))? {
            (200, body) => self.read(&body),
            (_, body) => Err(self.problem(&body).1),
        }
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body)
            .map_err(|error| Error::invalid(format!("the answer of {} cannot be read: {error}", self.base)))
    }

    fn problem(&self, body: &[u8]) -> (Option<usize>, Error) {
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
            return (None, Error::invalid(format!("{} is not a Factum process", self.base)));
        };
        let kind = match problem.title.as_str() {
            "unavailable" | "overloaded" | "too many requests" => ErrorKind::Unavailable,
            "conflict" => ErrorKind::Conflict,
            "data" => ErrorKind::Data,
            _ => ErrorKind::Invalid,
        };
        (problem.at, Error::new(kind, problem.detail))
    }

    /// Posts JSON, and hands on each line of the answer as it comes, however long that takes, until `each` breaks off.
    ///
    /// # Errors
    /// The problem that is answered instead; `Unavailable` when the process does not answer; `Invalid` for a line that
    /// cannot be read.
    pub(crate) fn post_for_lines<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &impl Serialize,
        each: &mut dyn FnMut(T) -> ControlFlow<()>,
    ) -> Result<()> {
        let post = self.client.post(self.url(segments, &[])?).json(body).timeout(LONGEST_ANSWER);
        let response = post.send().map_err(|error| self.silent(&error.without_url()))?;
        let is_good = response.status().as_u16() == 200;
        let mut lines = BufReader::new(response);
        let mut line = Vec::new();
        loop {
            line.clear();
            lines.by_ref().take(MAX_ANSWER_BYTES).read_until(b'\n', &mut line).map_err(|error| self.silent(&error))?;
            match (line.is_empty(), is_good) {
                (true, _) => return Ok(()),
                (false, true) => {
                    if each(self.read(&line)?).is_break() {
                        return Ok(());
                    }
                }
                (false, false) => return Err(self.problem(&line).1),
            }
        }
    }

    fn silent(&self, error: &dyn std::fmt::Display) -> Error {
        Error::unavailable(format!("the process that serves {} does not answer: {error}", self.base))
    }

    /// Posts all commands, as many requests as it takes; `each` takes an answer's body and how many were sent until then.
    fn post_all(
        &self,
        request: &PublishAllRequest<'_>,
        dry_run: &str,
        each: &mut dyn FnMut(&[u8], usize) -> Result<()>,
    ) -> Result<(), BatchError> {
        let (context, aggregate) = split(&request.aggregate_type)?;
        let url = self.url(&[context, aggregate, "commands"], &[("dry_run", dry_run)])?;
        let mut begin = 0;
        while begin < request.commands.count() && !request.stop.is_stopped() {
            let (body, sent) = batch(request.commands, begin)?;
            let post = self
                .client
                .post(url.clone())
                .header("prefer", format!("wait={}", request.timeout.as_secs()))
                .header("content-type", "application/json")
                .body(body);
            let (status, body) = self.ask(post, request.timeout)?;
            if status != 200 {
                let (at, error) = self.problem(&body);
                return Err(BatchError { at: at.map(|at| begin + at), error });
            }
            begin += sent;
            each(&body, begin)?;
        }
        Ok(())
    }
}

fn split(aggregate_type: &str) -> Result<(&str, &str)> {
    aggregate_type.rsplit_once('.').ok_or_else(|| {
        Error::invalid(format!("{aggregate_type} has no context: a name such as `shop.{aggregate_type}` is expected"))
    })
}

impl Service for RemoteService {
    fn publish(&self, request: &PublishRequest) -> Result<Answer> {
        let command = &request.command;
        let (context, aggregate) = split(&request.aggregate_type)?;
        let url = self.url(&[context, aggregate, command.aggregate.as_str(), "commands", &command.record], &[])?;
        let id = command.id.unwrap_or_else(fresh_id);
        let mut post = self
            .client
            .post(url)
            .json(&command.fields)
            .header("idempotency-key", id.to_string())
            .header("prefer", format!("wait={}", request.timeout.as_secs()));
        if let Some(version) = command.expected_version {
            post = post.header("if-match", entity_tag(version));
        }
        if let Some(time) = command.occurred {
            post = post.header(OCCURRED, rfc3339(time));
        }
        if let Some(correlation) = request.correlation {
            post = post.header(CORRELATION, correlation.to_string());
        }
        if let Some(cause) = request.cause {
            post = post.header(CAUSATION, cause.to_string());
        }
        if let Some(trace) = request.trace {
            post = post.header("traceparent", trace.to_string());
        }
        let (_, body) = self.ask(post, request.timeout)?;
        answer_of(&body).unwrap_or_else(|| Err(self.problem(&body).1))
    }

    fn check_all(&self, request: &PublishAllRequest<'_>) -> Result<(), BatchError> {
        self.post_all(request, "true", &mut |_, _| Ok(()))
    }

    fn publish_all(&self, request: &PublishAllRequest<'_>, progress: &mut dyn FnMut(u64)) -> Result<Tally, BatchError> {
        // All of them are checked before the first is sent.
        self.check_all(request)?;
        let mut tally = Tally::default();
        self.post_all(request, "false", &mut |body, done| {
            tally.merge(self.read(body)?)?;
            progress(done as u64);
            Ok(())
        })?;
        Ok(tally)
    }

    fn state(&self, request: &StateRequest) -> Result<StateFound> {
        let (context, aggregate) = split(&request.aggregate_type)?;
        let query = match request.at {
            None => Vec::new(),
            Some(At::Version(version)) => vec![("at_version", version.to_string())],
            Some(At::Time(time, clock)) => vec![("at_time", rfc3339(time)), ("by", clock.to_string())],
        };
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.fetch(self.client.get(self.url(&[context, aggregate, request.id.as_str()], &query)?))
    }

    fn history(&self, request: &HistoryRequest) -> Result<HistoryFound> {
        let (context, aggregate) = split(&request.aggregate_type)?;
        let (after, limit) = (request.after.to_string(), request.limit.to_string());
        let path = [context, aggregate, request.id.as_str(), "history"];
        self.fetch(self.client.get(self.url(&path, &[("after", &after), ("limit", &limit)])?))
    }

    fn audit(&self, request: &AuditRequest) -> Result<AuditFound> {
        let time = |time: Option<TimestampMs>| time.map(rfc3339);
        let query = [
            ("since", time(request.since)),
            ("until", time(request.until)),
            ("by", Some(request.by.to_string())),
            ("type", request.kind.clone()),
            ("aggregate", request.aggregate.as_ref().map(ToString::to_string)),
            ("where", Some(request.filter.clone()).filter(|filter| !filter.is_empty())),
            ("limit", Some(request.limit.to_string())),
            ("after", request.after.clone()),
        ];
        let query: Vec<(&str, &str)> =
            query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        self.fetch(self.client.get(self.url(&["audit"], &query)?))
    }

    fn causes(&self, correlation: CommandId) -> Result<CausesFound> {
        self.fetch(self.client.get(self.url(&["correlations", &correlation.to_string()], &[])?))
    }

    fn query(&self, request: &QueryRequest) -> Result<QueryFound> {
        let parameters = request.to_parameters();
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let url = self.url(&["views", &request.view], &parameters)?;
        self.fetch(self.client.get(url))
    }
}

/// The error that a line of an answer tells.
pub(crate) fn error_of(kind: &str, detail: String) -> Error {
    let kinds = [ErrorKind::Conflict, ErrorKind::Unavailable, ErrorKind::Fenced, ErrorKind::Data];
    let kind = kinds.into_iter().find(|known| known.to_string() == kind).unwrap_or(ErrorKind::Invalid);
    Error::new(kind, detail)
}

/// The next commands as one body of JSON, and how many they are.
fn batch(commands: &dyn Commands, begin: usize) -> Result<(String, usize)> {
    let mut body = String::from("[");
    let mut count = 0;
    // Whatever is in a row, a server takes a body of one command and this much more.
    while count < MAX_BATCH && begin + count < commands.count() && body.len() < BATCH_BYTES {
        if count > 0 {
            body.push(',');
        }
        let command = serde_json::to_string(&CommandBody::from(&commands.command(begin + count)));
        body += &command.map_err(|error| Error::invalid(format!("the command is no JSON: {error}")))?;
        count += 1;
    }
    body.push(']');
    Ok((body, count))
}

/// The answer to a command, if that is what a response tells.
fn answer_of(body: &[u8]) -> Option<Result<Answer>> {
    #[derive(serde::Deserialize)]
    struct Told {
        command: String,
        code: String,
        version: u64,
        events: u32,
        token: Option<String>,
        detail: Option<String>,
    }
    let told: Told = serde_json::from_slice(body).ok()?;
    let answer = || {
        Ok(Answer {
            command: told.command.parse()?,
            code: told.code.parse()?,
            version: Version(told.version),
            events: told.events,
            token: told.token.map(|token| parse_token(&token)).transpose()?,
            detail: told.detail,
        })
    };
    Some(answer())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gateway::Limits, send::Outgoing};
    use factum_core::AggregateId;
    use serde_json::{Value, json};

    #[test]
    fn a_request_has_no_more_commands_and_bytes_than_a_server_takes() {
        for (field_bytes, count) in [(1, 2_500), (9_000, 1_000), (1_000_000, 5)] {
            let field = "x".repeat(field_bytes);
            let command = |index: usize| {
                let aggregate = AggregateId::new(index.to_string()).unwrap();
                Outgoing::new(aggregate, "shop.Order", json!({ "text": field }))
            };
            let commands: Vec<Outgoing> = (0..count).map(command).collect();
            let mut begin = 0;
            while begin < count {
                let (body, sent) = batch(&commands, begin).unwrap();
                assert!(
                    body.len() <= Limits::default().max_body_bytes && (1..=MAX_BATCH).contains(&sent),
                    "{sent}: {} bytes",
                    body.len()
                );
                let bodies: Vec<Value> = serde_json::from_str(&body).unwrap();
                let told: Vec<&str> = bodies.iter().map(|body| body["aggregate"].as_str().unwrap()).collect();
                let expected: Vec<String> = (begin..begin + sent).map(|index| index.to_string()).collect();
                assert_eq!(told, expected);
                begin += sent;
            }
            assert_eq!(begin, count);
        }
    }
}
