//! One test's deployment: its prefix on a cluster, its processes, its folder.

use crate::{
    deposits::deposits,
    process::{Process, Ran, until},
};
use factum::{KafkaConfig, KafkaLog};
use factum::{
    Offset, Topic, TopicPartition, Topics,
    environment::Environment,
    log::{Admin, Isolation, Log},
    schemas::{LogRegistry, SchemaCache},
};
use factum_test_broker::{bootstrap, unique};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;

pub(crate) const BANK: &str = "bank.account";

/// A deployment of its own.
#[derive(Debug)]
pub(crate) struct Site {
    kafka: String,
    prefix: String,
    folder: TempDir,
    started: AtomicUsize,
}

impl Site {
    /// On the shared broker, with the bank's topics.
    pub(crate) fn new(partitions: u32) -> Self {
        Self::on(bootstrap(), partitions)
    }

    /// The same on another cluster.
    pub(crate) fn on(kafka: &str, partitions: u32) -> Self {
        let site = Self::empty(kafka);
        let made = site.run(&["topics", "create", BANK, "--partitions", &partitions.to_string()]);
        assert!(made.ok, "{made:?}");
        site
    }

    /// Without topics.
    pub(crate) fn empty(kafka: &str) -> Self {
        let prefix = format!("{}.", unique("cli"));
        Site { kafka: kafka.to_owned(), prefix, folder: TempDir::new().unwrap(), started: AtomicUsize::new(0) }
    }

    pub(crate) fn kafka(&self) -> &str {
        &self.kafka
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The variables by which a process finds this deployment.
    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("FACTUM_KAFKA", self.kafka.clone()),
            ("FACTUM_PREFIX", self.prefix.clone()),
            ("FACTUM_VIEWS", self.path("views.sqlite").to_str().unwrap().to_owned()),
            ("FACTUM_LOG", "info".to_owned()),
        ]
    }

    /// Starts the binary.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
        command.args(arguments).envs(self.variables()).current_dir(self.folder.path());
        Process::start(&mut command, &self.file())
    }

    /// Runs a verb to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).end()
    }

    /// Starts a handler whose session ends after 6 seconds of silence.
    pub(crate) fn handler(&self, arguments: &[&str]) -> Process {
        self.start(&[&["run", "handler", BANK, "--session-timeout-ms", "6000"], arguments].concat())
    }

    /// Sends a command that has one field.
    pub(crate) fn publish(&self, account: &str, command: &str, cents: i64) -> Ran {
        self.run(&["publish", BANK, account, command, &format!("{{\"cents\": {cents}}}")])
    }

    /// Sends a deposit, which is accepted; returns the account's new version.
    pub(crate) fn deposit(&self, account: &str, cents: i64) -> u64 {
        let fields = format!("{{\"cents\": {cents}}}");
        let answer = self.run(&["publish", BANK, account, "Deposit", &fields, "--json"]).json();
        answer["version"].as_u64().unwrap()
    }

    /// Writes a file of that many deposits of one cent for one account, and its
    /// mapping, which has more lines; returns the arguments that import it.
    pub(crate) fn deposits(&self, account: &str, more: &str, count: u64) -> [String; 6] {
        let rows = (0..count).map(|_| (account.to_owned(), "1".to_owned()));
        let [file, path, mapping, its_path] = deposits(self.folder.path(), "many", more, rows);
        ["publish".to_owned(), BANK.to_owned(), file, path, mapping, its_path]
    }

    /// A name for the files of the next process.
    pub(crate) fn file(&self) -> PathBuf {
        self.path(&format!("process-{}", self.started.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn environment(&self) -> Environment {
        environment(&self.kafka, &self.prefix)
    }

    pub(crate) fn topics(&self) -> Topics {
        self.environment().topics(BANK)
    }

    pub(crate) fn admin(&self) -> Box<dyn Admin> {
        kafka_log(&self.kafka).admin().unwrap()
    }

    /// Waits until every command that is in the log now was handled.
    pub(crate) fn handles_all(&self) {
        let (mut admin, group) = (self.admin(), self.environment().handler_group(BANK));
        let places = admin.partitions(&self.topics().commands).unwrap();
        let mut ends: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
        for place in &places {
            ends.insert(place.clone(), admin.bounds(place, Isolation::ReadUncommitted).unwrap().end);
        }
        ends.retain(|_, end| *end > Offset(0));
        until("every command is handled", || {
            let committed = admin.group_offsets(&group, &places).unwrap();
            let done = committed
                .iter()
                .filter(|(place, committed)| ends.get(place).is_some_and(|end| committed.offset >= *end));
            (done.count() == ends.len()).then_some(())
        });
    }

    /// Changes one setting of a topic.
    pub(crate) fn alter(&self, topic: &Topic, name: &str, value: &str) {
        self.admin().alter_topic(topic, &[(name.to_owned(), value.to_owned())].into()).unwrap();
    }
}

fn kafka_log(kafka: &str) -> Arc<dyn Log> {
    Arc::new(KafkaLog::new(KafkaConfig::bootstrap(kafka)).unwrap())
}

/// A deployment as the binary sees it.
pub(crate) fn environment(kafka: &str, prefix: &str) -> Environment {
    let log = kafka_log(kafka);
    let registry = LogRegistry::open(log.clone(), None).unwrap();
    Environment { log, schemas: Arc::new(SchemaCache::in_memory(Arc::new(registry))), prefix: prefix.to_owned() }
}

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
