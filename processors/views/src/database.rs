//! Which database views are kept in.

use crate::{
    MemoryDatabase, MemorySink, PostgresRows, PostgresSink, PostgresUrl, Rebuild, Rows, Sink, SqliteRows, SqliteSink,
};
use factum_core::{Error, Result, view::ViewTable};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

/// A database that holds views, by name: what a setting says, and what sinks are opened in.
#[derive(Debug, Clone)]
pub enum Database {
    /// A SQLite file; opening it makes it.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
    /// In this process's memory.
    Memory(MemoryDatabase),
}

impl Database {
    /// A SQLite file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Database::Sqlite(path.into())
    }

    /// `postgres://…` and `postgresql://…` are a PostgreSQL database, anything else the path of a
    /// SQLite file.
    ///
    /// # Errors
    /// `Invalid` for an empty text and for a URL that is none. The error never shows the URL's password.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid("no database: give the path of a SQLite file or postgres://USER@HOST/DATABASE"));
        }
        if ["postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Database::Postgres(PostgresUrl::parse(text)?));
        }
        Ok(Database::file(text))
    }

    /// Opens a view's tables in it, making what is missing.
    ///
    /// # Errors
    /// `Invalid`: the table exists with other columns, or the database is none; `Unavailable`: it
    /// cannot be reached now.
    pub fn open(&self, table: ViewTable) -> Result<Box<dyn Sink>> {
        Ok(match self {
            Database::Sqlite(path) => Box::new(SqliteSink::open(path, table)?),
            Database::Postgres(url) => Box::new(PostgresSink::open(url, table)?),
            Database::Memory(database) => Box::new(MemorySink::open(database, table)?),
        })
    }

    /// Opens a view's tables in it for a rebuild, making what is missing.
    ///
    /// # Errors
    /// As of [`Database::open`].
    pub fn open_rebuild(&self, table: ViewTable) -> Result<Box<dyn Rebuild>> {
        Ok(match self {
            Database::Sqlite(path) => Box::new(SqliteSink::open(path, table)?),
            Database::Postgres(url) => Box::new(PostgresSink::open(url, table)?),
            Database::Memory(database) => Box::new(MemorySink::open(database, table)?),
        })
    }

    /// Its views for reading, which makes nothing; whether they are there, the first answer says.
    pub fn rows(&self) -> Arc<dyn Rows> {
        match self {
            Database::Sqlite(path) => Arc::new(SqliteRows::new(path)),
            Database::Postgres(url) => Arc::new(PostgresRows::new(url)),
            Database::Memory(database) => Arc::new(database.clone()),
        }
    }

    /// The file, of a SQLite database.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Database::Sqlite(path) => Some(path),
            Database::Postgres(_) | Database::Memory(_) => None,
        }
    }
}

impl FromStr for Database {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Database {
    /// The path, or the URL without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => path.display().fmt(f),
            Database::Postgres(url) => url.fmt(f),
            Database::Memory(_) => f.write_str("memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let shown = match Database::parse(text) {
            Ok(database) => format!("{database} {database:?}"),
            Err(error) => format!("error: {error}"),
        };
        assert!(!shown.contains("s3cret"), "{shown}");
        expected.assert_eq(&shown);
    }

    #[test]
    fn a_text_names_a_file_or_a_url_and_shows_no_password() {
        check("views.sqlite", expect![[r#"views.sqlite Sqlite("views.sqlite")"#]]);
        check(
            "postgres://ada:s3cret@db.example:5433/bank?connect_timeout=3",
            expect!["postgres://ada@db.example:5433/bank Postgres(postgres://ada@db.example:5433/bank)"],
        );
        check(
            "postgresql://ada@one,two:6000/bank",
            expect!["postgres://ada@one:5432,two:6000/bank Postgres(postgres://ada@one:5432,two:6000/bank)"],
        );
        check("", expect!["error: no database: give the path of a SQLite file or postgres://USER@HOST/DATABASE"]);
        check(
            "postgres://ada:s3cret@db:port/bank",
            expect![
                "error: this is not the URL of a PostgreSQL database: write postgres://USER@HOST:PORT/DATABASE, percent-encode special characters, and give the password in PGPASSWORD or as USER:PASSWORD"
            ],
        );
        check(
            "postgres:ada:s3cret@db",
            expect![
                "error: this is not the URL of a PostgreSQL database: write postgres://USER@HOST:PORT/DATABASE, percent-encode special characters, and give the password in PGPASSWORD or as USER:PASSWORD"
            ],
        );
        check(
            "postgres://ada:s3cret@db/bank?colour=s3cret",
            expect![
                "error: this is not the URL of a PostgreSQL database: write postgres://USER@HOST:PORT/DATABASE, percent-encode special characters, and give the password in PGPASSWORD or as USER:PASSWORD"
            ],
        );
    }
}
