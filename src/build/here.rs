//! Doing it in this process.

use super::{BuildRequest, Built, Listed, Tables, Told, run, tables};
use crate::{App, environment::Environment, host::Stop};
use factum_core::{Error, Result};
use factum_views::Database;
use std::sync::Arc;

/// The views of a program in a database, and their log where it is needed.
#[derive(Debug)]
pub(crate) struct Here {
    app: Arc<App>,
    environment: Option<Environment>,
    database: Database,
}

impl Here {
    /// With the log that the views are folded from.
    pub(crate) fn new(app: Arc<App>, environment: Environment, database: Database) -> Self {
        Here { app, environment: Some(environment), database }
    }

    /// Without a log: nothing can be built.
    pub(crate) fn without_log(app: Arc<App>, database: Database) -> Self {
        Here { app, environment: None, database }
    }

    /// Where the views are.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }
}

impl Tables for Here {
    fn list(&self, view: &str) -> Result<Listed> {
        tables::list(self.app.view_host(view)?, &self.database)
    }

    fn roll_back(&self, view: &str) -> Result<()> {
        tables::roll_back(self.app.view_host(view)?, &self.database)
    }

    fn drop_tables(&self, view: &str, suffix: &str) -> Result<String> {
        tables::drop_tables(self.app.view_host(view)?, &self.database, suffix)
    }

    fn build(&self, view: &str, request: &BuildRequest, stop: &Stop, tell: &mut dyn FnMut(Told<'_>)) -> Result<Built> {
        let host = self.app.view_host(view)?;
        let environment = self.environment.as_ref().ok_or_else(|| Error::invalid("there is no log to fold"))?;
        run::build(host, environment, &self.database, request, stop, tell)
    }
}
