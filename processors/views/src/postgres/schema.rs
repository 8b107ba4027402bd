//! A schema for a while.

use super::{PostgresLimits, PostgresUrl, connection::Connection};
use factum_core::Result;

/// A schema of a database, which [`Schema::remove`] drops with all that is in it.
#[derive(Debug)]
pub struct Schema {
    owner: PostgresUrl,
    url: PostgresUrl,
    name: String,
}

impl PostgresUrl {
    /// Makes a schema. Its name is quoted; it must not be there yet.
    ///
    /// # Errors
    /// What the server says.
    pub fn make_schema(&self, name: &str) -> Result<Schema> {
        let schema = Schema { owner: self.clone(), url: self.in_schema(name), name: name.replace('"', "\"\"") };
        schema.run(&format!("CREATE SCHEMA \"{}\"", schema.name))?;
        Ok(schema)
    }
}

impl Schema {
    /// The database, with connections that use the schema.
    pub fn url(&self) -> &PostgresUrl {
        &self.url
    }

    /// Drops it.
    ///
    /// # Errors
    /// What the server says.
    pub fn remove(self) -> Result<()> {
        self.run(&format!("SET client_min_messages = warning; DROP SCHEMA \"{}\" CASCADE", self.name))
    }

    fn run(&self, sql: &str) -> Result<()> {
        let mut connection = Connection::open(self.owner.clone(), PostgresLimits::default().setup())?;
        connection.batch("make or drop a schema", sql)
    }
}
