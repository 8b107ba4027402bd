//! Live updates: each topic or view that is followed is read once, by one
//! thread, for all of its streams ([`channel`]); a stream that begins further
//! back is read for by itself until it is there ([`catch_up`]).

mod catch_up;
mod changes;
mod channel;
mod events;
mod positions;
mod source;
#[cfg(test)]
mod tests;

use super::ViewReader;
use crate::{App, environment::Environment, journal};
use catch_up::CatchUps;
use changes::Changes;
use channel::{Channel, Live, NotYet};
use events::Events;
use factum_core::{AggregateId, Error, Offset, Result, Topic, TopicId, TopicPartition, log::Admin, partition_of};
use factum_gateway::{FollowRequest, Followed, Outlet, Stop, Told};
use positions::{Positions, begin};
use source::Origin;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

/// Everything that is followed in this process.
pub(super) struct Hub {
    app: Arc<App>,
    environment: Environment,
    views: Arc<ViewReader>,
    state: Mutex<State>,
    catch_ups: CatchUps,
    stop: Stop,
}

#[derive(Default)]
struct State {
    admin: Option<Box<dyn Admin>>,
    channels: HashMap<Source, (Arc<Channel>, JoinHandle<()>)>,
}

/// What one channel reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    Events(Topic),
    View(String),
}

impl Hub {
    pub(super) fn new(app: Arc<App>, environment: Environment, views: Arc<ViewReader>) -> Self {
        Hub { app, environment, views, state: Mutex::default(), catch_ups: CatchUps::default(), stop: Stop::default() }
    }

    /// Begins a stream.
    ///
    /// # Errors
    /// `Invalid` for what there is not, and for a position of another topic or outside of the log; what the log says.
    pub(super) fn follow(
        &self,
        request: &FollowRequest,
        journal: impl FnOnce() -> Result<Arc<journal::Reader>>,
        outlet: Outlet,
    ) -> Result<()> {
        let (source, topics, key) = match &request.what {
            Followed::Aggregate { aggregate_type, id } => {
                self.app.aggregate_host(aggregate_type)?;
                let events = self.environment.topics(aggregate_type).events;
                (Source::Events(events.clone()), vec![events], Some(id))
            }
            Followed::View(name) => {
                let inputs = self.app.view_host(name)?.inputs();
                let topics = inputs.iter().map(|input| self.environment.topics(input).events).collect();
                (Source::View(name.clone()), topics, None)
            }
        };
        let mut state = self.lock();
        let all = state.partitions(&self.environment, &topics)?;
        let own = match key {
            Some(id) => vec![own_partition(&all, id)?],
            None => all.clone(),
        };
        let at = begin(state.admin(&self.environment)?, own, request.from.as_deref())?;
        let channel = self.channel(&mut state, source, journal, all)?;
        drop(state);
        let key = key.map(|id| id.as_str().as_bytes().to_vec()).unwrap_or_default();
        let mut live = Live { key, at, outlet, heard: Instant::now() };
        live.offer(&Told::begin(&live.at.to_string()));
        match channel.join(live) {
            Ok(()) => Ok(()),
            Err(NotYet::TooOld(live) | NotYet::Full(live)) => self.catch_ups.add(&channel, live),
            Err(NotYet::Ended(_)) => Err(Error::unavailable("what is new is not read any more; ask again")),
        }
    }

    /// The ends of these topics' partitions as they are now.
    ///
    /// # Errors
    /// `Invalid` when a topic does not exist; what the log says.
    pub(super) fn ends(&self, topics: &[Topic]) -> Result<Vec<(TopicPartition, TopicId, Offset)>> {
        let mut state = self.lock();
        let all = state.partitions(&self.environment, topics)?;
        let ends = begin(state.admin(&self.environment)?, all, None)?;
        Ok(ends.0.into_iter().map(|(place, at)| (place, at.topic_id, at.next)).collect())
    }

    /// The channel of a source: the one that runs, or a new one that begins at the end.
    fn channel(
        &self,
        state: &mut State,
        source: Source,
        journal: impl FnOnce() -> Result<Arc<journal::Reader>>,
        partitions: Vec<(TopicPartition, TopicId)>,
    ) -> Result<Arc<Channel>> {
        state.channels.retain(|_, (channel, _)| !channel.is_ended());
        if let Some((channel, _)) = state.channels.get(&source) {
            return Ok(channel.clone());
        }
        let origin: Arc<dyn Origin> = match &source {
            Source::Events(_) => Arc::new(Events { environment: self.environment.clone(), journal: journal()? }),
            Source::View(view) => Arc::new(Changes {
                app: self.app.clone(),
                environment: self.environment.clone(),
                views: self.views.clone(),
                view: view.clone(),
            }),
        };
        let positions = begin(state.admin(&self.environment)?, partitions, None)?;
        let (channel, thread) = start(origin, positions, &self.stop)?;
        state.channels.insert(source, (channel.clone(), thread));
        Ok(channel)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel from these positions on, and its thread.
fn start(origin: Arc<dyn Origin>, positions: Positions, stop: &Stop) -> Result<(Arc<Channel>, JoinHandle<()>)> {
    let reader = origin.open(positions.clone())?;
    let channel = Arc::new(Channel::new(origin, positions));
    let (running, stop) = (channel.clone(), stop.clone());
    let thread = std::thread::Builder::new().name("live".to_owned()).spawn(move || running.run(reader, &stop));
    let thread = thread.map_err(|error| Error::unavailable(format!("there is no thread for live updates: {error}")))?;
    Ok((channel, thread))
}

/// The partition of an aggregate's events.
fn own_partition(all: &[(TopicPartition, TopicId)], id: &AggregateId) -> Result<(TopicPartition, TopicId)> {
    let count = u32::try_from(all.len()).map_err(|_| Error::invalid("the topic has too many partitions"))?;
    let partition = partition_of(id.as_str().as_bytes(), count);
    let own = all.iter().find(|(place, _)| place.partition == partition);
    own.cloned().ok_or_else(|| Error::invalid(format!("the events have no partition {partition}")))
}

impl State {
    fn admin(&mut self, environment: &Environment) -> Result<&mut dyn Admin> {
        match &mut self.admin {
            Some(admin) => Ok(&mut **admin),
            none => Ok(&mut **none.insert(environment.log.admin()?)),
        }
    }

    /// The partitions of topics, each with its topic's identity.
    fn partitions(&mut self, environment: &Environment, topics: &[Topic]) -> Result<Vec<(TopicPartition, TopicId)>> {
        let admin = self.admin(environment)?;
        let mut all = Vec::new();
        for topic in topics {
            let missing =
                || Error::invalid(format!("topic {topic} does not exist; create it with `factum topics create`"));
            let found = admin.describe_topic(topic)?.ok_or_else(missing)?;
            let places = (0..found.partitions).map(|number| topic.partition(factum_core::Partition(number)));
            all.extend(places.map(|place| (place, found.id)));
        }
        Ok(all)
    }
}

impl Drop for Hub {
    /// Ends what reads, before the log goes.
    fn drop(&mut self) {
        self.stop.stop();
        self.catch_ups.end();
        let channels = std::mem::take(&mut self.lock().channels);
        // What a thread that panicked has to say is in the log.
        channels.into_values().for_each(|(_, thread)| drop(thread.join()));
    }
}
