//! Doing errands in this process.

use crate::{App, environment::Environment};
use factum_core::{Error, Result};
use factum_views::Database;
use std::sync::Arc;

/// The views of a program in a database, and their log where it is needed.
#[derive(Debug)]
pub(crate) struct Here {
    app: Arc<App>,
    environment: Option<Environment>,
    database: Database,
    serves_others: bool,
}

impl Here {
    /// With the log.
    pub(crate) fn new(app: Arc<App>, environment: Environment, database: Database) -> Self {
        Here { app, environment: Some(environment), database, serves_others: false }
    }

    /// Without a log: only what is in the database can be seen and changed.
    pub(crate) fn without_log(app: Arc<App>, database: Database) -> Self {
        Here { app, environment: None, database, serves_others: false }
    }

    /// For the errands of other processes.
    pub(crate) fn for_others(self) -> Self {
        Here { serves_others: true, ..self }
    }

    /// The program.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The log and its registry.
    ///
    /// # Errors
    /// `Invalid` without a log.
    pub(crate) fn environment(&self) -> Result<&Environment> {
        self.environment.as_ref().ok_or_else(|| Error::invalid("there is no log here: this can only be done with one"))
    }

    /// Where the views are.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Whether handlers and views run in this process, which somebody else asks: its end would be theirs.
    pub(crate) fn serves_others(&self) -> bool {
        self.serves_others
    }
}
