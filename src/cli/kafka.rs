//! `kafka`: a real Kafka on this machine, for development.

use super::output;
use crate::local_kafka::{LocalKafka, VERSION, Way, Wishes};
use clap::{Args, Subcommand};
use factum_core::Result;
use factum_log_kafka::{KafkaConfig, KafkaLog};
use std::path::PathBuf;

/// Start, stop or look at a real Kafka on this machine, for development.
///
/// It runs in containers where a Docker engine answers and has the image, else as JVMs (Java 17 or
/// newer; Maven for the first start). Its data stay between runs. `--kafka local` is it, behind
/// every verb.
///
/// Example: factum kafka start && factum up --kafka local
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum KafkaVerb {
    /// Start it, and print its address. One that runs is left alone.
    Start(StartArgs),
    /// Stop it. Its data stay.
    Stop(StopArgs),
    /// Show its brokers, version, data folder and topics; fails unless all brokers run.
    Status(FolderArgs),
}

#[derive(Debug, Args)]
pub(super) struct FolderArgs {
    /// The folder of its data and logs; without it factum/kafka in the user's folder for data.
    #[arg(long, env = "FACTUM_KAFKA_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// How many brokers; from three on everything is replicated three times.
    #[arg(long, env = "FACTUM_KAFKA_BROKERS", value_name = "N")]
    brokers: Option<u16>,
    /// The port of the first broker, 9092 at first; the others' follow.
    #[arg(long, env = "FACTUM_KAFKA_PORT", value_name = "PORT")]
    port: Option<u16>,
    /// How brokers are run.
    #[arg(long = "with", env = "FACTUM_KAFKA_WITH", value_name = "WAY")]
    way: Option<Way>,
    #[command(flatten)]
    folder: FolderArgs,
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// Delete its data too.
    #[arg(long)]
    delete_data: bool,
    #[command(flatten)]
    folder: FolderArgs,
}

pub(super) fn kafka(verb: &KafkaVerb) -> Result<()> {
    match verb {
        KafkaVerb::Start(args) => start(args),
        KafkaVerb::Stop(args) => stop(args),
        KafkaVerb::Status(args) => status(args),
    }
}

fn start(args: &StartArgs) -> Result<()> {
    let kafka = LocalKafka::in_folder(args.folder.data.clone())?;
    let wishes = Wishes { brokers: args.brokers, port: args.port, way: args.way };
    let cluster = kafka.start(wishes, output::note)?;
    output::note("use it with `--kafka local` (or FACTUM_KAFKA=local); stop it with `factum kafka stop`");
    output::line(&cluster.bootstrap());
    Ok(())
}

fn stop(args: &StopArgs) -> Result<()> {
    let kafka = LocalKafka::in_folder(args.folder.data.clone())?;
    let Some(cluster) = kafka.stop()? else {
        output::note(&format!("there is no local Kafka in {}", kafka.data().display()));
        return Ok(());
    };
    if args.delete_data {
        kafka.delete(&cluster)?;
        output::note(&format!("stopped; the data in {} are deleted", kafka.data().display()));
    } else {
        output::note(&format!("stopped; the data stay in {} (--delete-data deletes them)", kafka.data().display()));
    }
    Ok(())
}

fn status(args: &FolderArgs) -> Result<()> {
    let kafka = LocalKafka::in_folder(args.data.clone())?;
    let (cluster, brokers) = kafka.running()?;
    brokers.iter().for_each(|line| output::line(line));
    let topics = KafkaLog::new(KafkaConfig::bootstrap(cluster.bootstrap()))?.topics()?.len();
    output::line(&format!("Kafka {VERSION} ({}), {topics} topics, data in {}", cluster.way, kafka.data().display()));
    output::line(&cluster.bootstrap());
    Ok(())
}
