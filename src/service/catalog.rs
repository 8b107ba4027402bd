//! What this program serves.

use crate::{App, observe};
use factum_core::Result;
use factum_gateway::{AggregateEntry, Catalog, ViewEntry};

/// The aggregate types and views of a program.
///
/// # Errors
/// `Invalid` when a type has no usable schema or table.
pub(crate) fn catalog(app: &App) -> Result<Catalog> {
    let aggregates = app.aggregates.iter().map(|host| {
        let (commands, events) = host.schemas()?;
        Ok(AggregateEntry { name: host.aggregate_type().to_owned(), commands, events, state: host.state_schema()? })
    });
    let views = app.views.iter().map(|host| {
        Ok(ViewEntry {
            name: host.name().to_owned(),
            inputs: host.inputs().iter().map(|input| (*input).to_owned()).collect(),
            columns: host.table()?.columns().to_vec(),
        })
    });
    Ok(Catalog {
        title: app.name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        aggregates: aggregates.collect::<Result<_>>()?,
        views: views.collect::<Result<_>>()?,
        others: observe::PATHS.to_vec(),
    })
}
