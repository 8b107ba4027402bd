//! How processes join their groups: by both protocols, some as static members.

use crate::{fault::Fault, random::Random, world::World};
use factum_core::log::GroupProtocol;
use std::cell::Cell;

/// What a process says when it joins.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) protocol: GroupProtocol,
    pub(crate) instance_id: Option<String>,
    has_joined: Cell<bool>,
}

impl Joining {
    /// All members of a group speak one protocol; each is static or not.
    pub(crate) fn draw(seed: u64, group: &str, process: &str) -> Self {
        let protocol = match Random::named(seed, &format!("protocol of {group}")).chance(50_000) {
            true => GroupProtocol::Consumer,
            false => GroupProtocol::Classic,
        };
        let is_static = Random::named(seed, &format!("member {process}")).chance(40_000);
        Joining { protocol, instance_id: is_static.then(|| process.to_owned()), has_joined: Cell::new(false) }
    }

    pub(crate) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// Counts what kind of member is about to join.
    pub(crate) fn joins(&self, world: &World) {
        let again = self.has_joined.replace(true);
        match self.protocol {
            GroupProtocol::Classic => world.count(Fault::ClassicMember),
            GroupProtocol::Consumer => world.count(Fault::NewerMember),
        }
        if again && self.is_static() {
            world.count(Fault::StaticRestart);
        }
    }
}
