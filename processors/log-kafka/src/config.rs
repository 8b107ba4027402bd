//! Properties: what the user sets, what the protocols fix, and our defaults.

use factum_core::{
    Error, Result,
    log::{GroupOptions, GroupProtocol, Isolation, TransactionOptions},
};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel, error::KafkaError};
use std::{collections::BTreeMap, fmt, path::Path};

/// librdkafka's properties for every client of a cluster. Printing it masks secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Properties by librdkafka's names (`bootstrap.servers`, `security.protocol`, …).
    pub properties: BTreeMap<String, String>,
}

/// Where librdkafka's own default is wrong for us; a user's value wins.
const DEFAULTS: &[(&str, &str)] = &[
    // Paces the retry after each commit, whose default of 100 ms is most of a small transaction's time.
    ("retry.backoff.ms", "5"),
    ("retry.backoff.max.ms", "500"),
    // A partition whose queue is full would not be fetched for a second.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.error.backoff.ms", "100"),
    ("queued.max.messages.kbytes", "16384"),
    ("queue.buffering.max.messages", "1000000"),
    ("linger.ms", "1"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.connection.setup.timeout.ms", "8000"),
    ("socket.nagle.disable", "true"),
];

/// The longest pause between the heartbeats of a member of a classic group. librdkafka looks whether one is due
/// twice a second.
const HEARTBEAT_MS: u128 = 250;

/// What the protocols fix, with the only value that a user may repeat (none: not at all).
const OURS: &[(&str, Option<&str>)] = &[
    ("acks", Some("all")),
    ("allow.auto.create.topics", Some("false")),
    ("auto.offset.reset", Some("error")),
    ("enable.auto.commit", Some("false")),
    ("auto.commit.enable", Some("false")),
    ("enable.auto.offset.store", Some("false")),
    ("enable.idempotence", Some("true")),
    ("enable.partition.eof", Some("true")),
    ("group.id", None),
    ("group.instance.id", None),
    ("group.protocol", None),
    ("group.remote.assignor", None),
    ("isolation.level", None),
    ("log.queue", Some("true")),
    ("partition.assignment.strategy", Some("cooperative-sticky")),
    ("request.required.acks", Some("-1")),
    ("session.timeout.ms", None),
    ("transaction.timeout.ms", None),
    ("transactional.id", None),
];

impl KafkaConfig {
    /// A plaintext cluster at `HOST:PORT[,HOST:PORT…]`.
    pub fn bootstrap(servers: impl Into<String>) -> Self {
        Self::default().with("bootstrap.servers", servers)
    }

    /// Sets one property.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    /// Reads lines of `name=value`; blank lines and those that begin with `#` or `!` are comments.
    ///
    /// # Errors
    /// `Invalid` for a file that cannot be read and a line that is none of these.
    pub fn from_properties_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::invalid(format!("cannot read the properties file {}: {e}", path.display())))?;
        Self::from_properties(&text).map_err(|e| e.context(path.display()))
    }

    /// Reads the text of a properties file.
    ///
    /// # Errors
    /// `Invalid` for a line that is neither `name=value` nor a comment.
    pub fn from_properties(text: &str) -> Result<Self> {
        let mut config = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            // The line is not repeated in the message: it may hold a secret.
            let (name, value) =
                line.split_once('=').ok_or_else(|| Error::invalid(format!("line {} is not name=value", index + 1)))?;
            config.properties.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        Ok(config)
    }

    /// Adds the properties of `other`, which win.
    #[must_use]
    pub fn merge(mut self, other: KafkaConfig) -> Self {
        self.properties.extend(other.properties);
        self
    }

    /// The servers, for messages.
    pub fn servers(&self) -> &str {
        self.get("bootstrap.servers").or_else(|| self.get("metadata.broker.list")).unwrap_or("(no bootstrap.servers)")
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.get("bootstrap.servers").is_none() && self.get("metadata.broker.list").is_none() {
            return Err(Error::invalid("the property bootstrap.servers is missing"));
        }
        for (name, allowed) in OURS {
            if let Some(value) = self.get(name) {
                match allowed {
                    Some(allowed) if value == *allowed => {}
                    Some(allowed) => {
                        return Err(Error::invalid(format!(
                            "the property {name}={value} conflicts with the protocol, which needs {allowed}: leave it out"
                        )));
                    }
                    None => {
                        return Err(Error::invalid(format!(
                            "the property {name} is set for each client by the protocol: leave it out"
                        )));
                    }
                }
            }
        }
        let secured = self.get("security.protocol").is_some_and(|p| !p.eq_ignore_ascii_case("plaintext"));
        if secured && !cfg!(feature = "tls") {
            return Err(Error::invalid(format!(
                "security.protocol={} needs a build with the Cargo feature `tls`",
                self.get("security.protocol").unwrap_or_default()
            )));
        }
        self.base().create_native_config().map_err(|e| invalid_property(&e))?;
        Ok(())
    }

    /// For admin requests.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.base()
    }

    /// For an idempotent producer.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config.set("enable.idempotence", "true").set("acks", "all");
        config
    }

    /// For a transactional producer.
    pub(crate) fn transactional(&self, options: &TransactionOptions) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("transactional.id", &options.transactional_id)
            .set("transaction.timeout.ms", options.timeout.as_millis().to_string());
        config
    }

    /// For partitions by name.
    pub(crate) fn reader(&self, isolation: Isolation) -> ClientConfig {
        let mut config = self.consumer(isolation);
        // librdkafka assigns nothing without a group; this one is never joined nor committed to.
        config.set("group.id", "factum-reader");
        config
    }

    /// For a member of a group.
    pub(crate) fn group(&self, options: &GroupOptions) -> ClientConfig {
        let mut config = self.consumer(Isolation::ReadCommitted);
        config.set("group.id", &options.group);
        if let Some(instance) = &options.instance_id {
            config.set("group.instance.id", instance);
        }
        if self.get("max.poll.interval.ms").is_none() {
            // librdkafka's heartbeats go on while nobody polls: without this a member that hangs keeps
            // its partitions for five minutes.
            config.set("max.poll.interval.ms", options.session_timeout.as_millis().to_string());
        }
        match options.protocol {
            GroupProtocol::Classic => {
                config
                    .set("group.protocol", "classic")
                    .set("partition.assignment.strategy", "cooperative-sticky")
                    .set("session.timeout.ms", options.session_timeout.as_millis().to_string());
                if self.get("heartbeat.interval.ms").is_none() {
                    // Members learn of a rebalance with a heartbeat, and a partition that moves waits for two.
                    let heartbeat = (options.session_timeout.as_millis() / 10).clamp(1, HEARTBEAT_MS);
                    config.set("heartbeat.interval.ms", heartbeat.to_string());
                }
            }
            GroupProtocol::Consumer => {
                // The broker's group configuration decides these; librdkafka refuses them (KIP-848).
                config.set("group.protocol", "consumer").remove("heartbeat.interval.ms");
            }
        }
        config
    }

    fn consumer(&self, isolation: Isolation) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            // The only sign of control records at the end of a partition.
            .set("enable.partition.eof", "true")
            .set(
                "isolation.level",
                match isolation {
                    Isolation::ReadCommitted => "read_committed",
                    Isolation::ReadUncommitted => "read_uncommitted",
                },
            );
        config
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in DEFAULTS {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }
}

/// The error for a client that cannot be made, with the property but never its value.
pub(crate) fn invalid_property(error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, _, name, _) if is_secret(name) => {
            Error::invalid(format!("the property {name} is refused"))
        }
        KafkaError::ClientConfig(_, description, name, _) => {
            Error::invalid(format!("the property {name} is refused: {description}"))
        }
        other => Error::invalid(format!("cannot make a client: {other}")),
    }
}

fn is_secret(name: &str) -> bool {
    ["password", "secret", "key.pem", "private.key", "oauthbearer.config", "jaas", "passphrase"]
        .iter()
        .any(|part| name.contains(part))
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&String, &String)| {
            (name.clone(), if is_secret(name) { "***".to_owned() } else { value.clone() })
        };
        f.debug_map().entries(self.properties.iter().map(shown)).finish()
    }
}

impl fmt::Display for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.properties.iter().enumerate() {
            let gap = if index == 0 { "" } else { ", " };
            write!(f, "{gap}{name}={}", if is_secret(name) { "***" } else { value })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: KafkaConfig) -> String {
        let error = config.check().expect_err("refused");
        assert_eq!(error.kind(), factum_core::ErrorKind::Invalid);
        error.to_string()
    }

    fn local() -> KafkaConfig {
        KafkaConfig::bootstrap("localhost:9092")
    }

    #[test]
    fn an_unknown_or_ill_property_is_named() {
        assert!(refusal(local().with("no.such.thing", "1")).contains("no.such.thing"));
        assert!(refusal(local().with("linger.ms", "soon")).contains("linger.ms"));
        assert!(refusal(KafkaConfig::default()).contains("bootstrap.servers"));
    }

    #[test]
    fn what_the_protocols_fix_cannot_be_changed() {
        for (name, allowed) in OURS {
            assert!(refusal(local().with(*name, "something else")).contains(name), "{name}");
            if let Some(allowed) = allowed {
                local().with(*name, *allowed).check().unwrap_or_else(|e| panic!("{name}={allowed}: {e}"));
            }
        }
    }

    #[test]
    fn a_secured_cluster_needs_the_feature() {
        let config = local().with("security.protocol", "SASL_SSL");
        if cfg!(feature = "tls") {
            config.check().expect("taken");
        } else {
            assert!(refusal(config).contains("feature `tls`"));
        }
        local().with("security.protocol", "plaintext").check().expect("taken");
    }

    #[test]
    fn secrets_are_never_printed() {
        let config = local().with("sasl.password", "hunter2").with("ssl.key.password", "hunter2");
        for printed in [format!("{config:?}"), config.to_string()] {
            assert!(!printed.contains("hunter2") && printed.contains("localhost:9092"), "{printed}");
        }
    }

    #[test]
    fn a_properties_file_is_read_and_merged() {
        let file = KafkaConfig::from_properties("# comment\n! too\n\n a.b = c=d \nclient.id=x\n").unwrap();
        assert_eq!(file.properties["a.b"], "c=d");
        let merged = file.merge(KafkaConfig::default().with("client.id", "y"));
        assert_eq!(merged.properties["client.id"], "y");
        let error = KafkaConfig::from_properties("a=b\nsecret words").unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret words"), "{error}");
    }

    #[test]
    fn a_users_tuning_wins_over_the_defaults() {
        let config = local().with("linger.ms", "7").producer();
        assert_eq!(config.get("linger.ms"), Some("7"));
        assert_eq!(config.get("retry.backoff.ms"), Some("5"));
    }
}
