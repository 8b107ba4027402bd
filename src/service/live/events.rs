//! The events of an aggregate type.

use super::{
    positions::Positions,
    source::{Content, Origin, Source, Step, Tail},
};
use crate::{environment::Environment, journal};
use factum_core::{Error, RecordRef, Result, wire::EventHeader};
use factum_gateway::{Told, Update};
use std::{sync::Arc, time::Duration};

/// The events of one topic, of which each stream follows one key.
pub(super) struct Events {
    pub(super) environment: Environment,
    pub(super) journal: Arc<journal::Reader>,
}

impl Origin for Events {
    fn open(&self, at: Positions) -> Result<Box<dyn Source>> {
        Ok(Box::new(Tail::open(&*self.environment.log, at)?))
    }

    fn tell(&self, step: &Step, key: &[u8], at: &Positions) -> Result<Option<Told>> {
        let Content::Records(records) = &step.content else { return Ok(None) };
        let mut updates = Vec::new();
        for record in records.iter().filter(|record| record.key() == Some(key)) {
            let place = record.place();
            let Some(known) = at.0.get(&place).filter(|at| record.offset() >= at.next) else { continue };
            let position = format!("{place}@{}#{}", record.offset(), known.topic_id);
            updates.push(Update { name: "event", data: self.event(record)?, position: Some(position) });
        }
        Ok((!updates.is_empty()).then(|| Told::updates(&updates)))
    }
}

impl Events {
    /// An event as a history tells it.
    fn event(&self, record: RecordRef<'_>) -> Result<serde_json::Value> {
        let header = EventHeader::read(record)?;
        let entry = self.journal.entry(record, &header)?;
        let found = journal::event_found(&self.environment, header.version, entry)?;
        serde_json::to_value(found).map_err(|error| Error::data(format!("{record:?} cannot be shown: {error}")))
    }
}

impl Source for Tail {
    fn read(&mut self, wait: Duration) -> Result<Option<Step>> {
        let records = self.poll(wait)?;
        let step = |records| Step { after: self.positions().clone(), content: Content::Records(records) };
        Ok((!records.is_empty()).then(|| step(records)))
    }

    fn positions(&self) -> &Positions {
        self.positions()
    }
}
