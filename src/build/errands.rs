//! What verbs ask for.

use super::{BuildRequest, Built, Listed, Told, run, tables};
use crate::{
    errand::{Desk, Errand, Here, taking},
    host::Stop,
};
use axum::Router;
use factum_core::Result;
use serde::{Deserialize, Serialize};

/// What there is of a view.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTables {
    pub(crate) view: String,
}

/// Makes the tables live again that were before the last rebuild. `Invalid` when there are none; `Conflict` while the
/// view is being built.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollBack {
    pub(crate) view: String,
}

/// Drops the tables of a suffix; answers with their name. `Invalid` when there are none; `Conflict` while the view is
/// being built.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropTables {
    pub(crate) view: String,
    pub(crate) suffix: String,
}

/// Builds, compares, and switches where that is the plan. `Conflict` when the view is being built by somebody else or
/// tables are in the way; `Unavailable` when it was stopped: the same request goes on then.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuildTables {
    pub(crate) view: String,
    pub(crate) request: BuildRequest,
}

/// Adds them to a desk's.
pub(crate) fn errands(router: Router<Desk>) -> Router<Desk> {
    let router = taking::<RollBack>(taking::<ListTables>(router));
    taking::<BuildTables>(taking::<DropTables>(router))
}

impl Errand for ListTables {
    const NAME: &'static str = "list-tables";
    type Told = ();
    type Done = Listed;

    fn run(&self, here: &Here, _: &Stop, _: &mut dyn FnMut(())) -> Result<Listed> {
        tables::list(here.app().view_host(&self.view)?, here.database())
    }
}

impl Errand for RollBack {
    const NAME: &'static str = "roll-back";
    type Told = ();
    type Done = ();

    fn run(&self, here: &Here, _: &Stop, _: &mut dyn FnMut(())) -> Result<()> {
        tables::roll_back(here.app().view_host(&self.view)?, here.database())
    }
}

impl Errand for DropTables {
    const NAME: &'static str = "drop-tables";
    type Told = ();
    type Done = String;

    fn run(&self, here: &Here, _: &Stop, _: &mut dyn FnMut(())) -> Result<String> {
        tables::drop_tables(here.app().view_host(&self.view)?, here.database(), &self.suffix)
    }
}

impl Errand for BuildTables {
    const NAME: &'static str = "build-tables";
    type Told = Told;
    type Done = Built;

    fn run(&self, here: &Here, stop: &Stop, tell: &mut dyn FnMut(Told)) -> Result<Built> {
        let host = here.app().view_host(&self.view)?;
        run::build(host, here.environment()?, here.database(), &self.request, stop, tell)
    }

    fn is_said_again(told: &Told) -> bool {
        matches!(told, Told::Progress(_))
    }
}
