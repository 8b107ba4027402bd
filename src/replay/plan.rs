//! What a replay would do.

use super::{PartitionName, To};
use crate::{environment::Environment, host::ViewHost};
use factum_core::{
    AggregateId, Error, Offset, Result, TopicPartition,
    log::{Admin, CommitOffset, Committed, Isolation},
    partition_of,
    view::{Extent, GroupPlace, Review, Scope, Standing},
};
use factum_views::Sink;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    pub(crate) to: To,
    /// Only this one.
    pub(crate) partition: Option<PartitionName>,
    /// Only the row of this one.
    pub(crate) aggregate: Option<AggregateId>,
}

/// What is to be done, with a line for people about each part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The view stands there already.
    Nothing,
    /// Set the group's offsets, and have the view honour them.
    Reset { offsets: Vec<CommitOffset>, told: Vec<String> },
    /// Fold rows again: those that events at or behind these offsets touch, or
    /// that of one aggregate.
    Refold { places: Vec<(TopicPartition, Offset)>, only: Option<AggregateId>, told: Vec<String> },
}

impl Plan {
    /// What is to be done, for people.
    pub(crate) fn told(&self) -> &[String] {
        match self {
            Plan::Nothing => &[],
            Plan::Reset { told, .. } | Plan::Refold { told, .. } => told,
        }
    }
}

/// A view that is down, with what database, log and group say about it.
pub(crate) struct Replay<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) host: &'a dyn ViewHost,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) admin: Box<dyn Admin>,
    /// The group's name.
    pub(crate) group: String,
    pub(crate) standing: Standing,
    pub(crate) places: Vec<GroupPlace>,
}

impl<'a> Replay<'a> {
    /// Looks at everything.
    ///
    /// # Errors
    /// `Invalid`: the topics do not exist; what log and database say.
    pub(crate) fn look(environment: &'a Environment, host: &'a dyn ViewHost, mut sink: Box<dyn Sink>) -> Result<Self> {
        let mut admin = environment.log.admin()?;
        let group = format!("{}{}", environment.prefix, host.group());
        let mut places = Vec::new();
        for input in host.inputs() {
            let topic = environment.topics(input).events;
            let found = admin.describe_topic(&topic)?.ok_or_else(|| {
                Error::invalid(format!("topic {topic} does not exist, so there is nothing to replay"))
            })?;
            for place in admin.partitions(&topic)? {
                // What is beyond the last stable offset is not decided yet.
                let bounds = admin.bounds(&place, Isolation::ReadCommitted)?;
                places.push(GroupPlace { place, topic_id: found.id, committed: None, bounds });
            }
        }
        let asked: Vec<_> = places.iter().map(|at| at.place.clone()).collect();
        for (place, committed) in admin.group_offsets(&group, &asked)? {
            if let Some(at) = places.iter_mut().find(|at| at.place == place) {
                at.committed = Some(committed);
            }
        }
        let standing = sink.standing()?;
        Ok(Replay { environment, host, sink, admin, group, standing, places })
    }

    /// What is to be done; changes nothing.
    ///
    /// # Errors
    /// `Invalid` with what to do instead.
    pub(crate) fn plan(&mut self, wishes: &Wishes) -> Result<Plan> {
        match &wishes.aggregate {
            Some(id) => self.plan_one(id, wishes),
            None => self.plan_places(wishes),
        }
    }

    fn plan_one(&mut self, id: &AggregateId, wishes: &Wishes) -> Result<Plan> {
        if wishes.partition.is_some() {
            return Err(Error::invalid("an aggregate is in one partition: leave --partition out"));
        }
        if wishes.to == To::Latest {
            return Err(Error::invalid("one aggregate's events cannot be left out: leave --aggregate out"));
        }
        self.check_keyed("--aggregate")?;
        let count = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let partition = partition_of(id.as_str().as_bytes(), count);
        let index = self.places.iter().position(|at| at.place.partition == partition).unwrap_or(0);
        let (place, position) = (self.places[index].place.clone(), self.standing.position(&self.places[index].place));
        let from = self.target(index, wishes.to)?.min(position);
        let told = format!("{place}: the row of {id} is folded again from its history before {position}");
        Ok(Plan::Refold { places: vec![(place, from)], only: Some(id.clone()), told: vec![told] })
    }

    fn check_keyed(&self, for_what: &str) -> Result<()> {
        match self.host.scope() {
            Scope::Aggregate => Ok(()),
            Scope::PartitionLocal | Scope::Shared => Err(Error::invalid(format!(
                "{for_what} needs rows of one aggregate each (`Scope::Aggregate`), and view {} does not say that its \
                 are: build it anew with `factum views rebuild {}`",
                self.host.name(),
                self.host.name()
            ))),
        }
    }

    fn plan_places(&mut self, wishes: &Wishes) -> Result<Plan> {
        let name = self.host.name();
        let chosen: Vec<usize> = match &wishes.partition {
            Some(partition) => {
                let place = partition.among(self.places.iter().map(|at| &at.place))?;
                self.places.iter().position(|at| at.place == place).into_iter().collect()
            }
            None => (0..self.places.len()).collect(),
        };
        let whole_only = || {
            Error::invalid(format!(
                "a view is built from the log's start as a whole: leave --partition out, or use `factum views rebuild \
                 {name}`, which goes on answering meanwhile"
            ))
        };
        if wishes.partition.is_some() && wishes.to == To::Earliest {
            return Err(whole_only());
        }
        if matches!(wishes.to, To::Offset(_)) && chosen.len() != 1 {
            return Err(Error::invalid(format!(
                "an offset is a place in one partition, and view {name} reads {}: say which with --partition",
                chosen.len()
            )));
        }
        let mut group = self.places.clone();
        let mut offsets = Vec::new();
        for index in chosen {
            let place = self.places[index].place.clone();
            let offset = self.target(index, wishes.to)?;
            if offset != self.standing.position(&place) {
                group[index].committed = Some(Committed { offset, metadata: String::new() });
                offsets.push(CommitOffset { place, offset, metadata: String::new() });
            }
        }
        let table = self.host.table()?;
        let review = Review {
            view: name,
            database: self.sink.database_id(),
            fold_version: table.fold_version(),
            standing: &self.standing,
            group: &group,
        };
        let back = |to: &CommitOffset| to.offset < self.standing.position(&to.place);
        let hindered = |to: &CommitOffset| review.hinders_delivery_again(&to.place, to.offset).is_some();
        if wishes.to != To::Earliest
            && self.host.scope() == Scope::Aggregate
            && offsets.iter().any(|to| back(to) && hindered(to))
        {
            return Ok(self.refold(&offsets));
        }
        let verdict = review.verdict();
        if !verdict.stops.is_empty() {
            let why: Vec<_> = verdict.stops.iter().map(|(_, stop)| stop.reason.clone()).collect();
            return Err(Error::invalid(why.join("; ")));
        }
        match verdict.plan.filter(|plan| !plan.places.is_empty()) {
            None => Ok(Plan::Nothing),
            Some(plan) if plan.extent == Extent::Whole && wishes.partition.is_some() => Err(whole_only()),
            Some(plan) if plan.extent == Extent::Whole && matches!(wishes.to, To::Time(_)) => {
                self.check_before_everything(&offsets)?;
                Ok(Plan::Reset { offsets, told: plan.told })
            }
            Some(plan) => Ok(Plan::Reset { offsets, told: plan.told }),
        }
    }

    /// A time may mean the log's start, but not by chance: in one partition only.
    fn check_before_everything(&self, offsets: &[CommitOffset]) -> Result<()> {
        let is_start =
            |to: &CommitOffset| self.places.iter().any(|at| at.place == to.place && to.offset <= at.bounds.start);
        let applied = self.places.iter().filter(|at| self.standing.position(&at.place) > at.bounds.start).count();
        let starts: Vec<_> = offsets.iter().filter(|to| is_start(to)).collect();
        match starts.first() {
            Some(first) if starts.len() < applied => Err(Error::invalid(format!(
                "that time is before the first event of {} and not of all partitions, and going back to a log's start \
                 builds the whole view again: say --to earliest for that, or name the other partitions one by one with \
                 --partition",
                first.place
            ))),
            _ => Ok(()),
        }
    }

    fn refold(&self, offsets: &[CommitOffset]) -> Plan {
        let back = offsets.iter().filter(|to| to.offset < self.standing.position(&to.place));
        let places: Vec<_> = back.map(|to| (to.place.clone(), to.offset)).collect();
        let told = places.iter().map(|(place, from)| {
            let position = self.standing.position(place);
            format!(
                "{place}: rows that events from {from} to {position} touch are folded again from their history, since \
                 delivering these again would change nothing"
            )
        });
        Plan::Refold { told: told.collect(), places, only: None }
    }

    /// Where a partition is to go on. A time never leaves anything out: a
    /// partition that has not come so far stays.
    fn target(&mut self, index: usize, to: To) -> Result<Offset> {
        let GroupPlace { place, bounds, .. } = &self.places[index];
        let position = self.standing.position(place);
        Ok(match to {
            To::Earliest => bounds.start,
            To::Latest => bounds.end,
            To::Offset(offset) if offset > bounds.end => {
                return Err(Error::invalid(format!("{place} ends at {}, before offset {offset}", bounds.end)));
            }
            To::Offset(offset) => offset,
            To::Time(time) => self.admin.offset_for_time(place, time)?.map_or(position, |offset| offset.min(position)),
        })
    }
}
