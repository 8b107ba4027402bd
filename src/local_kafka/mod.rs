//! A real Kafka on this machine for development: in containers where a Docker
//! engine answers and has the image, else as JVMs. Its data stay between runs.

mod docker;
mod jvm;

use factum_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    env, fmt, fs, io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

/// The version of Apache Kafka.
pub(crate) const VERSION: &str = "4.3.0";
/// The port of the first broker.
const PORT: u16 = 9092;
/// The most brokers.
const MAX_BROKERS: u16 = 9;
/// What is kept in the data folder about the cluster.
const RECORD: &str = "local.json";
/// What brokers need in any number.
const SETTINGS: &str = include_str!("../../deploy/kafka/broker.properties");

/// The local Kafka of one data folder.
#[derive(Debug, Clone)]
pub(crate) struct LocalKafka {
    data: PathBuf,
}

/// How brokers are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// One container each.
    Docker,
    /// One JVM each (Java 17 or newer; Maven for the first start).
    Jvm,
}

/// What a start asks for; nothing means: as before, or the usual.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wishes {
    /// How many brokers.
    pub(crate) brokers: Option<u16>,
    /// The port of the first one; the others' follow.
    pub(crate) port: Option<u16>,
    /// How they are run.
    pub(crate) way: Option<Way>,
}

/// A cluster that was started once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// How its brokers are run.
    pub(crate) way: Way,
    /// How many there are.
    pub(crate) brokers: u16,
    /// The port of the first one.
    pub(crate) port: u16,
}

impl Cluster {
    /// Every broker's address, with commas.
    pub(crate) fn bootstrap(&self) -> String {
        let address = |broker: u16| format!("127.0.0.1:{}", self.port.saturating_add(broker));
        (0..self.brokers).map(address).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Docker => "docker",
            Way::Jvm => "jvm",
        })
    }
}

impl LocalKafka {
    /// In that folder, or in the user's own for data.
    ///
    /// # Errors
    /// `Invalid` when there is no home to have one in.
    pub(crate) fn in_folder(data: Option<PathBuf>) -> Result<Self> {
        let data = match data {
            Some(data) => data,
            None => user_folder("XDG_DATA_HOME", ".local/share")?.join("kafka"),
        };
        let data = std::path::absolute(&data)
            .map_err(|error| Error::invalid(format!("the folder {} cannot be used: {error}", data.display())))?;
        Ok(LocalKafka { data })
    }

    /// Where its data and logs are.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The cluster that was started in the folder, whether it runs or not.
    ///
    /// # Errors
    /// `Invalid` for a record that cannot be read.
    pub(crate) fn cluster(&self) -> Result<Option<Cluster>> {
        let path = self.data.join(RECORD);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::invalid(format!("{} cannot be read: {error}", path.display()))),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Error::invalid(format!("{} is no record of a cluster: {error}", path.display())))
    }

    /// Starts it and waits until it is ready; one that runs is left alone.
    /// `tell` hears what takes long.
    ///
    /// # Errors
    /// `Invalid` for wishes that its data do not fit; `Unavailable` with what is missing or failed.
    pub(crate) fn start(&self, wishes: Wishes, tell: impl Fn(&str)) -> Result<Cluster> {
        let before = self.cluster()?;
        if before.is_none() {
            self.is_ours_or_empty()?;
        }
        let cluster = planned(before.as_ref(), wishes, || docker::ready(&tell))?;
        if self.broker_lines(&cluster).is_ok() {
            return Ok(cluster);
        }
        if before.is_none() {
            free_ports(&cluster)?;
        }
        fs::create_dir_all(&self.data)
            .map_err(|error| Error::invalid(format!("{} cannot be made: {error}", self.data.display())))?;
        tell(&format!("starting Kafka {VERSION} ({}) in {}", cluster.way, self.data.display()));
        match cluster.way {
            Way::Docker => docker::start(&self.data, &cluster)?,
            Way::Jvm => jvm::start(&self.data, &cluster)?,
        }
        let record = serde_json::to_string(&cluster).map_err(|error| Error::invalid(error.to_string()))?;
        fs::write(self.data.join(RECORD), record)
            .map_err(|error| Error::invalid(format!("{} cannot be written to: {error}", self.data.display())))?;
        Ok(cluster)
    }

    /// Stops all brokers; their data stay. Without a cluster nothing happens.
    ///
    /// # Errors
    /// `Unavailable` when one cannot be stopped.
    pub(crate) fn stop(&self) -> Result<Option<Cluster>> {
        let Some(cluster) = self.cluster()? else { return Ok(None) };
        match cluster.way {
            Way::Docker => docker::stop(&self.data, &cluster)?,
            Way::Jvm => jvm::stop(&self.data)?,
        }
        Ok(Some(cluster))
    }

    /// Deletes what a stopped cluster has kept.
    ///
    /// # Errors
    /// `Unavailable` for containers' data that cannot be removed, `Invalid` for the folder.
    pub(crate) fn delete(&self, cluster: &Cluster) -> Result<()> {
        if cluster.way == Way::Docker {
            docker::delete(&self.data, cluster)?;
        }
        fs::remove_dir_all(&self.data)
            .map_err(|error| Error::invalid(format!("{} cannot be removed: {error}", self.data.display())))
    }

    /// The cluster if all of it runs, with a line about each broker.
    ///
    /// # Errors
    /// `Unavailable` when there is none or it does not run, with the command that starts it.
    pub(crate) fn running(&self) -> Result<(Cluster, Vec<String>)> {
        let not_running = |why: String| {
            Error::unavailable(format!("the local Kafka in {} {why}: `factum kafka start`", self.data.display()))
        };
        let cluster = self.cluster()?.ok_or_else(|| not_running("was never started".to_owned()))?;
        let lines = self.broker_lines(&cluster).map_err(|down| not_running(format!("does not run ({down})")))?;
        Ok((cluster, lines))
    }

    /// A line about each broker; or what of it is down.
    fn broker_lines(&self, cluster: &Cluster) -> Result<Vec<String>, String> {
        match cluster.way {
            Way::Docker => docker::status(&self.data, cluster),
            Way::Jvm => jvm::status(&self.data),
        }
    }

    /// Other people's files would be deleted with the data.
    fn is_ours_or_empty(&self) -> Result<()> {
        let Ok(mut inside) = fs::read_dir(&self.data) else { return Ok(()) };
        if inside.next().is_none() || self.data.join("cluster").exists() {
            return Ok(());
        }
        Err(Error::invalid(format!("{} holds other things: name an empty folder with --data", self.data.display())))
    }
}

/// What is started: as before, as wished, or the usual. `docker` says why
/// containers cannot be run here, and is asked only when that decides.
///
/// # Errors
/// `Invalid` for wishes that differ from what the data were made with, and for
/// a number of brokers or ports that there is not; `Unavailable` for Docker asked for and absent.
fn planned(before: Option<&Cluster>, wishes: Wishes, docker: impl FnOnce() -> Result<(), String>) -> Result<Cluster> {
    if let Some(before) = before {
        let differs = |what: &str, was: &dyn fmt::Display, asked: &dyn fmt::Display| {
            Error::invalid(format!(
                "this local Kafka has {what} {was}, not {asked}: leave it out, begin anew with \
                 `factum kafka stop --delete-data`, or name another folder with --data"
            ))
        };
        if let Some(brokers) = wishes.brokers.filter(|brokers| *brokers != before.brokers) {
            return Err(differs("--brokers", &before.brokers, &brokers));
        }
        if let Some(port) = wishes.port.filter(|port| *port != before.port) {
            return Err(differs("--port", &before.port, &port));
        }
        if let Some(way) = wishes.way.filter(|way| *way != before.way) {
            return Err(differs("--with", &before.way, &way));
        }
        return Ok(before.clone());
    }
    let (brokers, port) = (wishes.brokers.unwrap_or(1), wishes.port.unwrap_or(PORT));
    if !(1..=MAX_BROKERS).contains(&brokers) {
        return Err(Error::invalid(format!("--brokers takes 1 to {MAX_BROKERS}, not {brokers}")));
    }
    if port == 0 || port.checked_add(2 * brokers).is_none() {
        return Err(Error::invalid(format!("--port {port} leaves no {} ports in a row", 2 * brokers)));
    }
    let way = match wishes.way {
        Some(Way::Jvm) => Way::Jvm,
        Some(Way::Docker) => {
            docker().map_err(|why| Error::unavailable(format!("{why}; --with jvm does without")))?;
            Way::Docker
        }
        None if docker().is_ok() => Way::Docker,
        None => Way::Jvm,
    };
    Ok(Cluster { way, brokers, port })
}

/// Whether the brokers of a new cluster can have their ports.
fn free_ports(cluster: &Cluster) -> Result<()> {
    let mut ports = (0..cluster.brokers).map(|broker| cluster.port.saturating_add(broker));
    match ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err()) {
        Some(port) => {
            Err(Error::unavailable(format!("port {port} is taken by another program: choose another with --port")))
        }
        None => Ok(()),
    }
}

/// A folder of the user's own for this program.
pub(crate) fn user_folder(variable: &str, below_home: &str) -> Result<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = named.or_else(|| env::home_dir().map(|home| home.join(below_home)));
    folder
        .map(|folder| folder.join("factum"))
        .ok_or_else(|| Error::invalid(format!("there is no home folder: set {variable}, or name a folder with --data")))
}

#[cfg(test)]
mod tests;
