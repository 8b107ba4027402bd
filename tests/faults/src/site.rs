//! The deployment under test: brokers, database, registry, handlers, views, clients.

use crate::{
    brokers::{BROKERS, Brokers},
    database::Server,
    draw::Draw,
    network::Network,
    options::RunArgs,
    process::Process,
    report::say,
    script,
};
use factum::{Aggregate, Error, Result};
use factum_bank::Account;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Handler N is this node plus N in the network; brokers come first.
const FIRST_HANDLER: u8 = 11;
pub(crate) const HANDLERS: u8 = 2;
pub(crate) const VIEWS: u8 = 2;
pub(crate) const CLIENTS: u8 = 2;
/// Partitions of every topic.
pub(crate) const PARTITIONS: u32 = 6;

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Site {
    // Clients go before what they use.
    pub(crate) clients: Vec<Process>,
    pub(crate) views: Vec<Process>,
    pub(crate) handlers: Vec<Process>,
    pub(crate) registry: Process,
    pub(crate) database: Server,
    pub(crate) brokers: Brokers,
    pub(crate) network: Network,
    pub(crate) journals: Vec<PathBuf>,
    /// What the seed chose, for people.
    pub(crate) choices: String,
}

impl Site {
    /// Starts everything but the clients.
    ///
    /// # Errors
    /// `Unavailable` with what is missing.
    pub(crate) fn start(args: &RunArgs, folder: &Path) -> Result<Self> {
        let factum = binary(args.factum.as_deref())?;
        let logs = folder.join("logs");
        let failed = |error: std::io::Error| Error::unavailable(format!("{}: {error}", folder.display()));
        fs::create_dir_all(&logs).map_err(failed)?;
        let network = match args.without_cuts {
            true => Network::Loopback,
            false => Network::with_cuts(&nodes().collect::<Vec<_>>())?,
        };
        say("starting three brokers, PostgreSQL and the schema registry");
        let brokers = Brokers::start(&folder.join("kafka"), args.kafka_port, &network)?;
        let database = Server::start(&folder.join("postgres"), args.postgres_port)?;
        let kafka = brokers.bootstrap().to_owned();
        let (machine, port) = (network.machine(), args.registry_port);
        let registry = format!("http://{machine}:{port}");
        let mine = own_program()?;

        let serve = ["registry", "--kafka", &kafka, "--listen", &format!("{machine}:{port}")];
        let serve = [mine.clone()].into_iter().chain(serve.map(str::to_owned)).collect();
        let mut site = Site {
            clients: Vec::new(),
            views: Vec::new(),
            handlers: Vec::new(),
            registry: Process::new("registry", serve, Vec::new(), &logs),
            database,
            brokers,
            network,
            journals: Vec::new(),
            choices: String::new(),
        };
        site.registry.start()?;
        let create = ["topics", "create", Account::TYPE, "--partitions", &PARTITIONS.to_string(), "--kafka", &kafka];
        script::run(&factum, create)?;

        let choices = Choices::of(args.seed);
        site.choices = choices.told();
        let variables = |name: &str| {
            vec![
                ("FACTUM_KAFKA", kafka.clone()),
                ("FACTUM_REGISTRY", registry.clone()),
                ("FACTUM_VIEWS", site.database.url().to_owned()),
                // A restart must not need the registry.
                ("FACTUM_SCHEMA_CACHE", folder.join("schemas").join(name).to_string_lossy().into_owned()),
                ("FACTUM_LOG", "info".to_owned()),
            ]
        };
        for number in 1..=HANDLERS {
            let name = format!("handler-{number}");
            let mut command = site.network.enter(handler_node(number));
            command.push(factum.clone());
            command.extend(choices.handler(&name));
            site.handlers.push(Process::new(&name, command, variables(&name), &logs));
        }
        for number in 1..=VIEWS {
            let name = format!("view-{number}");
            let command = [factum.clone()].into_iter().chain(choices.view(&name)).collect();
            site.views.push(Process::new(&name, command, variables(&name), &logs));
        }
        for number in 1..=CLIENTS {
            let name = format!("client-{number}");
            let home = folder.join(&name);
            fs::create_dir_all(home.join("schemas")).map_err(failed)?;
            let rate = (args.rate / u32::from(CLIENTS)).max(1).to_string();
            let (seed, home_text) = (args.seed.to_string(), home.to_string_lossy().into_owned());
            let command = [
                &mine,
                "client",
                "--kafka",
                &kafka,
                "--registry",
                &registry,
                "--views",
                site.database.url(),
                "--name",
                &name,
                "--folder",
                &home_text,
                "--rate",
                &rate,
                "--seed",
                &seed,
            ];
            site.clients.push(Process::new(&name, command.map(str::to_owned).to_vec(), Vec::new(), &logs));
            site.journals.push(home.join("journal"));
        }
        for process in site.handlers.iter_mut().chain(&mut site.views) {
            process.start()?;
        }
        Ok(site)
    }

    /// Starts again what ended by itself.
    ///
    /// # Errors
    /// `Unavailable` when one cannot be started.
    pub(crate) fn tend(&mut self) -> Result<()> {
        self.tend_servers()?;
        self.clients.iter_mut().try_for_each(Process::tend)
    }

    /// The same without the clients, which end when they were told to.
    ///
    /// # Errors
    /// As [`Site::tend`].
    pub(crate) fn tend_servers(&mut self) -> Result<()> {
        self.brokers.touch();
        self.handlers.iter_mut().chain(&mut self.views).chain([&mut self.registry]).try_for_each(Process::tend)
    }
}

/// What the seed chooses for a run.
#[derive(Debug)]
struct Choices {
    handlers: Membership,
    views: Membership,
}

/// How processes belong to their group.
#[derive(Debug)]
struct Membership {
    protocol: &'static str,
    /// Whether they keep their names over restarts, and so their partitions (KIP-345).
    named: bool,
}

impl Choices {
    fn of(seed: u64) -> Self {
        let mut draw = Draw::new(seed, 1);
        let mut membership =
            || Membership { protocol: ["classic", "consumer"][draw.index(2)], named: draw.below(2) == 0 };
        Choices { handlers: membership(), views: membership() }
    }

    fn told(&self) -> String {
        format!("handlers: {}; views: {}", self.handlers.told(), self.views.told())
    }

    fn handler(&self, name: &str) -> Vec<String> {
        // Small, so that recoveries read all kinds of records.
        let often = ["--transaction-timeout-ms", "8000", "--snapshot-every", "20", "--checkpoint-every", "1000"];
        let run = ["run", "handler", Account::TYPE].iter().chain(&often).map(|word| (*word).to_owned());
        run.chain(self.handlers.flags(name)).collect()
    }

    fn view(&self, name: &str) -> Vec<String> {
        let run = ["run", "view", "balances"].map(str::to_owned);
        run.into_iter().chain(self.views.flags(name)).collect()
    }
}

impl Membership {
    fn told(&self) -> String {
        format!("{} members, protocol {}", if self.named { "static" } else { "dynamic" }, self.protocol)
    }

    fn flags(&self, name: &str) -> Vec<String> {
        let mut flags = vec!["--group-protocol", self.protocol, "--session-timeout-ms", "6000"];
        if self.named {
            flags.extend(["--instance-id", name]);
        }
        flags.into_iter().map(str::to_owned).collect()
    }
}

fn nodes() -> impl Iterator<Item = u8> {
    (1..=BROKERS).chain((1..=HANDLERS).map(handler_node))
}

/// A handler's node in the network.
pub(crate) fn handler_node(number: u8) -> u8 {
    FIRST_HANDLER - 1 + number
}

fn own_program() -> Result<String> {
    let program = env::current_exe().map_err(|error| Error::invalid(format!("this program has no path: {error}")))?;
    Ok(program.to_string_lossy().into_owned())
}

/// The binary under test. Under `cargo run` it is built first: one of yesterday would prove nothing.
fn binary(named: Option<&Path>) -> Result<String> {
    if let Some(named) = named {
        return Ok(named.to_string_lossy().into_owned());
    }
    let mine = PathBuf::from(own_program()?);
    if let Some(cargo) = env::var_os("CARGO") {
        say("building factum");
        let release = mine.parent().is_some_and(|folder| folder.ends_with("release"));
        let mut build = std::process::Command::new(cargo);
        build
            .args(["build", "--quiet", "-p", "factum-cli"])
            .args(release.then_some("--release"))
            .current_dir(script::root());
        if !build.status().is_ok_and(|status| status.success()) {
            return Err(Error::invalid("factum could not be built: cargo build -p factum-cli"));
        }
    }
    let beside = mine.with_file_name("factum");
    match beside.exists() {
        true => Ok(beside.to_string_lossy().into_owned()),
        false => Err(Error::invalid(format!("{} is missing: cargo build -p factum-cli", beside.display()))),
    }
}
