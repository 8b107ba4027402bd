//! Processes that run views, over a database in memory: the production runner and machine.

use crate::{
    bank::{Bank, ProcessCodec},
    fault::Fault,
    joining::Joining,
    log::SimulatedLog,
    poison::{self, Code},
    sink::SimulatedSink,
    time,
    world::{Actor, SESSION_MS, World, unless_killed},
};
use factum_bank::Event;
use factum_core::{
    Protections, Result, TimestampMs,
    log::Log as _,
    view::{StopClass, View, ViewTable},
};
use factum_views::{MemoryDatabase, MemorySink, Progress, Rows as _, ViewOptions, ViewRunner};
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

/// A process that runs one view.
pub(crate) struct ViewProcess<V: View<Event = Event>> {
    name: String,
    bank: Bank,
    database: MemoryDatabase,
    protections: Protections,
    joining: Joining,
    runner: Option<ViewRunner<V, ProcessCodec>>,
    start_at: TimestampMs,
    failed: Option<String>,
    /// The program that it runs.
    code: Code,
}

impl<V: View<Event = Event>> ViewProcess<V> {
    pub(crate) fn new(
        seed: u64,
        number: usize,
        bank: &Bank,
        database: &MemoryDatabase,
        protections: Protections,
    ) -> Self {
        let name = format!("{}-{number}", V::NAME);
        ViewProcess {
            joining: Joining::draw(seed, V::NAME, &name),
            name,
            bank: bank.clone(),
            database: database.clone(),
            protections,
            runner: None,
            start_at: time::now(),
            failed: None,
            code: Code::Good,
        }
    }

    fn start(&self, world: &Arc<World>) -> Result<ViewRunner<V, ProcessCodec>> {
        let sink = SimulatedSink::new(world, MemorySink::open(&self.database, ViewTable::of::<V>()?)?);
        let codec = self.bank.process();
        self.joining.joins(world);
        let options = ViewOptions {
            instance_id: self.joining.instance_id.clone(),
            protocol: self.joining.protocol,
            session_timeout: Duration::from_millis(SESSION_MS.unsigned_abs()),
            max_records: 20,
            // The health is not looked at.
            ends_interval: Duration::MAX,
            // The crasher strikes in the midst of the same events over and over, and they deserve nothing.
            max_deaths: u32::MAX,
            protections: self.protections,
            spawn: time::SURROUNDINGS.spawn,
            ..ViewOptions::new(codec.fetch(world, Fault::RegistryAtView), time::now)
        };
        let log = SimulatedLog::new(world, Fault::LogAtView);
        ViewRunner::start(Arc::new(log), codec, Box::new(sink), options)
    }

    fn down_for(&mut self, ms: i64) {
        self.start_at = TimestampMs(time::now().0 + ms);
    }
}

/// Notes a stop at another topic. The message names what helps, and somebody has to do that.
fn note_identity<V: View<Event = Event>>(world: &World, view: &'static str, runner: &ViewRunner<V, ProcessCodec>) {
    let status = runner.status();
    let status = status.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stops = status.stopped().filter(|(_, stop)| stop.class == StopClass::TopicIdentity);
    if stops.any(|(_, stop)| stop.reason.contains("drop its tables") || stop.reason.contains("factum views rebuild"))
        && world.notes().of_other_topics.insert(view)
    {
        world.count(Fault::IdentityStop);
    }
}

impl<V: View<Event = Event>> Actor for ViewProcess<V>
where
    ViewRunner<V, ProcessCodec>: Send,
{
    fn step(&mut self, world: &Arc<World>) {
        let Some(mut runner) = self.runner.take() else {
            if time::now() < self.start_at || world.are_views_held() {
                return;
            }
            self.code = world.release(V::NAME);
            match unless_killed(|| self.start(world)) {
                Some(Ok(runner)) => self.runner = Some(runner),
                Some(Err(error)) => {
                    self.failed = Some(error.to_string());
                    self.down_for(100);
                }
                None => self.down_for(world.draw(|random| random.between(10, 2 * SESSION_MS))),
            }
            return;
        };
        // A program that was deployed is started in one process after the other.
        let is_old =
            self.code != world.release(V::NAME) && world.draw_for(Fault::BadCode, |random| random.chance(20_000));
        if world.are_views_held() || is_old || world.strikes(Fault::Rebalance) {
            unless_killed(|| runner.close().is_ok());
            self.down_for(world.draw(|random| random.between(10, SESSION_MS)));
            return;
        }
        match unless_killed(|| (poison::running(self.code, || runner.step(Duration::ZERO)), runner)) {
            Some((Ok(_), runner)) => {
                note_identity(world, V::NAME, &runner);
                self.runner = Some(runner);
            }
            Some((Err(error), _)) => {
                world.notes().ended(&self.name, &error);
                self.failed = Some(error.to_string());
                self.down_for(100);
            }
            None => self.down_for(world.draw(|random| random.between(10, 2 * SESSION_MS))),
        }
    }

    fn is_view(&self) -> bool {
        self.runner.is_some()
    }

    fn is_done(&self, world: &World) -> bool {
        let ends = world.ends(&world.topics.events);
        let topic = world.log.admin().and_then(|mut admin| admin.describe_topic(&world.topics.events));
        let Ok(Some(topic)) = topic else { return false };
        let progress = ViewTable::of::<V>().and_then(|table| self.database.progress(&table)).unwrap_or_default();
        ends.iter().all(|(place, end)| {
            let is_there = |found: &Progress| found.place == *place && found.position >= *end;
            end.0 == 0 || progress.iter().any(|found| is_there(found) && found.topic_id == topic.id)
        })
    }

    fn describe(&self) -> String {
        format!(
            "{}: {:?}",
            self.name,
            self.runner.as_ref().map_or(self.failed.clone(), |runner| {
                let status = runner.status();
                let status = status.lock().unwrap_or_else(PoisonError::into_inner);
                Some(format!("{:?} {:?}", status.places, status.trouble))
            })
        )
    }
}
