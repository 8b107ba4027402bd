//! Which log and which registry, and who answers a verb's requests.

use super::{output, registry::RegistryArgs, schemas::SchemaRegistry};
use crate::{
    App,
    environment::Environment,
    errand::{AtOwner, Doer, Here},
    host::Stop,
    local_kafka::{LocalKafka, Wishes},
    node::{NewTopics, Node},
    pass_over::PassOver,
    service::{LocalService, RemoteService, Service},
};
use clap::Args;
use factum_core::{Error, ErrorKind, Result, log::Log, wire::Token};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog, owner};
use factum_log_kafka::{KafkaConfig, KafkaLog};
use factum_log_memory::MemoryLog;
use factum_schemas::{Access, LogRegistry, Registry, RegistryClient, SchemaCache};
use factum_views::Database;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a process is waited for that holds the embedded log and serves nobody.
const OWNER_WAIT: Duration = Duration::from_secs(10);
/// Between two looks at it.
const OWNER_LOOK: Duration = Duration::from_millis(30);
/// The cluster that `factum kafka` starts.
const LOCAL: &str = "local";

#[derive(Debug, Clone, Args)]
pub(super) struct LogArgs {
    /// The folder of the embedded log and its views, used where no cluster is named.
    #[arg(long, env = "FACTUM_DATA", value_name = "FOLDER", default_value = "factum-data", help_heading = "Log")]
    data: PathBuf,
    /// The Kafka cluster, by one or more of its brokers; `local` is the one of `factum kafka start`.
    #[arg(long, env = "FACTUM_KAFKA", value_name = "HOST:PORT,…", help_heading = "Log")]
    kafka: Option<String>,
    /// The data folder of the local Kafka, if not the usual one.
    #[arg(long, env = "FACTUM_KAFKA_DATA", value_name = "FOLDER", help_heading = "Log")]
    kafka_data: Option<PathBuf>,
    /// A file with librdkafka properties, one `name=value` a line: TLS, SASL, tuning.
    #[arg(long, env = "FACTUM_KAFKA_CONFIG", value_name = "FILE", help_heading = "Log")]
    kafka_config: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// A folder that keeps schemas, so that a restart does not need the registry.
    #[arg(long, env = "FACTUM_SCHEMA_CACHE", value_name = "FOLDER", help_heading = "Log")]
    schema_cache: Option<PathBuf>,
    /// Stands in front of every topic and group name, so that one cluster can hold several deployments.
    #[arg(long, env = "FACTUM_PREFIX", default_value = "", value_name = "TEXT", help_heading = "Log")]
    prefix: String,
    /// A record of an events topic that no handler wrote: all readers of this process go on without it. Give
    /// it to every process, as errors about foreign records tell it: bank.account.events/3@1024. May be repeated.
    #[arg(long, env = "FACTUM_PASS_OVER", value_name = "RECORD", value_delimiter = ',', help_heading = "Log")]
    pass_over: Vec<Token>,
    /// Replicas of topics that are made; without it the broker's default.
    #[arg(long, env = "FACTUM_REPLICATION", value_name = "N", help_heading = "Log")]
    replication: Option<u16>,
}

/// Where the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a folder that one process holds.
    Embedded(PathBuf),
    /// On a cluster.
    Kafka,
}

/// What there is of an embedded log.
enum Reached {
    /// The process that serves it.
    Owner(SocketAddr),
    /// The log, which is now this process's.
    Log(Arc<EmbeddedLog>),
    /// Nothing yet.
    Nothing,
}

/// Who holds a log.
enum Holder {
    /// The process that serves the embedded log.
    Owner(SocketAddr),
    /// This one, with its log, and where its views are without --views.
    Here(Environment, Database),
}

/// Who reads a log.
pub(super) enum Reading {
    /// The process that serves the embedded log.
    AtOwner(SocketAddr),
    /// This one.
    Here(Environment),
    /// Nobody: there is none.
    Nothing,
}

/// A log and what is known of its registry.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) environment: Environment,
    /// The registry, where it is the one in the log.
    pub(super) registry: Option<Arc<LogRegistry>>,
}

/// What must run in this process before it can answer, where no other process does it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Needs<'a> {
    /// Only the log.
    Log,
    /// An aggregate type's handler.
    Handler(&'a str),
    /// A view that has caught up.
    View(&'a str),
}

/// Who answers the requests of one verb.
pub(super) struct Session {
    service: Box<dyn Service>,
    node: Option<Node>,
}

impl Session {
    /// Who answers.
    pub(super) fn service(&self) -> &dyn Service {
        &*self.service
    }

    /// Ends what ran for it in this process.
    pub(super) fn end(self) -> Result<()> {
        // Its clients go before the log.
        drop(self.service);
        self.node.map_or(Ok(()), Node::end)
    }
}

impl LogArgs {
    /// Where the log is.
    pub(super) fn place(&self) -> Place {
        if self.kafka.is_none() && self.kafka_config.is_none() {
            Place::Embedded(self.data.clone())
        } else {
            Place::Kafka
        }
    }

    /// The number of replicas asked for.
    pub(super) fn replication(&self) -> Option<u16> {
        self.replication
    }

    /// The cluster and its registry, for verbs whose processes share a log.
    pub(super) fn cluster(&self, verb: &str) -> Result<Environment> {
        match self.place() {
            Place::Kafka => Ok(self.connect_cluster()?.environment),
            Place::Embedded(_) => Err(Error::invalid(format!(
                "`{verb}` needs a log that processes share: give --kafka HOST:PORT (or FACTUM_KAFKA); \
                 on the embedded log, `up` runs everything"
            ))),
        }
    }

    /// The cluster and its registry.
    pub(super) fn connect_cluster(&self) -> Result<Connected> {
        self.connected(Arc::new(KafkaLog::new(self.kafka_settings()?)?))
    }

    /// A log that is gone with this process.
    pub(super) fn connect_memory(&self) -> Result<Connected> {
        self.connected(Arc::new(MemoryLog::with_system_clock()))
    }

    /// Opens the embedded log of a folder, which no other process may hold.
    pub(super) fn open(&self, folder: &Path) -> Result<(Arc<EmbeddedLog>, Connected)> {
        make_folder(folder)?;
        let log = Arc::new(EmbeddedLog::open(folder, EmbeddedConfig::default())?);
        let connected = self.connected(log.clone())?;
        Ok((log, connected))
    }

    /// Who answers requests: the process that holds the embedded log, or this one.
    pub(super) fn session(&self, app: &Arc<App>, views: Option<Database>, needs: Needs<'_>) -> Result<Session> {
        let folder = match self.place() {
            Place::Kafka => {
                let environment = self.connect_cluster()?.environment;
                let views = views.unwrap_or_else(|| Database::file("factum-views.sqlite"));
                let service = LocalService::new(app.clone(), environment, views);
                return Ok(Session { service: Box::new(service), node: None });
            }
            Place::Embedded(folder) => folder,
        };
        let environment = match self.reach(&folder, matches!(needs, Needs::Handler(_)))? {
            Reached::Owner(address) => {
                return Ok(Session { service: Box::new(RemoteService::new(address)?), node: None });
            }
            Reached::Nothing => {
                return Err(Error::invalid(format!(
                    "there is no log in {}: `up` or `publish` begins one, --data names another, --kafka a cluster",
                    folder.display()
                )));
            }
            Reached::Log(log) => self.connected(log)?.environment,
        };
        let views = views.unwrap_or_else(|| Database::file(folder.join("views.sqlite")));
        let mut node = Node::new(environment.clone(), Stop::default());
        let topics = NewTopics { partitions: 6, replication: None };
        match needs {
            Needs::Log => {}
            Needs::Handler(aggregate_type) => node.start_handler(app, aggregate_type, topics)?,
            Needs::View(name) => {
                node.start_view(app, name, &views, topics)?;
                node.wait_until_idle(|what| output::note(&format!("waiting for {what}")))?;
            }
        }
        let service = LocalService::new(app.clone(), environment, views);
        Ok(Session { service: Box::new(service), node: Some(node) })
    }

    /// The log for a verb that needs what runs on it to be down, and where its views are without --views.
    ///
    /// # Errors
    /// `Conflict` while a process holds the embedded log; `Invalid` when there is none.
    pub(super) fn at_rest(&self, verb: &str) -> Result<(Environment, Database)> {
        match self.holder()? {
            Holder::Here(environment, views) => Ok((environment, views)),
            Holder::Owner(address) => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "the process at {address} holds the log in {} and runs everything on it: end it (`up` ends with \
                     Ctrl-C), then run `{verb}` again; nothing was changed",
                    self.data.display()
                ),
            )),
        }
    }

    /// Who does a verb's errands with the log: the process that serves the embedded log, or this one. `views` is where
    /// they are if the user says it.
    ///
    /// # Errors
    /// `Invalid` when there is no log.
    pub(super) fn doer(&self, app: &Arc<App>, views: Option<&Database>) -> Result<Doer> {
        Ok(match self.holder()? {
            Holder::Owner(owner) => Doer::AtOwner(AtOwner::new(owner, views)?),
            Holder::Here(environment, default) => {
                Doer::Here(Here::new(app.clone(), environment, views.cloned().unwrap_or(default)))
            }
        })
    }

    /// The same for errands that need the views' database and no log.
    pub(super) fn doer_without_log(&self, app: &Arc<App>, views: Option<&Database>) -> Result<Doer> {
        if let Some(owner) = self.serving_owner()? {
            return Ok(Doer::AtOwner(AtOwner::new(owner, views)?));
        }
        let database = views.cloned().unwrap_or_else(|| self.default_views());
        Ok(Doer::Here(Here::without_log(app.clone(), database)))
    }

    fn holder(&self) -> Result<Holder> {
        let folder = match self.place() {
            Place::Kafka => {
                let environment = self.connect_cluster()?.environment;
                return Ok(Holder::Here(environment, self.default_views()));
            }
            Place::Embedded(folder) => folder,
        };
        match self.reach(&folder, false)? {
            Reached::Owner(address) => Ok(Holder::Owner(address)),
            Reached::Log(log) => Ok(Holder::Here(self.connected(log)?.environment, self.default_views())),
            Reached::Nothing => Err(Error::invalid(format!(
                "there is no log in {}: --data names another, --kafka a cluster",
                folder.display()
            ))),
        }
    }

    /// The process that serves the embedded log, if one does.
    fn serving_owner(&self) -> Result<Option<SocketAddr>> {
        match self.place() {
            Place::Kafka => Ok(None),
            Place::Embedded(folder) => Ok(owner(&folder)?.and_then(|owner| owner.http)),
        }
    }

    /// Where views are that no flag names.
    fn default_views(&self) -> Database {
        match self.place() {
            Place::Kafka => Database::file("factum-views.sqlite"),
            Place::Embedded(folder) => Database::file(folder.join("views.sqlite")),
        }
    }

    /// The process that serves a folder's log, or that log itself. Another verb that holds it without serving is
    /// waited for.
    fn reach(&self, folder: &Path, begins: bool) -> Result<Reached> {
        let begun = Instant::now();
        loop {
            let owner = owner(folder)?;
            if let Some(address) = owner.as_ref().and_then(|owner| owner.http) {
                return Ok(Reached::Owner(address));
            }
            if owner.is_none() {
                if !begins && !folder.join("log").exists() {
                    return Ok(Reached::Nothing);
                }
                make_folder(folder)?;
                match EmbeddedLog::open(folder, EmbeddedConfig::default()) {
                    Err(error) if error.kind() == ErrorKind::Fenced && begun.elapsed() < OWNER_WAIT => {}
                    opened => return Ok(Reached::Log(Arc::new(opened?))),
                }
            }
            if let Some(owner) = owner.filter(|_| begun.elapsed() >= OWNER_WAIT) {
                return Err(Error::new(
                    ErrorKind::Fenced,
                    format!(
                        "process {} holds the log in {} and serves nobody; try again when it has ended",
                        owner.pid,
                        folder.display()
                    ),
                ));
            }
            std::thread::sleep(OWNER_LOOK);
        }
    }

    /// A log with its registry.
    fn connected(&self, log: Arc<dyn Log>) -> Result<Connected> {
        let (registry, in_log): (Arc<dyn Registry>, _) = match self.registry.over_http()? {
            Some(registry) => (Arc::new(registry), None),
            None => {
                let registry = Arc::new(LogRegistry::open(log.clone(), self.replication)?);
                (registry.clone(), Some(registry))
            }
        };
        let schemas = match &self.schema_cache {
            Some(folder) => SchemaCache::on_disk(registry, folder)?,
            None => SchemaCache::in_memory(registry),
        };
        let log = PassOver::around(log, &self.pass_over)?;
        let environment = Environment { log, schemas: Arc::new(schemas), prefix: self.prefix.clone() };
        Ok(Connected { environment, registry: in_log })
    }

    /// Stands in front of every topic's name.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The registry that people's verbs talk to; none where none is named and there is no log.
    pub(super) fn schema_registry(&self) -> Result<Option<SchemaRegistry>> {
        if let Some(client) = self.registry.client()? {
            return Ok(Some(SchemaRegistry::Http(client)));
        }
        let log: Arc<dyn Log> = match self.place() {
            Place::Kafka => Arc::new(KafkaLog::new(self.kafka_settings()?)?),
            Place::Embedded(folder) => match self.reach(&folder, false)? {
                Reached::Owner(address) => {
                    let client = RegistryClient::new(&format!("http://{address}/registry"), &Access::default())?;
                    return Ok(Some(SchemaRegistry::Http(client)));
                }
                Reached::Nothing => return Ok(None),
                Reached::Log(log) => log,
            },
        };
        Ok(Some(SchemaRegistry::Log(Arc::new(LogRegistry::open(log, self.replication)?))))
    }

    /// Who reads the log, and the registry beside it, for verbs that make do with one of the two.
    pub(super) fn log_and_registry(&self) -> Result<(Reading, Option<SchemaRegistry>)> {
        let connected = match self.place() {
            Place::Kafka => self.connect_cluster()?,
            Place::Embedded(folder) => match self.reach(&folder, false)? {
                Reached::Log(log) => self.connected(log)?,
                Reached::Owner(address) => return Ok((Reading::AtOwner(address), self.schema_registry()?)),
                Reached::Nothing => {
                    output::note(&format!(
                        "there is no log in {}, so none is read: --data names another, --kafka a cluster",
                        folder.display()
                    ));
                    return Ok((Reading::Nothing, self.schema_registry()?));
                }
            },
        };
        let in_log = connected.registry.map(SchemaRegistry::Log);
        let registry = in_log.or(self.registry.client()?.map(SchemaRegistry::Http));
        Ok((Reading::Here(connected.environment), registry))
    }

    /// Starts the local Kafka if it is the cluster and does not run.
    pub(super) fn start_local_kafka(&self) -> Result<()> {
        if let Some(local) = self.local_kafka()?.filter(|local| local.running().is_err()) {
            let cluster = local.start(Wishes::default(), output::note)?;
            output::note(&format!("the local Kafka runs at {}; `factum kafka stop` stops it", cluster.bootstrap()));
        }
        Ok(())
    }

    /// The local Kafka, if it is the cluster.
    fn local_kafka(&self) -> Result<Option<LocalKafka>> {
        let is_local = self.kafka.as_deref() == Some(LOCAL);
        is_local.then(|| LocalKafka::in_folder(self.kafka_data.clone())).transpose()
    }

    /// The settings of the Kafka client.
    pub(super) fn kafka_settings(&self) -> Result<KafkaConfig> {
        let mut config = match &self.kafka_config {
            Some(file) => KafkaConfig::from_properties_file(file)?,
            None => KafkaConfig::default(),
        };
        if let Some(brokers) = &self.kafka {
            let brokers = match self.local_kafka()? {
                Some(local) => local.running()?.0.bootstrap(),
                None => brokers.clone(),
            };
            config = config.merge(KafkaConfig::bootstrap(brokers));
        }
        Ok(config)
    }
}

/// Makes the data folder; version control passes it over.
fn make_folder(folder: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::invalid(format!("the data folder {} cannot be used: {error}; --data names another", folder.display()))
    };
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(failed)?;
        fs::write(folder.join(".gitignore"), "*\n").map_err(failed)?;
    }
    Ok(())
}
