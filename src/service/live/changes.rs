//! The rows of a view that events touch.

use super::{
    positions::Positions,
    source::{Content, Origin, Source, Step, Tail},
};
use crate::{App, environment::Environment, host::TouchedKeys, service::ViewReader};
use factum_core::{ErrorKind, Result, wire::Token};
use factum_gateway::{Patience, QueryRequest, Told, Update};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// The most rows of one query.
const MAX_KEYS: usize = 100;
/// How long a view may take to come to what was read.
const VIEW_WAIT: Duration = Duration::from_secs(30);

/// The changes of a view, which every stream of it gets.
pub(super) struct Changes {
    pub(super) app: Arc<App>,
    pub(super) environment: Environment,
    pub(super) views: Arc<ViewReader>,
    pub(super) view: String,
}

impl Origin for Changes {
    fn open(&self, at: Positions) -> Result<Box<dyn Source>> {
        Ok(Box::new(Rows {
            views: self.views.clone(),
            view: self.view.clone(),
            keys: self.app.view_host(&self.view)?.touched_keys(&self.environment)?,
            positions: at.clone(),
            tail: Tail::open(&*self.environment.log, at)?,
            pending: None,
        }))
    }

    fn tell(&self, step: &Step, _: &[u8], at: &Positions) -> Result<Option<Told>> {
        Ok(match &step.content {
            Content::Told(told) if !at.reach(&step.after) => Some(told.clone()),
            _ => None,
        })
    }
}

struct Rows {
    views: Arc<ViewReader>,
    view: String,
    keys: TouchedKeys,
    tail: Tail,
    /// Behind what was told; the tail is further while the view has not come there.
    positions: Positions,
    pending: Option<Pending>,
}

/// What was read and is not in the view yet.
struct Pending {
    keys: Vec<String>,
    after: Vec<Token>,
    since: Instant,
}

impl Source for Rows {
    fn read(&mut self, wait: Duration) -> Result<Option<Step>> {
        let pending = match self.pending.take() {
            Some(pending) => pending,
            None => self.touched(wait)?,
        };
        // Records that touch no row are behind it all the same.
        let updates = match self.updates(&pending, wait) {
            Err(error) if error.kind() == ErrorKind::Unavailable && pending.since.elapsed() < VIEW_WAIT => {
                self.pending = Some(pending);
                return Ok(None);
            }
            updates => updates?,
        };
        self.positions = self.tail.positions().clone();
        let step = |told| Step { after: self.positions.clone(), content: Content::Told(told) };
        Ok((!updates.is_empty()).then(|| step(Told::updates(&updates))))
    }

    fn positions(&self) -> &Positions {
        &self.positions
    }
}

impl Rows {
    /// The keys of the rows that the next records touch.
    fn touched(&mut self, wait: Duration) -> Result<Pending> {
        let (mut keys, mut after) = (BTreeSet::new(), BTreeMap::new());
        for record in self.tail.poll(wait)?.iter() {
            keys.extend((self.keys)(record)?);
            let place = record.place();
            after.insert(place.clone(), Token { place, offset: record.offset(), topic_id: None });
        }
        Ok(Pending { keys: keys.into_iter().collect(), after: after.into_values().collect(), since: Instant::now() })
    }

    fn updates(&self, pending: &Pending, wait: Duration) -> Result<Vec<Update>> {
        let mut updates = Vec::new();
        self.views.wait(&self.view, &pending.after, wait)?;
        for keys in pending.keys.chunks(MAX_KEYS) {
            let rows = self.rows(keys)?;
            updates.extend(rows.into_iter().map(|data| Update { name: "change", data, position: None }));
        }
        // Only behind the last row have all of these records been told.
        if let Some(last) = updates.last_mut() {
            last.position = Some(self.tail.positions().to_string());
        }
        Ok(updates)
    }

    /// The rows of these keys; null where there is none.
    fn rows(&self, keys: &[String]) -> Result<Vec<Value>> {
        let list: Vec<String> = keys.iter().map(|key| format!("'{}'", key.replace('\'', "''"))).collect();
        let found = self.views.query(&QueryRequest {
            view: self.view.clone(),
            parameters: vec![
                ("where".to_owned(), format!("key in ({})", list.join(", "))),
                ("limit".to_owned(), keys.len().to_string()),
            ],
            after: Vec::new(),
            patience: Patience::Wait(Duration::ZERO),
        })?;
        let row = |values: Vec<Value>| -> Map<String, Value> { found.columns.iter().cloned().zip(values).collect() };
        let rows: Vec<Map<String, Value>> = found.rows.into_iter().map(row).collect();
        let one = |key: &String| {
            let row = rows.iter().find(|row| row.get("key").and_then(Value::as_str) == Some(key));
            json!({ "key": key, "row": row })
        };
        Ok(keys.iter().map(one).collect())
    }
}
