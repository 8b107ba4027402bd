//! Where a benchmark's views are: nowhere else, and gone afterwards.

use clap::Args;
use factum_core::{Error, Result};
use factum_views::{Database, Schema};
use tempfile::TempDir;

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchViews {
    /// The PostgreSQL database; each run has a schema of its own in it, which is dropped. Without it the views are in
    /// SQLite files that are gone afterwards.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "URL")]
    views: Option<String>,
}

/// An empty place for views.
pub(super) struct Place {
    database: Database,
    kept: Kept,
}

enum Kept {
    Folder(TempDir),
    Schema(Schema),
}

impl BenchViews {
    /// A new one.
    pub(super) fn place(&self) -> Result<Place> {
        match &self.views {
            Some(url) => Place::schema(url),
            None => Place::file(),
        }
    }
}

impl Place {
    /// A SQLite file.
    pub(super) fn file() -> Result<Self> {
        let folder = TempDir::new()
            .map_err(|error| Error::invalid(format!("there is no temporary folder for the views: {error}")))?;
        Ok(Place { database: Database::file(folder.path().join("views.sqlite")), kept: Kept::Folder(folder) })
    }

    /// A schema in a PostgreSQL database.
    pub(super) fn schema(url: &str) -> Result<Self> {
        let Database::Postgres(url) = Database::parse(url)? else {
            return Err(Error::invalid("--views names a PostgreSQL database here: postgres://USER@HOST/DATABASE"));
        };
        let schema = url.make_schema(&format!("factum_bench_{}", uuid::Uuid::new_v4().simple()))?;
        Ok(Place { database: Database::Postgres(schema.url().clone()), kept: Kept::Schema(schema) })
    }

    /// Runs with its database, and ends it.
    ///
    /// # Errors
    /// Those of the work, and what the database says at the end.
    pub(super) fn run<T>(self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let worked = work(&self.database);
        let ended = match self.kept {
            Kept::Folder(folder) => folder
                .close()
                .map_err(|error| Error::invalid(format!("the temporary folder cannot be removed: {error}"))),
            Kept::Schema(schema) => schema.remove(),
        };
        ended.and(worked)
    }
}
