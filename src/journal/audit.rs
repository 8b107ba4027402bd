//! The events of a period, and those of a conversation.

use super::{
    Reader, key,
    past::event_found,
    reader::{below, column},
};
use crate::{App, environment::Environment};
use factum_core::{CommandId, Error, Result, log::Isolation};
use factum_gateway::{
    AuditFound, AuditRequest, AuditedEvent, CausedCommand, CausesFound, MAX_AUDIT_EVENTS, MAX_CAUSED_EVENTS,
};
use factum_views::{Filter, Query};
use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

/// How long the journal is waited for that is not at the log's end.
const WAIT: Duration = Duration::from_secs(5);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// The events of a period, a page of them.
///
/// # Errors
/// `Invalid` when there is no such type, no journal, or the filter does not fit.
pub(crate) fn audit(
    reader: &Reader,
    app: &App,
    environment: &Environment,
    request: &AuditRequest,
) -> Result<AuditFound> {
    // A later page goes on where the first one began; what comes meanwhile is behind it.
    let behind = if request.after.is_none() { wait(reader, app, environment)? } else { 0 };
    let time = column(request.by);
    let mut conditions = Vec::new();
    conditions.extend(request.since.map(|since| format!("{time} >= {}", since.0)));
    conditions.extend(request.until.map(|until| format!("{time} < {}", until.0)));
    let kind = request.kind.as_deref().map(|kind| Kind::find(app, kind)).transpose()?;
    if let Some(Kind::Record(name)) = kind {
        conditions.push(format!("event_type = {}", key::quoted(name)));
    }
    let aggregate_type = match kind {
        Some(Kind::Aggregate(name)) => Some(name),
        _ => None,
    };
    match (&request.aggregate, aggregate_type) {
        (None, None) => {}
        (None, Some(name)) => {
            let events = environment.topics(name).events;
            let start = key::type_of(&events);
            // `0` is the character after `/`.
            conditions.push(format!("key > {} and key < {}", quoted(start, '/'), quoted(start, '0')));
        }
        (Some(id), name) => {
            let name = app.only_aggregate(name, "--type")?.aggregate_type();
            let start = key::start_of(&environment.topics(name).events, id);
            conditions.push(format!("key > {} and {}", key::quoted(&start), below(&start)));
        }
    }
    if !request.filter.trim().is_empty() {
        // Alone first: what closes a parenthesis that it did not open would get out of the others.
        Filter::parse(&request.filter, reader.table())?;
        conditions.push(format!("({})", request.filter));
    }
    let mut query = Query::new(reader.table())
        .filtered(&conditions.join(" and "))?
        .ordered(time)?
        .limited(request.limit.clamp(1, MAX_AUDIT_EVENTS))?;
    if let Some(after) = &request.after {
        query = query.after(after)?;
    }
    let page = reader.rows().page(&query)?;
    let next = page.next.clone();
    let events = reader.entries(page)?.into_iter();
    let events = events.map(|(key, entry)| {
        let row = row_key(&key)?;
        Ok(AuditedEvent {
            aggregate_type: type_in(environment, row.aggregate_type),
            aggregate: row.aggregate(),
            event: event_found(environment, row.version, entry)?,
        })
    });
    Ok(AuditFound { events: events.collect::<Result<_>>()?, next, behind })
}

/// What `--type` names.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Aggregate(&'a str),
    Record(&'a str),
}

impl<'a> Kind<'a> {
    fn find(app: &'a App, name: &str) -> Result<Self> {
        if let Some(host) = app.aggregates.iter().find(|host| host.aggregate_type() == name) {
            return Ok(Kind::Aggregate(host.aggregate_type()));
        }
        let records: Vec<&str> = app.aggregates.iter().flat_map(|host| host.events()).copied().collect();
        let is_named = |record: &&str| *record == name || record.rsplit('.').next() == Some(name);
        let found: Vec<&str> = records.iter().copied().filter(is_named).collect();
        match found[..] {
            [record] => Ok(Kind::Record(record)),
            [] => {
                let types = app.aggregates.iter().map(|host| host.aggregate_type());
                let known: Vec<&str> = types.chain(records).collect();
                Err(Error::invalid(format!(
                    "{name:?} is neither an aggregate type nor an event here; there are {}",
                    known.join(", ")
                )))
            }
            _ => Err(Error::invalid(format!("{name:?} may be any of {}: write it in full", found.join(", ")))),
        }
    }
}

/// Everything that belongs to a conversation.
///
/// # Errors
/// `Invalid` when there is no journal.
pub(crate) fn causes(
    reader: &Reader,
    app: &App,
    environment: &Environment,
    correlation: CommandId,
) -> Result<CausesFound> {
    let behind = wait(reader, app, environment)?;
    let filter = format!("correlation = '{correlation}'");
    let query = Query::new(reader.table()).filtered(&filter)?.ordered("recorded_ms")?.limited(MAX_CAUSED_EVENTS)?;
    let page = reader.rows().page(&query)?;
    let more = page.next.is_some();
    let mut commands: Vec<CausedCommand> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (key, entry) in reader.entries(page)? {
        let row = row_key(&key)?;
        let event = event_found(environment, row.version, entry)?;
        let place = *places.entry(event.command.clone()).or_insert_with(|| {
            commands.push(CausedCommand {
                depth: 0,
                command: event.command.clone(),
                causation: event.causation.clone(),
                aggregate_type: type_in(environment, row.aggregate_type),
                aggregate: row.aggregate(),
                events: Vec::new(),
            });
            commands.len() - 1
        });
        commands[place].events.push(event);
    }
    Ok(CausesFound { correlation: correlation.to_string(), commands: tree(commands), more, behind })
}

/// The commands, each behind the command whose event caused it and one level
/// deeper. What claims to be caused by its own consequence begins a tree.
fn tree(commands: Vec<CausedCommand>) -> Vec<CausedCommand> {
    let places: BTreeMap<&str, usize> =
        commands.iter().enumerate().map(|(place, command)| (command.command.as_str(), place)).collect();
    let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (place, command) in commands.iter().enumerate() {
        let cause = command.causation.as_deref().and_then(|event| event.split_once('/'));
        match cause.and_then(|(parent, _)| places.get(parent)) {
            Some(&parent) if parent != place => children.entry(parent).or_default().push(place),
            _ => roots.push(place),
        }
    }
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(commands.len());
    let mut seen = HashSet::new();
    // The last ones are reached only when they are in a circle.
    for root in roots.into_iter().chain(0..commands.len()) {
        let mut todo = vec![(root, 0)];
        while let Some((place, depth)) = todo.pop() {
            if !seen.insert(place) {
                continue;
            }
            order.push((place, depth));
            let below = children.get(&place).into_iter().flatten().rev();
            todo.extend(below.map(|&child| (child, depth + 1)));
        }
    }
    let mut commands: Vec<Option<CausedCommand>> = commands.into_iter().map(Some).collect();
    let taken = order
        .into_iter()
        .filter_map(|(place, depth)| commands[place].take().map(|command| CausedCommand { depth, ..command }));
    taken.collect()
}

/// Waits until the journal has all events that are in the log now; how many
/// records it lacks when it is not waited for any longer.
fn wait(reader: &Reader, app: &App, environment: &Environment) -> Result<u64> {
    let mut admin = environment.log.admin()?;
    let mut ends = Vec::new();
    for host in &app.aggregates {
        let topic = environment.topics(host.aggregate_type()).events;
        let Some(found) = admin.describe_topic(&topic)? else { continue };
        for place in admin.partitions(&topic)? {
            ends.push((found.id, admin.bounds(&place, Isolation::ReadCommitted)?.end, place));
        }
    }
    let begun = Instant::now();
    loop {
        let progress = reader.rows().progress(reader.table())?;
        let mut behind = 0;
        for (topic_id, end, place) in &ends {
            let found = progress.iter().find(|known| known.place == *place && known.topic_id == *topic_id);
            let position = found.map_or(0, |known| known.position.0);
            behind += u64::try_from(end.0 - position).unwrap_or(0);
        }
        if behind == 0 || begun.elapsed() > WAIT {
            return Ok(behind);
        }
        std::thread::sleep(LOOK);
    }
}

fn row_key(key: &str) -> Result<key::RowKey<'_>> {
    key::RowKey::parse(key).ok_or_else(|| Error::data(format!("the journal has a row with the key {key:?}")))
}

/// The aggregate type without the deployment's prefix.
fn type_in(environment: &Environment, name: &str) -> String {
    name.strip_prefix(&environment.prefix).unwrap_or(name).to_owned()
}

fn quoted(start: &str, next: char) -> String {
    key::quoted(&format!("{start}{next}"))
}
