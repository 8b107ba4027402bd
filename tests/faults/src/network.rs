//! Networks that can be cut.
//!
//! Each broker and each handler has a network namespace with one address; a
//! bridge in a namespace of its own joins them with the machine itself. A cut is
//! the bridge's port switched off: packets vanish in both directions, and nobody
//! is told, as with a broken switch.

use crate::script::run;
use factum::{Error, Result};

/// The namespaces of one run, or none.
#[derive(Debug)]
pub(crate) enum Network {
    /// All on 127.0.0.1: nothing can be cut.
    Loopback,
    /// Gone when this is dropped.
    Namespaces(Namespaces),
}

/// See [`Network::Namespaces`].
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// Stands in front of the namespaces' names.
    name: String,
    /// The first three numbers of every address.
    subnet: String,
    nodes: Vec<u8>,
}

/// The machine's own address in the network.
const MACHINE: u8 = 254;

impl Network {
    /// Makes a namespace for each node.
    ///
    /// # Errors
    /// `Unavailable` with what is missing.
    pub(crate) fn with_cuts(nodes: &[u8]) -> Result<Self> {
        let pid = std::process::id();
        let mut made =
            Namespaces { name: format!("ff{pid}"), subnet: format!("10.213.{}", pid % 250), nodes: Vec::new() };
        let missing = |error: Error| {
            error.context("networks that can be cut need root, Linux and iproute2; --without-cuts does without")
        };
        made.make_bridge().map_err(missing)?;
        for node in nodes {
            made.nodes.push(*node);
            made.make_node(*node).map_err(missing)?;
        }
        Ok(Network::Namespaces(made))
    }

    /// The address at which nodes find what runs outside of namespaces.
    pub(crate) fn machine(&self) -> String {
        match self {
            Network::Loopback => "127.0.0.1".to_owned(),
            Network::Namespaces(made) => format!("{}.{MACHINE}", made.subnet),
        }
    }

    /// The beginning of a command that runs within a node's namespace.
    pub(crate) fn enter(&self, node: u8) -> Vec<String> {
        match self {
            Network::Loopback => Vec::new(),
            Network::Namespaces(made) => ["ip", "netns", "exec", &made.namespace(node)].map(str::to_owned).to_vec(),
        }
    }

    /// What `kafka.sh start` is told.
    pub(crate) fn for_brokers(&self) -> Vec<String> {
        match self {
            Network::Loopback => Vec::new(),
            Network::Namespaces(made) => {
                ["--network", &made.subnet, "--namespaces", &made.name].map(str::to_owned).to_vec()
            }
        }
    }

    /// Cuts a node off.
    ///
    /// # Errors
    /// `Unavailable` when that cannot be done.
    pub(crate) fn cut(&self, node: u8) -> Result<()> {
        self.port(node, "disabled")
    }

    /// Joins it again.
    ///
    /// # Errors
    /// As [`Network::cut`].
    pub(crate) fn heal(&self, node: u8) -> Result<()> {
        self.port(node, "forwarding")
    }

    fn port(&self, node: u8, state: &str) -> Result<()> {
        let Network::Namespaces(made) = self else { return Err(Error::invalid("this network cannot be cut")) };
        made.in_hub(&["bridge", "link", "set", "dev", &port(node), "state", state])
    }
}

impl Namespaces {
    fn namespace(&self, node: u8) -> String {
        format!("{}-{node}", self.name)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn in_hub(&self, command: &[&str]) -> Result<()> {
        let hub = self.hub();
        run("ip", ["netns", "exec", &hub].iter().chain(command)).map(drop)
    }

    /// In a namespace, so that the machine's own filters have no say.
    fn make_bridge(&self) -> Result<()> {
        let (hub, address) = (self.hub(), format!("{}.{MACHINE}/24", self.subnet));
        run("ip", ["netns", "add", &hub])?;
        self.in_hub(&["ip", "link", "add", "bridge", "type", "bridge"])?;
        self.in_hub(&["ip", "link", "set", "bridge", "up"])?;
        run("ip", ["link", "add", &self.name, "type", "veth", "peer", "name", &port(MACHINE), "netns", &hub])?;
        self.in_hub(&["ip", "link", "set", &port(MACHINE), "master", "bridge", "up"])?;
        run("ip", ["address", "add", &address, "dev", &self.name])?;
        run("ip", ["link", "set", &self.name, "up"]).map(drop)
    }

    fn make_node(&self, node: u8) -> Result<()> {
        let (namespace, address) = (self.namespace(node), format!("{}.{node}/24", self.subnet));
        run("ip", ["netns", "add", &namespace])?;
        self.in_hub(&["ip", "link", "add", &port(node), "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
        self.in_hub(&["ip", "link", "set", &port(node), "master", "bridge", "up"])?;
        for step in [
            &["address", "add", &address, "dev", "eth0"][..],
            &["link", "set", "lo", "up"],
            &["link", "set", "eth0", "up"],
        ] {
            run("ip", ["-netns", &namespace].iter().chain(step))?;
        }
        Ok(())
    }
}

/// The bridge's port of a node.
fn port(node: u8) -> String {
    format!("port{node}")
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // Both ends of a cable go with one of them. What is gone already is no loss.
        let names = self.nodes.iter().map(|node| self.namespace(*node)).chain([self.hub()]);
        for name in names {
            run("ip", ["netns", "delete", &name]).ok();
        }
    }
}
