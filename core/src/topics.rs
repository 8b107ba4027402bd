//! The topics of an aggregate type: how they are made, and what a processor
//! refuses to start on (DESIGN §2).

use crate::{
    Topic, Topics,
    log::{TopicDescription, TopicSpec},
};
use std::collections::BTreeMap;

/// One rule about a topic's setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The setting has exactly this value.
    Is(&'static str, &'static str),
    /// The setting is a number that is at least this.
    AtLeast(&'static str, i64),
    /// The setting is a number that is at most this.
    AtMost(&'static str, i64),
}

use Rule::{AtLeast, AtMost, Is};

const WEEK_MS: i64 = 7 * 24 * 3_600_000;

/// Lost leaders must not be replaced by stale ones, and every record must fit.
const EVERYWHERE: [Rule; 2] = [Is("unclean.leader.election.enable", "false"), AtLeast("max.message.bytes", 1_048_588)];

const FOREVER: [Rule; 3] = [Is("cleanup.policy", "delete"), Is("retention.ms", "-1"), Is("retention.bytes", "-1")];

const COMMANDS: [Rule; 4] = [
    Is("cleanup.policy", "delete"),
    AtLeast("retention.ms", WEEK_MS),
    Is("retention.bytes", "-1"),
    Is("message.timestamp.type", "LogAppendTime"),
];

/// Old copies of snapshots really have to go: recovery reads what is left.
const SNAPSHOTS: [Rule; 5] = [
    Is("cleanup.policy", "compact"),
    AtMost("segment.bytes", 64 << 20),
    AtMost("segment.ms", 600_000),
    AtMost("max.compaction.lag.ms", 3_600_000),
    Is("min.cleanable.dirty.ratio", "0.1"),
];

const REPLIES: [Rule; 3] =
    [Is("cleanup.policy", "delete"), AtLeast("retention.ms", 3_600_000), Is("message.timestamp.type", "LogAppendTime")];

/// How the topics of an aggregate type are to be made.
pub fn topic_specs(topics: &Topics, partitions: u32, replication: Option<u16>) -> Vec<TopicSpec> {
    rules(topics).into_iter().map(|(topic, rules)| spec(topic, &rules, partitions, replication)).collect()
}

fn spec(topic: &Topic, rules: &[Rule], partitions: u32, replication: Option<u16>) -> TopicSpec {
    let mut settings: BTreeMap<String, String> = rules.iter().map(|rule| rule.default_setting()).collect();
    // With three replicas a write is acknowledged by two: one broker may be away.
    if let Some(replicas) = replication {
        settings.insert("min.insync.replicas".into(), min_insync(replicas).to_string());
    }
    TopicSpec { topic: topic.clone(), partitions, replication, settings }
}

fn everywhere(own: &[Rule]) -> Vec<Rule> {
    own.iter().chain(&EVERYWHERE).copied().collect()
}

fn min_insync(replication: u16) -> u16 {
    if replication >= 3 { replication - 1 } else { 1 }
}

fn rules(topics: &Topics) -> Vec<(&Topic, Vec<Rule>)> {
    [
        (&topics.commands, &COMMANDS[..]),
        (&topics.events, &FOREVER),
        (&topics.snapshots, &SNAPSHOTS),
        (&topics.replies, &REPLIES),
        (&topics.dead_letters, &FOREVER),
    ]
    .map(|(topic, own)| (topic, everywhere(own)))
    .into()
}

impl Rule {
    fn default_setting(self) -> (String, String) {
        match self {
            Is(name, value) => (name.into(), value.into()),
            AtLeast(name, value) | AtMost(name, value) => (name.into(), value.to_string()),
        }
    }

    /// What is wrong with the setting, and the value that would do.
    fn broken(self, settings: &BTreeMap<String, String>) -> Option<(String, String)> {
        let (name, wanted) = self.default_setting();
        // A log that does not know a setting does not act on it either.
        let found = settings.get(&name)?;
        let number = found.parse::<i64>();
        let good = match self {
            Is(_, wanted) => found == wanted || number.is_ok() && number == wanted.parse(),
            // -1 stands for "no limit".
            AtLeast(_, least) => number.is_ok_and(|n| n >= least || n == -1),
            AtMost(_, most) => number.is_ok_and(|n| n <= most && n != -1),
        };
        (!good).then(|| (format!("{name} is {found}"), format!("{name}={wanted}")))
    }
}

/// Something about a topic that would lose or corrupt data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicProblem {
    /// The topic.
    pub topic: String,
    /// What is wrong.
    pub problem: String,
    /// The command that mends it.
    pub fix: String,
}

impl std::fmt::Display for TopicProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {}: {}; fix: {}", self.topic, self.problem, self.fix)
    }
}

/// How the topic that a transform writes is to be made: it holds what the events hold, for as long.
pub fn output_spec(output: &Topic, partitions: u32, replication: Option<u16>) -> TopicSpec {
    spec(output, &everywhere(&FOREVER), partitions, replication)
}

/// Checks the topic that a transform writes against the events that it is made of; `create` is the
/// command that makes it.
///
/// # Errors
/// Every problem, each with the command that mends it.
pub fn check_output(
    output: &Topic,
    found: Option<&TopicDescription>,
    events: &TopicDescription,
    create: &str,
) -> Result<u32, Vec<TopicProblem>> {
    let problem = |problem: String, fix: String| TopicProblem { topic: output.to_string(), problem, fix };
    let Some(found) = found else { return Err(vec![problem("does not exist".into(), create.into())]) };
    let mut problems = Vec::new();
    if found.partitions != events.partitions {
        problems.push(problem(
            format!(
                "has {} partitions and {} has {}: a republished record stays in its partition",
                found.partitions, events.topic, events.partitions
            ),
            format!("delete the topic and run {create}"),
        ));
    }
    problems.extend(broken(output, everywhere(&FOREVER), found));
    if problems.is_empty() { Ok(found.partitions) } else { Err(problems) }
}

/// Checks the topics of an aggregate type; `found` is in the order of [`Topics::all`].
/// Returns the number of partitions.
///
/// # Errors
/// Every problem, each with the command that mends it.
pub fn check_topics(topics: &Topics, found: &[Option<TopicDescription>]) -> Result<u32, Vec<TopicProblem>> {
    let aggregate = &topics.arguments;
    let mut problems = Vec::new();
    let partitions = found.iter().flatten().map(|topic| topic.partitions).next().unwrap_or_default();
    let replicas = found.iter().flatten().map(|topic| topic.replication).max().unwrap_or_default();
    for ((topic, rules), found) in rules(topics).into_iter().zip(found) {
        let Some(found) = found else {
            problems.push(TopicProblem {
                topic: topic.to_string(),
                problem: "does not exist".into(),
                fix: format!("factum topics create {aggregate}"),
            });
            continue;
        };
        if found.partitions != partitions {
            problems.push(TopicProblem {
                topic: topic.to_string(),
                problem: format!(
                    "has {} partitions and {} has {partitions}: all topics of an aggregate type have the same number",
                    found.partitions, topics.commands
                ),
                fix: format!(
                    "delete the topic while it is empty and run factum topics create {aggregate} --partitions {partitions}"
                ),
            });
        }
        if found.replication < replicas {
            problems.push(TopicProblem {
                topic: topic.to_string(),
                problem: format!("has {} replicas and others of its aggregate type have {replicas}", found.replication),
                fix: format!("kafka-reassign-partitions with {replicas} replicas for each of its partitions"),
            });
        }
        problems.extend(broken(topic, rules, found));
    }
    if problems.is_empty() { Ok(partitions) } else { Err(problems) }
}

/// The settings of a topic that are not as they should be.
fn broken(topic: &Topic, rules: Vec<Rule>, found: &TopicDescription) -> Vec<TopicProblem> {
    let in_sync = min_insync(found.replication);
    let more =
        found.settings.get("min.insync.replicas").filter(|n| n.parse().is_ok_and(|n: u16| n > found.replication));
    let never_written = more.map(|more| {
        let problem = format!("min.insync.replicas is {more} of {} replicas", found.replication);
        (problem, format!("min.insync.replicas={in_sync}"))
    });
    let all = rules.into_iter().chain([AtLeast("min.insync.replicas", i64::from(in_sync))]);
    let problems = all.filter_map(|rule| rule.broken(&found.settings)).chain(never_written);
    let told = problems.map(|(problem, setting)| TopicProblem {
        topic: topic.to_string(),
        problem,
        fix: format!("kafka-configs --alter --entity-type topics --entity-name {topic} --add-config {setting}"),
    });
    told.collect()
}
