//! The verbs for orders, payments and customers.

use factum::{
    HandWritten, Result, SqlTransaction,
    view::{Commit, Value},
};
use factum_test_orders::{Outstanding, Overview, customer::Customer, order::Order, payment::Payment};
use std::process::ExitCode;

/// Notes in the table `reminded`, which is there before, whose orders were ever shown as owed.
#[derive(Debug)]
struct Reminders;

impl HandWritten for Reminders {
    fn write(&mut self, sql: &mut dyn SqlTransaction, commit: &Commit) -> Result<()> {
        for (key, _) in &commit.upserts {
            let key = [Value::Text(key.clone())];
            sql.execute("INSERT INTO reminded (key) VALUES ($1) ON CONFLICT DO NOTHING", &key)?;
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    factum::app("orders")
        .aggregate::<Order>()
        .aggregate::<Payment>()
        .aggregate::<Customer>()
        .view::<Overview>()
        .view_with::<Outstanding>(|| Box::new(Reminders))
        .main()
}
