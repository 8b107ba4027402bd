//! What a processor refuses to start on, and the command that mends it.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum_core::{
    TopicId, Topics,
    log::TopicDescription,
    topics::{check_topics, topic_specs},
};

fn good(replication: u16) -> (Topics, Vec<Option<TopicDescription>>) {
    let topics = Topics::of("bank.account");
    let found = topic_specs(&topics, 6, Some(replication))
        .into_iter()
        .map(|spec| {
            Some(TopicDescription {
                topic: spec.topic,
                id: TopicId([1; 16]),
                partitions: spec.partitions,
                replication,
                settings: spec.settings,
            })
        })
        .collect();
    (topics, found)
}

const NAMES: [&str; 5] = ["commands", "events", "snapshots", "replies", "dead-letters"];

/// One setting of one topic is changed; the problem and the fix are these.
#[track_caller]
fn check(topic: &str, setting: &str, value: &str, problem: &str, fix: &str) {
    let (topics, mut found) = good(3);
    let index = NAMES.iter().position(|name| *name == topic).unwrap();
    let settings = &mut found[index].as_mut().unwrap().settings;
    assert!(settings.insert(setting.into(), value.into()).is_some(), "{setting} is not set for {topic}");
    let problems: Vec<String> = check_topics(&topics, &found).unwrap_err().iter().map(ToString::to_string).collect();
    let name = format!("bank.account.{topic}");
    let alter = format!("kafka-configs --alter --entity-type topics --entity-name {name} --add-config");
    assert_eq!(problems, [format!("topic {name}: {problem}; fix: {alter} {fix}")]);
}

#[test]
fn topics_made_as_they_should_be_are_taken() {
    for replication in [1, 2, 3, 5] {
        let (topics, found) = good(replication);
        assert_eq!(check_topics(&topics, &found), Ok(6));
    }
}

#[test]
fn every_setting_that_would_lose_data_is_refused_with_its_fix() {
    for topic in ["events", "dead-letters"] {
        check(topic, "retention.ms", "604800000", "retention.ms is 604800000", "retention.ms=-1");
        check(topic, "retention.bytes", "1000000", "retention.bytes is 1000000", "retention.bytes=-1");
        check(topic, "cleanup.policy", "compact", "cleanup.policy is compact", "cleanup.policy=delete");
        check(topic, "cleanup.policy", "compact,delete", "cleanup.policy is compact,delete", "cleanup.policy=delete");
    }
    check("commands", "retention.ms", "3600000", "retention.ms is 3600000", "retention.ms=604800000");
    check("commands", "retention.bytes", "1", "retention.bytes is 1", "retention.bytes=-1");
    check("commands", "cleanup.policy", "compact", "cleanup.policy is compact", "cleanup.policy=delete");
    for topic in ["commands", "replies"] {
        let timestamp = ("message.timestamp.type is CreateTime", "message.timestamp.type=LogAppendTime");
        check(topic, "message.timestamp.type", "CreateTime", timestamp.0, timestamp.1);
    }
    check("replies", "retention.ms", "1000", "retention.ms is 1000", "retention.ms=3600000");
    check("snapshots", "cleanup.policy", "delete", "cleanup.policy is delete", "cleanup.policy=compact");
    check("snapshots", "segment.bytes", "1073741824", "segment.bytes is 1073741824", "segment.bytes=67108864");
    check("snapshots", "segment.ms", "604800000", "segment.ms is 604800000", "segment.ms=600000");
    let lag = "9223372036854775807";
    check(
        "snapshots",
        "max.compaction.lag.ms",
        lag,
        &format!("max.compaction.lag.ms is {lag}"),
        "max.compaction.lag.ms=3600000",
    );
    let ratio = "min.cleanable.dirty.ratio";
    check("snapshots", ratio, "0.5", &format!("{ratio} is 0.5"), &format!("{ratio}=0.1"));
    for topic in NAMES {
        let unclean = "unclean.leader.election.enable";
        check(topic, unclean, "true", &format!("{unclean} is true"), &format!("{unclean}=false"));
        check(topic, "max.message.bytes", "1000", "max.message.bytes is 1000", "max.message.bytes=1048588");
        check(topic, "min.insync.replicas", "1", "min.insync.replicas is 1", "min.insync.replicas=2");
        check(topic, "min.insync.replicas", "4", "min.insync.replicas is 4 of 3 replicas", "min.insync.replicas=2");
    }
}

#[test]
fn a_longer_retention_of_commands_is_good() {
    for value in ["604800001", "-1"] {
        let (topics, mut found) = good(3);
        found[0].as_mut().unwrap().settings.insert("retention.ms".into(), value.into());
        assert_eq!(check_topics(&topics, &found), Ok(6), "{value}");
    }
}

#[track_caller]
fn problem(found: &[Option<TopicDescription>]) -> String {
    let problems = check_topics(&Topics::of("bank.account"), found).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn a_missing_topic_is_to_be_created() {
    let (_, mut found) = good(3);
    found[2] = None;
    let expected = "topic bank.account.snapshots: does not exist; fix: factum topics create bank.account";
    assert_eq!(problem(&found), expected);
}

#[test]
fn all_topics_have_the_same_number_of_partitions() {
    let (_, mut found) = good(3);
    found[1].as_mut().unwrap().partitions = 7;
    assert_eq!(
        problem(&found),
        "topic bank.account.events: has 7 partitions and bank.account.commands has 6: all topics of an aggregate type have \
         the same number; fix: delete the topic while it is empty and run factum topics create bank.account --partitions 6"
    );
}

#[test]
fn no_topic_has_fewer_replicas_than_the_others() {
    let (_, mut found) = good(3);
    let events = found[1].as_mut().unwrap();
    events.replication = 1;
    events.settings.insert("min.insync.replicas".into(), "1".into());
    assert_eq!(
        problem(&found),
        "topic bank.account.events: has 1 replicas and others of its aggregate type have 3; \
         fix: kafka-reassign-partitions with 3 replicas for each of its partitions"
    );
}
