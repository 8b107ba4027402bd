//! The records of one enum, in the wire format.

use crate::{
    AvroMessage, SchemaCache,
    cache::WriterSchema,
    frame,
    message::{How, RecordReader, RecordWriter},
    newest::{self, Newest},
    resolution::Resolution,
    shape, subject,
    upcast::Retired,
};
use factum_core::{DecodeError, Decoded, Error, MessageCodec, Result};
use std::{cell::RefCell, fmt, sync::Arc};

/// More ids than one topic ever has; beyond it the codec begins anew.
const LIMIT_ROUTES: usize = 10_000;

/// Encodes and decodes the records of one enum. Each thread has its own (a
/// clone is cheap); they share what is known of schemas in a [`SchemaCache`].
///
/// Bytes whose schema id is not known yet give
/// [`UnknownSchema`](DecodeError::UnknownSchema): call [`SchemaCache::fetch`]
/// and decode again.
pub struct RecordCodec<M> {
    /// Those of the enum, and behind them the retired ones.
    records: &'static [Newest],
    retired: Arc<[Retired<M>]>,
    /// The ids of the newest schemas; none in a codec that only reads.
    ids: Option<Arc<[u32]>>,
    /// What this thread knows about ids.
    routes: RefCell<Routes>,
    /// Where bytes of other versions become those of the newest.
    scratch: RefCell<Vec<u8>>,
    cache: Arc<SchemaCache>,
}

/// What to do with bytes of one schema id.
#[derive(Clone)]
enum Route {
    /// The newest schema of the record of that index.
    Direct(usize),
    /// Another version of it.
    Resolve(usize, Arc<Resolution>),
    /// A record that the enum has not, or no record.
    Foreign(Arc<WriterSchema>),
}

/// Ids below have a place of their own. Registries count from 1, so these are nearly all that there are.
const LOW_IDS: usize = 4_096;

/// The routes by their ids.
#[derive(Clone, Default)]
struct Routes {
    /// By id.
    low: Vec<Option<Route>>,
    /// Sorted by id.
    high: Vec<(u32, Route)>,
}

impl Routes {
    #[inline]
    fn get(&self, id: u32) -> Option<&Route> {
        match usize::try_from(id) {
            Ok(id) if id < LOW_IDS => self.low.get(id)?.as_ref(),
            _ => self.high.binary_search_by_key(&id, |(id, _)| *id).ok().map(|known| &self.high[known].1),
        }
    }

    fn insert(&mut self, id: u32, route: Route) {
        match usize::try_from(id) {
            Ok(id) if id < LOW_IDS => {
                if self.low.len() <= id {
                    self.low.resize(id + 1, None);
                }
                self.low[id] = Some(route);
            }
            _ => {
                if self.high.len() >= LIMIT_ROUTES {
                    self.high.clear();
                }
                let place = self.high.partition_point(|(known, _)| *known < id);
                self.high.insert(place, (id, route));
            }
        }
    }
}

impl<M: AvroMessage> RecordCodec<M> {
    /// A codec that reads only; it asks the registry nothing.
    ///
    /// # Errors
    /// `Invalid` when the derived schemas are not usable.
    pub fn for_reading(cache: &Arc<SchemaCache>) -> Result<Self> {
        Ok(RecordCodec {
            records: newest::of_message::<M>()?,
            retired: M::retired().into(),
            ids: None,
            routes: RefCell::default(),
            scratch: RefCell::default(),
            cache: cache.clone(),
        })
    }

    /// A codec for values of a topic: registers the newest schemas there. Blocks while it asks.
    ///
    /// # Errors
    /// `Unavailable` when the registry is away, `Invalid` when it refuses a schema.
    pub fn for_writing(topic: &str, cache: &Arc<SchemaCache>) -> Result<Self> {
        let mut codec = Self::for_reading(cache)?;
        let named = |record: &Newest| (subject(topic, &record.name), record.json.clone());
        let records: Vec<_> = codec.records.iter().take(M::RECORDS.len()).map(named).collect();
        codec.ids = Some(cache.register_all(&records)?.into());
        Ok(codec)
    }

    /// Where schemas are fetched that this codec does not know.
    pub fn cache(&self) -> &Arc<SchemaCache> {
        &self.cache
    }

    /// The beginning of the wire bytes of the record of that index.
    pub(crate) fn head(&self, record: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        frame::write(self.id(record)?, &mut bytes);
        Ok(bytes)
    }

    fn id(&self, record: usize) -> Result<u32> {
        let ids = self.ids.as_ref().ok_or_else(|| {
            let name = M::RECORDS[record];
            Error::invalid(format!("record {name} cannot be written by a codec that was made for reading"))
        })?;
        Ok(ids[record])
    }

    /// What to do with an id that this thread has not met yet.
    #[cold]
    fn new_route(&self, id: u32) -> Result<Route, DecodeError> {
        let written = self.cache.get(id).ok_or(DecodeError::UnknownSchema(id))?;
        let index =
            written.name.as_deref().and_then(|name| self.records.iter().position(|record| record.name == *name));
        let route = match index {
            None => Route::Foreign(written),
            Some(index) if shape::same_bytes(&written.schema, &self.records[index].schema) => Route::Direct(index),
            Some(index) => Route::Resolve(index, Arc::new(Resolution::new(written, &self.records[index]))),
        };
        self.routes.borrow_mut().insert(id, route.clone());
        Ok(route)
    }

    #[inline]
    fn decode_by(&self, route: &Route, id: u32, value: &[u8], bytes: &[u8]) -> Result<Decoded<M>, DecodeError> {
        let (index, how) = match route {
            Route::Direct(index) => (*index, How::Direct),
            Route::Resolve(index, resolution) => (*index, How::Resolve(resolution, &self.scratch)),
            Route::Foreign(written) => {
                return match &written.name {
                    Some(name) => M::foreign(name, value)
                        .map(Decoded::One)
                        .ok_or_else(|| DecodeError::UnknownRecord(name.to_string())),
                    None => Err(DecodeError::Malformed(format!("schema id {id} is not a record"))),
                };
            }
        };
        let reader = RecordReader { newest: &self.records[index], how, id: Some(id), bytes };
        match index.checked_sub(M::RECORDS.len()) {
            None => M::read(index, reader).map(Decoded::One),
            Some(retired) => self.retired[retired].read(reader).map(Decoded::Upcast),
        }
    }
}

impl<M: AvroMessage> MessageCodec<M> for RecordCodec<M> {
    fn encode(&self, message: &M, into: &mut Vec<u8>) -> Result<(), Error> {
        let record = message.record();
        let id = self.id(record)?;
        let before = into.len();
        frame::write(id, into);
        let written = message.write(RecordWriter { newest: &self.records[record], into });
        if written.is_err() {
            into.truncate(before);
        }
        written
    }

    fn decode(&self, value: &[u8]) -> Result<Decoded<M>, DecodeError> {
        let (id, bytes) = frame::read(value)?;
        if let Some(route) = self.routes.borrow().get(id) {
            return self.decode_by(route, id, value, bytes);
        }
        self.decode_by(&self.new_route(id)?, id, value, bytes)
    }
}

impl<M> Clone for RecordCodec<M> {
    fn clone(&self) -> Self {
        RecordCodec {
            records: self.records,
            retired: self.retired.clone(),
            ids: self.ids.clone(),
            routes: self.routes.clone(),
            scratch: RefCell::default(),
            cache: self.cache.clone(),
        }
    }
}

impl<M> fmt::Debug for RecordCodec<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.records.iter().map(|record| record.name.as_str()).collect();
        f.debug_struct("RecordCodec").field("records", &names).field("ids", &self.ids).finish_non_exhaustive()
    }
}
