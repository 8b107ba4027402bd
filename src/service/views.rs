//! Answering queries of views.

use super::{QueryFound, QueryRequest};
use crate::{App, host::ViewHost};
use factum_core::{Offset, Result, Topic, TopicId, TopicPartition, Topics, view::Value, wire::Token};
use factum_gateway::{BehindFound, Patience};
use factum_views::{Behind, Database, MAX_TOKENS, Query, Rows, Tokens};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The views of a database, whether or not they run, in this process or in another.
#[derive(Debug)]
pub(crate) struct ViewReader {
    app: Arc<App>,
    database: Database,
    prefix: String,
    rows: Arc<dyn Rows>,
}

impl ViewReader {
    /// The views of a database, whose topics' names begin with a prefix.
    pub(crate) fn new(app: Arc<App>, database: Database, prefix: &str) -> Self {
        let rows = database.rows();
        ViewReader { app, database, prefix: prefix.to_owned(), rows }
    }

    /// Where they are.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// A page of a view's rows.
    ///
    /// # Errors
    /// `Invalid` when there is no such view, it was never built, or the request does not fit it;
    /// `Unavailable` when it is behind for longer than the request's patience.
    pub(crate) fn query(&self, request: &QueryRequest) -> Result<QueryFound> {
        let host = self.app.view_host(&request.view)?;
        let table = host.table()?;
        let pairs = request.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let query = Query::from_pairs(&table, pairs)?;
        let topics = self.topics(host);
        let tokens = Tokens { table: &table, topics: &topics, tokens: &request.after };
        let behind = match request.patience {
            Patience::Wait(patience) => tokens.wait(&*self.rows, patience).map(|()| Vec::new())?,
            Patience::Stale => tokens.behind(&*self.rows)?,
        };
        let page = self.rows.page(&query)?;
        let json = |row: Vec<Value>| row.into_iter().map(to_json).collect();
        Ok(QueryFound {
            view: host.name().to_owned(),
            columns: page.columns,
            rows: page.rows.into_iter().map(json).collect(),
            next: page.next,
            count: page.count,
            behind: behind.into_iter().map(told).collect(),
            lag_records: None,
        })
    }

    /// Waits until a view has passed these positions, however many they are.
    ///
    /// # Errors
    /// As of [`ViewReader::query`].
    pub(crate) fn wait(&self, view: &str, tokens: &[Token], patience: Duration) -> Result<()> {
        let host = self.app.view_host(view)?;
        let (table, topics) = (host.table()?, self.topics(host));
        tokens
            .chunks(MAX_TOKENS)
            .try_for_each(|tokens| Tokens { table: &table, topics: &topics, tokens }.wait(&*self.rows, patience))
    }

    /// The events topics that a view reads.
    pub(crate) fn topics(&self, host: &dyn ViewHost) -> Vec<Topic> {
        host.inputs().iter().map(|input| Topics::with_prefix(&self.prefix, input).events).collect()
    }

    /// How many records a view lacks of those before these positions, at most.
    ///
    /// # Errors
    /// As of [`ViewReader::query`].
    pub(crate) fn lag(&self, view: &str, ends: &[(TopicPartition, TopicId, Offset)]) -> Result<u64> {
        let progress = self.rows.progress(&self.app.view_host(view)?.table()?)?;
        let lag = ends.iter().map(|(place, topic_id, end)| {
            let found = progress.iter().find(|known| known.place == *place && known.topic_id == *topic_id);
            u64::try_from(end.0 - found.map_or(0, |known| known.position.0)).unwrap_or(0)
        });
        Ok(lag.sum())
    }

    /// What reads them.
    pub(crate) fn rows(&self) -> Arc<dyn Rows> {
        self.rows.clone()
    }
}

fn told(behind: Behind) -> BehindFound {
    BehindFound { partition: behind.place.to_string(), position: behind.position.0, wanted: behind.wanted.0 }
}

fn to_json(value: Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => json!(number),
        Value::Real(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::Text(text) => json!(text),
        Value::Bytes(_) => json!(value.to_string()),
    }
}
